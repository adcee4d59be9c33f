"""Simulated time, and who goes next in it: every actor is a greenlet that runs until it waits for something.

Ordinary blocking code runs in here unchanged: a request, a sleep, a lock or a future hands the word to whoever is due
next. How long each of them takes is drawn from one seeded generator, so a seed is an interleaving.
"""

import heapq
import random
import traceback
from collections.abc import Callable
from typing import Generic, Self, TypeVar

from greenlet import getcurrent, greenlet  # type: ignore[import-untyped,unused-ignore]

T = TypeVar("T")

MOST_STEPS = 400_000
"""Of one schedule, after which something goes round and round."""


class Crash(BaseException):
    """The process is killed here. Nothing that it still tries has an effect."""


class StuckError(Exception):
    """A schedule did not come to an end."""


class Process:
    """Tasks that die together, and hold their breath together when their host is suspended."""

    def __init__(self, name: str, tempo: float = 1.0) -> None:
        self.name, self.tempo = name, tempo
        self.born = 0.0
        """By the clock of the tree's host, for who looks at the tree."""
        self.dead = False
        self.asleep_until = 0.0
        self.tasks: list[Task] = []
        self.joiners: list[Task] = []

    @property
    def ended(self) -> bool:
        """Whether nothing of it runs any more."""
        return all(task.done for task in self.tasks)


class Task:
    """One thread of a process."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.ticket = 0
        self.done = False
        self.greenlet: greenlet | None = None


class Scheduler:
    """Runs tasks and timers in the order of simulated time."""

    def __init__(self, rng: random.Random, now: float) -> None:
        self.rng, self.now = rng, now
        self.steps = 0
        self.escaped: list[str] = []
        """Tracebacks of what no task should have raised."""
        self._main = getcurrent()
        self._current: Task | None = None
        self._heap: list[tuple[float, int, Task | Callable[[], None], int]] = []
        self._count = 0

    @property
    def process(self) -> Process | None:
        """The process that runs now; None outside of any."""
        return self._current.process if self._current else None

    def spawn(self, process: Process, work: Callable[[], object], after: float = 0.0) -> Task:
        """Begin a task."""
        task = Task(process)

        def run() -> None:
            try:
                if not process.dead:
                    work()
            except Crash:
                pass
            except Exception:  # noqa: BLE001  whatever it is, it is a violation
                self.escaped.append(f"{process.name}: {traceback.format_exc()}")
            finally:
                task.done = True

        task.greenlet = greenlet(run, self._main)
        process.tasks.append(task)
        self._arm(task, after)
        return task

    def at(self, time: float, action: Callable[[], None]) -> None:
        """Have something done later; it must not wait."""
        self._count += 1
        heapq.heappush(self._heap, (time, self._count, action, 0))

    def sleep(self, seconds: float) -> None:
        """Let others go on for a while."""
        if self._current is None:
            return
        self._check()
        self._arm(self._current, seconds)
        self._switch()

    def block(self, timeout: float | None = None) -> None:
        """Wait to be woken."""
        assert self._current is not None, "nobody else can go on"
        self._check()
        self._current.ticket += 1
        if timeout is not None:
            self._arm(self._current, timeout)
        self._switch()

    def wake(self, task: Task) -> None:
        """Let a task go on that blocks."""
        if not task.done:
            self._arm(task, self.rng.random() * 0.001)

    def current_task(self) -> Task:
        """Give the task that runs now."""
        assert self._current is not None
        return self._current

    def kill(self, process: Process) -> None:
        """Kill a process; raises Crash if it is the one that runs."""
        process.dead = True
        self.at(self.now, lambda: self._reap(process))
        self._check()

    def join(self, process: Process) -> None:
        """Wait for the end of another process."""
        while not process.ended:
            process.joiners.append(self.current_task())
            self.block()

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Go on until something holds, or nothing is due any more; raises StuckError."""
        while self._heap and not until():
            time, _, what, ticket = heapq.heappop(self._heap)
            if not isinstance(what, Task):
                self.now = max(self.now, time)
                what()
                continue
            if what.done or ticket != what.ticket:
                continue
            if what.process.asleep_until > time and not what.process.dead:
                self._arm(what, what.process.asleep_until - self.now)
                continue
            self.now = max(self.now, time)
            self.steps += 1
            if self.steps > MOST_STEPS:
                raise StuckError(f"after {MOST_STEPS} steps something still goes on")
            self._resume(what)

    def _resume(self, task: Task) -> None:
        assert task.greenlet is not None
        self._current = task
        try:
            task.greenlet.switch()
        finally:
            self._current = None
        self._ended(task)

    def _reap(self, process: Process) -> None:
        for task in process.tasks:
            if task.greenlet:  # it has begun, and not ended
                self._current = task
                task.greenlet.throw(Crash)
                self._current = None
            task.done = True
        for task in process.tasks:
            self._ended(task)

    def _ended(self, task: Task) -> None:
        if task.done and task.process.ended:
            joiners, task.process.joiners = task.process.joiners, []
            for joiner in joiners:
                self.wake(joiner)

    def _arm(self, task: Task, seconds: float) -> None:
        task.ticket += 1
        self._count += 1
        heapq.heappush(self._heap, (self.now + seconds, self._count, task, task.ticket))

    def _switch(self) -> None:
        self._main.switch()
        self._check()

    def _check(self) -> None:
        if self._current is not None and self._current.process.dead:
            raise Crash


class Lock:
    """A lock among tasks."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler, self._held = scheduler, False
        self._waiting: list[Task] = []

    def __enter__(self) -> Self:
        while self._held:
            self._waiting.append(self._scheduler.current_task())
            self._scheduler.block()
        self._held = True
        return self

    def __exit__(self, *_: object) -> None:
        self._held = False
        waiting, self._waiting = self._waiting, []
        for task in waiting:
            self._scheduler.wake(task)


class Event:
    """An event among tasks."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler, self._set = scheduler, False
        self._waiting: list[Task] = []

    def is_set(self) -> bool:
        """Tell whether it happened."""
        return self._set

    def set(self) -> None:
        """Let it happen."""
        self._set = True
        waiting, self._waiting = self._waiting, []
        for task in waiting:
            self._scheduler.wake(task)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for it; tells whether it happened."""
        if not self._set:
            self._waiting.append(self._scheduler.current_task())
            self._scheduler.block(timeout)
        return self._set


class Thread:
    """A thread of the process that starts it."""

    def __init__(self, scheduler: Scheduler, target: Callable[[], object]) -> None:
        self._scheduler, self._target = scheduler, target
        self._end = Event(scheduler)

    def start(self) -> None:
        """Start it."""
        process = self._scheduler.process
        assert process is not None

        def work() -> None:
            try:
                self._target()
            finally:
                self._end.set()

        self._scheduler.spawn(process, work)

    def join(self) -> None:
        """Wait for its end."""
        while not self._end.wait():
            pass


class Future(Generic[T]):
    """What a piece of work gives, as an executor's future."""

    def __init__(self, scheduler: Scheduler, work: Callable[[], T]) -> None:
        self._work, self._end = work, Event(scheduler)
        self._begun = self._cancelled = False
        self._value: list[T] = []
        self._error: Exception | None = None

    def run(self) -> None:
        """Do the work."""
        if self._cancelled:
            return
        self._begun = True
        try:
            self._value.append(self._work())
        except Exception as error:  # noqa: BLE001  as an executor does
            self._error = error
        self._end.set()

    def cancel(self) -> bool:
        """Leave it undone, if it has not begun."""
        self._cancelled = self._cancelled or not self._begun
        return self._cancelled

    def done(self) -> bool:
        """Tell whether it is done, or never will be."""
        return self._cancelled or bool(self._value) or self._error is not None

    def wait(self) -> None:
        """Wait until it is done."""
        while not self._end.wait():
            pass

    def result(self) -> T:
        """Wait, and give what came of it."""
        self.wait()
        if self._error is not None:
            raise self._error
        return self._value[0]


class Executor:
    """Runs work as tasks of the process that submits it."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def submit(self, work: Callable[[], T], /) -> "Future[T]":
        """Begin some work a moment later."""
        future = Future(self._scheduler, work)
        process = self._scheduler.process
        assert process is not None
        self._scheduler.spawn(process, future.run, self._scheduler.rng.random() * 0.05)
        return future
