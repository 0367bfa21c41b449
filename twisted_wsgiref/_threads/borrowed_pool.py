"""A pool whose threads are somebody else's: jobs are given to it one by one, and it is neither started nor stopped."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from .jobs import Job


class Threads(Protocol):
    """The part of Twisted's `ThreadPool` that is used."""

    max: int

    def callInThread(self, func: Callable[[], object], /) -> object:
        """Have `func` called in one of the threads, now or when one is free."""


class BorrowedPool:
    """A `Pool` of the threads of `lender`, with at most `limit` jobs waiting. `failed` is as for `WorkerPool`.

    The number of threads, their start and their end are the lender's: a job that it never runs waits until it is
    answered without a thread, for it has waited too long. Called in the reactor's thread unless said otherwise.
    """

    def __init__(self, lender: Threads, limit: int, failed: Callable[[BaseException], None]) -> None:
        self._lender = lender
        self._limit = limit
        self._failed = failed
        self._jobs: deque[Job] = deque()
        self._due = 0  # jobs that the lender does not know of yet
        # A thread writes its own key alone, so no lock is needed.
        self._doing: dict[threading.Thread, Job] = {}
        self._stopped = False

    @property
    def size(self) -> int:
        """The most threads that the lender has."""
        return self._lender.max

    @property
    def threads(self) -> int:
        """As many: the lender starts one if a job comes and none is idle."""
        return self._lender.max

    @property
    def waiting(self) -> int:
        """The number of jobs that no thread has taken. Any thread may ask."""
        return len(self._jobs)

    def start(self) -> None:
        """Take jobs, also after `stop`. The lender starts its threads itself."""
        self._stopped = False

    def stop(self) -> None:
        """Take no more jobs; those that wait are still run."""
        self._stopped = True

    def put(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Do as `queue`, then `wake`, and return what `queue` does."""
        refused = self.queue(jobs)
        self.wake()
        return refused

    def queue(self, jobs: Sequence[Job], sparing: bool = False) -> Sequence[Job]:
        """Queue `jobs` in their order; return those for which there is no room. To be followed by `wake`.

        Which of its threads the lender wakes is not ours to say, `sparing` or not.
        """
        if self._stopped:
            return jobs
        room = max(0, self._limit + self.size - len(self._doing) - len(self._jobs))
        jobs, refused = jobs[:room], jobs[room:]
        self._jobs.extend(jobs)
        self._due += len(jobs)
        return refused

    def wake(self) -> bool:
        """Give the lender what was queued. Return False: nobody knows which of its threads is idle."""
        due, self._due = self._due, 0
        for _ in range(due):
            self._lender.callInThread(self._run)
        return False

    def spare_none(self) -> None:
        """Do nothing: no thread is spared."""

    def sweep(self) -> bool:
        """Return False: the lender wakes its own threads."""
        return False

    def when_low(self, callback: Callable[[], None], above: int) -> bool:
        """Return False: `callback` is never called."""
        return False

    def forget_low(self) -> None:
        """Do nothing: nobody is called."""

    def running(self) -> list[tuple[threading.Thread, Job]]:
        """Return which thread does what at this moment. Any thread may call."""
        return list(self._doing.items())

    def forked(self, heir: bool) -> None:
        """Know that no other thread is left. One that is no `heir` runs nothing more."""
        me = threading.current_thread()
        for thread in [each for each in self._doing if each is not me]:
            del self._doing[thread]
        if not heir:
            self._jobs.clear()
            self._stopped = True

    # ---- In a thread of the lender's ---------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            job = self._jobs.popleft()
        except IndexError:
            return  # the child of a fork runs nothing
        me = threading.current_thread()
        self._doing[me] = job
        try:
            job.run()
        except BaseException as error:
            self._failed(error)
        finally:
            self._doing.pop(me, None)
