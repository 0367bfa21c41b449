"""The threads of a service, as its targets use them: what is queued, refused, watched, and given up.

Called in the reactor's thread, but for what says otherwise.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Final

from twisted_wsgiref._gateway.wsgi_exchange import WSGIExchange
from twisted_wsgiref._observe.busy import BusyWatch, summary
from twisted_wsgiref._observe.metrics import Meter
from twisted_wsgiref._observe.stacks import describe_threads, requests_of
from twisted_wsgiref._observe.tally import Tally
from twisted_wsgiref._observe.work import Work
from twisted_wsgiref._threads.jobs import Job
from twisted_wsgiref._threads.pool import WorkerPool
from twisted_wsgiref._threads.schedule import Schedule

from .residents import Residents
from .sample import Sample
from .streams import Streams

#: A request that runs for longer, in seconds, is in the log with its stack: most balancers have given up by then.
LONG: Final = 60.0


class Workers:
    """Runs exchanges by `schedule`, and looks after them. Several applications of a service share one.

    `say` writes a line into the log, `tally` sums up floods of them. `interrupts` says that an exchange whose time is
    over is interrupted: its thread may be free again soon.
    """

    def __init__(self, schedule: Schedule, tally: Tally, say: Callable[[str], None], *, interrupts: bool) -> None:
        self._schedule = schedule
        self._tally = tally
        self._say = say
        self._interrupts = interrupts
        self._unfit = False  # every thread is stuck, and that was said
        self._suspended: set[WSGIExchange] = set()
        self._busy = BusyWatch()
        self._stopped = False
        self._last: WorkerPool | None = None  # ends what is suspended when the threads have ended
        #: Counts refusals. None: nobody asks for numbers.
        self.meter: Meter | None = None
        self._sample: Sample | None = None
        #: Called when every thread is stuck: what a service may still do is end.
        self.on_unfit: Callable[[], object] = lambda: None
        #: Has an exchange run. No method of ours: this is a call for each request.
        self.submit: Callable[[WSGIExchange], None] = schedule.submit
        #: Has answers that are made in the reactor's thread leave together. Called before such an answer is put.
        self.hold_turn: Callable[[], None] = schedule.hold_turn
        #: Resources that begin and end with the server.
        self.residents = Residents()
        #: The bodies that the reactor makes.
        self.streams = Streams(schedule.wake, schedule.call_later, self.running)
        self.is_stopping = self.streams.is_stopping
        #: Has the reactor make a body.
        self.go_on = self.streams.go_on
        schedule.refused = self._refuse
        schedule.release = _let_leave

    def running(self) -> list[tuple[threading.Thread, WSGIExchange]]:
        """Return which thread runs which exchange at this moment. Any thread may call."""
        running = self._schedule.pool.running()
        return [(thread, job) for thread, job in running if isinstance(job, WSGIExchange)]  # every job is one

    def works(self) -> list[Work]:
        """Return what each thread that runs an exchange does. Any thread may call."""
        return [exchange.describe(thread) for thread, exchange in self.running()]

    def summary(self) -> str:
        """Return one line of how busy the threads are. Any thread may call."""
        return summary(self.works(), self._schedule.pool.size, self._schedule.pool.waiting)

    @property
    def stuck(self) -> int:
        """How many threads run a request whose time is over."""
        return sum(exchange.expired for _, exchange in self.running())

    def count_by(self, meter: Meter) -> None:
        """Have `meter` count from now on."""
        self.meter = meter
        self._sample = sample = Sample()
        self._schedule.turned = sample.take

    def sweep(self, now: float) -> bool:
        """See to what has changed, at `now` by the clock of the exchanges. To be called about once a second.

        Return whether a wake was lost, and is made up for.
        """
        if self._sample is not None:
            self._sample.begin_second()
        self._judge()
        self._watch_ages(now)
        pool = self._schedule.pool
        self._busy.look(now, self.works(), pool.size, pool.waiting)
        return pool.sweep()

    def start(self) -> None:
        """Know that there are threads, also after `stop`."""
        self._stopped = False

    def open(self) -> None:
        """Know that the server goes on, also after `retire`."""
        self.streams.open()
        self.residents.start()

    def retire(self, linger: float) -> None:
        """Know that the server stops; after `linger` seconds, end the bodies that would go on for ever."""
        self.streams.close_after(linger)
        self.residents.stop()

    def stop(self) -> None:
        """Know that the threads end, and leave nothing with the reactor."""
        self._stopped = True
        self.close()

    def close(self) -> None:
        """Leave nothing with the reactor. Exchanges may still come."""
        self._schedule.close()
        self.streams.cancel()

    def forked(self, heir: bool) -> None:
        """Know that no other thread is left; one that is no `heir` answers nobody."""
        if not heir:
            # Also those that no thread runs. They stay here: what a generator does at its end is not the child's to do.
            for exchange in [*self._suspended, *(exchange for _, exchange in self.running())]:
                exchange.forget()
        self._schedule.pool.forked(heir)

    # ---- As an `Overseer` of exchanges -------------------------------------------------------------------------

    def note_stuck(self, exchange: WSGIExchange) -> None:
        """Log what holds up `exchange`, whose time is over, and judge whether a thread is left for others."""
        self._describe(exchange, "a request took too long and was given up")
        if not self._interrupts:
            self._judge()  # else at the next sweep: an exception is on its way that may free the thread

    def note_hindered(self) -> None:
        """Log that an application was not interrupted, and why."""
        # Late: only a service that has asked for it needs ctypes.
        from twisted_wsgiref._gateway.interrupt import HINDERED

        self._tally.note(HINDERED)

    def note_suspended(self, exchange: WSGIExchange) -> None:
        """Keep `exchange`, which no thread runs now. Called in a worker's thread."""
        self._suspended.add(exchange)

    def note_going_on(self, exchange: WSGIExchange) -> None:
        """Let go of `exchange`, which its thread runs on. Called in a worker's thread."""
        self._suspended.discard(exchange)

    def resume(self, exchange: WSGIExchange) -> None:
        """Have `exchange` go on, with all others of this turn of the reactor."""
        self._suspended.discard(exchange)
        self._schedule.submit(exchange)

    # ---- For ourselves -----------------------------------------------------------------------------------------

    def _refuse(self, job: Job) -> None:
        """Answer 503 to `job`, for which there is no room, unless its answer has begun: then it goes on later."""
        if not isinstance(job, WSGIExchange):
            return  # nobody submits anything else
        if job.is_claimed():
            self._retry(job)
            return
        self._tally.note("a request was answered 503: the queue is full")
        if self.meter is not None:
            self.meter.refuse(503)
        if job.claim():
            job.connection.refuse_exchange(503)

    def _retry(self, exchange: WSGIExchange) -> None:
        if not self._stopped:
            self._schedule.retry(exchange)
            return
        # Its client is gone, and what is left to do is to close what the application returned.
        if self._last is None:
            failed = self._schedule.failed
            self._last = WorkerPool("last", minimum=0, maximum=1, idle=1.0, limit=sys.maxsize, failed=failed)
            self._last.start()
        self._last.put([exchange])

    def _judge(self) -> None:
        """Say so, once, if no thread is left for others."""
        unfit, self._unfit = self._unfit, self.stuck >= self._schedule.pool.size
        if self._unfit and not unfit:
            self._say("every thread is stuck")
            self.on_unfit()

    def _describe(self, exchange: WSGIExchange, what: str) -> None:
        running = [(thread, each) for thread, each in self.running() if each is exchange]
        if running:
            self._say(f"{what}\n{describe_threads(requests_of(running), only=True)}")
        else:  # it was suspended, and no thread was free to go on with it
            self._say(f"{what}: {ascii(exchange.head.request_line)[1:-1]} waited for a thread to go on")

    def _watch_ages(self, now: float) -> None:
        """Log the stack of each request that runs for long, once: where it hangs is what one wants to know later."""
        for _, exchange in self.running():
            since = exchange.at_work_since
            if not exchange.watched and now - since > LONG:
                exchange.watched = True
                self._describe(exchange, f"a request has been running for {now - since:.0f} s")


def _let_leave(job: Job) -> None:
    """Have the first block of `job`, an exchange, leave if it is kept."""
    if isinstance(job, WSGIExchange):
        job.outlet.take_over()
