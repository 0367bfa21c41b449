"""Does a client that does wrong get the right answer, able to read it, and is nothing more of it looked at?"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import GET, KINDS, echo, request, serving

kinds = pytest.mark.parametrize("kind", KINDS)

# What is sent, and the status that it deserves.
WRONG: dict[str, tuple[bytes, int]] = {
    "no request line": (b"hello\r\n\r\n", 400),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (b"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400),
    "bare LF": (b"GET / HTTP/1.1\nHost: h\n\n", 400),
    "both lengths": (request(fields="Content-Length: 3\nTransfer-Encoding: chunked"), 400),
    "two lengths": (request(fields="Content-Length: 3\nContent-Length: 3"), 400),
    "chunked for 1.0": (request(minor=0, fields="Transfer-Encoding: chunked"), 400),
    "a bad chunk": (request(method="POST", fields="Transfer-Encoding: chunked") + b"zz\r\n", 400),
    "a chunk too long": (request(method="POST", fields="Transfer-Encoding: chunked") + b"1\r\nabc\r\n0\r\n\r\n", 400),
    "a TLS handshake": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "too large a body": (request(method="POST", fields="Content-Length: 1001"), 413),
    "too large a chunked body": (
        request(method="POST", fields="Transfer-Encoding: chunked") + b"3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n",
        413,
    ),
    "too long a target": (request("/" + "x" * 9000), 414),
    "too long a target without an end": (b"GET /" + b"x" * 9000, 414),
    "an expectation": (request(method="POST", fields="Expect: more\nContent-Length: 1"), 417),
    "too long a field": (request(fields="X: " + "x" * 9000), 431),
    "too many fields": (request(fields="\n".join(f"X{number}: 1" for number in range(101))), 431),
    "too long a head": (request(fields="\n".join(f"X{number}: {'x' * 7000}" for number in range(10))), 431),
    "too long trailers": (
        request(method="POST", fields="Transfer-Encoding: chunked") + b"0\r\n" + b"a: b\r\n" * 2000,
        431,
    ),
    "another coding": (request(method="POST", fields="Transfer-Encoding: gzip, chunked"), 501),
    "CONNECT": (b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", 501),
    "HTTP/2.0": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
}
wrong = pytest.mark.parametrize(("octets", "status"), WRONG.values(), ids=WRONG)


def never(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    raise RuntimeError("a wrong request reached the application")


@kinds
@wrong
def test_what_is_wrong_is_refused_and_the_connection_ends(kind: str, octets: bytes, status: int) -> None:
    with serving(never, max_body=1000) as server:
        client = server.ask(octets + GET, kind)
        (answer,) = client.answers()
        assert answer.status == status
        assert answer.field("Connection") == "close"
        assert answer.field("Content-Type") == "text/plain; charset=utf-8"
        assert answer.field("Date")
        assert len(answer.body) < 100
        assert client.ended
        assert not client.aborted
        assert [(record.status, record.size) for record in server.records] == [(status, len(answer.body))]


@wrong
def test_what_is_wrong_is_refused_octet_by_octet_too(octets: bytes, status: int) -> None:
    with serving(never, max_body=1000) as server:
        client = server.connect("string")
        for position in range(len(octets)):
            client.send(octets[position : position + 1])
            if client.ended:
                break
        server.settle()
        (answer,) = client.answers()
        assert answer.status == status


@kinds
@wrong
def test_a_good_request_before_a_wrong_one_is_answered_first(kind: str, octets: bytes, status: int) -> None:
    with serving(max_body=1000) as server:
        client = server.ask(GET + octets + GET, kind)
        assert [each.status for each in client.answers()] == [200, status]
        assert client.ended


def test_nothing_of_the_request_is_echoed() -> None:
    with serving(never) as server:
        client = server.ask(b"GET /<script>alert(1)</script> HTTP/1.1\r\nHost: evil<b>\r\n\r\n")
        assert b"script" not in client.received
        assert b"evil" not in client.received


def test_after_an_error_our_half_is_closed_and_input_is_read_and_dropped() -> None:
    with serving(never) as server:
        client = server.ask(b"nonsense\r\n\r\n")
        assert client.transport.half_closed
        assert not client.transport.disconnected
        for _ in range(10):
            client.send(GET + b"x" * 65536)
            server.settle()
            assert client.unsent == 0
        assert len(client.answers()) == 1


def test_a_client_that_closes_ends_the_lingering() -> None:
    with serving(never) as server:
        client = server.ask(b"nonsense\r\n\r\n")
        client.half_close()
        server.settle()
        assert client.transport.disconnected
        assert not client.aborted


def test_lingering_has_an_end() -> None:
    with serving(never, linger=2.0) as server:
        client = server.ask(b"nonsense\r\n\r\n")
        server.advance(1)
        assert not client.aborted
        for _ in range(5):
            client.send(b"more")
            server.advance(1)
        # Closed, not reset: the kernel may still be sending what it has of the answer.
        assert client.transport.disconnected
        assert not client.aborted


@kinds
def test_an_upload_that_is_refused_can_still_read_the_answer(kind: str) -> None:
    with serving(never, max_body=1000) as server:
        client = server.connect(kind)
        client.send(request(method="POST", fields="Content-Length: 10000000") + b"x" * 1_000_000)
        server.settle()
        (answer,) = client.answers()
        assert answer.status == 413


@kinds
def test_a_refused_pipelined_request_is_answered_after_the_one_in_flight(kind: str) -> None:
    with serving() as server:
        client = server.connect(kind)
        client.send(GET + b"nonsense\r\n\r\n")
        server.settle(work=False)
        assert client.received == b""
        server.settle()
        assert [each.status for each in client.answers()] == [200, 400]


# ---- Too much at once ----------------------------------------------------------------------------------------------


@kinds
def test_a_full_queue_is_answered_503(kind: str) -> None:
    with serving(queue=2) as server:
        server.pool.at_work = server.pool.threads
        clients = []
        for _ in range(4):
            clients.append(server.connect(kind).send(GET))
            server.settle(work=False)
        for client in clients[2:]:
            (answer,) = client.answers()
            assert (answer.status, answer.field("Retry-After")) == (503, "1")
            assert client.ended
        server.settle()
        assert [client.answers()[0].status for client in clients] == [200, 200, 503, 503]
        assert sorted(record.status for record in server.records) == [200, 200, 503, 503]
        sizes = {len(client.answers()[0].body) for client in clients[2:]}
        assert {record.size for record in server.records if record.status == 503} == sizes


@kinds
def test_a_request_with_a_body_is_refused_by_a_full_queue_too(kind: str) -> None:
    with serving(echo, queue=1) as server:
        server.pool.at_work = server.pool.threads
        first = server.connect(kind).send(GET)
        server.settle(work=False)
        second = server.connect(kind).send(request(method="POST", body=b"x" * 1000))
        server.settle(work=False)
        assert second.answers()[0].status == 503
        server.settle()
        assert first.answers()[0].status == 200


@kinds
def test_a_request_that_waited_too_long_is_answered_503(kind: str) -> None:
    with serving(queue_age=5) as server:
        server.held = True
        client = server.connect(kind).send(GET)
        server.advance(4)
        assert client.received == b""
        server.advance(3)
        (answer,) = client.answers()
        assert (answer.status, answer.field("Retry-After")) == (503, "1")
        server.held = False
        server.settle()  # its job runs, and has nothing to do any more
        assert len(client.answers()) == 1
        assert [record.status for record in server.records] == [503]
        assert "a request was answered 503: no thread was free within queue_age" in server.logged()


@kinds
def test_a_request_that_is_being_answered_may_take_longer(kind: str) -> None:
    servers: list[Any] = []

    def slow(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        for _ in range(60):
            servers[0].reactor.clock.now += 1
            servers[0].reactor.turn()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"late"]

    with serving(slow, queue_age=5) as server:
        servers.append(server)
        client = server.ask(GET, kind)
        assert client.answers()[0].body == b"late"
