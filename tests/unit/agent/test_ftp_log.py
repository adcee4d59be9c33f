"""What is read out of FTP servers' logs, and which directories that can be about."""

from pathlib import Path

import pytest

from siteferry.cache import Cache
from siteferry.ftp_log import LONGEST_LINE, Logged, may_be, parse
from siteferry.snapshot import Snapshot
from siteferry.whereabouts import MOST_MATCHES, directories, holder

XFERLOG = b"Mon Nov  2 09:05:01 2026 1 192.0.2.7 1234 %s b _ %s r bob ftp 0 * %s"
VSFTPD = b'Mon Nov  2 09:05:01 2026 [pid 7] [bob] %s: Client "192.0.2.7", "%s", 12 bytes, 3.45Kbyte/sec'
CLF = b'192.0.2.7 - bob [02/Nov/2026:09:05:01 +0100] "%s %s" 200 1234'


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (XFERLOG % (b"/docs/my_file", b"i", b"c"), Logged(b"/docs/my_file", b"bob", lossy=True, written=True)),
        (XFERLOG % (b"/docs/a b", b"i", b"c"), Logged(b"/docs/a b", b"bob", lossy=True, written=True)),
        (XFERLOG % (b"/a", b"i", b"i"), Logged(b"/a", b"bob", lossy=True, written=True, cut_short=1234)),
        (XFERLOG % (b"/a", b"d", b"c"), Logged(b"/a", b"bob", lossy=True, written=False)),
        (VSFTPD % (b"OK UPLOAD", b"/my file"), Logged(b"/my file", b"bob", lossy=True, written=True)),
        (VSFTPD % (b"FAIL UPLOAD", b"/a"), Logged(b"/a", b"bob", lossy=True, written=True, cut_short=12)),
        (
            VSFTPD.replace(b", 12 bytes", b"") % (b"FAIL UPLOAD", b"/a"),
            Logged(b"/a", b"bob", lossy=True, written=True, cut_short=0),
        ),
        (VSFTPD % (b"OK DELETE", b"/a"), Logged(b"/a", b"bob", lossy=True, written=False)),
        (VSFTPD % (b"OK MKDIR", b"/a"), Logged(b"/a", b"bob", lossy=True, written=False)),
        (CLF % (b"PUT", b"/srv/a%20%E4%5F"), Logged(b"/srv/a \xe4_", b"bob", lossy=False, written=True)),
    ],
)
def test_a_change_is_read(line: bytes, found: Logged) -> None:
    """Uploads, whole or cut short, and deletes, in the formats of three servers."""
    assert parse(line) == (found,)


AT = b"Mon Nov 23 06:09:31 2026 "
WRITTEN = (
    (AT + b"1 127.0.0.1 5 /my_dir/n?me_b?_%.txt b _ i g www ftp 0 * c", b"/my_dir/n?me_b?_%.txt", None),
    (AT + b"1 127.0.0.1 1000 /my_dir/cut_short b _ i g www ftp 0 * i", b"/my_dir/cut_short", 1000),
    (
        AT + b'[pid 7] [www] OK UPLOAD: Client "127.0.0.1", "/my dir/n?me b?_%.txt", 5 bytes, 12.15Kbyte/sec',
        b"/my dir/n?me b?_%.txt",
        None,
    ),
    (
        AT + b'[pid 7] [www] FAIL UPLOAD: Client "127.0.0.1", "/my dir/cut short", 1000 bytes, 3.25Kbyte/sec',
        b"/my dir/cut short",
        1000,
    ),
    (AT + b"0 127.0.0.1 5 /srv/www/my_dir/n_me_b_%.txt b _ i r www ftp 0 * c", b"/srv/www/my_dir/n_me_b_%.txt", None),
    (AT + b"0 127.0.0.1 5 /srv/www/my_dir/new_name b _ d r www ftp 0 * c", b"/srv/www/my_dir/new_name", None),
    (AT + b"0 127.0.0.1 1000 /srv/www/my_dir/cut_short b _ i r www ftp 0 * i", b"/srv/www/my_dir/cut_short", 1000),
    (
        b'127.0.0.1 - www [23/Nov/2026:06:09:47 -0000] "PUT /srv/www/my%20dir/n%E4me%20b__%25.txt" 200 5',
        b"/srv/www/my dir/n\xe4me b__%.txt",
        None,
    ),
    (AT + b"0 127.0.0.1 5 /srv/www/my_dir/n\xe4me_b.txt b _ i r www ftp 1 * c", b"/srv/www/my_dir/n\xe4me_b.txt", None),
)
"""Lines as vsftpd 3.0.3 (both formats), ProFTPD 1.3.8 and Pure-FTPd 1.0.50 (both formats) wrote them."""


@pytest.mark.parametrize(("line", "path", "cut_short"), WRITTEN)
def test_what_servers_write_is_read(line: bytes, path: bytes, cut_short: int | None) -> None:
    """Each server's lines give the path as it has it, and whether the upload was cut short where it tells."""
    (found,) = parse(line)
    assert (found.path, found.user, found.cut_short) == (path, b"www", cut_short)


def test_a_rename_is_two_changes() -> None:
    """One line of vsftpd tells both names in a text; where it left and where it came are looked at."""
    found = parse(VSFTPD % (b"OK RENAME", b"/old place/a /new place/a"))
    assert [change.path for change in found] == [b"/old place/a", b"/new place/a"]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        XFERLOG % (b"/a", b"o", b"c"),
        VSFTPD % (b"OK DOWNLOAD", b"/a"),
        VSFTPD % (b"FAIL DELETE", b"/a"),
        CLF % (b"GET", b"/a"),
        b'Mon Nov  2 09:05:01 2026 [pid 7] CONNECT: Client "192.0.2.7"',
        XFERLOG % (b"/" + LONGEST_LINE * b"a", b"i", b"c"),
        bytes(range(256)),
    ],
)
def test_what_changes_nothing_is_passed_over(line: bytes) -> None:
    """Downloads, what failed, other lines, lines without end, and garbage tell of no change."""
    assert parse(line) == ()


def test_lossy_names_may_be_others() -> None:
    """`?` may have been any byte; `_` a space, a control character or what is not ASCII; nothing else."""
    assert may_be(b"a_b", b"a_b")
    assert may_be(b"a_b", b"a b")
    assert may_be(b"a_b", b"a\x01b")
    assert may_be(b"a?b", b"a\xe4b")
    assert not may_be(b"a_b", b"axb")
    assert not may_be(b"a_b", b"a  b")
    assert not may_be(b"axb", b"a b")


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    """A snapshot of some directories."""
    cache = Cache(tmp_path / "cache.sqlite")
    known = cache.snapshot
    known.begin_walk()
    for path in (b"", b"docs", b"docs/deep", b"my dir", b"my\xe4dir", b"bob", b"bob/docs", b"a\x01b", b"a", b"a/b"):
        known.see(path, path.decode("latin-1"))
    known.end_walk(set())
    return known


def where(snapshot: Snapshot, path: bytes, *, user: bytes = b"eve", lossy: bool = False) -> set[bytes]:
    """Give the directories that a logged path is about."""
    return directories(Logged(path, user, lossy=lossy, written=True), [b"/srv/www"], snapshot)


def test_a_path_is_matched_with_known_directories(snapshot: Snapshot) -> None:
    """Absolute beneath the root, relative to it, or to the user's home; as deep as directories are known."""
    assert where(snapshot, b"/srv/www/docs/deep/a") == {b"docs/deep"}
    assert where(snapshot, b"/docs/a") == {b"docs"}
    assert where(snapshot, b"docs//./deep/a") == {b"docs/deep"}
    assert where(snapshot, b"/docs/new/newer/a") == {b"docs"}
    assert where(snapshot, b"/a.txt") == {b""}
    assert where(snapshot, b"/docs/a", user=b"bob") == {b"docs", b"bob/docs"}
    assert where(snapshot, b"/new/a", user=b"bob") == {b"bob"}
    assert where(snapshot, b"/docs/deep") == {b"docs", b"docs/deep"}, "what is known as a directory may be gone"


def test_a_lossy_path_is_matched_with_all_that_it_may_be(snapshot: Snapshot) -> None:
    """A directory whose name the log spoilt is found; without loss, only itself is."""
    assert where(snapshot, b"/my_dir/a", lossy=True) == {b"my dir", b"my\xe4dir"}
    assert where(snapshot, b"/my?dir/a", lossy=True) == {b"my dir", b"my\xe4dir"}
    assert where(snapshot, b"/a_b/a", lossy=True) == {b"a\x01b"}
    assert where(snapshot, b"/my_dir/a") == {b""}


@pytest.mark.parametrize("path", [b"/docs/../../etc/passwd", b"/docs/\0/a", b"/" + b"x/" * 5000 + b"a"])
def test_a_path_that_cannot_be_leads_nowhere(snapshot: Snapshot, path: bytes) -> None:
    """`..`, a zero byte or thousands of components are no hint at all."""
    assert where(snapshot, path, user=b"..") == set()


def test_a_path_from_elsewhere_is_only_ever_a_known_directory(snapshot: Snapshot) -> None:
    """What is absolute elsewhere costs a look at the deepest known directory that is called the same, or the root."""
    assert where(snapshot, b"/etc/passwd") == {b""}
    assert where(snapshot, b"/srv/www2/docs/a") == {b""}


def test_a_lossy_name_stands_for_a_few_directories_at_most(tmp_path: Path) -> None:
    """A name of nothing but `?` matches no more than a bounded number of siblings."""
    cache = Cache(tmp_path / "cache.sqlite")
    cache.snapshot.begin_walk()
    for path in (b"", *(b"%03d" % n for n in range(100))):
        cache.snapshot.see(path, path.decode())
    cache.snapshot.end_walk(set())
    assert len(where(cache.snapshot, b"/???/a", lossy=True)) == MOST_MATCHES


def test_children_are_the_directories_right_beneath(snapshot: Snapshot) -> None:
    """Names that sort between a directory and what is beneath it are no obstacle."""
    assert snapshot.children(b"", 99) == [b"a", b"a\x01b", b"bob", b"docs", b"my dir", b"my\xe4dir"]
    assert snapshot.children(b"docs", 99) == [b"deep"]
    assert snapshot.children(b"docs/deep", 99) == []
    assert snapshot.children(b"", 2) == [b"a", b"a\x01b"]


def test_only_a_file_that_can_be_no_other_is_named(snapshot: Snapshot) -> None:
    """For what a log says of one file: the one directory it can be in; a user with a home speaks of that alone."""

    def held(path: bytes, user: bytes = b"eve", *, lossy: bool = False) -> tuple[bytes, bytes] | None:
        return holder(Logged(path, user, lossy=lossy, written=True), [b"/srv/www"], snapshot)

    assert held(b"/docs/a") == (b"docs", b"a")
    assert held(b"/srv/www/docs/deep/a") == (b"docs/deep", b"a")
    assert held(b"/docs/a", b"bob") == (b"bob/docs", b"a")
    assert held(b"/docs/deep/a", b"bob") is None, "which bob's home does not have"
    assert held(b"/a") == (b"", b"a")
    assert held(b"/new/a") is None
    assert held(b"/my_dir/a", lossy=True) is None, "of which there are two"
    assert held(b"/") is None
