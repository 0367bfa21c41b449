"""What one port serves in `company`: a page of Django's, event streams, WebSockets of two kinds, a small resource."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from twisted.internet.task import LoopingCall
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="of a benchmark")
#: Seconds between two events of a stream.
PERIOD = 1.0


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"hello")


urlpatterns = [path("", page)]
application = get_wsgi_application()


class Events(Resource):
    """An event for each stream that is open, once a second: for all in one turn of the reactor, or in some `parts`."""

    isLeaf = True

    def __init__(self, parts: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._open: dict[Any, int] = {}
        self._parts = parts
        self._came = self._part = 0
        LoopingCall(self._tell).start(PERIOD / parts, now=False)

    def render_GET(self, request: Any) -> int:
        request.setHeader(b"Content-Type", b"text/event-stream")
        request.write(b": open\n\n")
        self._came += 1
        self._open[request] = self._came % self._parts
        request.notifyFinish().addBoth(lambda _: self._open.pop(request))
        return NOT_DONE_YET

    def _tell(self) -> None:
        self._part = (self._part + 1) % self._parts
        for request, part in list(self._open.items()):
            if part == self._part:
                request.write(b"data: now\n\n")


class Small(Resource):
    """Answers with its query."""

    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        return b"resource " + bytes(request.uri.partition(b"?")[2])


def autobahn_echo() -> Any:
    websocket = import_module("autobahn.twisted.websocket")
    protocol: Any = websocket.WebSocketServerProtocol

    class Echo(protocol):  # type: ignore[misc]
        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            self.sendMessage(payload, isBinary)

    factory = websocket.WebSocketServerFactory()
    factory.protocol = Echo
    return import_module("autobahn.twisted.resource").WebSocketResource(factory)


def twisted_echo() -> Any:
    class Echo:
        def negotiationStarted(self, transport: Any) -> None:
            self._transport = transport

        def negotiationFinished(self) -> None:
            pass

        def textMessageReceived(self, message: str) -> None:
            self._transport.sendTextMessage(message)

        def bytesMessageReceived(self, message: bytes) -> None:
            self._transport.sendBytesMessage(message)

        def connectionLost(self, reason: Any) -> None:
            pass

    class Echoes:
        def buildProtocol(self, request: Any) -> Any:
            return Echo()

    return import_module("twisted.web.websocket").WebSocketResource(Echoes())
