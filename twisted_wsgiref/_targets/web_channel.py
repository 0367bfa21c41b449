"""What a request of `twisted.web` takes for its HTTP channel: an answer of ours, and who asks for it.

Twisted's `Request` frames its body by itself, when it speaks HTTP/1.1. Here that is taken from it, in the moment in
which it writes its head: one place of the server decides how a body ends, whoever makes it.

What lives here: all methods that `twisted.web` calls of a channel. What may not: how a connection sends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IConsumer, IProtocol, IPushProducer, ITransport
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.server import version
from zope.interface import implementer

from twisted_wsgiref._gateway.client_gone import ClientGone
from twisted_wsgiref._gateway.fields import check_status, format_fields

from .web_transport import WebTransport, web_transport

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IProducer
    from twisted.web.server import Site

    from twisted_wsgiref._http.response import Fields

# RFC 9110, section 7.6.1: between two ends of a connection, and so the server's. A proxy hands on what it was sent.
_HOP_BY_HOP: Final = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"trailers",
        b"transfer-encoding",
        b"upgrade",
    )
)
# So many times in a row a pull producer is asked for more, before the other connections have their turn.
_PULLS_A_TURN: Final = 8


class ResourceAnswer(Protocol):
    """What is asked of the answer to a request that a resource answers. Called in the reactor's thread."""

    def begin(self, status: str, fields: Fields) -> None:
        """Set the head: `status` is as for ``start_response``, `fields` are `Fields`. Raises `ClientGone`."""

    def block(self, data: bytes) -> bool:
        """Put a block of the body, the head before it; an empty one has the head leave.

        Return False while more is queued than the high-water mark allows. Raises `ClientGone`, and `ValueError` beyond
        the Content-Length.
        """

    def when_room(self, call: Callable[[], None]) -> None:
        """Have `call` called, once, when half of the high-water mark is free: at once, if it is."""

    def end(self) -> None:
        """Say that the body is whole. Raises `ClientGone`, and `ValueError` if it is too short."""

    def close_after(self) -> None:
        """Make this the last answer of its connection. Does nothing once the head is out."""

    def refuse(self, status: int) -> None:
        """Answer `status` instead; have the connection cut if the head is out."""

    def cut(self) -> None:
        """Take nothing more, and have the connection cut, so that nobody takes what is out for a whole answer."""

    def upgrade(self, protocol: IProtocol) -> ITransport:
        """Give the connection to `protocol`, which calls itself connected, and return the transport that it writes to.

        No answer of ours goes out any more, none of HTTP's deadlines holds, and the connection's end is `protocol`'s.
        Raises `RuntimeError` if it can not be given away: there are other requests on it (HTTP/2), or the head is out.
        """


@implementer(IConsumer, ITransport)
class WebChannel:
    """The channel of one request; ``site`` is where sessions live, ``request`` is set once there is one.

    `peer` and `host` are the addresses of both ends, as an application would be told. `log` is told what a resource
    did wrong. `call_later` is the reactor's.
    """

    #: Twisted has its channel write its access log by this; the server has a log of its own.
    factory = None
    persistent = True

    def __init__(
        self,
        answer: ResourceAnswer,
        site: Site,
        peer: IAddress,
        host: IAddress,
        secure: bool,
        below: object,
        call_later: Callable[..., object],
        log: Callable[[str, BaseException], None],
    ) -> None:
        self.site = site
        self.request: Any = None
        self.transport: Any = web_transport(self, below, secure)
        #: Whoever took the connection over writes to this; None as long as nobody did.
        self.taken: Any = None
        #: Where its site is mounted: a decoded path without a slash at its end.
        self.prefix = b""
        #: The request is answered, or given up: what comes of it later is dropped.
        self.over = False
        self._answer = answer
        self._peer = peer
        self._host = host
        self._secure = secure
        self._call_later = call_later
        self._log = log
        self._producer: IPushProducer | None = None  # a pull producer is never told to pause
        self._pulls = False
        self._waits = False  # the producer was told to pause, or is not asked for more
        self._pulling = False
        self._head_waits = False  # the head is set, and leaves with the first block
        self._rendering = True
        #: Called once the head of the answer is set.
        self.on_head: Callable[[], object] = bool

    # ---- What a request writes ---------------------------------------------------------------------------------

    def writeHeaders(self, protocol: bytes, code: bytes, reason: bytes, headers: Any) -> None:
        """Set the head of the answer. The request is told that it does not frame its body."""
        if self.over:
            if self.taken is not None:
                self.taken.abortConnection()  # a resource failed behind the change of hands, and nobody answers
            return
        self.request.chunked = 0
        if not isinstance(headers, Headers):
            headers = _as_headers(headers)
        status = f"{code.decode('latin-1')} {reason.decode('latin-1')}"
        pairs = []
        for name, values in headers.getAllRawHeaders():
            lower = name.lower()
            if lower == b"connection" and any(b"close" in value.lower() for value in values):
                self._answer.close_after()
            # Twisted's own name and version: the server has a name, and to tell versions helps only attackers.
            if lower not in _HOP_BY_HOP and not (lower == b"server" and values == [version]):
                pairs += [(name.decode("latin-1"), value.decode("latin-1")) for value in values]
        try:
            check_status(status)
            self._answer.begin(status, format_fields(pairs))
            self._head_waits = True
            if not self._rendering:
                self._call_later(0, self._send_head)
            self.on_head()
        except ClientGone:
            pass
        except (TypeError, ValueError) as error:
            self._fail(error)

    def write(self, data: bytes) -> None:
        """Put a block of the body."""
        if self.over:
            return
        self._head_waits = False
        try:
            if not self._answer.block(bytes(data)):
                self._wait_for_room()
        except ClientGone:
            pass
        except (TypeError, ValueError) as error:
            self._fail(error)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Put blocks of the body, as one."""
        self.write(b"".join(iovec))

    def requestDone(self, request: object) -> None:
        """End the answer: all of it was written."""
        if self.over:
            return
        self.over = True
        try:
            self._answer.end()
        except ClientGone:
            pass
        except ValueError as error:
            self._fail(error)

    def rendered(self) -> None:
        """Have the head leave, if a resource that goes on later has written nothing else."""
        self._rendering = False
        self._send_head()

    def _send_head(self) -> None:
        if self._head_waits and not self.over:
            self.write(b"")

    def _fail(self, error: BaseException) -> None:
        """Give the answer up, for what a resource did: it would raise in the middle of a request's own methods."""
        self.fail(f"a resource gave an answer that can not be sent, to {self.request!r}", error)

    def fail(self, what: str, error: BaseException) -> None:
        """Log `what`, and `error`; answer 500, if nothing is out."""
        self.over = True
        self._log(what, error)
        self._answer.refuse(500)

    def loseConnection(self) -> None:
        """Give the answer up: the request, or its resource, has had enough."""
        if not self.over:
            self.over = True
            self._answer.cut()

    abortConnection = loseConnection

    def _respondToBadRequestAndDisconnect(self) -> None:
        # The body is no form, though it says so.
        if not self.over:
            self.over = True
            self._answer.refuse(400)

    # ---- Both ends ---------------------------------------------------------------------------------------------

    def getPeer(self) -> IAddress:
        """Return the client's address, as a trusted proxy tells it."""
        return self._peer

    def getHost(self) -> IAddress:
        """Return our address, as the client sees it."""
        return self._host

    def isSecure(self) -> bool:
        """Return whether the client's connection is: it speaks TLS, or a trusted proxy says so."""
        return self._secure

    # ---- Flow control ------------------------------------------------------------------------------------------

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Have `producer` pause and resume as there is room; if it is not `streaming`, ask it for each block.

        Raises `RuntimeError` if there is one.
        """
        if self._producer is not None:
            raise RuntimeError(f"{producer!r} can not be registered: {self._producer!r} still is")
        if self.over:
            producer.stopProducing()
            return
        self._producer = pushes = cast(IPushProducer, producer)
        self._pulls = not streaming
        if self._waits and streaming:
            pushes.pauseProducing()
        elif not streaming:
            self._pull()

    def unregisterProducer(self) -> None:
        """Tell nobody any more."""
        self._producer = None

    def _wait_for_room(self) -> None:
        if not self._waits:
            self._waits = True
            if self._producer is not None and not self._pulls:
                self._producer.pauseProducing()
            self._answer.when_room(self._go_on)

    def _go_on(self) -> None:
        self._waits = False
        if self._producer is None or self.over:
            return
        if self._pulls:
            self._pull()
        else:
            self._producer.resumeProducing()

    def _pull(self) -> None:
        """Ask a pull producer for blocks while there is room, a few a turn."""
        if self._pulling:
            return  # it has written, and with that made us wait and go on, while it was asked
        self._pulling = True
        try:
            for _ in range(_PULLS_A_TURN):
                if self._producer is None or not self._pulls or self._waits or self.over:
                    return
                self._producer.resumeProducing()
        finally:
            self._pulling = False
        self._call_later(0, self._pull_again)

    def _pull_again(self) -> None:
        if self._producer is not None and self._pulls and not self._waits and not self.over:
            self._pull()

    # ---- The end -----------------------------------------------------------------------------------------------

    def connectionLost(self, reason: Failure) -> None:
        """Tell the request and its producer that the client is gone. Called by whoever has the connection."""
        if self.over:
            return
        self.over = True
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.stopProducing()
        self.request.connectionLost(reason)

    def end(self) -> None:
        """End the answer in order, since the server stops: to the request it is as if the client had left."""
        if self.over:
            return
        self.over = True
        try:
            self._answer.end()
        except ClientGone:
            pass
        producer, self._producer = self._producer, None
        try:
            if producer is not None:
                producer.stopProducing()
            self.request.connectionLost(Failure(ConnectionDone()))
        except Exception as error:
            self._log("a resource failed to hear that its answer has ended", error)

    # ---- The connection changes hands --------------------------------------------------------------------------

    def _protocolUpgradeForWebsockets(self, protocol: Any) -> None:
        # `twisted.web.websocket` calls this, before it writes its 101 to our transport.
        self.upgrade(protocol)
        protocol.makeConnection(self.transport)

    def upgrade(self, protocol: object) -> None:
        """Give the connection to `protocol`. Raises as `ResourceAnswer.upgrade`."""
        if self.over:
            raise RuntimeError("the connection can not be taken over: the request is answered")
        transport: WebTransport = self.transport or self.request.transport
        self.taken = self._answer.upgrade(IProtocol(protocol))
        transport.take(self.taken)
        self.over = True


def _as_headers(pairs: Iterable[tuple[bytes, bytes]]) -> Headers:
    headers = Headers()
    for name, value in pairs:
        headers.addRawHeader(name, value)
    return headers
