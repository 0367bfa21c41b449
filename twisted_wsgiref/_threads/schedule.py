"""What is done after a turn of reading, and until the next: it is all decided here, and each number stands here once.

A turn of reading brings requests, which are jobs. When the turn is over, the reactor's thread decides in this order:

1. Is one worker enough (decision 13)? Then the others are spared, and somebody looks after `PAUSE` whether it still is.
2. Do more jobs wait than there are workers for them (decision 9)? Then nothing is read until no more than one waits, or
   for `PAUSE`; and if the jobs were slow, answers leave together meanwhile (decision 12).
3. A worker is woken if one waits. It comes last, since a worker that begins before answers are held sends them one by
   one.
4. If one was woken, it goes first: the reactor's thread gives up the processor (decision 14).

How it is done is not written here: `pool` queues jobs and wakes workers, `answer_batch` collects answers, and whoever
reads (`TurnReader`) stops and goes on. No HTTP and no Twisted. Each class here is of the reactor's thread, but for the
one method that says otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from math import inf
from time import monotonic, process_time
from typing import Final, Protocol

from .answer_batch import AnswerBatch
from .jobs import Job
from .marks import NO_GIL
from .pool import Pool

#: A job that takes less, in seconds, is quick. A thread of its own costs more than it brings: the switch is a good part
#: of so short a time. And its answer is made before a client has done with the answer before it: no client sleeps, so
#: there is none that a batch of answers could wake with one call.
QUICK: Final = 40e-6
#: The longest, in seconds, that nothing is read, that an answer waits for others, and that a job waits behind another
#: while workers are idle. So nothing that a read tells (a client has left, a head has come in time) is later than this.
PAUSE: Final = 0.002

# Whether one worker is enough is judged no more often, in seconds: this is some turns of a busy reactor.
_WINDOW: Final = 0.001
# A process that takes less than this part of a processor's time waits for something, and one more worker could work.
_BUSY: Final = 0.9
# If one worker was not enough, and jobs have waited, it is not tried again for so many times as long: what is lost by
# waiting for a slow job stays a twentieth of the time.
_CAUTION: Final = 20

# If others took longer than this, in seconds, it was no few quick jobs, but one that computes, or another process.
_LONG: Final = 0.0005
# If this process got less than this part of a processor's time meanwhile, it has let another process go first.
_OWN: Final = 0.5
# If it took long, it is not tried again for so many times as long: no more than a hundredth of the time is lost.
_RELUCTANCE: Final = 100

_sched_yield: Final[Callable[[], None]] = getattr(os, "sched_yield", lambda: None)


class Pace:
    """Judges whether one worker is enough: if jobs are quick, and the processor is busy with them.

    Threads help an application that waits. One that computes has one of them run at a time, and if its jobs are small,
    it costs a good part of each to have another thread take turns with the first. Without a GIL one is never enough.
    `cpu_clock` returns the seconds of a processor's time that the process took; `now` is by any clock in seconds.
    """

    __slots__ = ("_cpu", "_cpu_clock", "_not_before", "_since", "_taken", "_verdict")

    def __init__(self, now: float, cpu_clock: Callable[[], float]) -> None:
        self._cpu_clock = cpu_clock
        self._since = self._not_before = now
        self._cpu = cpu_clock()
        self._taken = 0
        self._verdict = False

    def is_one_enough(self, now: float, taken: int, waiting: int) -> bool:
        """Judge by how many jobs were `taken` in all, and how many are `waiting`."""
        passed = now - self._since
        if passed >= _WINDOW and not NO_GIL:
            cpu = self._cpu_clock()
            quick = passed < QUICK * (taken - self._taken) and cpu - self._cpu > _BUSY * passed
            if self._verdict and waiting and not quick:
                self._not_before = now + _CAUTION * passed
            self._verdict = quick and now >= self._not_before
            self._since = now
            self._cpu = cpu
            self._taken = taken
        return self._verdict


class Precedence:
    """Lets a worker that was woken go before the reactor, if that is quick.

    When the reactor has passed jobs on, the rest of its turn can wait. If it does not wait, it reads one by one what
    comes meanwhile. If it does, the worker is through first, and all that its clients ask next is read together.
    `give_way` gives up the interpreter and the processor.
    """

    __slots__ = ("_clock", "_cpu_clock", "_give_way", "_not_before")

    def __init__(
        self, clock: Callable[[], float], cpu_clock: Callable[[], float], give_way: Callable[[], None] = _sched_yield
    ) -> None:
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._give_way = give_way
        self._not_before = -inf

    def grant(self, nothing_else: bool) -> None:
        """Let others go first, unless that took long a while ago.

        If the reactor has `nothing_else` to do before they are through, it may take as long as they are this process's
        own.
        """
        before = self._clock()
        if before < self._not_before:
            return
        cpu = self._cpu_clock() if nothing_else else 0.0  # the kernel is asked for it
        try:
            self._give_way()
        except OSError:  # a sandbox may forbid it
            self._not_before = inf
            return
        after = self._clock()
        passed = after - before
        if passed > _LONG and not (nothing_else and self._cpu_clock() - cpu > _OWN * passed):
            self._not_before = after + _RELUCTANCE * passed


class TurnReader(Protocol):
    """Whoever reads many sockets in one turn, and calls `Schedule.flush` at its end."""

    @property
    def turning(self) -> bool:
        """Whether a turn is under way, at the end of which `Schedule.flush` will be called."""

    @property
    def may_pause(self) -> bool:
        """Whether something is read, and has been since the last pause."""

    def pause(self, seconds: float) -> None:
        """Read nothing until `resume`, or for so many `seconds`; then call `Schedule.resumed`."""

    def resume(self) -> None:
        """Read again, if nothing is read now."""


class NoTurnReader:
    """Stands for `TurnReader` if transports read for themselves: there is nothing to pause."""

    turning = False
    may_pause = False

    def pause(self, seconds: float) -> None:
        """Do nothing."""

    def resume(self) -> None:
        """Do nothing."""


class Delayed(Protocol):
    """A call that a reactor will make later."""

    def cancel(self) -> object:
        """Have it not made."""

    def active(self) -> bool:
        """Return whether it is still to come."""


class Schedule:
    """Gives the jobs of each turn of reading to the workers of `pool`, and decides all that follows from it.

    `wake` has a function called in the reactor's thread; `call_later` is the reactor's; `failed` is told of what
    sending an answer raised, which it should not; `clock` returns seconds, `cpu_clock` the processor's time that the
    process took, in seconds.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        wake: Callable[[Callable[[], None]], object],
        call_later: Callable[[float, Callable[[], None]], Delayed],
        failed: Callable[[BaseException], None],
        clock: Callable[[], float] = monotonic,
        cpu_clock: Callable[[], float] = process_time,
    ) -> None:
        #: The answers that leave together.
        self.batch = AnswerBatch(failed)
        #: Told of what a job raised, which it should not.
        self.failed = failed
        #: Whatever reads the sockets, and is paused.
        self.reading: TurnReader = NoTurnReader()
        #: Called with each job that there is no room for.
        self.refused: Callable[[Job], object] = lambda job: None
        #: Called with the jobs of each turn, before they are queued; None: nobody wants to know.
        self.turned: Callable[[list[Job]], object] | None = None
        #: Called with each job that runs at the end of a pause: what it has kept back has to leave.
        self.release: Callable[[Job], object] = lambda job: None
        self.pool = pool
        #: Has a function called in the reactor's thread.
        self.wake = wake
        #: The reactor's.
        self.call_later = call_later
        self._clock = clock
        self._pace = Pace(clock(), cpu_clock)
        self._precedence = Precedence(clock, cpu_clock)
        self._gathered: list[Job] = []
        self._queued = 0  # jobs that were given to the workers so far
        self._sparing = False  # one worker is enough
        self._next_look: Delayed | None = None
        self._paused_at = -inf  # when the last pause began; as long as there was none, jobs are taken for slow
        self._came = 0  # jobs since then
        self._holds_turn = False  # answers made in this turn of reading leave at its end
        self._next_try: Delayed | None = None

    # ---- A turn of reading -------------------------------------------------------------------------------------

    def submit(self, job: Job) -> None:
        """Have `job` run by a worker: with all others of this turn of the reactor, and so with one wake."""
        gathered = self._gathered
        if not gathered and not self.reading.turning:
            self.call_later(0, self.flush)
        gathered.append(job)

    def retry(self, job: Job) -> None:
        """Have `job`, which was refused but has to be run, go before all that is submitted after this."""
        if self._next_try is None:
            self._next_try = self.call_later(PAUSE, self._flush_refused)
        self._gathered.append(job)

    def _flush_refused(self) -> None:
        self._next_try = None
        self.flush()

    def hold_turn(self) -> None:
        """Have answers wait until all sockets of this turn are read. Called by whoever answers in the reactor's thread.

        Each would else wake a client that has gone to sleep while the next socket was read.
        """
        if self.reading.turning and not self.batch.held:
            self.batch.held = self._holds_turn = True

    def flush(self) -> None:
        """Decide what follows this turn, as the head of this file says, and do it."""
        if self._holds_turn:
            self._holds_turn = False
            self.resumed()
        jobs = self._gathered
        if not jobs:
            return
        self._gathered = []
        pool = self.pool
        now = self._clock()
        waiting = pool.waiting
        count = len(jobs)
        if self.turned is not None:
            self.turned(jobs)
        self._sparing = sparing = self._pace.is_one_enough(now, self._queued - waiting, waiting)
        refused = pool.queue(jobs, sparing)
        self._queued += count - len(refused)
        self._came += count
        paused = False
        try:
            if sparing and self._next_look is None and len(refused) < count:
                self._next_look = self.call_later(PAUSE, self._look)
            if waiting + count > 1:  # no worker can be behind with one
                paused = self._pause(now, waiting + count)
        finally:
            woken = pool.wake()
        if woken:
            self._precedence.grant(paused)
        for job in refused:
            self.refused(job)

    # ---- While more jobs wait than there are workers -----------------------------------------------------------

    def _pause(self, now: float, most: int) -> bool:
        """Have nothing read if more jobs wait than there are workers for them. Return whether that is so.

        `most` is how many can be waiting. While one worker is enough, it is the only one there is.
        """
        pool, reading = self.pool, self.reading
        workers = 1 if self._sparing else pool.threads
        if most <= workers or not reading.may_pause or not pool.when_low(self._ran_low, workers):
            return False
        reading.pause(PAUSE)
        self.batch.held = now - self._paused_at > QUICK * self._came
        self._paused_at = now
        self._came = 0
        return True

    def _ran_low(self) -> None:
        """Have answers leave, and more be read: no more than one job waits. Called in a worker's thread."""
        self.batch.leave()
        self.wake(self.reading.resume)

    def resumed(self) -> None:
        """Have all answers leave that are kept back: a pause is over."""
        self.pool.forget_low()  # or a worker would wake the reactor for nothing
        self.batch.release()
        for _, job in self.pool.running():
            self.release(job)

    # ---- While one worker is enough ----------------------------------------------------------------------------

    def _look(self) -> None:
        """See to it that no job waits behind one that takes its time, while workers are idle."""
        self._next_look = None
        waiting = self.pool.waiting
        if waiting and self._sparing:
            self._sparing = self._pace.is_one_enough(self._clock(), self._queued - waiting, waiting)
            if self._sparing:
                self._next_look = self.call_later(PAUSE, self._look)
            else:
                self.pool.spare_none()

    # ---- The end -----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Leave nothing with the reactor. Jobs may still come."""
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None
        if self._next_try is not None:
            self._next_try.cancel()
            self._flush_refused()
