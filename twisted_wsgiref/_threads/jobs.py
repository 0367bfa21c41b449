"""The queue of jobs before the workers, and how a worker that waits is woken for one.

The decision whether one worker is enough is made elsewhere (`schedule`); the threads are the pool's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from .marks import NO_GIL, fence
from .wake_signal import WakeSignal


class Job(Protocol):
    """What a worker does."""

    def run(self) -> None:
        """Do it, whatever happens. Called in a worker's thread."""


class Jobs:
    """Jobs in their order, and the workers that wait for one.

    A job wakes one worker: the last that fell idle, whose memory is still in the processor's cache. (A `SimpleQueue`
    has all of them wait for the same lock: who gets it passes it on, and the next wakes for nothing.) Of many jobs each
    worker that takes one wakes the next.

    But while ``sparing`` none is woken for jobs behind others, and of several that are at work all but the last that
    took one fall idle. Should that one not be through soon, the others have to be woken from outside.

    No lock guards this (`marks`): a worker first says that it waits and then looks for a job, and whether it is still
    spared; whoever puts one, or ends the sparing, does it first and then looks for who waits. `put`, `start`,
    `spare_none`, `ring` and `close` are called in one thread.
    """

    __slots__ = ("_closed", "_due", "_rung", "idle", "last", "sparing", "waiting")

    def __init__(self) -> None:
        #: Jobs that no worker has taken. Taken in a worker's thread.
        self.waiting: deque[Job] = deque()
        #: One for each worker that waits, which holds it; who takes it out of here releases it.
        self.idle: list[WakeSignal] = []
        #: Whether one worker is to be enough. Set in the reactor's thread, read in any.
        self.sparing = False
        #: Of the worker that took the last job, which will look for more before it waits. None if it has ended.
        self.last: WakeSignal | None = None
        self._closed = False
        self._due = False  # jobs were put before a worker that nobody has woken
        # Given once more than they were waited for, perhaps: by `ring`.
        self._rung: set[WakeSignal] = set()

    def put(self, jobs: Sequence[Job]) -> None:
        """Add `jobs`, which `start` is to follow."""
        empty = not self.waiting
        self.waiting.extend(jobs)
        if NO_GIL:
            fence()
        # If some were waiting, a worker is on its way.
        self._due = self._due or not self.sparing or (empty and (self.last is None or self.last in self.idle))

    def start(self) -> bool:
        """Wake a worker for what was put, if one has to be. Return whether one was."""
        due, self._due = self._due, False
        return due and self.wake()

    def close(self) -> None:
        """Have `wait` return False once no job is left."""
        self._closed = True
        self.sparing = False
        if NO_GIL:
            fence()
        while self.wake():
            pass

    def spare_none(self) -> None:
        """Wake one of those that were spared; each that takes a job wakes the next."""
        self.sparing = False
        if NO_GIL:
            fence()
        self.wake()

    def desert(self) -> None:
        """Give out no more jobs, and wake nobody: there is nobody. Called in the child of a fork."""
        self._closed = True
        self.sparing = False
        self.waiting.clear()
        self.idle.clear()

    def wake(self) -> bool:
        """Wake a worker that waits, if there is one. Called in any thread."""
        try:
            signal = self.idle.pop()
        except IndexError:
            return False
        signal.release()
        return True

    def ring(self, signal: WakeSignal) -> None:
        """Give `signal` again to a worker that waits for it and is not in ``idle``: it may have been lost."""
        self._rung.add(signal)
        try:
            signal.release()
        except RuntimeError:
            pass  # a lock that is free: its worker is on the way

    # ---- In a worker's thread ----------------------------------------------------------------------------------

    def wait(self, signal: WakeSignal, timeout: float, spared: bool) -> bool:
        """Wait until there may be a job, for `timeout` seconds at most, -1: without an end.

        `signal` is the worker's own. Return False once the time is over, or no more will come. A
        worker that is `spared` leaves jobs that wait to another.
        """
        if self._closed:
            return False
        self.idle.append(signal)
        if NO_GIL:
            fence()
        needless = not self.waiting or (spared and self.sparing)
        if needless and not self._closed and signal.acquire(True, timeout):
            if signal in self._rung:
                self._settle(signal)
            return True
        try:
            self.idle.remove(signal)
        except ValueError:
            signal.acquire()  # somebody has taken it, and releases it now
            return True
        return bool(self.waiting)

    def _settle(self, signal: WakeSignal) -> None:
        """Wait no more: what woke this worker was perhaps a ring too many, for which nobody has taken it out."""
        self._rung.discard(signal)
        try:
            self.idle.remove(signal)
        except ValueError:
            pass
