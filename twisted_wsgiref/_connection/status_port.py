"""The status site as connections: a factory that shares nothing with the service's own, and its port.

So it answers while all threads are stuck, while sockets are not read, and until the last request is answered. Called in
the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IListeningPort

from twisted_wsgiref._gateway.exchange import Common
from twisted_wsgiref._http.coder import HTTP1Coder
from twisted_wsgiref._observe import board
from twisted_wsgiref._observe.standing import Standing
from twisted_wsgiref._observe.tally import Tally
from twisted_wsgiref._threads.answer_batch import AnswerBatch
from twisted_wsgiref._threads.pool import WorkerPool
from twisted_wsgiref._threads.reactor_wake import ReactorWake

from .factory import Means, WSGIFactory
from .ports import Ports
from .rules import Rules

if TYPE_CHECKING:
    from twisted_wsgiref._gateway.environ import WSGIEnvironment
    from twisted_wsgiref._gateway.interfaces import Target

    from .certificates import Certificates

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
    """The status site as a service goes through its life. `standing` has the numbers.

    `factory` makes its connections, at `ports`; both are None if the site has no port of its own.
    """

    def __init__(self, standing: Standing, factory: StatusFactory | None = None, ports: Ports | None = None) -> None:
        self.standing = standing
        self._factory = factory
        self._ports = ports
        self._runs = self._listens = False

    @property
    def certificates(self) -> list[Certificates]:
        """Those that the site's port shows."""
        return [] if self._ports is None else self._ports.certificates

    def forked(self, heir: bool) -> None:
        """Know, in the child of a fork, that no other thread is left; one that is no `heir` lets go of all sockets."""
        if self._factory is not None:
            self._factory.forked(heir)

    def open(self) -> list[Deferred[IListeningPort]]:
        """Listen, unless the port is still open: it outlives a stop that is taken back."""
        return [] if self._ports is None or self._ports.opened else self._ports.open()

    def serve(self) -> None:
        """Know that all ports of the service are open."""
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

    def close(self) -> Deferred[object]:
        """End: all requests of the service are answered."""
        self.standing.be(board.FREE)
        if self._factory is not None:
            self._factory.cut_off()
        closing = [] if self._ports is None else self._ports.close()
        return cast("Deferred[object]", DeferredList(closing))
