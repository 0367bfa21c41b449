"""Does a mounted resource learn that the server starts and stops, and does an event stream end in time?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import Deferred, fail
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from tests.support import KINDS, Server, hello, request, serving
from twisted_wsgiref import InternalMount
from twisted_wsgiref._targets.late_resource import LateResource


class Living(Resource, Service):
    """A resource that is a service; ``events`` is what it was told, ``requests`` are those that wait for an event."""

    isLeaf = True

    def __init__(self, result: Any = None) -> None:
        Resource.__init__(self)
        self.events: list[str] = []
        self.requests: list[Any] = []
        self._result = result

    def startService(self) -> None:
        Service.startService(self)
        self.events.append("start")

    def stopService(self) -> Any:
        Service.stopService(self)
        self.events.append("stop")
        requests, self.requests = self.requests, []
        for each in requests:
            each.write(b"no event")
            each.finish()
        return self._result() if self._result else None

    def render(self, request: Any) -> int:
        self.requests.append(request)
        return NOT_DONE_YET


class Stream(Resource):
    """Writes a block and goes on for ever; ``gone`` is why each has ended."""

    isLeaf = True

    def __init__(self, media_type: bytes = b"text/event-stream", length: bytes = b"") -> None:
        super().__init__()
        self._fields = [(b"Content-Type", media_type), *([(b"Content-Length", length)] if length else [])]
        self.requests: list[Any] = []
        self.gone: list[Any] = []
        self.begin = True

    def render(self, request: Any) -> int:
        for name, value in self._fields:
            request.setHeader(name, value)
        request.notifyFinish().addErrback(self.gone.append)
        self.requests.append(request)
        if self.begin:
            request.write(b"data: 1\n\n")
        return NOT_DONE_YET


def test_a_resource_that_is_a_service_lives_with_the_server() -> None:
    living = Living()
    assert IService.providedBy(living)
    with serving(hello, service={"mounts": {"/a": living, "/b": InternalMount(living)}}) as server:
        assert living.events == ["start"]
        client = server.ask(request("/a"))
        assert client.received == b""
        stopped: Any = server.service.stopService()
        assert living.events == ["start", "stop"]
        server.advance(3)
        assert stopped.called
        (answer,) = client.answers()
        assert answer.body == b"no event"


def test_a_stop_that_is_taken_back_starts_it_again() -> None:
    living = Living()
    with serving(hello, service={"mounts": {"/a": living}}) as server:
        server.service.startService()
        assert living.events == ["start"]
        server.service.stopService()
        server.service.startService()
        assert living.events == ["start", "stop", "start"]


def test_one_that_is_a_part_of_another_service_is_not_ours() -> None:
    living = Living()
    living.setServiceParent(MultiService())
    with serving(hello, service={"mounts": {"/a": living}}):
        pass
    assert living.events == []


@pytest.mark.parametrize("result", [lambda: fail(ZeroDivisionError("later")), lambda: 1 / 0, Deferred])
def test_what_it_returns_or_raises_holds_nobody_up(result: Callable[[], Any]) -> None:
    living = Living(result)
    with serving(hello, service={"mounts": {"/a": living}}) as server:
        stopped: Any = server.service.stopService()
        server.advance(3)
        assert stopped.called
        assert ("ZeroDivisionError" in server.logged()) is (result is not Deferred)


def test_what_is_served_later_lives_from_then_on() -> None:
    first, second = Living(), Living()
    with serving(hello, service={"mounts": {"/a": first}}) as server:
        server.service.serve(hello, {"/a": second})
        assert (first.events, second.events) == (["start", "stop"], ["start"])


@pytest.mark.parametrize("early", [True, False])
def test_one_that_is_made_later_is_started_then(early: bool) -> None:
    living, late = Living(), LateResource()
    if early:
        late.begin(living)
    with serving(hello, service={"mounts": {"/a": late}}):
        if not early:
            late.begin(living)
        assert living.events == ["start"]
    assert living.events == ["start", "stop"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("internal", [False, True])
def test_an_event_stream_ends_in_order_after_the_linger(kind: str, internal: bool) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("X-Accel-Redirect", "/a"), ("Content-Type", "Text/Event-Stream;charset=utf-8")])
        return []

    stream = Stream(b"text/plain" if internal else b"text/event-stream")
    mounts = {"/a": InternalMount(stream) if internal else stream}
    with serving(application, service={"mounts": mounts}, validated=False, linger=2.0) as server:
        client = server.ask(request("/x" if internal else "/a"), kind)
        stopped: Any = server.service.stopService()
        server.advance(1)
        stream.requests[0].write(b"data: 2\n\n")
        server.settle()
        assert stream.gone == []
        server.advance(4)
        (answer,) = client.answers()
        assert answer.body == b"data: 1\n\ndata: 2\n\n"
        assert client.received.endswith(b"0\r\n\r\n")
        assert len(stream.gone) == 1
        stream.requests[0].write(b"late")  # dropped, as behind a client that has left
        server.advance(3)
        assert stopped.called
        assert [record.status for record in server.records] == [200]


def test_one_that_begins_during_the_stop_ends_too() -> None:
    stream = Stream()
    stream.begin = False
    with serving(hello, service={"mounts": {"/a": stream}}, linger=2.0) as server:
        client = server.ask(request("/a"))
        stopped: Any = server.service.stopService()
        server.advance(3)
        assert not stopped.called
        stream.requests[0].write(b"data: 1\n\n")
        server.advance(3)
        (answer,) = client.answers()
        assert answer.body == b"data: 1\n\n"
        assert stopped.called


@pytest.mark.parametrize(("media_type", "length"), [(b"text/plain", b""), (b"text/event-stream", b"100")])
def test_another_answer_has_the_whole_grace(media_type: bytes, length: bytes) -> None:
    stream = Stream(media_type, length)
    with serving(hello, service={"mounts": {"/a": stream}}, linger=2.0, grace=20.0) as server:
        client = server.ask(request("/a"))
        stopped: Any = server.service.stopService()
        server.advance(15)
        assert not stopped.called
        assert stream.gone == []
        server.advance(10)
        assert stopped.called
        assert client.aborted
        assert len(stream.gone) == 1


def test_a_finished_stream_is_forgotten() -> None:
    stream = Stream()
    with serving(hello, service={"mounts": {"/a": stream}}) as server:
        client = server.ask(request("/a"))
        assert _live(server)
        stream.requests[0].finish()
        server.settle()
        assert not _live(server)
        client.send(request("/a"))
        server.settle()
        client.leave()
        server.advance(4)
        assert not _live(server)


def _live(server: Server) -> set[Any]:
    live: set[Any] = server.service._workers.streams.live
    return live
