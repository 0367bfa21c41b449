"""One request and its answer, from the complete head and body to the last octet: the job that changes thread."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from threading import Lock
from typing import IO, TYPE_CHECKING, Any, Final, Protocol

from twisted_wsgiref._wire.response import ServerFields

if TYPE_CHECKING:
    from twisted_wsgiref._wire.head import RequestHead
    from twisted_wsgiref.types import WSGIApplication

    from .error_stream import ErrorStream
    from .handler import WSGIHandler
    from .outlet import Outlet

# A client that has closed its sending half may still read: it is answered. One that did so and has waited this long,
# in seconds, has closed the window: the work would be for nobody.
_PATIENCE: Final = 1.0


class Connection(Protocol):
    """What an exchange came by."""

    def exchange_ended(self) -> None:
        """Learn that the handler is through. Called in the worker's thread."""

    def refuse_exchange(self, status: int) -> None:
        """Answer `status` instead of an application. Called in the reactor's thread, after the claim."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """What all exchanges of a service share: who answers, and with what at hand."""

    application: WSGIApplication
    handler_class: type[WSGIHandler]
    errors: ErrorStream
    stamp: ServerFields
    multiprocess: bool
    clock: Callable[[], float]


class Exchange:
    """A request on its way through a worker.

    ``persistent`` says whether the connection may live on; it is final once the head of the answer is made. ``cut``
    says that the answer can not be completed, and that the client has to see it. ``left`` says that the client has
    closed its sending half.
    """

    __slots__ = (
        "_claim",
        "_gateway",
        "body",
        "connection",
        "cut",
        "ends_by_close",
        "environ",
        "head",
        "left",
        "octets",
        "outlet",
        "persistent",
        "received",
        "status",
    )

    def __init__(  # noqa: PLR0917 - made in one place only
        self,
        gateway: Gateway,
        head: RequestHead,
        environ: dict[str, Any],
        body: IO[bytes],
        outlet: Outlet,
        connection: Connection,
    ) -> None:
        self._gateway = gateway
        self.head = head
        self.environ = environ
        self.body = body
        self.outlet = outlet
        self.connection = connection
        self.received = gateway.clock()
        self.persistent = head.persistent
        self.cut = False
        self.ends_by_close = False
        self.left = False
        self.status = 0
        self.octets = 0
        self._claim = Lock()

    @property
    def stamp(self) -> ServerFields:
        """What the server adds to each head."""
        return self._gateway.stamp

    def claim(self) -> bool:
        """Return True to the first who asks: a worker that will answer, or the reactor because the wait was too long.

        Called in any thread.
        """
        return self._claim.acquire(blocking=False)

    def is_unwanted(self) -> bool:
        """Return whether nobody waits for the answer any more. Called before work on it has begun."""
        return self.outlet.gone or (self.left and self._gateway.clock() - self.received > _PATIENCE)

    def is_client_gone(self) -> bool:
        """Return whether the client has left, or has closed its sending half, as a closed browser does.

        ``environ["twisted_wsgiref.client_disconnected"]``. Called in any thread.
        """
        return self.left or self.outlet.gone

    def run(self) -> None:
        """Answer the request. Called in a worker's thread, once."""
        if not self.claim():
            return
        if self.is_unwanted():
            self.cut = True
        else:
            gateway = self._gateway
            stdout: Any = self.outlet
            handler = gateway.handler_class(self.body, stdout, gateway.errors, self.environ, True, gateway.multiprocess)
            handler.exchange = self
            # A context of its own: what one request sets in a ContextVar, the next on this thread must not see.
            Context().run(handler.run, gateway.application)
        self.body.close()
        self.connection.exchange_ended()
