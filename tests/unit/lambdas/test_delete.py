"""The delete handler: rules 1, 2, 3 and 6 for one job at a time."""

import pytest

from siteferry_contract.copy_rules import CopyRule
from siteferry_contract.errors import ContractError
from siteferry_contract.leaf import SubdirectoryEntry
from siteferry_lambdas.errors import JobError, MissingLeafError, StoreError, UnsettledError
from siteferry_lambdas.settle_delete import handle_delete
from tests.unit.lambdas.fakes import PAGE, file, job, memory_site

MIRROR = CopyRule("docs/", "mirror/docs/")


def test_a_dead_key_gets_a_delete_marker() -> None:
    """What the index does not list is deleted, and its versions stay."""
    memory = memory_site()
    memory.index.has("docs", "other")
    memory.bucket.user_puts("docs/a", b"a")
    handle_delete(memory.site, job("delete", "docs/a"))
    assert memory.bucket.current("docs/a") is None
    assert [version.body for version in memory.bucket.versions["docs/a"]] == [b"a", None]


def test_a_late_job_leaves_a_live_object_alone() -> None:
    """The message says delete; the index says live; the index wins."""
    memory = memory_site()
    memory.index.has("docs", "a")
    memory.bucket.user_puts("docs/a", b"a")
    handle_delete(memory.site, job("delete", "docs/a"))
    assert memory.bucket.changes == []
    assert memory.queues.names("invalidate") == ["docs/a"]


def test_a_marker_over_a_live_key_is_removed_whoever_put_it() -> None:
    """All markers go, by version id, until the agent's object is current again."""
    memory = memory_site()
    memory.index.has("docs", "a")
    memory.bucket.user_puts("docs/a", b"a")
    memory.bucket.user_deletes("docs/a")
    memory.bucket.user_deletes("docs/a")
    handle_delete(memory.site, job("delete", "docs/a"))
    assert memory.bucket.current("docs/a") == b"a"
    assert memory.bucket.did("mark", "put", "copy") == []


def test_a_generated_page_over_a_live_index_is_removed() -> None:
    """A page that lost the race to a user's index file goes by version id."""
    memory = memory_site()
    memory.index.has("docs", "index.html")
    memory.bucket.user_puts("docs/index.html", b"mine")
    memory.bucket.user_puts("docs/index.html", b"page", metadata=PAGE)
    handle_delete(memory.site, job("delete", "docs/index.html"))
    assert memory.bucket.current("docs/index.html") == b"mine"


def test_a_generated_page_over_a_dead_index_is_spared() -> None:
    """The page is the page handler's, and a page job follows."""
    memory = memory_site()
    memory.index.has("docs", "a")
    memory.bucket.user_puts("docs/index.html", b"page", metadata=PAGE)
    handle_delete(memory.site, job("delete", "docs/index.html"))
    assert memory.bucket.changes == []
    assert memory.queues.names("page") == ["docs"]


def test_generated_counts_only_where_something_is_generated() -> None:
    """Metadata on a key that is neither a page's nor a directory's makes nothing immune to a delete."""
    memory = memory_site()
    memory.index.has("docs", "b")
    memory.bucket.user_puts("docs/a", b"a", metadata=PAGE)
    handle_delete(memory.site, job("delete", "docs/a"))
    assert memory.bucket.current("docs/a") is None


def test_a_redirect_is_left_to_the_page_handler() -> None:
    """The delete of a file in whose place a directory came spares the redirect, and has it made after any marker."""
    for over in (None, b"file"):
        memory = memory_site(directory_redirects="exact")
        memory.index.has("", "b", subdirectories=["docs"])
        memory.bucket.user_puts("docs", b"redirect", metadata=PAGE)
        if over:
            memory.bucket.user_puts("docs", over)
        handle_delete(memory.site, job("delete", "docs"))
        assert memory.bucket.current("docs") == (None if over else b"redirect")
        assert memory.queues.names("page") == ["docs"]


def test_a_directory_in_another_leaf_gets_its_redirect_too() -> None:
    """Between a name and the same name with a slash others are sorted, and a leaf may begin there."""
    memory = memory_site(directory_redirects="exact")
    memory.index.has_leaf("", "", [file("a")])
    memory.index.has_leaf("", "docs.", [SubdirectoryEntry("docs")])
    handle_delete(memory.site, job("delete", "docs"))
    assert memory.queues.names("page") == ["docs"]


def test_a_missing_leaf_is_an_error_and_never_a_delete() -> None:
    """An index that does not know the directory says nothing about its keys; the neighbours are settled."""
    memory = memory_site()
    memory.index.has("docs", "b")
    memory.bucket.user_puts("lost/a", b"a")
    memory.bucket.user_puts("docs/a", b"a")
    with pytest.raises(JobError) as caught:
        handle_delete(memory.site, job("delete", "lost/a", "docs/a"))
    assert [type(failure) for failure in caught.value.failures] == [MissingLeafError]
    assert not caught.value.retry_helps
    assert memory.bucket.current("lost/a") == b"a"
    assert memory.bucket.current("docs/a") is None
    assert memory.queues.names("invalidate") == ["lost/a", "docs/a"]


def test_a_leaf_that_cannot_be_read_deletes_nothing() -> None:
    """An unknown schema is an error, never a delete."""
    memory = memory_site()
    memory.index.has("docs")
    memory.index.damaged["docs"] = ContractError("leaf blob has version 9")
    memory.bucket.user_puts("docs/a", b"a")
    with pytest.raises(JobError, match="version 9"):
        handle_delete(memory.site, job("delete", "docs/a"))
    assert memory.bucket.current("docs/a") == b"a"


def test_a_subdirectory_makes_no_key_live() -> None:
    """A file replaced by a directory of the same name is dead."""
    memory = memory_site()
    memory.index.has_leaf("docs", "", [SubdirectoryEntry("a")])
    memory.bucket.user_puts("docs/a", b"a")
    handle_delete(memory.site, job("delete", "docs/a"))
    assert memory.bucket.current("docs/a") is None


def test_a_key_of_the_root_directory_under_a_prefix_is_settled() -> None:
    """The root's leaf is that of the prefix, and its page job names the root."""
    memory = memory_site(prefix="site/")
    memory.index.has("site", "a")
    memory.bucket.user_puts("site/index.html", b"mine")
    handle_delete(memory.site, job("delete", "site/index.html"))
    assert memory.bucket.current("site/index.html") is None
    assert memory.queues.names("page") == ["site"]


def test_a_refused_look_deletes_nothing() -> None:
    """A 403 is an error: it never means that nothing is there."""
    memory = memory_site()
    memory.index.has("docs")
    memory.bucket.user_puts("docs/a", b"a")
    memory.bucket.refused["head", "docs/a"] = "HTTP 403"
    with pytest.raises(JobError, match="403"):
        handle_delete(memory.site, job("delete", "docs/a"))
    assert memory.bucket.changes == []


def test_one_refused_delete_fails_the_job_but_not_its_neighbours() -> None:
    """Errors of single keys in a request are not lost."""
    memory = memory_site()
    memory.index.has("docs")
    for key in ("docs/a", "docs/b"):
        memory.bucket.user_puts(key, b"x")
    memory.bucket.refused["mark", "docs/a"] = "AccessDenied"
    with pytest.raises(JobError) as caught:
        handle_delete(memory.site, job("delete", "docs/a", "docs/b"))
    assert [type(failure) for failure in caught.value.failures] == [StoreError]
    assert memory.bucket.current("docs/b") is None


def test_a_key_that_becomes_live_during_the_delete_is_bared_in_the_next_pass() -> None:
    """The index is read again after the marker was put, so a re-add is never left hidden."""
    memory = memory_site()
    memory.index.has("docs")
    memory.bucket.user_puts("docs/a", b"old")

    def re_add(operation: str, key: str) -> None:
        if operation == "mark":
            memory.bucket.before = lambda operation, key: None
            memory.bucket.user_puts("docs/a", b"new")
            memory.index.has("docs", "a")

    memory.bucket.before = re_add
    handle_delete(memory.site, job("delete", "docs/a"))
    assert memory.bucket.current("docs/a") == b"new"


def test_a_key_that_never_settles_goes_back_to_the_queue() -> None:
    """Passes are bounded, and a retry helps."""
    memory = memory_site()
    memory.index.has("docs")
    memory.bucket.user_puts("docs/a", b"a")

    def put_again(operation: str, key: str) -> None:
        if operation == "head" and memory.bucket.current(key) is None:
            memory.bucket.user_puts(key, b"a")

    memory.bucket.before = put_again
    with pytest.raises(JobError) as caught:
        handle_delete(memory.site, job("delete", "docs/a"))
    assert [type(failure) for failure in caught.value.failures] == [UnsettledError]
    assert caught.value.retry_helps


def test_the_duplicate_goes_after_its_source() -> None:
    """Effects first, then the mirror, then invalidations of both, then the page job."""
    memory = memory_site(MIRROR)
    memory.index.has("docs", "other")
    for key in ("docs/index.html", "mirror/docs/index.html"):
        memory.bucket.user_puts(key, b"x")
    handle_delete(memory.site, job("delete", "docs/index.html"))
    assert memory.bucket.current("mirror/docs/index.html") is None
    assert memory.queues.names("invalidate") == ["docs/index.html", "mirror/docs/index.html"]
    assert [entry for entry in memory.log if entry[0] != "head"] == [
        ("mark", "docs/index.html"),
        ("mark", "mirror/docs/index.html"),
        ("send", "invalidate"),
        ("send", "page"),
    ]


def test_a_key_where_only_duplicates_may_be_mirrors_its_original() -> None:
    """A file deleted because a copy rule reserved its key does not take the new duplicate with it."""
    memory = memory_site(MIRROR)
    memory.index.has("mirror/docs", gone=True)
    memory.bucket.user_puts("docs/a", b"a")
    memory.bucket.user_puts("mirror/docs/a", b"a")
    memory.bucket.user_puts("mirror/docs/b", b"b")
    handle_delete(memory.site, job("delete", "mirror/docs/a", "mirror/docs/b"))
    assert memory.bucket.current("mirror/docs/a") == b"a"
    assert memory.bucket.current("mirror/docs/b") is None
    assert memory.queues.names("invalidate") == ["mirror/docs/a", "mirror/docs/b"]


def test_without_directory_pages_a_page_job_is_sent_too() -> None:
    """On a site without pages it is the page handler that takes an old page away."""
    memory = memory_site(directory_pages=False)
    memory.index.has("docs")
    memory.bucket.user_puts("docs/index.html", b"x")
    handle_delete(memory.site, job("delete", "docs/index.html"))
    assert memory.queues.names("page") == ["docs"]
    assert memory.bucket.current("docs/index.html") is None


def test_a_repeated_job_changes_nothing_and_still_invalidates() -> None:
    """A retry cannot know what a crashed attempt did."""
    memory = memory_site()
    memory.index.has("docs", "b")
    memory.bucket.user_puts("docs/a", b"a")
    handle_delete(memory.site, job("delete", "docs/a"))
    before = len(memory.bucket.changes)
    handle_delete(memory.site, job("delete", "docs/a"))
    assert len(memory.bucket.changes) == before
    assert memory.queues.names("invalidate") == ["docs/a", "docs/a"]


def test_a_leaf_is_read_once_for_all_its_keys() -> None:
    """Keys are grouped by leaf, across the bounds of a split directory."""
    memory = memory_site()
    memory.index.has_leaf("docs", "", [file("a"), file("b")])
    memory.index.has_leaf("docs", "m", [file("m"), file("x")])
    keys = ("docs/a", "docs/b", "docs/l", "docs/m", "docs/x", "docs/z")
    for key in keys:
        memory.bucket.user_puts(key, b"x")
    handle_delete(memory.site, job("delete", *keys))
    assert [key for key in keys if memory.bucket.current(key) is None] == ["docs/l", "docs/z"]
    first_pass = memory.index.reads[:2]
    assert first_pass == [("docs", "z"), ("docs", "l")]


def test_a_stale_entry_of_a_splitting_leaf_makes_nothing_live() -> None:
    """The upper leaf decides, also while the lower one still lists the name."""
    memory = memory_site()
    memory.index.has_leaf("docs", "", [file("a"), file("x")])
    memory.index.has_leaf("docs", "m", [file("m")])
    memory.bucket.user_puts("docs/x", b"x")
    handle_delete(memory.site, job("delete", "docs/x"))
    assert memory.bucket.current("docs/x") is None
