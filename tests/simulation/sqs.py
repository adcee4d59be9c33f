"""Standard queues in memory: late, twice, out of order; visibility, receive counts, dead letters, redrive."""

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from siteferry_contract.job import JOB_KINDS, JobKind

MAX_RECEIVES: Final = 5
MAX_MESSAGE_BYTES: Final = 1024 * 1024
VISIBILITY: Final[dict[JobKind, float]] = {"copy": 1800.0, "delete": 720.0, "page": 720.0, "invalidate": 360.0}


@dataclass(slots=True, eq=False)
class Message:
    """A message, or a second copy of one."""

    id: str
    kind: JobKind
    body: str
    visible_at: float
    receives: int = 0
    receipt: int = 0
    gone: bool = False


@dataclass(slots=True)
class Queues:
    """All queues. `arrived` is called when a message becomes visible, so that somebody may receive it."""

    now: Callable[[], float]
    at: Callable[[float, Callable[[], None]], None]
    rng: random.Random
    counts: Counter[str]
    held: float
    """Chance that a message is held back until one of its names is put again, for an hour at most."""
    calm: bool = False
    """Nothing is late or comes twice any more."""
    waiting: dict[JobKind, list[Message]] = field(default_factory=lambda: {kind: [] for kind in JOB_KINDS})
    dead: dict[JobKind, list[Message]] = field(default_factory=lambda: {kind: [] for kind in JOB_KINDS})
    holding: list[Message] = field(default_factory=list)
    arrived: Callable[[Message], None] = lambda _message: None
    _ids: int = 0

    def send(self, kind: JobKind, body: str, delay: float = 0.0) -> None:
        """Send a message."""
        assert body.isascii()
        assert len(body) <= MAX_MESSAGE_BYTES
        self._ids += 1
        self.counts["jobs sent"] += 1
        for copy in range(2 if not self.calm and self.rng.random() < 0.15 else 1):
            self.counts["duplicates delivered"] += copy
            lateness = 0.0 if self.calm else self._lateness()
            if not self.calm and self.rng.random() < self.held:
                lateness = 3600.0
            message = Message(f"m{self._ids}", kind, body, self.now() + delay + lateness)
            self._put(message)
            if lateness == 3600.0:
                self.holding.append(message)

    def let_go(self, key: str) -> None:
        """Deliver what was held back and names a key."""
        name = json.dumps(key)
        for message in [message for message in self.holding if name in message.body]:
            self.holding.remove(message)
            if not message.gone and not message.receives:
                self.counts["held until the next upload"] += 1
                self._show(message, self.rng.random() * self.rng.choice((0.1, 0.1, 3.0)))

    def receive(self, message: Message) -> int | None:
        """Receive a message if it is visible; gives its receipt."""
        if message.gone or message.visible_at > self.now():
            return None
        if message.receives >= MAX_RECEIVES:
            self.delete(message)
            self.dead[message.kind].append(message)
            self.counts["dead letters"] += 1
            return None
        message.receives += 1
        message.receipt += 1
        self.counts["received again"] += message.receives > 1
        self._show(message, VISIBILITY[message.kind])
        return message.receipt

    def change_visibility(self, message: Message, receipt: int, delay: float) -> None:
        """Let a received message come again."""
        if not message.gone and message.receipt == receipt:
            self._show(message, delay)

    def delete(self, message: Message) -> None:
        """Delete a message."""
        if not message.gone and message in self.waiting[message.kind]:
            message.gone = True
            self.waiting[message.kind].remove(message)

    def redrive(self) -> int:
        """Move every dead letter back; gives their number."""
        moved = 0
        for kind in JOB_KINDS:
            letters, self.dead[kind] = self.dead[kind], []
            for letter in letters:
                moved += 1
                self._put(Message(letter.id + "r", kind, letter.body, self.now() + self._lateness()))
        self.counts["redriven"] += moved
        return moved

    def count(self) -> int:
        """Give the number of messages that wait."""
        return sum(map(len, self.waiting.values()))

    def _put(self, message: Message) -> None:
        self.waiting[message.kind].append(message)
        self._show(message, message.visible_at - self.now())

    def _show(self, message: Message, delay: float) -> None:
        message.visible_at = self.now() + delay
        moment = message.visible_at

        def show() -> None:
            if not message.gone and message.visible_at == moment:
                self.arrived(message)

        self.at(moment, show)

    def _lateness(self) -> float:
        scale = self.rng.choice((0.1, 0.1, 1.0, 5.0, 60.0, 3600.0 if self.rng.random() < 0.2 else 5.0))
        return self.rng.random() * scale
