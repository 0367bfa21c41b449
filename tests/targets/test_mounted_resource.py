"""Does a resource of Twisted's answer on the connection of the application, by the server's own rules?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import Protocol
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from tests.support import KINDS, TEXT, Server, request, serving


class Calls(Resource):
    """A leaf that has `call` answer."""

    isLeaf = True

    def __init__(self, call: Callable[[Any], Any]) -> None:
        super().__init__()
        self._call = call

    def render(self, request: Any) -> Any:
        return self._call(request)


class Tree(Resource):
    """Some of what resources do, each at a path of its own; ``requests`` are those that go on later."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Any] = []
        self.gone: list[Any] = []
        for name in ("bytes", "blocks", "later", "fails", "upload", "pull", "path", "takes"):
            self.putChild(name.encode(), Calls(getattr(self, f"_{name}")))

    def _bytes(self, request: Any) -> bytes:
        return b"bytes"

    def _blocks(self, request: Any) -> int:
        request.write(b"one ")
        request.write(b"two")
        request.finish()
        return NOT_DONE_YET

    def _later(self, request: Any) -> int:
        self.requests.append(request)
        request.notifyFinish().addErrback(self.gone.append)
        return NOT_DONE_YET

    def _fails(self, request: Any) -> bytes:
        raise ZeroDivisionError("by the resource")

    def _upload(self, request: Any) -> bytes:
        return b"%d %b" % (len(request.content.read()), b",".join(request.args.get(b"a", [])))

    def _path(self, request: Any) -> bytes:
        return b"%b|%b" % (b"/".join(request.prepath), b"/".join(request.postpath))

    def _pull(self, request: Any) -> int:
        class Producer:
            left = 200
            calls = 0

            def resumeProducing(self) -> None:
                self.left -= 1
                request.write(b"x" * 16384)
                if not self.left:
                    request.unregisterProducer()
                    request.finish()

            def stopProducing(self) -> None:
                pass

        self.producer = Producer()
        request.registerProducer(self.producer, False)
        return NOT_DONE_YET

    def _takes(self, request: Any) -> int:
        class Echo(Protocol):
            lost = False

            def dataReceived(self, data: bytes) -> None:
                assert self.transport is not None
                self.transport.write(data.upper())

            def connectionLost(self, reason: Any = None) -> None:
                self.lost = True

        self.echo = Echo()
        transport = request.channel.transport
        transport.protocol = self.echo
        self.echo.makeConnection(transport)
        transport.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
        return NOT_DONE_YET


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [*TEXT])
    return [environ["PATH_INFO"].encode("latin-1")]


@pytest.fixture
def tree() -> Tree:
    return Tree()


@pytest.fixture
def server(tree: Tree) -> Iterator[Server]:
    with serving(application, service={"mounts": {"/m": tree}}, send_timeout=30.0) as made:
        yield made


# Twisted's own resources use what Twisted has deprecated.
@pytest.mark.filterwarnings("ignore:twisted.web.resource._Unsafe")
@pytest.mark.parametrize("kind", KINDS)
def test_application_and_resource_take_turns_on_one_connection(server: Server, kind: str) -> None:
    targets = ["/a", "/m/bytes", "/m/blocks", "/m/none", "/m/bytes", "/b"] * 10
    methods = ["GET", "GET", "GET", "GET", "HEAD", "GET"] * 10
    client = server.connect(kind)
    for target, method in zip(targets, methods, strict=True):
        client.send(request(target, method=method))
    server.settle()
    answers = client.answers(*methods)
    assert [answer.status for answer in answers] == [200, 200, 200, 404, 200, 200] * 10
    assert [answer.body for answer in answers if answer.status == 200] == [
        b"/a",
        b"bytes",
        b"one two",
        b"",
        b"/b",
    ] * 10
    assert all(answer.fields["server"] == ["twisted_wsgiref"] for answer in answers)
    assert len(server.records) == 60


def test_blocks_are_framed_by_the_server(server: Server) -> None:
    client = server.connect().send(request("/m/blocks") + request("/m/blocks", minor=0))
    server.settle()
    first, second = client.answers()
    assert first.fields["transfer-encoding"] == ["chunked"]
    assert "transfer-encoding" not in second.fields
    assert (first.body, second.body) == (b"one two", b"one two")


def test_an_exception_is_a_500_and_the_connection_lives_on(server: Server) -> None:
    client = server.ask(request("/m/fails") + request("/m/bytes"))
    assert [answer.status for answer in client.answers()] == [500, 200]
    assert "by the resource" in server.logged()


@pytest.mark.parametrize("size", [1, 1000, 600_000])
def test_an_upload_is_whole_before_the_resource_is_asked(server: Server, size: int) -> None:
    client = server.ask(request("/m/upload", method="POST", body=b"x" * size))
    assert client.answers()[0].body == b"%d " % size


def test_a_form_is_in_the_arguments(server: Server) -> None:
    fields = "Content-Type: application/x-www-form-urlencoded"
    client = server.ask(request("/m/upload?a=1", method="POST", body=b"a=2", fields=fields))
    assert client.answers()[0].body == b"3 2"


@pytest.mark.parametrize(
    ("target", "script_name", "paths"),
    [
        ("/m/path", "", b"m/path|"),
        ("/m/path/a%2Fb//c", "", b"m/path|a/b//c"),
        ("/%6D/path/x", "", b"m/path|x"),
        ("/outer/m/path/x", "/outer", b"outer/m/path|x"),
        ("/m/path/x", "/outer", b"m/path|x"),
    ],
)
def test_prepath_and_postpath_of_a_mount(target: str, script_name: str, paths: bytes) -> None:
    with serving(application, service={"mounts": {"/m": Tree()}}, script_name=script_name) as server:
        assert server.ask(request(target)).answers()[0].body == paths


def test_a_body_beyond_the_limit_never_reaches_the_resource() -> None:
    with serving(application, service={"mounts": {"/m": Tree()}}, max_body=10) as server:
        client = server.ask(request("/m/upload", method="POST", body=b"x" * 11))
        assert client.received.startswith(b"HTTP/1.1 413 ")


# ---- Resources that go on later --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_is_made_later_holds_no_thread_and_the_next_request_waits(
    server: Server, tree: Tree, kind: str
) -> None:
    client = server.connect(kind).send(request("/m/later") + request("/b"))
    server.settle()
    assert client.received == b""
    assert server.pool.done == 0
    tree.requests[0].write(b"later")
    tree.requests[0].finish()
    server.settle()
    assert [answer.body for answer in client.answers()] == [b"later", b"/b"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_that_leaves_is_told_by_notify_finish(server: Server, tree: Tree, kind: str) -> None:
    client = server.connect(kind).send(request("/m/later"))
    server.settle()
    client.leave()
    server.settle()
    server.advance(4)  # who has closed its sending half may still read: it is waited for
    assert [failure.check(ConnectionLost) for failure in tree.gone] == [ConnectionLost]
    tree.requests[0].write(b"late")  # goes nowhere
    assert server.service.connections == 0


def test_a_stop_does_not_wait_for_a_resource_beyond_the_grace(tree: Tree) -> None:
    with serving(application, service={"mounts": {"/m": tree}}, grace=3.0) as server:
        server.ask(request("/m/later"))
        done: list[object] = []
        server.service.stopService().addCallback(done.append)
        server.advance(5)
        assert len(done) == 1
        assert len(tree.gone) == 1


def test_a_resource_that_takes_too_long_is_answered_for_and_told(tree: Tree) -> None:
    with serving(application, service={"mounts": {"/m": tree}}, request_timeout=5.0) as server:
        client = server.ask(request("/m/later"))
        server.advance(7)
        assert client.received.startswith(b"HTTP/1.1 504 ")
        assert len(tree.gone) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_slow_reader_stops_a_producer(tree: Tree, kind: str) -> None:
    with serving(application, service={"mounts": {"/m": tree}}, high_water=65536) as server:
        client = server.connect(kind, buffer=8192)
        client.reading = False
        client.send(request("/m/pull"))
        server.settle()
        assert tree.producer.left > 150
        client.reading = True
        server.settle()
        assert client.answers()[0].body == b"x" * 16384 * 200


# ---- The connection changes hands ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_resource_takes_the_connection_over(server: Server, tree: Tree, kind: str) -> None:
    client = server.connect(kind).send(request("/a") + request("/m/takes", fields="Upgrade: echo\nConnection: Upgrade"))
    server.settle()
    _, _, rest = client.received.partition(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert rest.endswith(b"\r\n\r\n")
    client.send(b"hello")
    server.settle()
    server.advance(200)  # no deadline of HTTP holds any more
    client.send(b" again")
    server.settle()
    assert client.received.endswith(b"HELLO AGAIN")
    client.leave()
    server.settle()
    assert tree.echo.lost
    assert server.service.connections == 0


def test_what_was_sent_behind_the_request_is_the_new_protocols(server: Server) -> None:
    client = server.ask(request("/m/takes") + b"at once")
    assert client.received.endswith(b"\r\n\r\nAT ONCE")


@pytest.mark.parametrize("kind", KINDS)
def test_a_resource_that_fails_behind_the_change_of_hands_ends_the_connection(kind: str) -> None:
    def fails(request: Any) -> bytes:
        request.channel.transport.protocol = Protocol()
        raise ZeroDivisionError("by the resource")

    with serving(application, service={"mounts": {"/m": Calls(fails)}}) as server:
        client = server.connect(kind).send(request("/m"))
        server.settle()
        assert client.received == b""
        assert client.gone or client.aborted
        assert "by the resource" in server.logged()


def websocket_request(path: str) -> bytes:
    fields = (
        "Upgrade: websocket\nConnection: Upgrade\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Version: 13"
    )
    return request(path, fields=fields)


@pytest.mark.parametrize("kind", KINDS)
def test_a_websocket_of_twisteds(kind: str) -> None:
    pytest.importorskip("wsproto")
    websocket: Any = pytest.importorskip("twisted.web.websocket")

    class Echo:
        def negotiationStarted(self, transport: Any) -> None:
            self.transport = transport

        def negotiationFinished(self) -> None:
            pass

        def textMessageReceived(self, message: str) -> None:
            self.transport.sendTextMessage(message.upper())

        def connectionLost(self, reason: Any) -> None:
            pass

    class Echoes:
        def buildProtocol(self, request: Any) -> Echo:
            return Echo()

    with serving(application, service={"mounts": {"/ws": websocket.WebSocketResource(Echoes())}}) as server:
        client = server.connect(kind).send(websocket_request("/ws"))
        server.settle()
        assert client.received.startswith(b"HTTP/1.1 101 ")
        client.send(b"\x81\x82\x00\x00\x00\x00hi")
        server.settle()
        assert client.received.endswith(b"\x81\x02HI")
        client.send(b"\x88\x82\x00\x00\x00\x00\x03\xe8")
        server.settle()
        assert client.received.endswith(b"\x88\x02\x03\xe8")
        assert client.gone
        other = server.connect(kind).send(websocket_request("/ws"))
        server.settle()
        server.service.stopService()
        server.settle()
        assert other.received.endswith(b"\x88\x02\x03\xe9")  # 1001: going away
        assert other.gone


@pytest.mark.parametrize("kind", KINDS)
def test_a_websocket_of_autobahns_and_a_stop(kind: str) -> None:
    websocket: Any = pytest.importorskip("autobahn.twisted.websocket")
    resource: Any = pytest.importorskip("autobahn.twisted.resource")

    class Echo(websocket.WebSocketServerProtocol):  # type: ignore[misc]
        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            self.sendMessage(payload.upper(), isBinary)

    mounts: dict[str, Any] = {}
    with serving(application, service={"mounts": mounts}) as server:
        factory = websocket.WebSocketServerFactory(reactor=server.reactor)
        factory.protocol = Echo
        server.service.serve(application, {"/ws": resource.WebSocketResource(factory)})
        client = server.connect(kind).send(websocket_request("/ws"))
        server.settle()
        assert client.received.startswith(b"HTTP/1.1 101 ")
        client.send(b"\x81\x82\x00\x00\x00\x00hi")
        server.settle()
        assert client.received.endswith(b"\x81\x02HI")
        server.service.stopService()
        server.settle()
        assert b"\x88\x02\x03\xe9" in client.received  # 1001: going away
        if kind != "string":  # that raises at an end that autobahn makes, as no real transport does
            client.send(b"\x88\x82\x00\x00\x00\x00\x03\xe9")
            server.settle()
            assert client.gone
            assert "failed" not in server.logged()


@pytest.mark.parametrize("kind", ["socket", "ours", "opaque"])
def test_a_websocket_that_opens_while_the_server_stops_is_asked_to_close_then(kind: str) -> None:
    websocket: Any = pytest.importorskip("autobahn.twisted.websocket")
    resource: Any = pytest.importorskip("autobahn.twisted.resource")
    waiting: list[Deferred[None]] = []

    class Slow(websocket.WebSocketServerProtocol):  # type: ignore[misc]
        def onConnect(self, request: Any) -> Any:
            waiting.append(Deferred())
            return waiting[-1]

    with serving(application, service={"mounts": {}}, grace=20.0) as server:
        factory = websocket.WebSocketServerFactory(reactor=server.reactor)
        factory.protocol = Slow
        server.service.serve(application, {"/ws": resource.WebSocketResource(factory)})
        client = server.connect(kind).send(websocket_request("/ws"))
        server.settle()
        server.service.stopService()
        server.settle()
        assert client.received == b""
        waiting[0].callback(None)
        server.advance(2)
        assert client.received.startswith(b"HTTP/1.1 101 ")
        assert client.received.endswith(b"\x88\x02\x03\xe9")
        client.send(b"\x88\x82\x00\x00\x00\x00\x03\xe9")
        server.settle()
        assert client.gone
        assert "failed" not in server.logged()


class Closing(Protocol):
    """Can be asked to close as autobahn's can, before it had another name for it; then it only drops out."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def sendClose(self, code: int) -> None:
        self.asked.append(code)
        assert self.transport is not None
        self.transport.loseConnection()


def test_a_connection_that_changes_hands_while_the_server_stops_is_asked_to_close() -> None:
    requests: list[Any] = []
    closing = Closing()

    def later(request: Any) -> int:
        requests.append(request)
        return NOT_DONE_YET

    with serving(application, service={"mounts": {"/m": Calls(later)}}, grace=20.0) as server:
        client = server.ask(request("/m"))
        server.service.stopService()
        server.settle()
        requests[0].channel.transport.protocol = closing
        closing.makeConnection(requests[0].channel.transport)
        server.advance(2)
        assert closing.asked == [1000]
        assert client.gone


def test_thousands_of_pipelined_requests_to_all_kinds_of_targets_come_out_exact(tree: Tree, tmp_path: Any) -> None:
    (tmp_path / "f.txt").write_bytes(b"file")
    mounts = {"/m": tree, "/s": f"static:{tmp_path}"}
    cases = [
        ("/a%d", "GET", ""),
        ("/m/bytes?%d", "GET", ""),
        ("/s/f.txt?%d", "GET", ""),
        ("/m/blocks?%d", "GET", ""),
        ("/s/f.txt?%d", "HEAD", ""),
        ("/s/f.txt?%d", "GET", "If-None-Match: *"),
        ("/m/path/%d", "GET", ""),
    ]
    expected = [
        (200, b"/a%d"),
        (200, b"bytes"),
        (200, b"file"),
        (200, b"one two"),
        (200, b""),
        (304, b""),
        (200, b"m/path|%d"),
    ]
    rounds = 500
    with serving(application, validated=False, service={"mounts": mounts}) as server:
        client = server.connect()
        for number in range(rounds):
            for target, method, fields in cases:
                client.send(request(target % number, method=method, fields=fields))
        server.settle()
        answers = client.answers(*[method for _, method, _ in cases] * rounds)
    found = [(answer.status, answer.body) for answer in answers]
    assert found == [
        (status, body % number if b"%" in body else body) for number in range(rounds) for status, body in expected
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_resource_has_its_whole_body_also_where_the_application_streams(tree: Tree, kind: str, chunked: bool) -> None:
    with serving(application, service={"mounts": {"/m": tree}}, stream_input=True, stream_chunked=True) as server:
        if chunked:
            ask = request("/m/upload", method="POST", fields="Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n"
        else:
            ask = request("/m/upload", method="POST", body=b"hello")
        client = server.connect(kind)
        for piece in (ask[:-6], ask[-6:]):
            client.send(piece)
            server.settle()
        (answer,) = client.answers("POST")
        assert (answer.status, answer.body) == (200, b"5 ")


@pytest.mark.parametrize("kind", KINDS)
def test_a_body_behind_which_its_resource_fails_is_seen_to_be_cut(kind: str) -> None:
    gone: list[Any] = []

    def fails(request: Any) -> Any:
        request.notifyFinish().addErrback(gone.append)
        request.write(b"begun")
        raise ZeroDivisionError("behind the head")

    with serving(application, service={"mounts": {"/m": Calls(fails)}}) as server:
        client = server.ask(request("/m"), kind)
        assert b"begun" in client.received
        assert b"Processing Failed" not in client.received
        assert not client.received.endswith(b"0\r\n\r\n")
        assert client.gone
        assert len(gone) == 1
        assert "behind the head" in server.logged()
