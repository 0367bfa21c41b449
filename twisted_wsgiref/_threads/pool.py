"""The threads that run applications: a queue, and workers that wait for it.

Our own, and not `twisted.python.threadpool`: there each call costs a team, a lock and three context switches, and
stopping joins threads from the reactor, which never ends if one of them waits for the reactor. Here a reactor's turn
puts all that it gathered at once, and nothing is ever joined: the threads are daemons.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from .wake_signal import WakeSignal, make_wake_signal


class Job(Protocol):
    """What a worker does."""

    def run(self) -> None:
        """Do it, whatever happens. Called in a worker's thread."""


class Pool(Protocol):
    """What a service asks of its threads. All is called in the reactor's thread; `WorkerPool` says what each does."""

    @property
    def size(self) -> int:
        """How many threads there may be at the most."""

    @property
    def waiting(self) -> int:
        """How many jobs wait for a thread. Any thread may ask."""

    @property
    def threads(self) -> int:
        """How many threads there are now."""

    def start(self) -> None:
        """Start the threads that are always there."""

    def stop(self) -> None:
        """Let each thread end after what is queued."""

    def put(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Queue `jobs`, and have them run; return those for which there is no room."""

    def queue(self, jobs: Sequence[Job], sparing: bool = False) -> Sequence[Job]:
        """Queue `jobs`; return those for which there is no room. To be followed by `wake`.

        From now on, if it is `sparing`, jobs behind others wake no thread: `spare_none` has to be called in time.
        """

    def wake(self) -> bool:
        """Have what was queued run. Return whether a thread was waiting for it."""

    def spare_none(self) -> None:
        """Have the jobs that wait run on as many threads as there may be."""

    def grow(self) -> None:
        """Start threads for the jobs that none is free for."""

    def when_low(self, callback: Callable[[], None], above: int) -> bool:
        """Have `callback` called once no more than one job waits; return False if no more than `above` wait now."""

    def running(self) -> list[tuple[threading.Thread, Job]]:
        """Return which thread does what at this moment."""

    def forked(self, heir: bool) -> None:
        """Know that no other thread is left."""


class Jobs:
    """Jobs in their order, and the workers that wait for one.

    A job wakes one worker: the last that fell idle, whose memory is still in the processor's cache. (A `SimpleQueue`
    has all of them wait for the same lock: who gets it passes it on, and the next wakes for nothing.) Of many jobs each
    worker that takes one wakes the next.

    But while ``sparing`` none is woken for jobs behind others, and of several that are at work all but the last that
    took one fall idle. Should that one not be through soon, the others have to be woken from outside.

    No lock guards this: a worker first says that it waits and then looks for a job, and whether it is still spared;
    whoever puts one, or ends the sparing, does it first and then looks for who waits. `put`, `start` and `close` are
    called in one thread.
    """

    __slots__ = ("_closed", "_due", "idle", "last", "sparing", "waiting")

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

    def put(self, jobs: Sequence[Job]) -> None:
        """Add `jobs`, which `start` is to follow."""
        empty = not self.waiting
        self.waiting.extend(jobs)
        # Where some were waiting, somebody is on the way.
        self._due = self._due or not self.sparing or (empty and (self.last is None or self.last in self.idle))

    def start(self) -> bool:
        """Wake a worker for what was put, if one has to be. Return whether one was."""
        due, self._due = self._due, False
        return due and self.wake()

    def close(self) -> None:
        """Have `wait` return False once no job is left."""
        self._closed = True
        self.sparing = False
        while self.wake():
            pass

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

    # ---- In a worker's thread ----------------------------------------------------------------------------------

    def wait(self, signal: WakeSignal, timeout: float, spared: bool) -> bool:
        """Wait until there may be a job, for `timeout` seconds at most, -1: without an end.

        `signal` is the worker's own. Return False once the time is over, or no more will come. Who is
        `spared` leaves jobs that wait to another.
        """
        if self._closed:
            return False
        self.idle.append(signal)
        needless = not self.waiting or (spared and self.sparing)
        if needless and not self._closed and signal.acquire(True, timeout):
            return True
        try:
            self.idle.remove(signal)
        except ValueError:
            signal.acquire()  # somebody has taken it, and releases it now
            return True
        return bool(self.waiting)


class WorkerPool:
    """Threads named after their service, from `minimum` to `maximum`, before a queue of at most `limit` jobs.

    An extra thread ends after `idle` seconds without a job. `failed` is told of what a job raised, which it should
    not, and of a thread that could not be started. The methods are called in the reactor's thread.
    """

    def __init__(
        self,
        name: str,
        *,
        minimum: int,
        maximum: int,
        idle: float,
        limit: int,
        failed: Callable[[BaseException], None],
    ) -> None:
        self._name = name
        self._minimum = minimum
        self._maximum = max(minimum, maximum)
        self._idle = idle
        self._limit = limit
        self._failed = failed
        self._queue = Jobs()
        # What each thread does now. A worker writes its own key alone, so no lock is needed.
        self._doing: dict[threading.Thread, Job | None] = {}
        self._low: Callable[[], None] | None = None
        self._started = 0
        self._running = False
        self._stopped = False

    def start(self) -> None:
        """Start the threads that are always there; from now on more may be added. Also after `stop`."""
        if self._stopped:
            # Those of the life before may still be at a job: they end with their own queue.
            self._queue = Jobs()
            self._doing = {}
            self._stopped = False
        self._running = True
        while len(self._doing) < self._minimum:
            self._add_thread()

    def put(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Do as `queue`, then `wake`, and return what `queue` does."""
        refused = self.queue(jobs)
        self.wake()
        return refused

    def queue(self, jobs: Sequence[Job], sparing: bool = False) -> Sequence[Job]:
        """Queue `jobs` in their order; return those for which there is no room, or no thread any more.

        To be followed by `wake`. From now on, if it is `sparing`, jobs behind others wake no thread: `spare_none` has
        to be called in time.
        """
        if self._stopped:
            return jobs
        refused: Sequence[Job] = ()
        waiting = len(self._queue.waiting)
        if waiting + len(jobs) > self._limit:
            room = max(0, self._limit + self._count_idle() - waiting)
            jobs, refused = jobs[:room], jobs[room:]
        queue = self._queue
        queue.sparing = sparing
        queue.put(jobs)
        return refused

    def wake(self) -> bool:
        """Have what was queued taken by a thread that waits, or a new one. Return whether one waited."""
        queue = self._queue
        woken = queue.start()
        if len(self._doing) < self._maximum and not (queue.sparing and self._doing):
            self.grow()
        return woken

    def spare_none(self) -> None:
        """Have the jobs that wait run on as many threads as there may be."""
        self._queue.sparing = False
        self._queue.wake()  # each wakes the next
        self.grow()

    def when_low(self, callback: Callable[[], None], above: int) -> bool:
        """Have `callback` called, in a worker's thread, once no more than one job waits.

        Return False, and never call it, if no more than `above` jobs wait now; that is at least 1.
        """
        # First the mark, then the look: a worker that takes a job meanwhile does one of them after us.
        self._low = callback
        if len(self._queue.waiting) > above:
            return True
        self._low = None
        return False

    def grow(self) -> None:
        """Start threads for the jobs that none is free for, up to the maximum, or as many as are to be had now."""
        if self._stopped or not self._running:
            return
        missing = len(self._queue.waiting) - self._count_idle()
        try:
            for _ in range(min(missing, self._maximum - len(self._doing))):
                self._add_thread()
        except RuntimeError as error:
            self._failed(error)

    def stop(self) -> None:
        """Let each thread end after what is queued. Returns at once: a thread that hangs holds up nobody."""
        if not self._stopped:
            self._stopped = True
            self._queue.close()

    def forked(self, heir: bool) -> None:
        """Know that no thread but this one is left. An `heir` starts others with the next job, else none is run here.

        Called in the child of a fork.
        """
        if heir:
            waiting, self._queue = self._queue.waiting, Jobs()
            self._queue.waiting.extend(waiting)
            self._doing = {}
        else:
            # In place: a worker that comes back from what it runs looks at both, and ends.
            self._queue.desert()
            self._stopped = True
            me = threading.current_thread()
            for thread in [each for each in self._doing if each is not me]:
                del self._doing[thread]

    @property
    def size(self) -> int:
        """How many threads there may be at the most."""
        return self._maximum

    @property
    def threads(self) -> int:
        """How many threads there are now."""
        return len(self._doing)

    @property
    def waiting(self) -> int:
        """How many jobs wait for a thread. Any thread may ask."""
        return len(self._queue.waiting)

    def running(self) -> list[tuple[threading.Thread, Job]]:
        """Return which thread does what at this moment."""
        return [(thread, job) for thread, job in list(self._doing.items()) if job is not None]

    def _count_idle(self) -> int:
        return sum(job is None for job in list(self._doing.values()))

    def _add_thread(self) -> None:
        self._started += 1
        timeout = -1.0 if len(self._doing) < self._minimum else self._idle
        name = f"{self._name}-{self._started}"
        work = (self._queue, self._doing, timeout, make_wake_signal())
        thread = threading.Thread(target=self._work, args=work, name=name, daemon=True)
        self._doing[thread] = None
        try:
            thread.start()
        except RuntimeError:
            del self._doing[thread]
            raise

    # ---- In a worker's thread ----------------------------------------------------------------------------------

    def _work(self, jobs: Jobs, doing: dict[threading.Thread, Job | None], timeout: float, signal: WakeSignal) -> None:
        me = threading.current_thread()
        waiting, idle = jobs.waiting, jobs.idle
        job: Job | None
        spared = False
        while True:
            try:
                job = None if spared else waiting.popleft()
            except IndexError:
                job = None
            if job is None:
                if not jobs.wait(signal, timeout, spared):
                    # First out of the list, then a look at the queue: who put a job meanwhile saw either no idle
                    # thread, and has started one, or this one, which takes it.
                    del doing[me]
                    if jobs.last is signal:
                        jobs.last = None
                    if not waiting:
                        return
                    doing[me] = None
                spared = False
                continue
            jobs.last = signal
            doing[me] = job
            if waiting and idle and not jobs.sparing:
                jobs.wake()  # each wakes the next
            low = self._low
            if low is not None and len(waiting) <= 1:
                self._low = None
                low()
            try:
                job.run()
            except BaseException as error:
                self._failed(error)
            # Nothing of a finished request is kept until the next one comes.
            doing[me] = job = None
            spared = jobs.sparing and jobs.last is not signal
