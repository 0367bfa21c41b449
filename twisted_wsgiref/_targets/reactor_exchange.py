"""A request that is answered in the reactor's thread: by a resource, by files, by whatever holds no thread."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, cast

from twisted_wsgiref._gateway.exchange import Common, Exchange
from twisted_wsgiref._observe.log import logger

if TYPE_CHECKING:
    from twisted.internet.interfaces import IProtocol, ITransport

    from twisted_wsgiref._gateway.file_span import FileSpan
    from twisted_wsgiref._http.response import Fields

_log = logger(__name__)


class ReactorExchange(Exchange):
    """An exchange whose answer is made in the reactor's thread, by its ``answer``."""

    __slots__ = ("answer",)

    answer: ReactorAnswer

    # ---- Called by the connection ------------------------------------------------------------------------------

    def expire(self) -> None:
        """Log which request it was."""
        head = self.head
        _log.info(
            "a request took too long and was given up: {line}", line=head.request_line, request_id=head.request_id
        )

    def is_abandoned(self) -> bool:
        """Return whether its client has closed its half, and has had the time to be answered."""
        return self.left and not self.answer.is_over and not self.is_waited_for()

    def give_up(self) -> None:
        """Tell whoever answers that nobody takes the answer any more."""
        self.answer.lose()


class ReactorAnswer:
    """The way out of `exchange`, for whoever answers it in the reactor's thread. All is called there.

    ``on_lost`` is called, once, if the client leaves, or was answered by somebody else, before the answer has ended.
    """

    __slots__ = ("_exchange", "_over", "on_lost")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._over = False
        self.on_lost: Callable[[], object] = _do_nothing

    @property
    def is_over(self) -> bool:
        """Whether the answer has ended, or was given up."""
        return self._over

    def begin(self, status: str, fields: Fields) -> None:
        """Set the head, which leaves with the first block. The fields are checked (`format_fields`)."""
        self._exchange.begin(status, fields)

    def block(self, data: bytes) -> bool:
        """Put a block of the body, the head before it; an empty one has the head leave.

        Return False while more is queued than the high-water mark allows. Raises `ClientGone`, and `ValueError` beyond
        the Content-Length.
        """
        self._exchange.block(data, wait=False)
        return not self._exchange.outlet.is_full

    def when_room(self, call: Callable[[], None]) -> None:
        """Have `call` called, once, when half of the high-water mark is free; at once, if it is."""
        self._exchange.outlet.when_room(call)

    def whole(self, status: str, fields: Fields, body: bytes) -> None:
        """Send an answer that is all there. Raises `ClientGone`, and `ValueError` if its length is not as given."""
        try:
            self._exchange.whole(status, fields, body)
        finally:
            self._finish()

    def file(self, status: str, fields: Fields, span: FileSpan) -> None:
        """Send a part of a file behind its head, and close `span`.

        Raises `ClientGone`, `ValueError`, and `OSError` if the file can not be read, and cuts then.
        """
        try:
            self._exchange.file(status, fields, span)
        except OSError:
            self._exchange.break_off()
            raise
        finally:
            self._finish()

    def end(self) -> None:
        """Say that the body is whole. Raises `ClientGone`, and `ValueError` if it is too short, and cuts then."""
        try:
            self._exchange.end()
        except ValueError:
            self._exchange.cut = True
            raise
        finally:
            self._finish()

    def close_after(self) -> None:
        """Make this the last answer of its connection. Does nothing once the head is out."""
        self._exchange.last = True

    def refuse(self, status: int) -> None:
        """Answer `status` instead; have the connection cut if the head is out."""
        exchange = self._exchange
        if self._over:
            return
        if exchange.begun:
            self.cut()
            return
        self._over = True
        exchange.close()
        exchange.connection.refuse_exchange(status)

    def cut(self) -> None:
        """Take nothing more, and have the connection cut, so that nobody takes what is out for a whole answer."""
        self._exchange.break_off()
        self._finish()

    def upgrade(self, protocol: IProtocol) -> ITransport:
        """Give the connection to `protocol`, which calls itself connected; return the transport for it.

        No answer of ours goes out any more. Raises `RuntimeError` if it can not be given away.
        """
        return self._exchange.connection.hand_over(self._exchange, protocol)

    def lose(self) -> None:
        """Learn that nobody takes the answer any more. Called by the exchange."""
        if self._over:
            return
        try:
            self.on_lost()
        except Exception:
            _log.failure("whoever answers a request failed to hear that its client is gone")
        self._finish()

    def _finish(self) -> None:
        """Give the connection back, once."""
        if self._over:
            return
        self._over = True
        exchange = self._exchange
        exchange.finish()


class ReactorTarget:
    """A `Target` that answers by calling `answer` with each exchange and its way out, in the reactor's thread.

    What that raises is logged, and the client gets 500. With `collects` the body is whole by then. `way_out` makes the
    way out.
    """

    streams = False

    def __init__(
        self,
        common: Common,
        answer: Callable[[ReactorExchange, ReactorAnswer], object],
        *,
        collects: bool = False,
        way_out: Callable[[Exchange], ReactorAnswer] = ReactorAnswer,
    ) -> None:
        self.collects = collects
        self._way_out = way_out
        self.prepare: Callable[..., Exchange] = partial(ReactorExchange, common)
        self._answer = answer

    def start(self, exchange: Exchange) -> None:
        """Have it answered."""
        exchange = cast("ReactorExchange", exchange)  # it is given what `prepare` has made, and nothing else
        exchange.claim()
        exchange.started = exchange.started or exchange.received  # it waits for no thread
        exchange.weight = exchange.weight or 1
        exchange.answer = way_out = self._way_out(exchange)
        try:
            self._answer(exchange, way_out)
        except Exception:
            head = exchange.head
            _log.failure("what is mounted failed, at {line}", line=head.request_line, request_id=head.request_id)
            way_out.refuse(500)


def _do_nothing() -> None:
    """Nobody wants to know."""
