"""Why is a file not live? The way of one path, from disk to viewer, step by step; nothing is changed."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from siteferry.asked import path_asked
from siteferry.compare import CUT_SHORT
from siteferry.delivery import Delivery, Target, Wanted, header_lines, when
from siteferry.explained import Explanation, Outcome, State, Step, note, well, wrong
from siteferry.head import Head
from siteferry.look import Look
from siteferry.names import printable
from siteferry.parts import Parts
from siteferry.pause import Pause
from siteferry.place import Kind, look_at
from siteferry.plan_report import human_size
from siteferry.ports import Cdn, QueueLook
from siteferry.status import read
from siteferry.subject import Subject, Subjects
from siteferry.tree import Tree
from siteferry_contract.copy_rules import duplicates, original_of
from siteferry_contract.keys import INDEX_NAME, split
from siteferry_contract.leaf import FileEntry

_NO_KEY: Final = "not looked at: it has no key of its own"


class Explainer:
    """Explains paths of one site, whose index is read as of `head`."""

    def __init__(self, parts: Parts, head: Head, queues: QueueLook, cdn: Cdn) -> None:
        self._p, self._head = parts, head
        self._look = Look(parts)
        self._look.load_cache(head, keep=head.open is None)
        self._delivery = Delivery(parts.descriptor, parts.services.objects, parts.headers, queues, cdn)
        self._subjects = Subjects(parts, self._delivery.stored)
        self._status = read(parts.state, parts.config)

    def explain(self, argument: str) -> Explanation:
        """Explain what a person names; raises UsageError for what is outside the root, and what the looks raise."""
        p = self._p
        with p.open_tree() as tree:

            def is_there(path: bytes) -> bool:
                place = look_at(tree, path)
                return place.is_whole and place.kind is not Kind.NOTHING

            path = path_asked(argument, p.config.root, p.naming, p.cache, is_there)
            subject = self._subjects.find(tree, path)
            left = self._seconds_left(tree, subject.file)
        target = self._subjects.target(subject)
        steps = {"disk": self._disk(subject), "rules": self._rules(subject, target, left)}
        queues = self._delivery.queues()
        if target:
            steps |= {
                "index": self._index(subject, target),
                "bucket": self._delivery.bucket(target),
                "queues": queues,
                "cdn": self._delivery.cdn(target),
            }
        else:
            steps |= {"index": note(_NO_KEY), "bucket": note(_NO_KEY), "queues": queues, "cdn": note(_NO_KEY)}
        return self._explanation(subject, target, steps)

    def _seconds_left(self, tree: Tree, file: Subject) -> float:
        """Give the seconds until a file that is to be published counts as written; 0: it does; inf: not by itself."""
        if not file.published or file.place.kind is not Kind.FILE or not self._subjects.change(file):
            return 0.0
        assert file.place.state
        if self._p.cache.is_fragment(file.path, file.place.state.text()):
            return math.inf
        return max(self._look.settling(tree).left(file.path, file.place.state), 0.0)

    # ---- the steps

    def _disk(self, subject: Subject) -> Step:
        place = subject.file.place
        at, state = printable(place.at), place.state
        facts: dict[str, Any] = {"kind": place.kind.value, "at": at, "error": place.error or None}
        facts |= {name: getattr(state, name) if state else None for name in ("size", "mtime_ns", "ctime_ns")}
        details = []
        if place.kind is Kind.FILE and state and place.is_whole:
            details = [f"mtime {when(state.mtime_ns / 1e9)}, ctime {when(state.ctime_ns / 1e9)}"]
        excluded = bool(subject.rules.glob)
        if place.error and not excluded:
            remedy = "make it readable for the user that siteferry runs as"
            stays = ": all beneath it stays as it is published" if place.kind is Kind.UNREADABLE else ""
            return wrong(f"{at} cannot be read ({printable(place.error)}){stays}", remedy, details, facts)
        match place.kind:
            case Kind.FILE if place.is_whole:
                size = human_size(state.size if state else 0)
                return well(f"{at}: a regular file of {size}", details, facts)
            case Kind.DIRECTORY:
                return well(f"{at}: a directory without an {INDEX_NAME} of its own", details, facts)
            case Kind.SYMLINK | Kind.OTHER if not excluded:
                word = place.link or "a symlink" if place.kind is Kind.SYMLINK else "neither a file nor a directory"
                remedy = "put a file or a directory in its place: siteferry publishes nothing else"
                if place.kind is Kind.SYMLINK and not place.link:
                    remedy += '; or, if it leads to a file beneath the root, set symlinks = "inside"'
                return wrong(f"{at} is {word}", remedy, details, facts)
            case Kind.FILE:
                return note(f"nothing: {at} is a file", details, facts)
            case Kind.NOTHING:
                missing = "" if place.is_whole else f": {at} is not there"
                return note(f"nothing is there{missing}", details, facts)
        return note(f"{at}: {place.kind.value}", details, facts)

    def _rules(self, subject: Subject, target: Target | None, left: float) -> Step:
        p, file = self._p, subject.file
        rules, key = subject.rules, file.rules.key
        own = p.descriptor
        copies = list(duplicates(key, own.prefix, own.copy_rules)) if key else []
        headers, rule = (p.headers.settings(key), p.headers.rule(key)) if key else ({}, None)
        facts = {
            "key": key,
            "excluded_by": rules.glob,
            "problem": rules.problem or None,
            "at": printable(rules.at),
            "encoding": own.encoding,
            "duplicates": copies,
            "duplicate_of": original_of(key, own.prefix, own.copy_rules) if key else None,
            "headers": headers,
            "header_rule": rule.match if rule else None,
            "settle": p.config.settle,
            "settled_in": round(left, 1) if left < math.inf else None,
            "locked": file.place.locked,
        }
        at = printable(rules.at)
        if rules.glob:
            text = f"excluded: {at} matches {printable(rules.glob)} of `exclude`"
            remedy = "if it is to be published: rename it, or change `exclude` or `exclude_defaults`"
            return note(text, (), facts, remedy)
        is_duplicate = target is not None and target.source
        if rules.problem and not is_duplicate:
            why, remedy = _with_remedy(rules.problem)
            return wrong(f"{at} cannot be published: {printable(why)}", printable(remedy), (), facts)
        details = [f"duplicated at {printable(copy)}" for copy in copies]
        details += header_lines(headers) if file.published and file.place.kind is Kind.FILE else []
        details += [f"header rule {printable(rule.match)}"] if rule and file.place.kind is Kind.FILE else []
        stays = "; its published version stays" if key and self._subjects.entry(key) else ""
        if file.place.locked and file.published and self._subjects.change(file):
            text = f"still being written: another process has it locked{stays}"
            return wrong(text, "wait for the end of its upload, and for the next run", details, facts)
        if left:
            if left == math.inf:
                why, _, remedy = CUT_SHORT.partition(": ")
                return wrong(f"{why}{stays}", remedy, details, facts)
            text = f"still being written, or just now: published once its ctime is {p.config.settle:g} s old"
            return wrong(f"{text}{stays}", f"wait {math.ceil(left)} s, and for the next run", details, facts)
        if target is not None and target.source:
            return well(f"its key is that of a duplicate of {printable(target.source)}", details, facts)
        return well(f"key {printable(key or '')}", details, facts)

    def _index(self, subject: Subject, target: Target) -> Step:
        key = target.source or target.key
        entry, leaf = self._subjects.entry(key), self._p.cache.leaf_for(*split(key))
        file = subject.file
        is_file = file.published and file.place.kind is Kind.FILE
        change = self._subjects.change(file) if is_file else None
        known = "live" if entry else "dead" if leaf else "unknown"
        facts: dict[str, Any] = {
            "key": key,
            "is": known,
            "size": entry.size if entry else None,
            "mtime_ns": entry.mtime_ns if entry else None,
            "crc64nvme": f"{entry.crc64nvme:016x}" if entry and entry.crc64nvme is not None else None,
            "leaf_run": leaf.run if leaf else None,
            "differs_from_disk": change,
            **self._agent_facts(),
        }
        details = [*self._index_lines(entry)]
        if entry and (forced := self._look.changed_headers(self._head)) and forced(key):
            details.append("its header rules changed: the next run gives it the new ones")
        if target.source:
            if target.wanted is Wanted.NOTHING:
                text = f"its original {printable(key)} is not published"
                return note(text, details, facts, f"`siteferry explain {printable(key)}` tells why")
            return well(f"its original {printable(key)} is published", details, facts)
        if change:
            failure = self._failure(file.path)
            if failure:
                return wrong(f"the last run could not publish it: {failure}", self._next_run(), details, facts)
            text = f"the index has another version ({change})" if entry else "not published yet"
            return wrong(text, self._next_run(), details, facts)
        ends = (entry is not None and not is_file) or self._subjects.ends(subject, target.key)
        if ends and subject.place.kind is not Kind.UNREADABLE:
            why, remedy = self._why_not_deleted()
            what = f"its {INDEX_NAME}" if subject.published else "it"
            return wrong(f"the index lists {what} still{why}", remedy, details, facts)
        directory = split(target.key)[0]
        if target.wanted is Wanted.PAGE and not self._p.cache.is_known(directory):
            return wrong("the directory is not in the index yet", self._next_run(), details, facts)
        if entry:
            text = "live: as on disk" if is_file else "live"
        elif target.wanted is Wanted.PAGE:
            text = f"the directory is known, and lists no {INDEX_NAME}"
        else:
            text = "dead: its leaf does not list it" if leaf else "never known"
        return well(text, details, facts)

    # ---- index and agent

    def _index_lines(self, entry: FileEntry | None) -> Sequence[str]:
        head, last = self._head, self._status.get("last") or {}
        lines = []
        if entry:
            crc = f", crc64nvme {entry.crc64nvme:016x}" if entry.crc64nvme is not None else ""
            lines.append(f"{human_size(entry.size)}, mtime {when(entry.mtime_ns / 1e9)}{crc}")
        if head.open is not None:
            lines.append(f"run {head.open} is open since {when(head.opened or 0)}: under way, or to be recovered")
        agent = "running on this host" if self._status["running"] else "not running on this host"
        lease = f"; {printable(head.lease.owner)} holds the lease" if head.lease else ""
        lines.append(f"agent {agent}{lease}; last run {head.run}")
        if last.get("failed") or last.get("held"):
            lines.append("`siteferry status` shows what the last run left")
        if error := self._status.get("error"):
            lines.append(f"the last cycle failed: {printable(str(error))}")
        return lines

    def _agent_facts(self) -> dict[str, Any]:
        head, last = self._head, self._status.get("last") or {}
        return {
            "run": head.run,
            "open": head.open,
            "lease_owner": head.lease.owner if head.lease else None,
            "agent_running": self._status["running"],
            "held_deletes": last.get("held", 0),
            "hold_reason": last.get("hold_reason") or None,
            "last_error": self._status.get("error"),
        }

    def _failure(self, path: bytes) -> str:
        failures = (self._status.get("last") or {}).get("failures", [])
        return next((str(reason) for failed, reason in failures if failed == printable(path)), "")

    def _why_not_deleted(self) -> tuple[str, str]:
        last = self._status.get("last") or {}
        if last.get("hold_reason"):
            return ": deletes are held", printable(last["hold_reason"])
        if not self._p.config.delete:
            return ": `delete = false`, so nothing is ever deleted", "set `delete = true` in the configuration"
        waits = f"; it may come back, so its directory has to be left alone for {self._p.config.settle:g} s first"
        return "", self._next_run("deletes") + waits

    def _next_run(self, word: str = "publishes") -> str:
        if pause := self._status.get("pause"):
            return f"{Pause(**pause).describe()}; `siteferry resume` ends it"
        if error := self._status.get("error"):
            remedy = self._status.get("remedy")
            return f"the last cycle failed: {printable(str(error))}" + (f" ({printable(remedy)})" if remedy else "")
        if self._status["running"]:
            return f"wait: the next cycle {word} it, within {self._p.config.interval:g} s"
        owner = self._head.lease.owner if self._head.lease else ""
        if owner and owner != self._p.state.owner:
            return f"wait: the agent that holds the lease {word} it: {printable(owner)}"
        return f"no agent runs on this host: `siteferry sync` {word} it, `siteferry run` keeps the site up to date"

    # ---- the verdict

    def _explanation(self, subject: Subject, target: Target | None, steps: dict[str, Step]) -> Explanation:
        wanted = target is not None and target.wanted not in (Wanted.NOTHING, Wanted.PENDING)
        wanted = wanted or subject.published or subject.place.kind in (Kind.SYMLINK, Kind.OTHER, Kind.UNREADABLE)
        wanted = (wanted or bool(subject.rules.problem and subject.place.is_whole)) and not subject.rules.glob
        first = next((step for step in steps.values() if step.state is State.WRONG), None)
        if first:
            outcome, reason = Outcome.NOT_LIVE if wanted else Outcome.NOT_GONE, first.text
        elif target is None or target.wanted is Wanted.NOTHING:
            outcome, reason = Outcome.ABSENT, self._why_absent(subject, steps)
        else:
            asked = "" if steps["cdn"].state is State.WELL else "; the CDN could not be asked"
            outcome, reason = Outcome.LIVE, f"{_LIVE[target.wanted](target)}{asked}"
        remedy = first.remedy if first else steps["rules"].remedy
        key = target.key if target else subject.file.rules.key
        return Explanation(self._p.config.site, printable(subject.path), key, outcome, reason, remedy, steps)

    def _why_absent(self, subject: Subject, steps: dict[str, Step]) -> str:
        if subject.rules.glob:
            return steps["rules"].text
        if subject.place.kind is Kind.DIRECTORY:
            return f"it has no {INDEX_NAME}, and the site makes no directory pages (`directory_pages`)"
        return steps["disk"].text


_LIVE: Final[dict[Wanted, Callable[[Target], str]]] = {
    Wanted.FILE: lambda _: "as it is on disk",
    Wanted.PAGE: lambda _: "the generated directory page",
    Wanted.DUPLICATE: lambda target: f"a duplicate of {printable(target.source)}",
    Wanted.PENDING: lambda _: "",
    Wanted.NOTHING: lambda _: "",
}


def _with_remedy(problem: str) -> tuple[str, str]:
    """Cut what to do off the reason why a name cannot be published."""
    why, _, remedy = problem.rpartition(": ")
    return (why, remedy) if remedy.startswith(("rename", "move", "raise")) else (problem, "rename it, or move it")
