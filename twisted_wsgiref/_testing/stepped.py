"""A pool whose jobs run when a test says so, in its own thread.

`tests.threads.test_pool_twins` holds that it and `WorkerPool` do the same. Called in the thread of the test.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twisted_wsgiref._threads.jobs import Job


class SteppedPool:
    """The twin of `WorkerPool` that has no threads: `step` runs the next job, in the calling thread.

    For a `WSGIService` of a test's own, as its ``make_pool``; the methods that a service calls do what those of `Pool`
    do. `jobs` are those that wait, `threads` counts the threads that there would be, `done` the jobs that were run, and
    `failures` has what they raised. Called in the thread of the test.
    """

    def __init__(
        self,
        name: str,
        *,
        minimum: int,
        maximum: int = 0,
        idle: float = 30.0,
        limit: int = 1024,
        failed: Callable[[BaseException], None],
    ) -> None:
        self.name = name
        self.minimum = minimum
        self.size = max(minimum, maximum)
        self.limit = limit
        self.threads = 0
        self.may_start = True  # whether the system has threads to give
        self.jobs: deque[Job] = deque()
        self.done = 0
        self.failures: list[BaseException] = []
        self.now: Job | None = None
        self.sparing = False
        self.sweeps = 0
        self._failed = failed
        self._stopped = False
        self.at_work = 0  # how many threads have something else to do
        self._due = False
        self._low: Callable[[], None] | None = None

    @property
    def _idle(self) -> int:
        return max(0, self.threads - self.at_work)

    @property
    def waiting(self) -> int:
        return len(self.jobs)

    def start(self) -> None:
        self._stopped = False
        self.threads = max(self.threads, self.minimum)

    def put(self, jobs: Sequence[Job]) -> Sequence[Job]:
        refused = self.queue(jobs)
        self.wake()
        return refused

    def queue(self, jobs: Sequence[Job], sparing: bool = False) -> Sequence[Job]:
        if self._stopped:
            return jobs
        refused: Sequence[Job] = ()
        waiting = len(self.jobs)
        if waiting + len(jobs) > self.limit:
            room = max(0, self.limit + self._idle - waiting)
            jobs, refused = jobs[:room], jobs[room:]
        self.sparing = sparing
        self.jobs.extend(jobs)
        self._due = True
        return refused

    def wake(self) -> bool:
        due, self._due = self._due, False
        woken = due and self._idle > 0
        self._grow()
        return woken

    def forget_low(self) -> None:
        self._low = None

    def when_low(self, callback: Callable[[], None], above: int) -> bool:
        self._low = callback if len(self.jobs) > above else None
        return self._low is not None

    def sweep(self) -> bool:
        self.sweeps += 1
        self._grow()
        return False

    def _grow(self) -> None:
        missing = min(len(self.jobs) - self._idle, self.size - self.threads)
        if missing > 0 and not self._stopped:
            if self.may_start:
                self.threads += missing
            else:
                self._failed(RuntimeError("can't start new thread"))

    def spare_none(self) -> None:
        self.sparing = False
        self._grow()

    def stop(self) -> None:
        self._stopped = True

    def running(self) -> list[tuple[threading.Thread, Job]]:
        return [] if self.now is None else [(threading.current_thread(), self.now)]

    def forked(self, heir: bool) -> None:
        self._stopped = not heir

    def step(self) -> None:
        """Run the next job."""
        if not self.threads:
            raise RuntimeError("there is no thread to run it")
        self.now = self.jobs.popleft()
        self.at_work += 1
        low = self._low
        if low is not None and len(self.jobs) <= 1:
            self._low = None
            low()
        try:
            self.now.run()
        except BaseException as error:
            self.failures.append(error)
            self._failed(error)
        finally:
            self.now = None
            self.at_work -= 1
            self.done += 1
