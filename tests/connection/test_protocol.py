"""Is a conversation over one connection what HTTP/1.1 and HTTP/1.0 say, whatever the transport?"""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Iterator
from contextvars import Context, ContextVar
from ipaddress import ip_address
from typing import Any

import pytest
from twisted.internet.address import IPv6Address

from tests.support import GET, KINDS, TEXT, echo, hello, request, serving
from twisted_wsgiref._connection.transports import host_and_port

kinds = pytest.mark.parametrize("kind", KINDS)


def name_of_path(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [*TEXT])
    return [environ["PATH_INFO"].encode("latin-1")]


def generated(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [*TEXT])
    yield b"one "
    yield b""
    yield b"two "
    yield b"three"


@kinds
def test_a_request_is_answered_and_the_connection_lives_on(kind: str) -> None:
    with serving() as server:
        client = server.ask(GET, kind)
        (answer,) = client.answers()
        assert (answer.status, answer.reason, answer.body, answer.framing) == (200, "OK", b"hello", "length")
        assert answer.field("Date")
        assert answer.field("Server") == "twisted_wsgiref"
        assert answer.field("Connection") is None
        assert not client.gone
        client.send(GET)
        server.settle()
        assert [each.body for each in client.answers()] == [b"hello", b"hello"]


def read_all(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [*TEXT])
    return [environ["REQUEST_METHOD"].encode(), b" ", environ["PATH_INFO"].encode(), b" ", environ["wsgi.input"].read()]


@kinds
def test_bytes_of_the_last_request_are_a_request_only_where_one_may_begin(kind: str) -> None:
    """A client that polls sends the same bytes; an upload may have them too, or an empty line may be before them."""
    post = request("/up", method="POST", body=GET)
    head, body = post[: -len(GET)], GET
    with serving(read_all) as server:
        client = server.connect(kind)
        expected = []
        for _ in range(3):
            for _ in range(4):
                client.send(GET)
                server.settle()
                expected.append(b"GET / ")
            client.send(head)
            server.settle()
            client.send(body)
            server.settle()
            expected.append(b"POST /up " + GET)
            client.send(GET)
            client.send(b"\r\n")
            server.settle()
            for _ in range(3):
                client.send(GET)
                server.settle()
                client.send(b"\r\n")
                server.settle()
            client.send(GET + GET)
            server.settle()
            expected += [b"GET / "] * 6
        assert [each.body for each in client.answers()] == expected
        assert not client.gone


@kinds
@pytest.mark.parametrize("work", ["at once", "afterwards"])
def test_pipelined_requests_are_answered_in_order(kind: str, work: str) -> None:
    with serving(name_of_path) as server:
        client = server.connect(kind)
        client.send(b"".join(request(f"/{number}") for number in range(50)))
        server.settle(work=work == "at once")
        server.settle()
        assert [each.body for each in client.answers()] == [b"/%d" % number for number in range(50)]
        assert not client.gone


@kinds
def test_one_request_of_a_connection_is_in_flight(kind: str) -> None:
    with serving(name_of_path) as server:
        client = server.connect(kind)
        client.send(b"".join(request(f"/{number}") for number in range(10)))
        server.settle(work=False)
        for done in range(10):
            assert len(server.pool.jobs) == 1
            assert len(client.answers()) == done
            server.pool.step()
            server.settle(work=False)
        assert len(client.answers()) == 10


@kinds
def test_reading_stops_while_pipelined_input_waits(kind: str) -> None:
    with serving(name_of_path, max_pipelined=65536) as server:
        client = server.connect(kind)
        requests = [request(f"/{number}", fields="X: " + "y" * 4000) for number in range(500)]
        client.send(b"".join(requests))
        server.settle(work=False)
        # One read more than the setting says, and what the kernel's buffers hold of a socket.
        assert client.unsent > 500 * 4000 - (140000 if kind == "string" else 700000)
        server.settle()
        assert [each.body for each in client.answers()] == [b"/%d" % number for number in range(500)]


@kinds
def test_answers_that_nobody_reads_stop_the_next_request(kind: str) -> None:
    if kind == "string":
        pytest.skip("StringTransport takes everything")
    answered = []

    def large(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        answered.append(environ["PATH_INFO"])
        start_response("200 OK", [*TEXT])
        return [b"x" * 50_000]

    with serving(large) as server:
        client = server.connect(kind, buffer=4096)
        client.reading = False
        client.send(b"".join(request(f"/{number}") for number in range(60)))
        server.settle()
        # Some are in the kernel's buffers, 64 KiB in the transport's.
        assert len(answered) < 12
        client.reading = True
        server.settle()
        assert answered == [f"/{number}" for number in range(60)]
        assert len(client.answers()) == 60


@kinds
def test_a_generator_is_sent_chunked_to_a_client_of_1_1(kind: str) -> None:
    with serving(generated) as server:
        client = server.ask(GET + GET, kind)
        for answer in client.answers():
            assert answer.framing == "chunked"
            assert answer.body == b"one two three"
            assert answer.chunks == [b"one ", b"two ", b"three"]
        assert len(client.answers()) == 2


@kinds
def test_a_generator_ends_with_the_connection_for_a_client_of_1_0(kind: str) -> None:
    with serving(generated) as server:
        client = server.ask(request(minor=0, fields="Connection: keep-alive"), kind)
        (answer,) = client.answers()
        assert (answer.framing, answer.body) == ("close", b"one two three")
        assert answer.field("Connection") == "close"
        assert client.ended
        assert not client.aborted


@kinds
@pytest.mark.parametrize("app", [hello, generated])
@pytest.mark.parametrize("minor", [0, 1])
def test_head_is_answered_without_a_body(kind: str, app: Any, minor: int) -> None:
    with serving(app) as server:
        client = server.ask(request(method="HEAD", minor=minor, fields="Connection: keep-alive"), kind)
        client.send(request(method="HEAD", minor=minor, fields="Connection: close"))
        server.settle()
        first, second = client.answers("HEAD", "HEAD")
        assert first.body == second.body == b""
        if app is hello:
            assert first.field("Content-Length") == "5"


@kinds
@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_an_answer_that_has_no_body_gets_none(kind: str, status: str) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(status, [("ETag", '"x"')])
        return [b"this is not sent"]

    with serving(app) as server:
        client = server.ask(GET + GET, kind)
        assert [each.status for each in client.answers()] == [int(status[:3])] * 2


@kinds
@pytest.mark.parametrize(
    ("minor", "field", "persistent", "said"),
    [
        (1, "", True, None),
        (1, "Connection: close", False, "close"),
        (1, "Connection: Keep-Alive, Close", False, "close"),
        (1, "Connection: keep-alive", True, None),
        (0, "", False, "close"),
        (0, "Connection: keep-alive", True, "keep-alive"),
        (0, "Connection: close", False, "close"),
    ],
)
def test_the_connection_lives_as_long_as_both_want(
    kind: str, minor: int, field: str, persistent: bool, said: str | None
) -> None:
    with serving() as server:
        client = server.ask(request(minor=minor, fields=field), kind)
        (answer,) = client.answers()
        assert answer.field("Connection") == said
        assert client.ended is not persistent
        assert not client.aborted


@kinds
def test_no_keep_alive_at_all_if_the_settings_say_so(kind: str) -> None:
    with serving(keep_alive=0) as server:
        client = server.ask(GET, kind)
        (answer,) = client.answers()
        assert answer.field("Connection") == "close"
        assert client.ended


# ---- Bodies of requests --------------------------------------------------------------------------------------------


BODY = bytes(range(256)) * 3


@kinds
@pytest.mark.parametrize("size", [0, 1, 3, 768])
def test_a_body_of_known_length_is_read(kind: str, size: int) -> None:
    with serving(echo) as server:
        client = server.ask(request(method="POST", body=BODY[:size]) + GET, kind)
        assert [each.body for each in client.answers()] == [BODY[:size], b""]


def chunked(*pieces: bytes, extension: bytes = b"", trailers: bytes = b"") -> bytes:
    head = request(method="POST", fields="Transfer-Encoding: chunked")
    body = b"".join(b"%x%s\r\n%s\r\n" % (len(piece), extension, piece) for piece in pieces)
    return head + body + b"0\r\n" + trailers + b"\r\n"


@kinds
@pytest.mark.parametrize("step", [1, 7, 100000])
def test_a_chunked_body_is_read_however_it_is_split(kind: str, step: int) -> None:
    lengths = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        lengths.append((environ.get("CONTENT_LENGTH"), environ.get("HTTP_TRANSFER_ENCODING"), "HTTP_T" in environ))
        return echo(environ, start_response)

    octets = chunked(b"abc", BODY, extension=b";a=b", trailers=b"T: 1\r\n") + GET
    with serving(app) as server:
        client = server.connect(kind)
        for start in range(0, len(octets), step):
            client.send(octets[start : start + step])
            server.turn()
        server.settle()
        assert [each.body for each in client.answers()] == [b"abc" + BODY, b""]
        assert lengths[0] == (str(3 + len(BODY)), None, False)


@kinds
def test_pipelined_bodies_are_parted_exactly(kind: str) -> None:
    octets = b"".join(
        request(method="POST", body=b"length %d" % number) + chunked(b"chunk", b"ed %d" % number)
        for number in range(20)
    )
    with serving(echo) as server:
        client = server.ask(octets, kind)
        expected = [b"%s %d" % (word, number) for number in range(20) for word in (b"length", b"chunked")]
        assert [each.body for each in client.answers()] == expected


@kinds
@pytest.mark.parametrize("read", [0, 10])
def test_a_body_that_is_not_read_does_not_become_the_next_request(kind: str, read: int) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [*TEXT])
        return [environ["wsgi.input"].read(read), environ["PATH_INFO"].encode()]

    with serving(app) as server:
        client = server.ask(request("/1", method="POST", body=request("/evil")) + request("/2"), kind)
        first, second = client.answers()
        assert first.body == request("/evil")[:read] + b"/1"
        assert second.body == b"/2"


@kinds
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_large_body_reaches_the_application_whole(kind: str, framing: str) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [*TEXT])
        return [hashlib.sha256(environ["wsgi.input"].read(-1)).hexdigest().encode()]

    body = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(40000))
    with serving(app, body_memory=65536) as server:
        octets = request(method="POST", body=body) if framing == "length" else chunked(*[body[:99], body[99:]])
        client = server.ask(octets + GET, kind)
        first, second = client.answers()
        assert first.body == hashlib.sha256(body).hexdigest().encode()
        assert second.body == hashlib.sha256(b"").hexdigest().encode()


# ---- 100 (Continue) ------------------------------------------------------------------------------------------------

EXPECTS = request(method="POST", fields="Expect: 100-continue\nContent-Length: 5")


@kinds
def test_a_client_that_waits_is_told_to_go_on_once(kind: str) -> None:
    with serving(echo) as server:
        client = server.ask(EXPECTS, kind)
        assert client.received == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"ab")
        server.settle()
        client.send(b"cde" + GET)
        server.settle()
        first, second = client.answers()
        assert (first.interim, first.body) == ([100], b"abcde")
        assert (second.interim, second.body) == ([], b"")


@kinds
def test_a_client_is_told_to_go_on_before_it_is_answered_however_quick_the_worker_is(kind: str) -> None:
    with serving(echo) as server:
        put = server.pool.put

        def put_and_run(jobs: Any) -> Any:
            refused = put(jobs)
            server.pool.step()  # within the turn of the reactor in which the body came
            return refused

        server.pool.put = put_and_run  # type: ignore[method-assign]
        client = server.connect(kind).send(EXPECTS)
        server.reactor.turn()
        client.send(b"abcde")
        server.settle()
        (answer,) = client.answers()
        assert (answer.interim, answer.status, answer.body) == ([100], 200, b"abcde")


@kinds
@pytest.mark.parametrize(
    "octets",
    [
        EXPECTS + b"abcde",
        request(method="POST", minor=0, fields="Expect: 100-continue\nContent-Length: 5") + b"abcde",
        request(method="POST", fields="Expect: 100-continue", body=b""),
        request(fields="Expect: 100-continue"),
    ],
)
def test_who_does_not_wait_is_told_nothing(kind: str, octets: bytes) -> None:
    with serving(echo) as server:
        client = server.ask(octets, kind)
        (answer,) = client.answers()
        assert answer.interim == []
        assert answer.status == 200


@kinds
def test_a_client_of_1_0_is_never_told_to_go_on(kind: str) -> None:
    with serving(echo) as server:
        client = server.ask(request(method="POST", minor=0, fields="Expect: 100-continue\nContent-Length: 5"), kind)
        assert client.received == b""
        client.send(b"abcde")
        server.settle()
        (answer,) = client.answers()
        assert (answer.interim, answer.body) == ([], b"abcde")


@kinds
def test_too_large_a_body_is_refused_before_it_is_sent(kind: str) -> None:
    with serving(echo, max_body=4) as server:
        client = server.ask(EXPECTS, kind)
        (answer,) = client.answers()
        assert (answer.interim, answer.status) == ([], 413)


@kinds
def test_a_pipelined_client_is_told_to_go_on_only_after_the_answer_before(kind: str) -> None:
    with serving(echo) as server:
        client = server.connect(kind)
        client.send(GET + EXPECTS)
        server.settle(work=False)
        assert client.received == b""
        server.settle()
        client.send(b"abcde")
        server.settle()
        first, second = client.answers()
        assert (first.interim, second.interim, second.body) == ([], [100], b"abcde")


# ---- What is told of an exchange -----------------------------------------------------------------------------------


@kinds
def test_each_request_has_one_record(kind: str) -> None:
    with serving(name_of_path) as server:
        server.ask(request("/one?q", fields="Referer: r\nUser-Agent: a") + request("/two", method="HEAD"), kind)
        one, two = server.records
        assert (one.request_line, one.status, one.size) == ("GET /one?q HTTP/1.1", 200, 4)
        assert (one.referer, one.user_agent, one.peer) == ("r", "a", "127.0.0.2")
        assert (two.request_line, two.status, two.size) == ("HEAD /two HTTP/1.1", 200, 0)


def test_a_record_says_who_was_there_only_in_words() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ["REMOTE_ADDR"], environ["REMOTE_USER"] = 5, ["frank"]
        return hello(environ, start_response)

    with serving(app) as server:
        server.ask(request("/"))
        (record,) = server.records
        assert (record.peer, record.user) == (None, "")


def test_environ_is_described_by_the_transport() -> None:
    seen: list[dict[str, Any]] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(dict(environ))
        return hello(environ, start_response)

    with serving(app) as server:
        server.ask(request("/a%20b?c=d"))
        (environ,) = seen
    names = ("REMOTE_ADDR", "REMOTE_PORT", "SERVER_NAME", "SERVER_PORT", "PATH_INFO", "QUERY_STRING")
    assert [environ[name] for name in names] == ["127.0.0.2", "50000", "127.0.0.1", "8080", "/a b", "c=d"]
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["wsgi.multithread"] is True
    assert environ["wsgi.multiprocess"] is False


@kinds
def test_an_idle_connection_keeps_nothing_of_its_last_request(kind: str) -> None:
    class Body(list[bytes]):
        """A list that can be watched."""

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [*TEXT])
        body = Body([b"x"])
        watched.append(weakref.ref(body))
        return body

    watched: list[Any] = []
    with serving(app, validated=False) as server:
        server.ask(GET, kind)
        assert watched[0]() is None


@kinds
def test_what_an_application_keeps_of_a_request_can_not_reach_the_next_answer(kind: str) -> None:
    kept: list[Any] = []
    late: list[Exception] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if kept:
            write, hint = kept
            hint([("Link", "</late>")])
            try:
                write(b"late")
            except RuntimeError as error:
                late.append(error)
        kept[:] = [start_response("200 OK", [*TEXT]), environ["wsgi.early_hints"]]
        return [b"hello"]

    with serving(app) as server:
        client = server.ask(GET + GET, kind)
        one, two = client.answers()
        assert (one.body, two.body) == (b"hello", b"hello")
        assert "write() was called after the answer had ended" in str(late[0])


@kinds
def test_nothing_follows_an_answer_when_its_iterable_is_closed(kind: str) -> None:
    late: list[Exception] = []

    class Body:
        def __init__(self, blocks: list[bytes], write: Any) -> None:
            self._blocks, self._write = iter(blocks), write

        def __iter__(self) -> Any:
            return self._blocks

        def close(self) -> None:
            try:
                self._write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL")
            except RuntimeError as error:
                late.append(error)

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        blocks = environ["QUERY_STRING"].encode().split()
        return Body(blocks, start_response("200 OK", [*TEXT]))

    with serving(app) as server:
        client = server.ask(
            b"".join(b"GET /?%b HTTP/1.1\r\nHost: h\r\n\r\n" % each for each in (b"", b"a", b"b")), kind
        )
        assert [answer.body for answer in client.answers()] == [b"", b"a", b"b"]
        assert len(late) == 3


@kinds
def test_an_observer_that_fails_is_logged_and_hurts_nobody(kind: str) -> None:
    seen: list[int] = []

    def fails(record: Any) -> None:
        raise ValueError("on purpose")

    with serving(hello, service={"observers": [fails, lambda record: seen.append(record.status)]}) as server:
        client = server.ask(GET + GET + b"nonsense\r\n\r\n", kind)
        assert [answer.status for answer in client.answers("GET", "GET", "GET")] == [200, 200, 400]
        assert seen == [200, 200, 400]
        assert server.logged().count("an observer failed") == 3
        assert "on purpose" in server.logged()


@pytest.mark.parametrize(
    "moment", ["before it is known", "before it is known with a body", "behind the bytes that wait"]
)
def test_what_comes_in_the_moment_of_a_last_answer_is_no_request(moment: str) -> None:
    with serving(hello) as server:
        client = server.connect().send(request(fields="Connection: close"))
        server.settle(work=False)
        reader = client.protocol._reader

        class WhileAWorkerEnds:
            """The reader; a worker ends just when it is asked for the bytes it knows, or after it is given some."""

            @property
            def again(self) -> bytes:
                if moment != "before it is known":
                    return b""
                server.pool.step()
                return GET

            @property
            def again_size(self) -> int:
                if moment != "before it is known with a body":
                    return 0
                server.pool.step()
                return len(GET)

            again_start = GET[:10]

            @property
            def buffer(self) -> Any:
                return reader.buffer

            @buffer.setter
            def buffer(self, data: bytes) -> None:
                reader.buffer = data
                if moment == "behind the bytes that wait":
                    server.pool.step()

        client.protocol._reader = WhileAWorkerEnds()
        client.protocol.dataReceived(GET)
        assert not server.pool.jobs
        server.settle()
        assert len(client.answers()) == 1


@pytest.mark.parametrize(
    ("told", "name"),
    [("::ffff:192.0.2.7", "192.0.2.7"), ("2001:db8::7", "2001:db8::7"), ("::ffff:0:192.0.2.7", "::ffff:0:192.0.2.7")],
)
def test_an_ipv4_client_of_a_socket_for_both_kinds_has_one_name(told: str, name: str) -> None:
    host, port = host_and_port(IPv6Address("TCP", told, 8000)) or ("", 0)
    assert (ip_address(host), port) == (ip_address(name), 8000)


@pytest.mark.parametrize(("context", "second"), [("thread", "set"), ("request", "unset")])
def test_a_request_sees_the_context_that_the_setting_says(context: str, second: str) -> None:
    variable: ContextVar[str] = ContextVar("variable", default="unset")

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [*TEXT])
        seen = variable.get().encode()
        variable.set("set")
        return [seen]

    def exchange() -> list[bytes]:
        with serving(app, context=context) as server:
            return [answer.body for answer in server.ask(GET * 2).answers()]

    # The tests' pool works in the thread of the test.
    assert Context().run(exchange) == [b"unset", second.encode()]
