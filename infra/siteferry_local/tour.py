"""A tour of what siteferry does, each station checked from the viewer's side."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from siteferry_local.errors import AgentEndedError, LocalStackError, NotInTimeError
from siteferry_local.sample import directories_without_index
from siteferry_local.visitors import Answer, Viewer, ftp_user
from siteferry_local.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from siteferry_local.agent import Agent
    from siteferry_local.stack import LocalSite, LocalStack
    from siteferry_local.terminal import Terminal

_STATION_SECONDS = 90.0
_SECONDS_AFTER_A_FAILURE = 10.0
_OK, _MISSING = 200, 404


class Tour:
    """Checks one site whose sample `files` were uploaded; every station that fails is told, and the rest goes on."""

    def __init__(
        self, stack: LocalStack, site: LocalSite, agent: Agent, files: dict[str, bytes], terminal: Terminal
    ) -> None:
        self._stack = stack
        self._site = site
        self._agent = agent
        self._files = dict(files)
        self._terminal = terminal
        self._viewer = Viewer(site.distribution_url)
        self._patience = _STATION_SECONDS

    def run(self) -> bool:
        """Visit every station; return whether all held."""
        stations: list[tuple[str, Callable[[], str]]] = [
            ("every file is served", self._files_are_served),
            ("headers", self._headers),
            *((f"directory page of {name}", self._page_check(name)) for name in directories_without_index(self._files)),
            ("directory without a slash", self._redirect),
            ("duplicate", self._duplicates),
            ("overwrite", self._overwrite),
            ("invalidation", self._invalidation),
            ("overwritten duplicate", self._overwritten_duplicate),
            ("delete", self._delete),
            ("deleted duplicate", self._deleted_duplicate),
        ]
        held = [self._visit(what, check) for what, check in stations]
        return all(held)

    def _visit(self, what: str, check: Callable[[], str]) -> bool:
        try:
            seen = check()
        except AgentEndedError:
            raise
        except LocalStackError as error:
            self._terminal.failed(what, str(error))
            self._patience = _SECONDS_AFTER_A_FAILURE  # mostly the same cause
            return False
        self._terminal.passed(what, seen)
        return True

    def _files_are_served(self) -> str:
        pending = dict(self._files)
        last: dict[str, int] = {}

        def are_served() -> bool:
            self._agent.check()
            for path, body in list(pending.items()):
                answer = self._viewer.get(path)
                last[path] = answer.status
                if _has_body(body, answer):
                    del pending[path]
            return not pending

        try:
            wait_until(are_served, seconds=self._patience, what="every file is served as it was uploaded")
        except NotInTimeError as error:
            raise LocalStackError(f"{error}; these differ: {', '.join(f'{p} ({last[p]})' for p in pending)}") from None
        total = sum(len(body) for body in self._files.values())
        return f"{len(self._files)} files, {total:,} bytes, each the same through the CDN"

    def _headers(self) -> str:
        seen = []
        for path, name, expected in (
            ("index.html", "Content-Type", "text/html"),
            ("style.css", "Content-Type", "text/css"),
            ("harbour.svg", "Content-Type", "image/svg+xml"),
            ("index.html", "Cache-Control", "max-age=60"),
        ):
            value = self._viewer.get(path).headers.get(name, "")
            if not value.startswith(expected):
                raise LocalStackError(f"{path}: {name} is {value!r}, not {expected!r}")
            seen.append(f"{path} {value}")
        return ", ".join(seen)

    def _page_check(self, directory: str) -> Callable[[], str]:
        return lambda: self._directory_page(directory)

    def _directory_page(self, directory: str) -> str:
        expected = directories_without_index(self._files)[directory]
        self._await(directory, lambda answer: set(self._links(directory, answer)) == expected, f"links {expected}")
        links = self._links(directory, self._viewer.get(directory))
        for name, url in links.items():
            self._await_url(
                url,
                partial(_has_body, self._files.get(directory + name)),
                f"what its link {name!r} promises",
            )
        return f"links {', '.join(sorted(links))}; each leads there"

    def _redirect(self) -> str:
        path = "docs/rules"
        wanted = self._viewer.address(f"{path}/")
        self._await(path, lambda answer: (answer.status, answer.url) == (_OK, wanted), f"what is at {wanted}")
        return f"/{path} leads to /{path}/"

    def _duplicates(self) -> str:
        copies = {f"mirror/{path}": body for path, body in self._files.items() if path.startswith("docs/")}
        for path, body in copies.items():
            self._await_body(path, body)
        return f"docs/ is at mirror/docs/ too, {len(copies)} files, each the same"

    def _overwrite(self) -> str:
        path = "about/index.html"
        self._upload(path, self._files[path].replace(b"twelve minutes", b"eleven minutes"))
        self._await_body(path, self._files[path])
        self._await_body("about/", self._files[path])
        return f"{path} shows its new text, at /about/ too"

    def _invalidation(self) -> str:
        wanted = ["/about/index.html", "/about/"]
        paths: list[str] = []

        def is_covered() -> bool:
            self._agent.check()
            paths[:] = self._stack.account.invalidated_paths(self._site.distribution)
            return all(any(_covers(path, target) for path in paths) for target in wanted)

        try:
            wait_until(is_covered, seconds=self._patience, what=f"an invalidation of {' and '.join(wanted)}")
        except NotInTimeError as error:
            raise LocalStackError(f"{error}; those seen: {paths}") from None
        shown = [path for path in paths if any(_covers(path, target) for target in wanted)]
        return f"CloudFront was told {', '.join(dict.fromkeys(shown))}"

    def _overwritten_duplicate(self) -> str:
        self._upload("docs/faq.html", self._files["docs/faq.html"].replace(b"slowly", b"very slowly"))
        self._await_body("docs/faq.html", self._files["docs/faq.html"])
        self._await_body("mirror/docs/faq.html", self._files["docs/faq.html"])
        return "docs/faq.html changed at both keys"

    def _delete(self) -> str:
        self._delete_file("downloads/prices.txt")
        self._await_missing("downloads/prices.txt")
        self._directory_page("downloads/")
        return "downloads/prices.txt is 404, and gone from the page of downloads/"

    def _deleted_duplicate(self) -> str:
        self._delete_file("docs/faq.html")
        self._await_missing("docs/faq.html")
        self._await_missing("mirror/docs/faq.html")
        return "docs/faq.html is 404 at both keys"

    def _upload(self, path: str, body: bytes) -> None:
        with ftp_user(self._site.ftp) as user:
            user.upload(path, body)
        self._files[path] = body

    def _delete_file(self, path: str) -> None:
        with ftp_user(self._site.ftp) as user:
            user.delete(path)
        del self._files[path]

    def _await_body(self, path: str, body: bytes) -> None:
        self._await(path, partial(_has_body, body), f"{len(body)} bytes of its own")

    def _await_missing(self, path: str) -> None:
        self._await(path, lambda answer: answer.status == _MISSING, "404")

    def _links(self, directory: str, answer: Answer) -> dict[str, str]:
        return self._viewer.links(directory, answer.body) if answer.status == _OK else {}

    def _await(self, path: str, holds: Callable[[Answer], bool], expected: str) -> None:
        self._await_url(self._viewer.address(path), holds, expected)

    def _await_url(self, url: str, holds: Callable[[Answer], bool], expected: str) -> None:
        last = Answer(0, {}, b"")

        def is_so() -> bool:
            nonlocal last
            self._agent.check()
            last = self._viewer.follow(url)
            return holds(last)

        try:
            wait_until(is_so, seconds=self._patience, what=f"{url} gives {expected}")
        except NotInTimeError as error:
            beginning = last.body[:200].decode("utf-8", "replace")
            raise LocalStackError(f"{error}; it gives {last.status}, {len(last.body)} bytes: {beginning!r}") from None


def _has_body(body: bytes | None, answer: Answer) -> bool:
    """Tell whether an answer is good and has the body, or any if None."""
    return answer.status == _OK and body in (None, answer.body)


def _covers(pattern: str, target: str) -> bool:
    """Tell whether an invalidation path, perhaps with CloudFront's wildcard at its end, covers an address."""
    return target.startswith(pattern[:-1]) if pattern.endswith("*") else pattern == target
