"""Rule 4: dirty first, close last."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import siteferry.accept
import siteferry.disagree
import siteferry.publish
from siteferry.disagree import Disagreements
from siteferry.head import Applied, Head
from siteferry.lease import Control
from siteferry.mend import Mender
from siteferry.outbox import Outbox
from siteferry.publish import Publisher
from siteferry.report import Summary
from siteferry.run import Effects
from siteferry.work import Work
from tests.simulation.mutations.patches import Patches


def dirty_first() -> Patches:
    """The run's number is taken, but the head says nothing of it before the close."""
    real_close = Control.close_run

    def open_run(self: Control, _: Applied, **_deletes: Any) -> int:
        return self.head.run + 1

    def close_run(self: Control, applied: Applied) -> None:
        self._swap(lambda head: replace(head, run=head.run + 1))
        real_close(self, applied)

    return [patch.object(Control, "open_run", open_run), patch.object(Control, "close_run", close_run)]


def close_last() -> Patches:
    """The jobs are sent after the close."""
    waiting: dict[int, list[Callable[[], None]]] = {}
    real_flush, real_close = Outbox._flush, Control.close_run

    def flush(self: Outbox, kind: Any) -> None:
        names = self._names.pop(kind)

        def send() -> None:
            self._names[kind] = names
            real_flush(self, kind)

        waiting.setdefault(self._run, []).append(send)

    def close_run(self: Control, applied: Applied) -> None:
        real_close(self, applied)
        for send in waiting.pop(self.head.run, ()):
            send()

    return [patch.object(Outbox, "_flush", flush), patch.object(Control, "close_run", close_run)]


def settle() -> Patches:
    """What is not known is taken for not done, and forgotten."""
    return [*settle_again(), patch.object(Publisher, "_is_there", lambda *_: False)]


def settle_again() -> Patches:
    """A PUT of unknown outcome that is not found is forgotten."""
    real = Effects._settle

    def settle(self: Effects, change: Any, future: Any) -> Any:
        before = self.unknown
        published = real(self, change, future)
        self.unknown = before
        return published

    return [patch.object(siteferry.publish, "TRIES", 1), patch.object(Effects, "_settle", settle)]


def recover() -> Patches:
    """An open head is closed."""

    def recover(self: Mender, _head: Head) -> Summary:
        self.carrier.tenancy.control.close_run(Applied.of(self.parts.descriptor))
        return Summary(recovered=True)

    return [patch.object(Mender, "recover", recover)]


def recover_checksum() -> Patches:
    """Recovery compares keys and sizes only."""
    return [patch.object(siteferry.disagree, "CLOCK_SKEW", timedelta(days=-3000))]


def recover_modified() -> Patches:
    """What index and bucket disagree on is left to the ordinary diff."""

    def resolve_all(self: Disagreements, key: str) -> bool:
        self.resolve(key)
        return False

    return [patch.object(Disagreements, "is_suspect", resolve_all), patch.object(Disagreements, "count", lambda _: 0)]


def recover_gone() -> Patches:
    """Objects that neither index nor tree has are left."""
    real = Disagreements._add

    def add(self: Disagreements, table: str, key: str, why: str) -> None:
        if table != "stray":
            real(self, table, key, why)

    return [patch.object(Disagreements, "_add", add)]


def recover_check() -> Patches:
    """What a recovery enters as it is in the bucket is not read back."""
    real = siteferry.accept._enter

    def enter(work: Work, *arguments: Any) -> list[str]:
        for key in real(work, *arguments):
            work.agreed(key)
        return []

    return [patch.object(siteferry.accept, "_enter", enter)]


def recover_jobs() -> Patches:
    """Recovery sends no job again."""

    def jobs_again(_: Mender, outbox: Outbox, _first: int) -> None:
        outbox.invalidate_everything()
        outbox.flush()

    return [patch.object(Mender, "_jobs_again", jobs_again)]


def recover_invalidate() -> Patches:
    """Recovery invalidates nothing."""
    return [patch.object(Outbox, "invalidate_everything", lambda _: None)]
