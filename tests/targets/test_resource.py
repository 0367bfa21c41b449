"""Does a resource of Twisted's find what it knows, and does its answer come out framed by us?"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IConsumer, ITransport
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from twisted_wsgiref._gateway.client_gone import ClientGone
from twisted_wsgiref._targets.resource import (
    MountedSite,
    address_of,
    header_name,
    make_channel,
    origin_form,
    render,
    split_paths,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Twisted's module uses what Twisted has deprecated
    from twisted.web.static import Data, File


class FakeAnswer:
    """An answer that keeps what it is given; ``room`` is how many bytes it takes before it says that it is full."""

    def __init__(self, room: int = 1 << 30) -> None:
        self.room = room
        self.status = ""
        self.lines = ""
        self.blocks: list[bytes] = []
        self.ended = self.closes = self.was_cut = self.gone = False
        self.refused = 0
        self.protocol: Any = None
        self.transport = StringTransport()
        self._waiting: Callable[[], None] | None = None

    @property
    def body(self) -> bytes:
        return b"".join(self.blocks)

    def begin(self, status: str, fields: Any) -> None:
        if self.gone:
            raise ClientGone
        self.status, self.lines, self.length = status, fields.lines, fields.length

    def block(self, data: bytes) -> bool:
        if self.gone:
            raise ClientGone
        self.blocks.append(data)
        if self.length is not None and len(self.body) > self.length:
            raise ValueError("too long")
        return len(self.body) <= self.room

    def when_room(self, call: Callable[[], None]) -> None:
        assert self._waiting is None
        self._waiting = call

    def make_room(self) -> None:
        self.room += 1 << 20
        waiting, self._waiting = self._waiting, None
        assert waiting is not None
        waiting()

    def end(self) -> None:
        if self.gone:
            raise ClientGone
        self.ended = True

    def close_after(self) -> None:
        self.closes = True

    def refuse(self, status: int) -> None:
        self.refused = status

    def cut(self) -> None:
        self.was_cut = True

    def upgrade(self, protocol: Any) -> Any:
        self.protocol = protocol
        return self.transport


class Asked:
    """A request to a resource; what it came to is in ``answer``."""

    def __init__(
        self,
        resource: Any,
        target: str = "/m/x",
        *,
        method: str = "GET",
        body: bytes = b"",
        prefix: str = "/m",
        answer: FakeAnswer | None = None,
        **environ: Any,
    ) -> None:
        self.answer = answer or FakeAnswer()
        self.clock = Clock()
        self.log: list[BaseException] = []
        self.below = StringTransport()
        self.site: Any = MountedSite(resource, reactor=self.clock)
        given = {
            "REQUEST_METHOD": method,
            "REQUEST_URI": target,
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "192.0.2.7",
            "REMOTE_PORT": "4711",
            "SERVER_NAME": "192.0.2.1",
            "SERVER_PORT": "80",
            "HTTP_HOST": "shop.example",
            "wsgi.url_scheme": "http",
            **({"CONTENT_LENGTH": str(len(body))} if body else {}),
            **environ,
        }
        self.channel = make_channel(
            given,
            self.answer,
            self.site,
            prefix.encode(),
            below=self.below,
            call_later=self.clock.callLater,
            log=lambda _, error: self.log.append(error),
        )
        render(self.channel, given, BytesIO(body))

    @property
    def request(self) -> Any:
        return self.channel.request


class Calls(Resource):
    """A leaf that has `call` answer."""

    isLeaf = True

    def __init__(self, call: Callable[[Any], Any]) -> None:
        super().__init__()
        self._call = call

    def render(self, request: Any) -> Any:
        return self._call(request)


def later(request: Any) -> int:
    return NOT_DONE_YET


def test_an_answer_of_bytes_has_its_length_and_no_framing_of_twisteds() -> None:
    answer = Asked(Calls(lambda request: b"hello")).answer
    assert answer.status == "200 OK"
    assert "Content-Length: 5\r\n" in answer.lines
    assert answer.body == b"hello"
    assert answer.ended


def test_blocks_come_without_chunks_since_the_framing_is_ours() -> None:
    def call(request: Any) -> int:
        request.write(b"one")
        request.write(b"two")
        request.finish()
        return NOT_DONE_YET

    answer = Asked(Calls(call)).answer
    assert answer.blocks == [b"one", b"two"]
    assert "Transfer-Encoding" not in answer.lines
    assert answer.ended


def test_the_head_of_a_resource_that_goes_on_later_leaves_at_once() -> None:
    def call(request: Any) -> int:
        request.write(b"")
        return NOT_DONE_YET

    assert Asked(Calls(call)).answer.blocks == [b""]


def test_a_head_that_is_written_later_leaves_in_the_next_turn() -> None:
    asked = Asked(Calls(later))
    asked.request.write(b"")
    asked.clock.advance(0)
    assert asked.answer.blocks == [b""]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_file_is_told_by_twisteds_own_resource(tmp_path: Any, method: str) -> None:
    (tmp_path / "a.txt").write_bytes(b"0123456789")
    asked = Asked(File(str(tmp_path)), "/m/a.txt", method=method)
    assert "Content-Length: 10\r\n" in asked.answer.lines
    assert "Content-Type: text/plain" in asked.answer.lines
    for _ in range(10):
        asked.clock.advance(0)
    assert asked.answer.body == (b"0123456789" if method == "GET" else b"")
    assert asked.answer.ended


def test_a_range_of_a_file(tmp_path: Any) -> None:
    (tmp_path / "a.txt").write_bytes(b"0123456789")
    answer = Asked(File(str(tmp_path)), "/m/a.txt", HTTP_RANGE="bytes=2-4").answer
    assert (answer.status, answer.body) == ("206 Partial Content", b"234")


def test_a_file_that_is_not_newer_is_a_304_without_a_body(tmp_path: Any) -> None:
    (tmp_path / "a.txt").write_bytes(b"0123456789")
    answer = Asked(File(str(tmp_path)), "/m/a.txt", HTTP_IF_MODIFIED_SINCE="Fri, 31 Dec 2100 00:00:00 GMT").answer
    assert (answer.status, answer.body, answer.ended) == ("304 Not Modified", b"", True)


def test_a_request_has_what_twisted_web_gives_it() -> None:
    seen: dict[str, Any] = {}

    def call(request: Any) -> bytes:
        seen.update(
            args=request.args,
            cookie=request.getCookie(b"a"),
            header=request.getHeader("X-Some-Thing"),
            body=request.content.read(),
            host=request.getRequestHostname(),
            peer=(request.getClientAddress().host, request.getClientAddress().port),
            secure=request.isSecure(),
            prepath=request.prepath,
            postpath=request.postpath,
            version=request.clientproto,
            user=request.getUser(),
        )
        return b""

    Asked(
        Calls(call),
        "/m/a%20b?q=1&q=2",
        method="POST",
        body=b"r=%33",
        CONTENT_TYPE="application/x-www-form-urlencoded",
        HTTP_COOKIE="a=1; b=2",
        HTTP_X_SOME_THING="yes",
        HTTP_AUTHORIZATION="Basic YWRhOmI=",
        **{"wsgi.url_scheme": "https"},
    )
    assert seen == {
        "args": {b"q": [b"1", b"2"], b"r": [b"3"]},
        "cookie": b"1",
        "header": "yes",
        "body": b"r=%33",
        "host": b"shop.example",
        "peer": ("192.0.2.7", 4711),
        "secure": True,
        "prepath": [b"m"],
        "postpath": [b"a b"],
        "version": b"HTTP/1.1",
        "user": b"ada",
    }


def test_a_form_that_is_none_is_refused() -> None:
    asked = Asked(
        Calls(lambda request: b"never"), method="POST", body=b"x", CONTENT_TYPE="multipart/form-data; boundary="
    )
    assert asked.answer.refused == 400 or asked.answer.body == b"never"  # Twisted decides what it can read
    assert not asked.log


def test_a_session_is_kept_by_the_site_and_ends_by_its_clock() -> None:
    sessions = []

    def call(request: Any) -> bytes:
        sessions.append(request.getSession())
        return b""

    asked = Asked(Calls(call))
    assert "Set-Cookie: TWISTED_SESSION" in asked.answer.lines
    assert asked.site.sessions[sessions[0].uid] is sessions[0]
    asked.clock.advance(sessions[0].sessionTimeout + 1)
    assert asked.site.sessions == {}


def test_an_exception_of_a_resource_is_a_500() -> None:
    def call(request: Any) -> bytes:
        raise ZeroDivisionError("by the resource")

    answer = Asked(Calls(call)).answer
    assert answer.status == "500 Internal Server Error"
    assert b"by the resource" not in answer.body


def test_a_header_that_can_not_be_sent_is_one_line_in_the_log_and_a_500() -> None:
    def call(request: Any) -> bytes:
        request.setHeader(b"X-Bad", b"a\x00b")
        return b"hello"

    asked = Asked(Calls(call))
    assert asked.answer.refused == 500
    assert [type(error) for error in asked.log] == [ValueError]
    assert asked.answer.body == b""


def test_more_bytes_than_promised_are_a_fault_of_the_resource() -> None:
    def call(request: Any) -> int:
        request.setHeader(b"Content-Length", b"2")
        request.write(b"hello")
        request.finish()
        return NOT_DONE_YET

    asked = Asked(Calls(call))
    assert asked.answer.refused == 500
    assert len(asked.log) == 1


@pytest.mark.parametrize("name", [b"Connection", b"Keep-Alive", b"Transfer-Encoding", b"Upgrade", b"TE"])
def test_fields_between_two_ends_are_not_handed_on(name: bytes) -> None:
    def call(request: Any) -> bytes:
        request.setHeader(name, b"x")
        return b"hello"

    asked = Asked(Calls(call))
    assert asked.answer.body == b"hello"
    assert b"\r\n" + name.lower() + b":" not in b"\r\n" + asked.answer.lines.lower().encode()


def test_a_resource_may_ask_for_the_end_of_the_connection() -> None:
    def call(request: Any) -> bytes:
        request.setHeader(b"Connection", b"Close")
        return b"hello"

    assert Asked(Calls(call)).answer.closes


def test_twisteds_name_and_version_are_not_told_but_a_resources_own_are() -> None:
    assert "Server:" not in Asked(Calls(lambda request: b"")).answer.lines

    def call(request: Any) -> bytes:
        request.setHeader(b"Server", b"mine")
        return b""

    assert "Server: mine\r\n" in Asked(Calls(call)).answer.lines


def test_lose_connection_cuts_the_answer() -> None:
    def call(request: Any) -> int:
        request.write(b"half")
        request.loseConnection()
        request.write(b"never")
        return NOT_DONE_YET

    answer = Asked(Calls(call)).answer
    assert answer.was_cut
    assert answer.blocks == [b"half"]
    assert not answer.ended


# ---- The client's leaving --------------------------------------------------------------------------------------


def test_notify_finish_tells_of_a_client_that_left_and_a_late_write_is_nothing() -> None:
    asked = Asked(Calls(later))
    failures: list[Any] = []
    asked.request.notifyFinish().addErrback(failures.append)
    asked.answer.gone = True
    asked.channel.connectionLost(Failure(ConnectionLost()))
    asked.request.write(b"late")
    assert failures[0].check(ConnectionLost)
    with pytest.raises(RuntimeError, match="finish"):
        asked.request.finish()
    assert asked.answer.blocks == []


def test_notify_finish_tells_of_an_answer_that_is_whole() -> None:
    asked = Asked(Calls(later))
    told: list[Any] = []
    asked.request.notifyFinish().addCallback(told.append)
    asked.request.write(b"x")
    asked.request.finish()
    assert told == [None]
    asked.channel.connectionLost(Failure(ConnectionLost()))  # later, of the connection: no business of this request


def test_a_client_that_left_before_it_was_told_is_no_error_of_the_resource() -> None:
    asked = Asked(Calls(later))
    asked.answer.gone = True
    asked.request.write(b"x")
    asked.request.finish()
    assert asked.log == []


# ---- Flow control ----------------------------------------------------------------------------------------------


class Push:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")

    def stopProducing(self) -> None:
        self.calls.append("stop")


class Pull:
    def __init__(self, request: Any, times: int) -> None:
        self.request = request
        self.left = times
        self.stopped = False

    def resumeProducing(self) -> None:
        self.left -= 1
        self.request.write(b"x" * 10)
        if not self.left:
            self.request.unregisterProducer()
            self.request.finish()

    def stopProducing(self) -> None:
        self.stopped = True


def test_a_push_producer_pauses_above_the_mark_and_resumes_with_room() -> None:
    asked = Asked(Calls(later), answer=FakeAnswer(room=10))
    producer = Push()
    asked.request.registerProducer(producer, True)
    asked.request.write(b"x" * 11)
    asked.request.write(b"x")
    assert producer.calls == ["pause"]
    asked.answer.make_room()
    assert producer.calls == ["pause", "resume"]


def test_a_producer_that_comes_while_there_is_no_room_pauses_first() -> None:
    asked = Asked(Calls(later), answer=FakeAnswer(room=10))
    asked.request.write(b"x" * 11)
    producer = Push()
    asked.request.registerProducer(producer, True)
    assert producer.calls == ["pause"]


def test_a_pull_producer_is_asked_for_no_more_than_there_is_room_for() -> None:
    asked = Asked(Calls(later), answer=FakeAnswer(room=25))
    producer = Pull(asked.request, 7)
    asked.request.registerProducer(producer, False)
    for _ in range(5):
        asked.clock.advance(0)
    assert producer.left == 4
    asked.answer.make_room()
    for _ in range(5):
        asked.clock.advance(0)
    assert asked.answer.body == b"x" * 70
    assert asked.answer.ended


def test_a_fast_pull_producer_lets_others_have_their_turn() -> None:
    asked = Asked(Calls(later))
    producer = Pull(asked.request, 100)
    asked.request.registerProducer(producer, False)
    assert producer.left > 80
    for _ in range(100):
        asked.clock.advance(0)
    assert asked.answer.ended


def test_a_producer_stops_with_its_client() -> None:
    asked = Asked(Calls(later))
    producer = Push()
    asked.request.registerProducer(producer, True)
    asked.channel.connectionLost(Failure(ConnectionLost()))
    assert producer.calls == ["stop"]


# ---- The connection changes hands ------------------------------------------------------------------------------


class Chat(Protocol):
    def __init__(self) -> None:
        self.received = b""

    def dataReceived(self, data: bytes) -> None:
        self.received += data


def test_who_sets_the_protocol_of_the_transport_takes_the_connection_over() -> None:
    """As `autobahn.twisted.resource.WebSocketResource` does it."""
    chat = Chat()

    def call(request: Any) -> int:
        transport, request.channel.transport = request.channel.transport, None
        transport.protocol = chat
        chat.makeConnection(transport)
        transport.resumeProducing()
        transport.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        return NOT_DONE_YET

    asked = Asked(Calls(call))
    assert asked.answer.protocol is chat
    assert asked.answer.transport.value().startswith(b"HTTP/1.1 101 ")
    assert asked.answer.blocks == []
    assert not asked.answer.ended
    asked.channel.connectionLost(Failure(ConnectionLost()))  # the connection's end is the protocol's
    assert asked.log == []


def test_autobahns_resource_takes_the_connection_over() -> None:
    websocket: Any = pytest.importorskip("autobahn.twisted.websocket")
    resource: Any = pytest.importorskip("autobahn.twisted.resource")

    class Echo(websocket.WebSocketServerProtocol):  # type: ignore[misc]
        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            self.sendMessage(payload.upper(), isBinary)

    factory = websocket.WebSocketServerFactory(reactor=Clock())
    factory.protocol = Echo
    asked = Asked(
        resource.WebSocketResource(factory),
        "/m",
        HTTP_UPGRADE="websocket",
        HTTP_CONNECTION="Upgrade",
        HTTP_SEC_WEBSOCKET_KEY="dGhlIHNhbXBsZSBub25jZQ==",
        HTTP_SEC_WEBSOCKET_VERSION="13",
    )
    answer = asked.answer
    assert asked.log == []
    assert answer.transport.value().startswith(b"HTTP/1.1 101 ")
    answer.transport.clear()
    answer.protocol.dataReceived(b"\x81\x82\x00\x00\x00\x00hi")
    assert answer.transport.value() == b"\x81\x02HI"


def test_a_websocket_of_twisted_takes_the_connection_over() -> None:
    pytest.importorskip("wsproto")
    websocket: Any = pytest.importorskip("twisted.web.websocket")
    told: list[Any] = []

    class Echo:
        def negotiationStarted(self, transport: Any) -> None:
            self.transport = transport

        def negotiationFinished(self) -> None:
            told.append("finished")

        def textMessageReceived(self, message: str) -> None:
            self.transport.sendTextMessage(message.upper())

        def connectionLost(self, reason: Any) -> None:
            told.append("lost")

    class Echoes:
        def buildProtocol(self, request: Any) -> Echo:
            return Echo()

    asked = Asked(
        websocket.WebSocketResource(Echoes()),
        "/m",
        HTTP_UPGRADE="websocket",
        HTTP_CONNECTION="Upgrade",
        HTTP_SEC_WEBSOCKET_KEY="dGhlIHNhbXBsZSBub25jZQ==",
        HTTP_SEC_WEBSOCKET_VERSION="13",
    )
    answer = asked.answer
    assert answer.transport.value().startswith(b"HTTP/1.1 101 ")
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer.transport.value()
    answer.transport.clear()
    answer.protocol.dataReceived(b"\x81\x82\x00\x00\x00\x00hi")
    assert answer.transport.value() == b"\x81\x02HI"
    answer.protocol.connectionLost(Failure(ConnectionLost()))
    assert told == ["finished", "lost"]


def test_what_is_written_to_the_transport_before_is_an_error() -> None:
    asked = Asked(Calls(later))
    with pytest.raises(RuntimeError, match="take the connection over first"):
        asked.request.transport.write(b"x")


def test_an_answered_request_can_not_take_the_connection_over() -> None:
    asked = Asked(Calls(lambda request: b"hello"))
    with pytest.raises(RuntimeError, match="answered"):
        asked.channel.transport.protocol = Chat()


def test_the_transport_says_what_it_is() -> None:
    asked = Asked(Calls(later))
    transport = asked.request.transport
    assert ITransport.providedBy(transport)
    assert IConsumer.providedBy(transport)
    assert transport.getPeer().host == "192.0.2.7"
    assert not hasattr(transport, "_networkProducer")


# ---- Paths, names and addresses --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefix", "postpath", "expected"),
    [
        (b"", [b"a", b"b"], ([], [b"a", b"b"])),
        (b"/a", [b"a"], ([b"a"], [])),
        (b"/a", [b"a", b""], ([b"a"], [b""])),
        (b"/a", [b"a", b"b", b"c"], ([b"a"], [b"b", b"c"])),
        (b"/a/b", [b"a", b"b", b"c"], ([b"a", b"b"], [b"c"])),
        (b"/a/b", [b"a/b", b"c"], ([b"a/b"], [b"c"])),
        (b"/a", [b"a/b", b"c"], ([b"a"], [b"b", b"c"])),
        (b"/\xc3\xa9", [b"\xc3\xa9", b"x"], ([b"\xc3\xa9"], [b"x"])),
        (b"/a//b", [b"a", b"", b"b", b""], ([b"a", b"", b"b"], [b""])),
    ],
)
def test_the_prefix_of_a_mount_goes_to_the_prepath(prefix: bytes, postpath: list[bytes], expected: Any) -> None:
    prepath: list[bytes] = []
    split_paths(prefix, prepath, postpath)
    assert (prepath, postpath) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/a?b", "/a?b"),
        ("*", "*"),
        ("http://h/a?b", "/a?b"),
        ("http://h", "/"),
        ("http://h?b/c", "/?b/c"),
        ("HTTPS://h:8/", "/"),
    ],
)
def test_an_absolute_target_is_a_path_to_twisted(target: str, expected: str) -> None:
    assert origin_form(target) == expected


def test_names_of_fields_are_found_in_an_environ() -> None:
    keys = ("HTTP_X_FORWARDED_FOR", "CONTENT_TYPE", "CONTENT_LENGTH", "PATH_INFO", "wsgi.input")
    assert [header_name(key) for key in keys] == [b"X-Forwarded-For", b"Content-Type", b"Content-Length", None, None]


@pytest.mark.parametrize(
    ("host", "port", "kind", "number"),
    [("192.0.2.1", "80", "IPv4Address", 80), ("[::1]", "8", "IPv6Address", 8), ("::1", None, "IPv6Address", 0)],
)
def test_addresses_have_the_type_that_twisted_gives_them(host: str, port: str | None, kind: str, number: int) -> None:
    found = address_of(host, port)
    assert (type(found).__name__, found.port) == (kind, number)
    assert type(address_of(None, None)).__name__ == "UNIXAddress"


def test_a_producer_of_data_is_the_resources_own() -> None:
    assert Asked(Data(b"hello", "text/plain"), "/m").answer.body == b"hello"
