"""A reactor, a clock and a pool that move only when a test moves them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.selectreactor import SelectReactor
from twisted.python.failure import Failure


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class SteppedPool:
    """`WorkerPool` without threads: `put` collects, `step` runs the next job in the calling thread."""

    made: list[SteppedPool] = []

    def __init__(
        self, name: str, *, minimum: int, limit: int = 1024, failed: Callable[[BaseException], None], **_: Any
    ) -> None:
        self.name = name
        self.minimum = self.size = minimum
        self.limit = limit
        self.jobs: deque[Any] = deque()
        self.done = 0
        self.failures: list[BaseException] = []
        self._stopped = False
        self._low: Callable[[], None] | None = None
        self.now: Any = None
        self.sparing = False
        self.looks = 0
        self.grows = 0
        SteppedPool.made.append(self)

    def start(self) -> None:
        self._stopped = False

    def put(self, jobs: Sequence[Any]) -> Sequence[Any]:
        if self._stopped:
            return jobs
        room = max(0, self.limit - len(self.jobs))
        self.jobs.extend(jobs[:room])
        return jobs[room:]

    queue = put

    def wake(self) -> bool:
        return False

    def when_low(self, callback: Callable[[], None]) -> bool:
        self._low = callback if len(self.jobs) > self.minimum else None
        return self._low is not None

    def grow(self) -> None:
        self.grows += 1

    def look(self) -> bool:
        self.looks += 1
        return bool(self.jobs)

    def stop(self) -> None:
        self._stopped = True

    def running(self) -> list[Any]:
        return [] if self.now is None else [(threading.current_thread(), self.now)]

    def step(self) -> None:
        """Run the next job."""
        self.now = self.jobs.popleft()
        low = self._low
        if low is not None and len(self.jobs) <= 1:
            self._low = None
            low()
        try:
            self.now.run()
        except BaseException as error:
            self.failures.append(error)
        finally:
            self.now = None
            self.done += 1


class _InlineThreads:
    """What stands for the reactor's own threads: does its work at once."""

    min, max = 0, 1

    def callInThread(self, function: Any, *args: Any, **kw: Any) -> None:
        function(*args, **kw)

    def callInThreadWithCallback(self, told: Any, function: Any, *args: Any, **kw: Any) -> None:
        try:
            result = function(*args, **kw)
        except BaseException:
            told(False, Failure())
        else:
            told(True, result)


class SteppedReactor(SelectReactor):
    """Twisted's own reactor, moved by `turn`, by a clock that stands."""

    def __init__(self) -> None:
        self.clock = Clock()
        super().__init__()
        self._inline = _InlineThreads()

    def seconds(self) -> float:
        return self.clock()

    def getThreadPool(self) -> Any:
        return self._inline

    def callInThread(self, function: Any, *args: Any, **kw: Any) -> None:
        function(*args, **kw)

    def turn(self) -> None:
        self.iterate(0)

    def close(self) -> None:
        """Give every descriptor back, our own wakers' too."""
        for each in {*self.removeAll(), *self._internalReaders}:
            each.connectionLost(Failure(ConnectionDone()))
        self._internalReaders.clear()
