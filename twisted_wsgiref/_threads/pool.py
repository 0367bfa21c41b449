"""The threads that run applications: workers before a queue (`jobs`).

Our own, and not `twisted.python.threadpool`: there each call costs a team, a lock and three context switches, and
stopping joins threads from the reactor, which never ends if one of them waits for the reactor. Here a reactor's turn
puts all that it gathered at once, and nothing is ever joined: the threads are daemons.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from .jobs import Job, Jobs
from .marks import NO_GIL, fence
from .wake_signal import WakeSignal, make_wake_signal


class Pool(Protocol):
    """The threads of a service, as it uses them. The reactor's thread calls all; `WorkerPool` says what each does."""

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

    def sweep(self) -> bool:
        """Start threads that could not be started, and wake those that were forgotten. Return whether one was.

        To be called about once a second.
        """

    def when_low(self, callback: Callable[[], None], above: int) -> bool:
        """Have `callback` called once no more than one job waits; return False if no more than `above` wait now."""

    def forget_low(self) -> None:
        """Call nobody once no more than one job waits."""

    def running(self) -> list[tuple[threading.Thread, Job]]:
        """Return which thread does what at this moment."""

    def forked(self, heir: bool) -> None:
        """Know that no other thread is left."""


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
        self._signals: dict[threading.Thread, WakeSignal] = {}
        self._suspect: Job | None = None  # it waited at the last sweep, and a thread was idle
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
            self._signals = {}
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
            self._grow()
        return woken

    def spare_none(self) -> None:
        """Have the jobs that wait run on as many threads as there may be."""
        self._queue.spare_none()
        self._grow()

    def when_low(self, callback: Callable[[], None], above: int) -> bool:
        """Have `callback` called, in a worker's thread, once no more than one job waits.

        Return False, and never call it, if no more than `above` jobs wait now; that is at least 1.
        """
        # First the mark, then the look: a worker that takes a job meanwhile does one of them after us.
        self._low = callback
        if NO_GIL:
            fence()
        if len(self._queue.waiting) > above:
            return True
        self._low = None
        return False

    def forget_low(self) -> None:
        """Call nobody once no more than one job waits. A worker that has just seen the mark may call all the same."""
        self._low = None

    def _grow(self) -> None:
        """Start threads for the jobs that none is free for, up to the maximum, or as many as are to be had now."""
        if self._stopped or not self._running:
            return
        missing = len(self._queue.waiting) - self._count_idle()
        try:
            for _ in range(min(missing, self._maximum - len(self._doing))):
                self._add_thread()
        except RuntimeError as error:
            self._failed(error)

    def sweep(self) -> bool:
        """Start threads that could not be started, and wake those that were forgotten. Return whether one was.

        A job is forgotten if two sweeps in a row find it at the head of the queue, and find a thread idle. That means
        that a wake was lost, that nobody has ended the sparing in time, or that the system ran no thread for so long.
        """
        self._grow()
        head = self._find_head_beside_idle()
        forgotten = head is not None and head is self._suspect
        self._suspect = None if forgotten else head
        if forgotten:
            for thread, job in list(self._doing.items()):
                signal = self._signals.get(thread)
                if job is None and signal is not None and signal not in self._queue.idle:
                    self._queue.ring(signal)
            self.spare_none()
        return forgotten

    def _find_head_beside_idle(self) -> Job | None:
        if not self._count_idle():
            return None
        try:
            return self._queue.waiting[0]
        except IndexError:
            return None

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
            self._signals = {}
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
        signal = make_wake_signal()
        work = (self._queue, self._doing, self._signals, timeout, signal)
        thread = threading.Thread(target=self._work, args=work, name=name, daemon=True)
        self._doing[thread] = None
        self._signals[thread] = signal
        try:
            thread.start()
        except RuntimeError:
            del self._doing[thread], self._signals[thread]
            raise

    # ---- In a worker's thread ----------------------------------------------------------------------------------

    def _work(
        self,
        jobs: Jobs,
        doing: dict[threading.Thread, Job | None],
        signals: dict[threading.Thread, WakeSignal],
        timeout: float,
        signal: WakeSignal,
    ) -> None:
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
                    if NO_GIL:
                        fence()
                    if jobs.last is signal:
                        jobs.last = None
                    if not waiting:
                        signals.pop(me, None)
                        return
                    doing[me] = None
                spared = False
                continue
            jobs.last = signal
            doing[me] = job
            if waiting and idle and not jobs.sparing:
                jobs.wake()  # each wakes the next
            if NO_GIL:
                fence()
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
