"""Where the status site listens: a factory that shares nothing with the service's own.

So it answers while all threads are stuck, while sockets are not read, and until the last request is answered. Called in
the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IListeningPort

from twisted_wsgiref._gateway.exchange import Common
from twisted_wsgiref._http.coder import HTTP1Coder
from twisted_wsgiref._observe import board
from twisted_wsgiref._observe.standing import Standing
from twisted_wsgiref._observe.tally import Tally
from twisted_wsgiref._threads.answer_batch import AnswerBatch
from twisted_wsgiref._threads.forks import tell
from twisted_wsgiref._threads.pool import WorkerPool
from twisted_wsgiref._threads.reactor_wake import ReactorWake

from .factory import Means, WSGIFactory
from .rules import Rules
from .transports import stop_accepting

if TYPE_CHECKING:
    from twisted_wsgiref._gateway.environ import WSGIEnvironment
    from twisted_wsgiref._gateway.interfaces import Target

# Some scrapers, and some pages that stay open. One more closes the one that has been idle for longest.
_CONNECTIONS: Final = 64
# The site takes no bodies.
_BODY: Final = 16 * 1024


class StatusFactory(WSGIFactory):
    """Makes the connections of the status site. It is not paced: whichever process comes first, answers for all."""

    is_status = True


def status_factory(
    common: Common,
    target: Target,
    environ: WSGIEnvironment,
    rules: Rules,
    say: Callable[[str], None],
    call_from_thread: Callable[..., object],
    failed: Callable[[BaseException], None],
) -> StatusFactory:
    """Return a factory by which `target` answers, with the deadlines of `rules`; `common` has no observers.

    `say` writes a line into the log, `failed` is told of what nobody should have raised.
    """
    idle = WorkerPool("status-disk", minimum=0, maximum=0, idle=1.0, limit=0, failed=failed)
    wake = ReactorWake(call_from_thread, failed)
    means = Means(None, AnswerBatch(failed), idle, wake, Tally(partial(_say, say), common.clock))
    own = replace(
        rules,
        max_connections=_CONNECTIONS,
        max_body=_BODY,
        body_memory=_BODY,
        stream_input=False,
        stream_chunked=False,
        trusted=None,
    )
    return StatusFactory(common, target, environ, own, HTTP1Coder("twisted_wsgiref"), means)


def _say(say: Callable[[str], None], line: str) -> None:
    say(f"status site: {line}")


class StatusDoor:
    """The status site as a service goes through its life: `factory` listens at `endpoint`, if there is one.

    `standing` has the numbers.
    """

    def __init__(self, standing: Standing, endpoint: str, factory: StatusFactory | None) -> None:
        self.standing = standing
        self._endpoint = endpoint
        self._factory = factory
        self._port: IListeningPort | None = None
        self._runs = self._listens = False

    def tell(self) -> None:
        """Have the child of a fork let go of the site's sockets."""
        if self._factory is not None:
            tell(self._factory)

    def places(self) -> list[tuple[str, WSGIFactory]]:
        """Return where to listen, and for which factory, unless that is done already."""
        return [] if self._factory is None or self._port is not None else [(self._endpoint, self._factory)]

    def opened(self, ports: Sequence[IListeningPort]) -> None:
        """Serve, with `ports` of `places`."""
        for port in ports:
            self._port = port
        self._listens = True
        self._settle()

    def begin(self) -> None:
        """Know that the service starts, also while it stops."""
        self._runs = True
        self._settle()
        if self._factory is not None:
            self._factory.resume()

    def _settle(self) -> None:
        self.standing.be(board.SERVING if self._runs and self._listens else board.STARTING)

    def look(self) -> None:
        """Do what is to be done about once a second."""
        self.standing.look()
        if self._factory is not None:
            self._factory.sweep()

    def drain(self) -> None:
        """Know that the service stops: it is still told what is left to do."""
        self._runs = self._listens = False
        self.standing.be(board.DRAINING)
        if self._factory is not None:
            self._factory.retire()

    def close(self) -> Deferred[None]:
        """End: all requests of the service are answered."""
        self.standing.be(board.FREE)
        port, self._port = self._port, None
        if self._factory is not None:
            self._factory.cut_off()
        return succeed(None) if port is None else maybeDeferred(stop_accepting, port)
