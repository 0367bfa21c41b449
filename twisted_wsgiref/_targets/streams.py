"""Bodies that the reactor makes: an `AsyncBody` each, for the answer to a request or a thread that iterates it.

What lives here: when a body begins, how it ends, and what follows when its client leaves, when it fails, and when the
server stops. How blocks are drawn from what an application gave is `block_sources`' business. Called in the reactor's
thread, but for what says otherwise.
"""

from __future__ import annotations

import threading
from asyncio import CancelledError as TaskCancelled
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, Protocol

from twisted.internet.defer import CancelledError
from twisted.python.threadable import isInIOThread

from twisted_wsgiref._gateway.async_body import AsyncBody, hosts
from twisted_wsgiref._gateway.client_gone import ClientGone
from twisted_wsgiref._gateway.exchange import Exchange
from twisted_wsgiref._gateway.wsgi_exchange import WSGIExchange

from .block_sources import Sink, draw
from .coroutines import run
from .reactor_exchange import ReactorAnswer

if TYPE_CHECKING:
    from twisted_wsgiref._threads.schedule import Delayed

# What an end from outside looks like to those that it ends.
_ENDED: Final = (CancelledError, TaskCancelled, ClientGone, GeneratorExit)


class _End:
    """Stands for the end of the blocks."""


_END: Final = _End()


class Endable(Protocol):
    """A body that may be ended in the middle, in order."""

    def end(self) -> None:
        """End it, unless it has to become as long as was promised."""


class Streams:
    """The bodies of a service that are being made. `wake` has a function called in the reactor's thread.

    `running` returns which thread runs which exchange; `call_later` is the reactor's.
    """

    def __init__(
        self,
        wake: Callable[[Callable[[], None]], object],
        call_later: Callable[[float, Callable[[], None]], Delayed],
        running: Callable[[], list[tuple[threading.Thread, WSGIExchange]]],
    ) -> None:
        self.wake = wake
        self.live: set[Endable] = set()
        #: None is made any more whose length is not promised.
        self.closed = False
        self._stopping = False
        self._call_later = call_later
        self._close_call: Delayed | None = None
        self._running = running
        hosts.add(self)

    # ---- In a worker's thread ----------------------------------------------------------------------------------

    def go_on(self, exchange: WSGIExchange, body: AsyncBody, close: Callable[[], object]) -> None:
        """Have the reactor make the body of `exchange`, whose head is set, and call `close` at the end.

        Raises `RuntimeError` if `body` is used up.
        """
        body.take()
        client = exchange.environ.get("REMOTE_ADDR")
        exchange.stream = stream = _FreeStream(self, exchange, body, close, client)
        exchange.detach(self.wake, stream.start)

    def lend(self, body: AsyncBody, thread: threading.Thread) -> Iterator[bytes] | None:
        """Return the blocks of `body` for the request that `thread` runs; None if it runs none of this service's.

        Raises `RuntimeError` in the reactor's thread, which has to make them.
        """
        for each, exchange in self._running():
            if each is thread:
                if isInIOThread():
                    raise RuntimeError("an AsyncBody can not be iterated in the reactor's thread")
                exchange.stream = stream = _HeldStream(self, exchange, body)
                return stream.blocks()
        return None

    # ---- In the reactor's thread -------------------------------------------------------------------------------

    def close_after(self, seconds: float) -> None:
        """Know that the server stops; after so many `seconds`, end all bodies whose length is not promised."""
        self._stopping = True
        if self._close_call is None:
            self._close_call = self._call_later(seconds, self._close)

    def open(self) -> None:
        """Know that the server goes on."""
        self.cancel()
        self.closed = self._stopping = False

    def cancel(self) -> None:
        """Leave nothing with the reactor."""
        call, self._close_call = self._close_call, None
        if call is not None and call.active():
            call.cancel()

    def _close(self) -> None:
        self.closed = True
        for stream in list(self.live):
            stream.end()

    # ---- In any thread -----------------------------------------------------------------------------------------

    def is_stopping(self) -> bool:
        """Return whether the server stops. ``environ["twisted_wsgiref.stopping"]``."""
        return self._stopping


class _Stream:
    """A body that is being made for `exchange`, into `sink`."""

    is_free = True

    def __init__(self, streams: Streams, exchange: Exchange, body: AsyncBody, sink: Sink) -> None:
        self._streams = streams
        self._exchange = exchange
        self._body = body
        self._sink = sink
        self._cancel: Callable[[], object] | None = None
        self._ending = False  # the server stops
        self._through = False

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        raise NotImplementedError

    def draw(self) -> None:
        """Begin to make blocks."""
        if self._streams.closed and not self._exchange.has_length:
            self._ending = True
        self._streams.live.add(self)
        coroutine = draw(self._body.source, self._sink, self._streams.wake, unless=self._is_unwanted)
        cancel = run(coroutine, self._body.context, self._finish)
        if not self._through:
            self._cancel = cancel
            if self._is_unwanted():
                self.stop()

    def _is_unwanted(self) -> bool:
        return self._ending or self.is_over or self._exchange.is_given_up()

    def end(self) -> None:
        """End the body in order, unless it has to become as long as was promised."""
        if not self._exchange.has_length:
            self._ending = True
            self.stop()

    def stop(self) -> None:
        """Cancel what is waited for; whoever makes the blocks is closed."""
        cancel, self._cancel = self._cancel, None
        if cancel is not None:
            cancel()

    def _finish(self, error: BaseException | None) -> None:
        self._through = True
        self._cancel = None
        self._streams.live.discard(self)
        if isinstance(error, _ENDED) and self._is_unwanted():
            error = None
        self.finish(error)

    def finish(self, error: BaseException | None) -> None:
        """Learn that all blocks are made, or why not."""
        raise NotImplementedError


class _FreeStream(_Stream):
    """A body that no thread waits for."""

    def __init__(
        self, streams: Streams, exchange: Exchange, body: AsyncBody, close: Callable[[], object], client: object
    ) -> None:
        self._way_out = way_out = ReactorAnswer(exchange)
        super().__init__(streams, exchange, body, way_out)
        self._close = close
        self._client = client
        way_out.on_lost = self.stop
        self._started = False

    @property
    def is_over(self) -> bool:
        """Whether the answer has ended, or was given up."""
        return self._way_out.is_over

    def start(self) -> None:
        """Begin, now that the worker is through."""
        exchange = self._exchange
        self._started = True
        if exchange.is_given_up():
            self.lose()
        elif exchange.is_bodyless:
            self._end()
        self.draw()

    def lose(self) -> None:
        """Learn that nobody takes it any more."""
        if self._started:  # else a worker is still at it, and `start` comes
            self._way_out.lose()

    def finish(self, error: BaseException | None) -> None:
        """End the answer, and close what the application returned."""
        try:
            if error is not None:
                self._log(error)
                self._way_out.refuse(500)  # cuts, if the head is out
            elif not self.is_over:
                self._end()
        finally:
            try:
                self._close()
            except BaseException as raised:
                self._log(raised)

    def _end(self) -> None:
        try:
            self._way_out.end()
        except ClientGone:
            pass
        except ValueError as error:
            self._log(error)

    def _log(self, error: BaseException) -> None:
        facts = {**self._exchange.facts(), "client": self._client}  # the environ is gone
        self._exchange.gateway.errors.log_exception("{request} failed", error, error.__traceback__, "", **facts)


class _HeldStream(_Stream):
    """A body that a worker iterates."""

    is_free = False

    def __init__(self, streams: Streams, exchange: Exchange, body: AsyncBody) -> None:
        self._handover = handover = _Handover()
        super().__init__(streams, exchange, body, handover)

    @property
    def is_over(self) -> bool:
        """Whether nobody takes blocks any more."""
        return self._handover.is_over

    def blocks(self) -> Iterator[bytes]:
        """Yield the blocks. Raises `ClientGone`, and whatever making them does. In a worker's thread."""
        wake, handover = self._streams.wake, self._handover
        wake(self._start)
        try:
            while not isinstance(item := handover.items.get(), _End):
                if isinstance(item, BaseException):
                    raise item
                yield item
                wake(handover.free)
        finally:
            wake(self.lose)

    def _start(self) -> None:
        if self._exchange.is_given_up():
            self.lose()
        self.draw()

    def lose(self) -> None:
        """Learn that nobody takes it any more: the worker goes on at once."""
        if not self.is_over:
            self._handover.close(ClientGone())
            self.stop()

    def finish(self, error: BaseException | None) -> None:
        """Tell the worker."""
        self._handover.close(_END if error is None else error)


class _Handover:
    """Blocks on their way to a thread that waits for them, one at a time."""

    def __init__(self) -> None:
        #: What the thread takes: blocks, and at last an exception or the end.
        self.items: SimpleQueue[bytes | BaseException | _End] = SimpleQueue()
        self.is_over = False
        self._free = True
        self._call: Callable[[], None] | None = None

    def block(self, data: bytes) -> bool:
        """Pass `data` on; there is no room for more until it is used. Raises `ClientGone`."""
        if self.is_over:
            raise ClientGone
        self._free = False
        self.items.put(data)
        return False

    def when_room(self, call: Callable[[], None]) -> None:
        """Have `call` called, once, when the block is used; at once, if it is."""
        if self._free:
            call()
        else:
            self._call = call

    def free(self) -> None:
        """Learn that the block is used."""
        self._free = True
        call, self._call = self._call, None
        if call is not None:
            call()

    def close(self, last: BaseException | _End) -> None:
        """Pass `last` on, and nothing after it."""
        if not self.is_over:
            self.is_over = True
            self.items.put(last)
            self.free()
