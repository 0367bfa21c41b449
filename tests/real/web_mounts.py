"""Resources of Twisted's that tests mount: a Klein application, WebSockets of two kinds, and some that fail.

What lives here: nothing that knows the server. Each is imported by its name, as ``tests.real.web_mounts:echoes``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET
from twisted.web.static import File


class Facts(Resource):
    """Says who asks, from where, and how often in this session."""

    isLeaf = True

    def render(self, request: Any) -> bytes:
        """Answer in one line."""
        session = request.getSession()
        session.times = getattr(session, "times", 0) + 1
        address = getattr(request.getClientAddress(), "host", "none")
        prepath = request.prePathURL().decode()
        return f"{session.times} {address} {request.isSecure()} {prepath}".encode()


def echoes() -> IResource:
    """Return autobahn's WebSocket: an echo in upper case, message by message. Needs a running reactor."""
    from autobahn.twisted.resource import WebSocketResource
    from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol

    if not reactor.running:  # type: ignore[attr-defined]
        raise RuntimeError("the reactor does not run")

    class Echo(WebSocketServerProtocol):  # type: ignore[misc]
        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            self.sendMessage(payload.upper(), isBinary)

    factory = WebSocketServerFactory()
    factory.protocol = Echo
    return WebSocketResource(factory)  # type: ignore[no-any-return]


def twisted_echoes() -> IResource:
    """Return the same by the WebSockets of Twisted 26."""
    from twisted.web.websocket import WebSocketResource

    class Echo:
        def negotiationStarted(self, transport: Any) -> None:
            self.transport = transport

        def negotiationFinished(self) -> None:
            pass

        def textMessageReceived(self, message: str) -> None:
            self.transport.sendTextMessage(message.upper())

        def bytesMessageReceived(self, message: bytes) -> None:
            self.transport.sendBytesMessage(message.upper())

        def connectionLost(self, reason: Any) -> None:
            pass

    class Echoes:
        def buildProtocol(self, request: Any) -> Any:
            return Echo()

    return WebSocketResource(Echoes())


def klein() -> IResource:
    """Return a Klein application of two routes."""
    from klein import Klein

    app = Klein()

    @app.route("/hello/<name>")  # type: ignore[misc]
    def hello(request: Any, name: str) -> str:
        return f"hello {name}"

    @app.route("/later")  # type: ignore[misc]
    def later(request: Any) -> Any:
        from twisted.internet.task import deferLater

        return deferLater(reactor, 0.01, lambda: b"later")  # type: ignore[arg-type]

    return app.resource()  # type: ignore[no-any-return]


class Never(Resource):
    """Never answers; `told` is a file to which it adds a line when its client is gone, or the server stops."""

    isLeaf = True

    def __init__(self, told: str) -> None:
        super().__init__()
        self._told = Path(told)

    def render(self, request: Any) -> int:
        """Wait."""
        request.notifyFinish().addErrback(self._note)
        with self._told.open("a") as file:
            file.write("asked\n")
        return NOT_DONE_YET

    def _note(self, failure: Any) -> None:
        with self._told.open("a") as file:
            file.write(f"{failure.type.__name__}\n")


def tree(directory: str) -> IResource:
    """Return a tree: facts, and the files of `directory`, by Twisted's own `File`."""
    root = Resource()
    root.putChild(b"facts", Facts())
    root.putChild(b"files", File(directory))
    root.putChild(b"never", Never(f"{directory}/told"))
    return root


def backend(port: int) -> IResource:
    """Return a reverse proxy for a server on `port`."""
    from twisted.web.proxy import ReverseProxyResource

    return ReverseProxyResource("127.0.0.1", port, b"/proxied")


def nothing() -> None:
    """Return no resource."""
    return
