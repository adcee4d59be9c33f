"""The page handler: rule 2 for directory pages."""

import pytest

from siteferry_contract.copy_rules import CopyRule
from siteferry_contract.leaf import SubdirectoryEntry
from siteferry_lambdas.errors import JobError, MissingLeafError, UnsettledError
from siteferry_lambdas.settle_page import handle_page
from tests.unit.lambdas.fakes import PAGE, Memory, file, job, memory_site

INDEX = "docs/index.html"


def _page(memory: Memory, key: str = INDEX) -> str:
    body = memory.bucket.current(key)
    assert body is not None
    return body.decode()


def test_a_directory_without_an_index_gets_a_page() -> None:
    """It lists files and subdirectories, is marked generated, has its type set, and is invalidated."""
    memory = memory_site()
    memory.index.has("docs", "a.txt", ".htaccess", subdirectories=["sub"])
    handle_page(memory.site, job("page", "docs"))
    page = _page(memory)
    assert "a.txt" in page
    assert "./sub/" in page
    assert ".htaccess" not in page
    version = memory.bucket.versions[INDEX][-1]
    assert version.headers["content-type"] == "text/html; charset=utf-8"
    assert version.metadata["siteferry-generated"] == "directory-page"
    assert INDEX in memory.queues.names("invalidate")


@pytest.mark.parametrize(("prefix", "directory", "key"), [("", "", "index.html"), ("p/", "p", "p/index.html")])
def test_the_root_has_a_page_too(prefix: str, directory: str, key: str) -> None:
    """With a prefix and without, and the page does not show the prefix."""
    memory = memory_site(prefix=prefix)
    memory.index.has(directory, "a.txt")
    handle_page(memory.site, job("page", directory))
    assert "<title>Index of /</title>" in _page(memory, key)


def test_a_repeated_job_writes_nothing_and_still_invalidates() -> None:
    """Pages are deterministic, so the one that is there is recognised."""
    memory = memory_site()
    memory.index.has("docs", "a.txt")
    handle_page(memory.site, job("page", "docs"))
    handle_page(memory.site, job("page", "docs"))
    assert memory.bucket.changes == [("put", INDEX)]
    assert memory.queues.names("invalidate").count(INDEX) == 2


def test_a_changed_directory_gets_another_page() -> None:
    """A generated page is replaced by compare-and-set."""
    memory = memory_site()
    memory.index.has("docs", "a.txt")
    handle_page(memory.site, job("page", "docs"))
    memory.index.has("docs", "b.txt")
    handle_page(memory.site, job("page", "docs"))
    assert "b.txt" in _page(memory)
    assert "a.txt" not in _page(memory)


def test_an_own_index_file_always_wins() -> None:
    """Live or dead in the index: what a user published is never written over."""
    for live in (True, False):
        memory = memory_site()
        memory.index.has("docs", "a.txt", *(["index.html"] if live else []))
        memory.bucket.user_puts(INDEX, b"mine")
        handle_page(memory.site, job("page", "docs"))
        assert memory.bucket.changes == []


def test_a_generated_page_over_a_live_index_is_removed() -> None:
    """It goes by version id, however many there are."""
    memory = memory_site()
    memory.index.has("docs", "index.html")
    memory.bucket.user_puts(INDEX, b"mine")
    memory.bucket.user_puts(INDEX, b"page", metadata=PAGE)
    memory.bucket.user_puts(INDEX, b"page 2", metadata=PAGE)
    handle_page(memory.site, job("page", "docs"))
    assert memory.bucket.current(INDEX) == b"mine"


def test_a_marker_over_a_live_index_is_left_to_the_delete_handler() -> None:
    """This handler never removes one: it might bare an object whose delete is done."""
    memory = memory_site()
    memory.index.has("docs", "index.html")
    memory.bucket.user_puts(INDEX, b"mine")
    memory.bucket.user_deletes(INDEX)
    handle_page(memory.site, job("page", "docs"))
    assert memory.bucket.changes == []


def test_a_page_is_written_over_a_delete_marker() -> None:
    """A user who deletes an own index gets the page."""
    memory = memory_site()
    memory.index.has("docs", "a.txt")
    memory.bucket.user_puts(INDEX, b"mine")
    memory.bucket.user_deletes(INDEX)
    handle_page(memory.site, job("page", "docs"))
    assert "a.txt" in _page(memory)


def test_an_index_file_that_comes_first_is_not_written_over() -> None:
    """The condition of the PUT fails, and the next pass finds the user's own."""
    memory = memory_site()
    memory.index.has("docs", "a.txt")

    def publish(operation: str, key: str) -> None:
        if operation == "put":
            memory.bucket.before = lambda operation, key: None
            memory.bucket.user_puts(INDEX, b"mine")

    memory.bucket.before = publish
    handle_page(memory.site, job("page", "docs"))
    assert memory.bucket.current(INDEX) == b"mine"


def test_a_directory_that_is_gone_loses_its_page() -> None:
    """All generated versions on top go by id; no marker is put, and an object beneath is left to its own delete job."""
    memory = memory_site()
    memory.index.has("docs", gone=True)
    memory.bucket.user_puts(INDEX, b"page", metadata=PAGE)
    memory.bucket.user_puts(INDEX, b"page 2", metadata=PAGE)
    handle_page(memory.site, job("page", "docs"))
    assert memory.bucket.current(INDEX) is None
    assert memory.bucket.did("mark") == []
    assert INDEX in memory.queues.names("invalidate")


def _redirecting(*rules: CopyRule, prefix: str = "") -> Memory:
    return memory_site(*rules, prefix=prefix, directory_redirects="exact")


@pytest.mark.parametrize("own_index", [False, True])
def test_a_directory_gets_a_redirect_at_its_key(own_index: bool) -> None:
    """With an index file of its own or without, `/docs` leads to `/docs/`; a repeated job writes nothing."""
    memory = _redirecting()
    memory.index.has("", "a", subdirectories=["docs"])
    memory.index.has("docs", "index.html" if own_index else "a.txt")
    handle_page(memory.site, job("page", "docs"))
    assert "url=./docs/" in _page(memory, "docs")
    assert memory.bucket.versions["docs"][-1].metadata["siteferry-generated"] == "directory-redirect"
    before = list(memory.bucket.changes)
    handle_page(memory.site, job("page", "docs"))
    assert memory.bucket.changes == before
    assert set(memory.queues.names("invalidate")) == {INDEX}


@pytest.mark.parametrize(
    ("prefix", "directory"), [("", ""), ("p/", "p"), ("", "docs/index.html"), ("", "mirror/docs/x")]
)
def test_some_directories_have_no_redirect(prefix: str, directory: str) -> None:
    """Neither the root, nor a directory where its parent's page is, nor one of duplicates."""
    memory = _redirecting(CopyRule("docs/", "mirror/docs/"), prefix=prefix)
    memory.index.has(directory, "a")
    handle_page(memory.site, job("page", directory))
    assert directory not in memory.bucket.versions


def test_a_file_wins_over_the_redirect_of_a_directory_with_its_key() -> None:
    """What a user published is never written over, live or not yet deleted; a redirect over a live file goes."""
    for live in (True, False):
        memory = _redirecting()
        memory.index.has("", *(["docs"] if live else []), subdirectories=["docs"])
        memory.index.has("docs", "index.html")
        memory.bucket.user_puts("docs", b"mine")
        if live:
            memory.bucket.user_puts("docs", b"redirect", metadata=PAGE)
        handle_page(memory.site, job("page", "docs"))
        assert memory.bucket.current("docs") == b"mine"
        assert ("docs" in memory.queues.names("invalidate")) is live


def test_a_directory_that_is_gone_loses_its_redirect() -> None:
    """It goes by version id, and is invalidated at every attempt: an earlier one may have removed it and crashed."""
    memory = _redirecting()
    memory.index.has("", "a")
    memory.index.has("docs", gone=True)
    memory.bucket.user_puts("docs", b"redirect", metadata=PAGE)
    for _ in range(2):
        handle_page(memory.site, job("page", "docs"))
        assert memory.bucket.current("docs") is None
        assert "docs" in memory.queues.names("invalidate")
        memory.queues.jobs.clear()
    assert memory.bucket.did("mark") == []


def test_a_redirect_of_a_site_that_has_none_any_more_is_removed() -> None:
    """Switching redirects off takes them away, one page job a directory."""
    memory = memory_site()
    memory.index.has("docs", "a.txt")
    memory.bucket.user_puts("docs", b"redirect", metadata=PAGE)
    for _ in range(2):  # the first attempt may have crashed after the removal
        handle_page(memory.site, job("page", "docs"))
        assert memory.bucket.current("docs") is None
        assert "docs" in memory.queues.names("invalidate")
        memory.queues.jobs.clear()


def test_a_redirect_is_duplicated_like_any_source() -> None:
    """It is relative, so that the duplicate leads to the duplicate of the directory."""
    memory = _redirecting(CopyRule("docs/", "mirror/docs/"))
    memory.index.has("docs", "a", subdirectories=["sub"])
    memory.index.has("docs/sub", "a")
    handle_page(memory.site, job("page", "docs/sub"))
    assert memory.bucket.current("mirror/docs/sub") == memory.bucket.current("docs/sub")
    assert "url=./sub/" in _page(memory, "mirror/docs/sub")


def test_without_directory_pages_they_are_only_removed() -> None:
    """Switching pages off takes them away, one page job a directory."""
    memory = memory_site(directory_pages=False)
    memory.index.has("docs", "a.txt")
    memory.bucket.user_puts(INDEX, b"page", metadata=PAGE)
    handle_page(memory.site, job("page", "docs"))
    assert memory.bucket.current(INDEX) is None


def test_an_unknown_directory_is_an_error_and_its_neighbour_is_done() -> None:
    """A missing leaf takes no page away."""
    memory = memory_site()
    memory.index.has("docs", "a.txt")
    memory.bucket.user_puts("lost/index.html", b"page", metadata=PAGE)
    with pytest.raises(JobError) as caught:
        handle_page(memory.site, job("page", "lost", "docs"))
    assert [type(failure) for failure in caught.value.failures] == [MissingLeafError]
    assert memory.bucket.current("lost/index.html") == b"page"
    assert "a.txt" in _page(memory)


def test_directories_of_duplicates_get_no_page_of_their_own() -> None:
    """Their index.html is a duplicate like any other."""
    memory = memory_site(CopyRule("docs/", "mirror/"))
    memory.index.has("mirror", "a.txt")
    handle_page(memory.site, job("page", "mirror"))
    assert (memory.log, memory.queues.jobs) == ([], [])


def test_a_page_is_mirrored_like_any_source() -> None:
    """The duplicate of a page is a page, and both are invalidated after."""
    memory = memory_site(CopyRule("docs/", "mirror/"))
    memory.index.has("docs", "a.txt")
    handle_page(memory.site, job("page", "docs"))
    assert memory.bucket.current("mirror/index.html") == memory.bucket.current(INDEX)
    assert [entry for entry in memory.log if entry[0] != "head"] == [
        ("put", INDEX),
        ("copy", "mirror/index.html"),
        ("send", "invalidate"),
        ("send", "invalidate"),
    ]
    assert memory.queues.names("invalidate") == [INDEX, "mirror/index.html", "docs"]


def test_a_page_that_never_settles_goes_back_to_the_queue() -> None:
    """Passes are bounded."""
    memory = memory_site()
    memory.index.has("docs", "a.txt")
    memory.bucket.before = lambda operation, key: (
        memory.bucket.user_puts(INDEX, str(len(memory.log)).encode(), metadata=PAGE) if operation == "put" else None
    )
    with pytest.raises(JobError) as caught:
        handle_page(memory.site, job("page", "docs"))
    assert [type(failure) for failure in caught.value.failures] == [UnsettledError]


def test_the_page_of_a_splitting_directory_lists_each_name_once() -> None:
    """What a leaf has from the next one's bound on is stale."""
    memory = memory_site()
    memory.index.has_leaf("docs", "", [file("a"), file("gone"), SubdirectoryEntry("z")])
    memory.index.has_leaf("docs", "g", [file("h"), SubdirectoryEntry("z")])
    handle_page(memory.site, job("page", "docs"))
    page = _page(memory)
    assert "gone" not in page
    assert page.count("<bdi>z</bdi>") == 1
