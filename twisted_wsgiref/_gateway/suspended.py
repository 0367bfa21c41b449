"""A request whose answer may be left in the middle: while its client has to read, no thread waits with it.

What lives here: when a worker leaves such a request in the middle and gives it back, and how another goes on. Who
runs it again is the overseer's business. Imported only by a service that has the setting on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextvars import Context
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING

from twisted_wsgiref._threads.once import claim

from .client_gone import ClientGone
from .handler import WSGIHandler
from .wsgi_exchange import WSGIExchange

if TYPE_CHECKING:
    from twisted_wsgiref._http.head import RequestHead
    from twisted_wsgiref.types import WSGIApplication, WSGIEnvironment

    from .interfaces import Body, Connection, Outlet
    from .wsgi_exchange import Gateway


class SuspendedExchange(WSGIExchange):
    """A request that gives its thread back each time that more than the high-water mark of its answer is queued.

    ``suspends`` says whether its handler may be left now: in the middle of what the application has returned, but not
    in that of an error page, nor in a `write` that the application has called itself.
    """

    __slots__ = ("_blocks", "_context", "_handler", "_left_off", "_since", "_waits", "suspends")

    def __init__(
        self,
        gateway: Gateway,
        head: RequestHead,
        environ: WSGIEnvironment,
        body: Body,
        outlet: Outlet,
        connection: Connection,
    ) -> None:
        super().__init__(gateway, head, environ, body, outlet, connection)
        self.suspends = False
        self._waits = True  # whoever gives a block waits for room
        self._left_off = False  # the answer has begun, and goes on
        self._handler: WSGIHandler | None = None
        self._blocks: Iterator[bytes] | None = None  # those that are left
        self._context: Context | None = None
        self._since = self.received

    @property
    def at_work_since(self) -> float:
        """Since when the thread that runs it now does."""
        return self._since

    # ---- In a worker's thread ----------------------------------------------------------------------------------

    def run(self) -> None:
        """Answer the request, or go on with that, until the answer is over, or the client has to read first.

        Called once, and again each time that there is room. No two threads are in here at the same time, but for the
        one that is about to leave.
        """
        if not self._left_off and not claim(self._claimed):
            return
        if not self.started:
            self.started = self.gateway.clock()
        while True:
            try:
                self._run_part()
            except BaseException:
                # As in `WSGIExchange.run`.
                self.cut = self.ends_by_close = True
                self._left_off = False
                self._end()
                raise
            if not self._left_off:
                self._end()
                return
            self.gateway.errors.flush()  # a line that was begun belongs to this thread
            if self._hand_back():
                return

    def _run_part(self) -> None:
        handler, context, blocks = self._handler, self._context, self._blocks
        if handler is not None and context is not None and blocks is not None:  # it was left off
            if self.interrupt is not None:
                self.interrupt.move()
            self._since = self.gateway.clock()
            context.run(self._run_until_full, handler, partial(self._go_on, handler, blocks))
        elif self.outlet.gone or (self.left and not self.is_waited_for()):
            self.cut = True
        else:
            self._run_handler(self.environ)

    def _run_apart(self, handler: WSGIHandler, application: WSGIApplication) -> None:
        """Run `handler` in a context of its own, which goes with it from thread to thread."""
        self._context = context = Context()
        kind = type(handler)
        if kind.run is not WSGIHandler.run or kind.finish_response is not WSGIHandler.finish_response:
            context.run(handler.run, application)  # whoever overrides these does something at the end of them
            return
        self._handler = handler
        self.suspends = True
        context.run(self._run_until_full, handler, partial(self._begin, handler, application))

    def _run_until_full(self, handler: WSGIHandler, part: Callable[[], None]) -> None:
        """Do as `WSGIHandler.run`, but leave off when the client has to read first. Raises nothing."""
        try:
            try:
                part()
            except BaseException as error:
                self._blocks = None
                self.suspends = False  # an error page is sent whole
                handler.meet(error)
        finally:
            self._left_off = self._blocks is not None
            if not self._left_off:
                if not self.ended:
                    self.close()
                handler.close()

    def _begin(self, handler: WSGIHandler, application: WSGIApplication) -> None:
        handler.headers_sent = False
        handler.status = None
        handler.bytes_sent = 0
        handler.setup_environ()
        handler.result = application(handler.environ, handler.start_response)
        handler.finish_response()

    def iterate(self, handler: WSGIHandler, blocks: Iterable[bytes]) -> None:
        """Have `handler`, which calls this, send `blocks`, up to where the client has to read first."""
        self._blocks = iterator = iter(blocks)
        self._send_blocks(handler, iterator)

    def _go_on(self, handler: WSGIHandler, blocks: Iterator[bytes]) -> None:
        if self.outlet.gone:  # it has left while nobody waited with it
            self.begun = self.outlet.under_way  # if nothing of it has left, no answer has begun
            raise ClientGone
        self._send_blocks(handler, blocks)

    def _send_blocks(self, handler: WSGIHandler, blocks: Iterator[bytes]) -> None:
        # Not by `for`, which would ask an iterator for its iterator again: not each has one.
        while True:
            try:
                block = next(blocks)
            except StopIteration:
                break
            self._waits = False
            try:
                handler.write(block)
            finally:
                self._waits = True
            if self.outlet.is_full:
                return
        self._blocks = None
        handler.finish_content()

    def block(self, data: bytes, *, wait: bool = True) -> None:
        """Send a block; as `Answer.block`, but wait for nobody if it is one of those that are iterated."""
        super().block(data, wait=wait and self._waits)

    def _hand_back(self) -> bool:
        """Have this run again once there is room. Return False if there is room already: then this thread goes on.

        After True another thread may be at it: whoever calls this touches nothing of the exchange any more.
        """
        me, asking, has_room = get_ident(), True, False
        overseer = self.gateway.overseer

        def go_on() -> None:
            nonlocal has_room
            if asking and get_ident() == me:
                has_room = True
            else:
                overseer.resume(self)

        overseer.note_suspended(self)
        self.outlet.when_room(go_on)
        asking = False
        if has_room:
            overseer.note_going_on(self)
        return not has_room

    def _end(self) -> None:
        self._handler = self._context = None
        try:
            self.gateway.errors.flush()
        finally:  # else its client would wait for ever
            self.finish()
