"""The deadlines of one connection: what it waits for, how far that has come, and the end of a wait that is too long.

`Deadlines` measures; `WatchedConnection` says what there is to measure. It is the half of a connection that only the
sweep calls, once a second. It finds the `Phase` by looking at the connection, and keeps it nowhere: so there is no
second state that could differ from the first. All is called in the reactor's thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .deadlines import Deadlines, Phase
from .ending import EndingConnection
from .reading import PIPE_FULL, PIPELINED
from .transports import close, peer_name

if TYPE_CHECKING:
    from twisted_wsgiref._http.reader import HeadReader

    from .answer_queue import AnswerQueue
    from .handed_over import HandedOver
    from .sender import Sender
    from .upgrade_socket import SocketPump

# In these phases a connection may go for another at the limit: nothing whole has come that would be lost.
_EXPENDABLE: Final = (Phase.HANDSHAKE, Phase.FRESH, Phase.IDLE, Phase.HEAD)
_UNANSWERED: Final = (Phase.BODY, Phase.QUEUED, Phase.RUNNING, Phase.STREAMING, Phase.SENDING)


class WatchedConnection(EndingConnection):
    """A connection of `factory` as its sweep sees it. A subclass reads and answers."""

    _sender: Sender | None = None  # made when the reactor has something to send
    takes_place = False  # of a connection that was counted
    _suspect = False  # the last sweep found something to do, and nobody about to do it
    _suspected: float | None = None  # the request that was the last then

    # What the connection is at, as the subclass leaves it.
    _deadlines: Deadlines
    _reader: HeadReader
    _queue: AnswerQueue
    _handed_over: HandedOver | None
    _pump: SocketPump | None
    _secured: bool
    _shaking: bool
    _served: bool
    _closed: bool
    _lost: bool

    def __repr__(self) -> str:
        # In any thread, and before or after the transport was here: what has changed meanwhile is told as it was.
        name = type(self).__name__
        if self.transport is None:
            return f"<{name} not connected>"
        peer = peer_name(self.transport)
        if self._lost:
            return f"<{name} {peer} lost>"
        phase, deadlines = self._look()[0], self._deadlines
        since = f" since {self.factory.clock() - deadlines.since:.0f} s" if deadlines.phase is phase else ""
        return f"<{name} {peer} {phase.name}{since}>"

    # ---- What the subclass does ----------------------------------------------------------------------------------

    def _go_on(self) -> None:
        raise NotImplementedError

    def send_on(self) -> None:
        raise NotImplementedError

    # ---- What the reactor sends ----------------------------------------------------------------------------------

    @property
    def _is_stalled(self) -> bool:
        """Whether the client has to read before more can be sent."""
        sender = self._sender  # once: this is asked in any thread
        return sender is not None and sender.busy

    @property
    def _sent(self) -> int:
        """How many bytes the reactor has sent."""
        sender = self._sender
        return 0 if sender is None else sender.sent

    # ---- Called by the factory -----------------------------------------------------------------------------------

    @property
    def expendable_since(self) -> float | None:
        """Since when the rest of a handshake or head, or its first byte, is waited for, by the factory's clock.

        Or since when a client was seen to stay though all is sent. None where a whole request has come, or the end is
        near: such a connection does not go for another.
        """
        deadlines = self._deadlines
        if self._exchange is not None:
            return None
        # Not as the deadlines know it: a request that was answered since the last sweep would count as one in flight.
        phase = self._look()[0]
        if phase is Phase.CLOSING:
            # A sweep has seen it so: a client has had a moment to read its answer, which a reset would take from it.
            return deadlines.since if deadlines.phase is phase and self._exit is not None else None
        unread = phase is Phase.HEAD and deadlines.phase is not phase  # perhaps a whole request
        return deadlines.since if phase in _EXPENDABLE and not unread else None

    @property
    def is_unanswered(self) -> bool:
        """Whether a request whose head has come is not answered to its end."""
        return self._pump is None and self._look()[0] in _UNANSWERED

    def retire(self) -> None:
        """Make the answer that is being made, or the next that is on its way, the last one of this connection."""
        self._deadlines.change(self.factory.last_limits)
        if self._handed_over is not None:
            self._handed_over.ask_to_close()
        exchange = self._exchange  # once: a worker may take it away at any moment
        if exchange is not None:
            exchange.last = True

    def resume(self) -> None:
        """Take further requests after all, where no answer has said that none will be."""
        self._deadlines.change(self.factory.limits)
        exchange = self._exchange
        if exchange is not None:
            exchange.last = False

    def sweep(self, now: float) -> None:
        """Keep the deadlines; `now` is by the factory's clock. Called about once a second."""
        exchange, census, deadlines = self._exchange, self.factory.census, self._deadlines
        if exchange is None and not self._reader.buffer and not self._closing:
            calm = deadlines.calm(now)
            if calm is not None:  # as most of ten thousand are: so this has to be short
                if census is not None:
                    census.note(calm, now)
                return
        phase, progress = self._look()
        if census is not None:
            census.note(phase, deadlines.request or now)
        if self._is_forgotten(phase, progress):
            self._suspect = not self._suspect or self._suspected != self._deadlines.request
            if self._suspect:
                self._suspected = self._deadlines.request
                return  # a wake may be on its way; if not, the next sweep finds the same, and no request between
            self._make_up()
        elif self._suspect:
            self._suspect = False
        if self._handed_over is not None and self.factory.draining:
            self._handed_over.ask_to_close()  # it has changed hands during the stop, or could not be asked before
        if phase is Phase.BODY and self._reading.waits:
            self._deadlines.reset()  # it is us who hold it up
        elif self._half_closed and exchange is not None and exchange.is_abandoned():
            self.cut_off()
        elif deadlines.is_late(phase, now, progress):
            self._give_up(phase)

    def _is_forgotten(self, phase: Phase, progress: int) -> bool:
        """Return whether there is something to do in the reactor's thread, and nothing to wait for."""
        if self._closing or self._handed_over is not None:
            return False
        if self._exchange is None:
            # Whoever looks at a head that is not whole starts its deadline.
            unread = phase is Phase.HEAD and self._deadlines.phase is not phase
            return unread or bool(self._reading.waits & (PIPELINED | PIPE_FULL))
        return self._queue.has_more and not self._is_stalled and self._deadlines.has_stood(phase, progress)

    def _make_up(self) -> None:
        """Do what was forgotten: a wake was lost."""
        if self._exchange is None:
            self.factory.note_forgotten("what a client had sent was not looked at")
            self._go_on()
        else:
            self.factory.note_forgotten("an answer was not sent on")
            self.factory.batch.leave()
            self._queue.take_over()
            self.send_on()

    def _look(self) -> tuple[Phase, int]:
        """Return what is waited for, and how far it has come."""
        exchange = self._exchange
        if self._closing or self._handed_over is not None:
            return self._look_elsewhere()
        if exchange is None:
            phase = self._incoming.phase
            if not self._secured:
                phase = Phase.HANDSHAKE
            elif phase is Phase.IDLE and not self._served:
                phase = Phase.FRESH
            return phase, self._incoming.progress if phase is Phase.BODY else 0
        if not exchange.is_claimed():
            return Phase.QUEUED, 0
        if self._queue.pending or self._is_stalled:
            return Phase.SENDING, self._sent
        if self._incoming.pipe is not None and not self._reading.waits & PIPE_FULL:
            return Phase.BODY, self._incoming.progress
        phase = Phase.STREAMING if exchange.holds_no_thread() else Phase.RUNNING
        # What a worker sends by itself is the first block.
        return phase, self._sent + exchange.begun

    def _look_elsewhere(self) -> tuple[Phase, int]:
        """Return what is waited for, if no answer of ours is."""
        if self._closing:
            return Phase.CLOSING, 0
        pump = self._pump
        return (Phase.SENDING, pump.freed) if pump is not None and pump.held else (Phase.HANDED_OVER, 0)

    def _give_up(self, phase: Phase) -> None:
        """End what has been waited for too long."""
        exchange = self._exchange
        if phase is Phase.QUEUED:
            if exchange is not None and exchange.claim():
                self.factory.note_refusal(
                    0, "a request was answered 503: no thread was free within queue_age", "queue_age"
                )
                self.refuse_exchange(503)
        elif phase is Phase.HEAD:
            self._refuse(408, "the request head did not arrive in time")
        elif phase is Phase.BODY:
            self._give_up_body()
        elif phase is Phase.RUNNING:
            self._expire()
        elif phase is Phase.SENDING:
            self.factory.note_refusal(0, "a client took nothing of its answer", "slow_reader")
            self.cut_off()
        elif phase is Phase.HANDSHAKE or self._closed:
            if self._shaking and not self._secured:
                self._note_handshake("it was not over in time")
            self.cut_off()
        else:
            # The kernel goes on sending what it has of the last answer. If the transport itself still holds bytes that
            # nobody reads, the connection stays, and is cut off the next time.
            self._closing = self._closed = True
            self._deadlines.reset()
            close(self.transport)

    def _note_handshake(self, why: str) -> None:
        self.factory.note_shaken(False)
        self.factory.note_refusal(0, f"a TLS handshake failed: {why}")

    def _give_up_body(self) -> None:
        if self._exchange is None:
            self._refuse(408, "the request body came too slowly")
        else:
            self.factory.note_refusal(408, "the request body came too slowly")
            self._lose_exchange(408)
            self._incoming.close()

    def _expire(self) -> None:
        """Answer instead of an application that takes too long; its thread is free when it notices."""
        exchange = self._exchange
        if exchange is not None and not exchange.expired:
            exchange.cut = exchange.expired = True  # in this order: whoever is interrupted has to find it given up
            exchange.expire()
            self.factory.count_refusal(504)
            self._lose_exchange(504)
            # The body is left to the thread that may be reading it: to close it would wait for that read.
            if self._incoming.pipe is not None:
                self._incoming.close()
            # Now that every block meets `ClientGone`: nothing of the connection can be interrupted any more.
            exchange.interrupt_run()
