"""Whatever stands in a log: reading it never fails, and what it says leads nowhere but to known directories."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from siteferry.cache import Cache
from siteferry.ftp_log import may_be, parse
from siteferry.whereabouts import directories

KNOWN = (b"", b"docs", b"docs/deep", b"my dir", b"bob", b"?", b"..x")
PATHS = st.binary(max_size=60) | st.lists(
    st.sampled_from((b"", b"/", b"..", b".", b"docs", b"my_dir", b"?", b"/srv/www", b"\0", b"\n", b'"', b" "))
).map(b"/".join)


@given(st.binary(max_size=400))
def test_no_line_is_too_odd(line: bytes) -> None:
    """Any bytes are parsed without an error."""
    assert len(parse(line)) <= 2


@given(PATHS, st.binary(max_size=10))
def test_a_logged_path_leads_to_known_directories_only(path: bytes, user: bytes) -> None:
    """Whatever an FTP user calls files and themselves: only directories of the snapshot are named."""
    cache = Cache(Path(":memory:"))
    cache.snapshot.begin_walk()
    for known in KNOWN:
        cache.snapshot.see(known, known.decode())
    cache.snapshot.end_walk(set())
    date, end = b"Mon Nov  2 09:05:01 2026", b' "%s", 1 bytes' % path
    lines = (
        date + b" 1 192.0.2.7 1234 " + path + b" b _ i r " + user + b" ftp 0 * c",
        date + b" [pid 7] [" + user + b'] OK RENAME: Client "192.0.2.7",' + end,
        b"192.0.2.7 - " + user + b' [02/Nov/2026:09:05:01 +0100] "PUT ' + path + b'" 200 1234',
    )
    for change in (change for line in lines for change in parse(line)):
        assert directories(change, [b"/srv/www"], cache.snapshot) <= set(KNOWN)
    cache.close()


@given(st.binary(max_size=30))
def test_every_name_may_be_what_a_server_made_of_it(name: bytes) -> None:
    """The ways of vsftpd and ProFTPD to spoil a name are both recognized."""
    vsftpd = bytes(ord("?") if not 32 <= byte < 127 else ord("_") if byte == 32 else byte for byte in name)
    proftpd = bytes(ord("_") if byte <= 32 or byte == 127 else byte for byte in name)
    assert may_be(vsftpd, name)
    assert may_be(proftpd, name)
