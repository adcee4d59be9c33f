"""What `--help`, and the manual page, say of a command beyond a line."""

from typing import Final

DESCRIPTION: Final = """\
Publishes a web site that people manage over FTP to S3 and CloudFront.

The least that the configuration needs:

    site = "www"            # a name from infra/sites.toml, deployed with `npx cdk deploy`
    root = "/srv/ftp/www"   # the FTP tree; only `restore` and `undo` write in it
"""
EPILOG: Final = """\
exit codes:
  0   done                              66  the root is not there
  1   not all is done                   69  AWS cannot be reached; nothing is lost
  3   deletes are held (see approve)    75  another sync runs, or the site is paused
  64  wrong usage                       77  no credentials, or not enough of them
  70  the index is damaged              78  wrong configuration
  74  the state directory cannot be used, or the disk is full that is restored to
"""
REDRIVE: Final = """\
A job that failed at every try (five) waits in the dead-letter queue of its kind for up to 14 days. For each, this shows
what it is about and the last error that its handler logged; of the first 20 of a queue, since a log is slow to search.

  1. siteferry redrive --dry-run   what waits, and why it failed
  2. remove the cause              a permission, a limit, an outage
  3. siteferry redrive             moves it back; safe at any time, twice, and beside a running daemon

What is no job cannot be done by any handler. It is left where it is, shown with its message id and how it begins, and
the exit code is 1 while any is left. Find out who sent it; then delete it in the SQS console, in the queue
siteferry-SITE-KIND-dead, by that id. Of a job of another version the error says what to upgrade first.

Ctrl-C stops between two letters; what was not moved still waits.
"""

AUDIT: Final = """

Every object is listed, and its size compared. Checksums are looked at one by one of what was modified since the last
audit that mended, and with --deep of all; so is what the index does not have. Without --repair nothing is changed, and
a daemon may be running; with it, a daemon that is running does it in its next cycle. A file that differs is published
again, what has no file is deleted (the delete brake holds as always), duplicates and directory pages are made again.
`siteferry run` audits by itself every `audit_days` days.

exit codes: 0 nothing differs, or all was mended; 1 something differs; 3 deletes are held; others as `siteferry --help`
"""
REINDEX: Final = """

After another layout of the pages, say. Works beside a running daemon: it only sends jobs. Only pages that differ are
written; all are invalidated.

  siteferry reindex            all of the site
  siteferry reindex photos     photos/ and all beneath it
"""
EXPLAIN: Final = """

PATH is relative to the root, or absolute beneath it, or the URL that a visitor would open. It may be a file, a
directory, or something that is no longer there. Shown are, in this order: what is on disk; which rules apply to it
(exclude, encoding, copy rules, header rules, settle); what the index has, and how the agent does; what the bucket has
at its key and at its duplicates'; how many jobs wait; what the CDN answers. The first NO is the reason, and what to do
about it is said. Nothing is changed, and a daemon may be running.

  siteferry explain docs/price-list.pdf
  siteferry explain https://www.example.com/docs/ --json

exit codes: 0 it is live, or rightly absent; 1 it is not live, or should be gone; others as `siteferry --help`
"""
ADOPT: Final = """

For a first run on a bucket that another tool filled (`aws s3 sync`, say). An object of the same size as its file, and
not older, counts as published and is not uploaded; everything else is. Nothing is deleted, and headers of what is
adopted stay as they are. Look at --dry-run first.

With --rebuild: for a site whose index was lost, while the bucket is as siteferry left it. The table must be there, and
empty. Every file is read, and every object asked for its checksum (one HEAD each): what has its file's bytes is entered
with its checksum and not uploaded, only given the headers of the present rules if it has others; all else is uploaded,
and so is what S3 has no checksum of as a whole. Nothing is deleted: what the tree no longer has stays until
`siteferry audit --repair`. Directory pages and duplicates are made again, and all of the site invalidated at the end.
If it is cut short, give it again: it goes on where it was. --dry-run goes by sizes alone.

  another tool filled the bucket                     siteferry adopt
  the table was deleted or emptied                   siteferry adopt --rebuild
  the index is there, and differs from the bucket    siteferry audit --repair
"""
RESTORE: Final = """

Names, bytes and mtimes come back as they were on the FTP host; directory pages and duplicates, which siteferry makes
itself, are left out. Into an empty directory everything is downloaded; in another only what differs. A file appears
under its name when all of it is on disk and its checksum is right. What is cut short is gone on with by the same
command. Nothing is changed in the cloud, and a daemon may be running. For what a user or a tool did to the tree,
`siteferry undo` is the better way.

It writes, so `sudo siteferry-as-unit restore ...` runs it as root, with the unit's credentials (docs/restore.md).

  siteferry restore /srv/ftp/www                        all of it, after the host was lost
  siteferry restore /srv/ftp/www --path docs --dry-run  what docs/ would need
  siteferry restore /tmp/then --as-of 2026-11-20        as it was at the beginning of that day
  siteferry restore /tmp/x --as-of 1d --path news       news/ of a day ago, in /tmp/x/news

--delete removes files that could be the site's, but are not. More of them than the configuration's `brake` lets go are
held (exit code 3), and --approve says how many may go. Files of names that are never published stay.

Into the published root itself it brings back what is missing; what users changed since the last sync, which nobody else
has, stays and is told, unless --overwrite is given.

exit codes: 0 all is as the site has it; 1 something failed or was left; 3 deletes are held; others as in
`siteferry --help`
"""
HISTORY: Final = """

Without PATH the runs of this host, by number and time, with what they changed; with --run N each file of one. With PATH
what became of a file, or of all beneath a directory, from the bucket's versions: this needs no record, and reaches back
for as long as they are kept (`retention_days` of infra/sites.toml). Directory pages and duplicates are left out.

  siteferry history                     the last runs
  siteferry history --run 112           what run 112 changed
  siteferry history docs/prices.pdf     every version that was live
"""
UNDO: Final = """

For what a mirror tool or an angry user did. Files come back in the FTP tree as they were published before, and the next
sync publishes them. Only a file that is on disk exactly as it is published is replaced or removed: its bytes are in the
bucket, so that nothing is lost, and an undo can be undone. What was changed since the last sync stays, and is told.
It is a person's decision: the plan is shown first. It writes in the tree, so `sudo siteferry-as-unit undo ...` runs it
as root, with the unit's credentials (docs/restore.md).

  siteferry history                     which run it was; one accident may have been several
  siteferry undo 112                    show what would be done; ask
  siteferry undo 112 --path docs --yes  do it, beneath docs/ alone
  siteferry undo --since 2h             all since then: also what is gone from the tree and still published, its
                                        deletes being held

exit codes: 0 done, or only shown; 1 something failed or was left; 3 deletes are held, and --approve says how many may
go; others as in `siteferry --help`
"""
CHECK: Final = """

Looks at, in this order: the configuration; the state directory; the root and whose clock its times are by; the
credentials, this host's clock against AWS's; the descriptor; that the bucket keeps versions; each permission that the
agent needs, tried so that nothing comes of it; index, dead letters. Each line is ok, or says what to do.

  ok    it is as it should be
  warn  the agent works, but look at it
  FAIL  the agent needs it; the first of them gives the exit code, as `siteferry --help` lists them
  -     it cannot be told without an effect, or as long as something before it fails

Nothing is changed, and a daemon may be running. Run it as the systemd unit would, with its user and credentials:

  sudo siteferry-as-unit check
  sudo siteferry-as-unit --site www check
"""
STATUS: Final = """

From the state directory at once: what the agent does, how the last run went, what is held, paused, not published.
Then, if AWS answers within 3 seconds: how many jobs wait, dead letters, alarms. --local leaves AWS out.

  siteferry status --watch     again every 2 seconds, until Ctrl-C; where no terminal is, whenever it changed
  siteferry status --json      one document; with --watch, one a line
"""
PAUSE: Final = """

A run that is going on ends between two files; what it published stays, the next one goes on. The daemon keeps running
and keeps the site's lease, so that no other agent publishes it either; within some seconds of the pause's end it goes
on. A pause survives restarts. `siteferry sync`, `adopt` and `audit --repair` refuse meanwhile (exit code 75); what only
looks works. What was published before is still being made true: copies, deletes, pages, invalidations.

  siteferry pause the new menu is not approved yet
  siteferry pause --for 2h moving the disks
  siteferry resume
"""
