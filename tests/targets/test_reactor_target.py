"""Is a request that the reactor answers kept in order, framed, paced and given up as an application's is?"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.protocol import Protocol

from tests.answers import read_answers
from tests.support import Server, hello, request, serving
from twisted_wsgiref._gateway.client_gone import ClientGone
from twisted_wsgiref._gateway.fields import format_fields
from twisted_wsgiref._gateway.file_span import FileSpan
from twisted_wsgiref._http.mounts import MountTable
from twisted_wsgiref._targets.mounted import MountedTargets
from twisted_wsgiref._targets.reactor_exchange import ReactorAnswer, ReactorExchange, ReactorTarget

KINDS = pytest.mark.parametrize("kind", ["socket", "ours", "opaque", "string"])
PLAIN = format_fields([("Content-Type", "text/plain")])


def mount(server: Server, answer: Callable[[ReactorExchange, ReactorAnswer], object], **how: Any) -> None:
    target = ReactorTarget(server.service._common, answer, **how)
    server.factory._mounts = MountedTargets(MountTable({"/m": target}), "")
    server.factory.is_direct = False


def whole(exchange: ReactorExchange, answer: ReactorAnswer) -> None:
    answer.whole("200 OK", PLAIN, exchange.head.path.encode())


@KINDS
def test_answers_of_the_reactor_and_of_an_application_come_in_their_order(kind: str) -> None:
    with serving(hello) as server:
        mount(server, whole)
        targets = ["/m/1", "/a", "/m/2", "/m/3", "/b", "/m/4"] * 20
        client = server.ask(b"".join(map(request, targets)), kind)
        bodies = [answer.body for answer in read_answers(client.received, ["GET"] * len(targets))]
        expected = [target.encode() if target.startswith("/m") else None for target in targets]
        assert [body if at else None for body, at in zip(bodies, expected, strict=True)] == expected
        assert len(server.records) == len(targets)
        assert {record.status for record in server.records} == {200}


@KINDS
def test_of_requests_that_are_answered_at_once_no_more_is_kept_than_of_others(kind: str) -> None:
    with serving(hello, max_pipelined=16384) as server:
        mount(server, whole)
        one = request("/m/x")
        count = 3 * 65536 // len(one)
        client = server.connect(kind)
        client.reading = False
        client.send(one * count)
        most = 0
        for _ in range(200):
            server.turn()
            most = max(most, len(client.protocol._reader.buffer))
        assert most <= 16384 + 65536  # what one read may bring
        client.reading = True
        for _ in range(count):
            server.settle()
            if client.received.count(b"HTTP/1.1 200 OK") == count:
                break
        assert client.received.count(b"HTTP/1.1 200 OK") == count


@KINDS
def test_each_of_many_requests_is_answered_though_the_client_has_closed_its_half(kind: str) -> None:
    with serving(hello) as server:
        mount(server, whole)
        client = server.connect(kind)
        client.send(request("/m/1") + request("/m/2") + request("/m/3"))
        client.half_close()
        server.settle()
        bodies = [answer.body for answer in read_answers(client.received, ["GET"] * 3)]
        assert bodies == [b"/m/1", b"/m/2", b"/m/3"]
        server.settle()
        assert not server.factory.connections


@KINDS
def test_an_answer_may_begin_and_end_in_later_turns(kind: str) -> None:
    kept: list[ReactorAnswer] = []
    with serving(hello) as server:
        mount(server, lambda exchange, answer: kept.append(answer))
        client = server.ask(request("/m") + request("/a"), kind)
        assert client.received == b""
        (answer,) = kept
        answer.begin("200 OK", PLAIN)
        answer.block(b"")
        server.settle()
        assert client.received.endswith(b"\r\n\r\n")
        assert answer.block(b"later")
        answer.end()
        server.settle()
        first, second = read_answers(client.received, ["GET", "GET"])
        assert first.body == b"later"
        assert second.status == 200


@KINDS
def test_whoever_makes_blocks_is_called_when_there_is_room(kind: str) -> None:
    size = 0

    def much(exchange: ReactorExchange, answer: ReactorAnswer) -> None:
        answer.begin("200 OK", PLAIN)
        more(answer)

    def more(answer: ReactorAnswer) -> None:
        nonlocal size
        while size < 4_000_000:
            size += 10_000
            if not answer.block(b"x" * 10_000):
                answer.when_room(lambda: more(answer))
                return
        answer.end()

    with serving(hello, high_water=100_000) as server:
        mount(server, much)
        client = server.connect(kind)
        client.reading = False
        client.send(request("/m"))
        server.settle()
        assert size < 2_000_000  # what the sockets keep, and the mark
        client.reading = True
        server.settle()
        (answer,) = read_answers(client.received, ["GET"])
        assert len(answer.body) == size == 4_000_000


@KINDS
def test_a_client_that_leaves_is_told_of_once(kind: str) -> None:
    lost: list[str] = []
    kept: list[ReactorAnswer] = []

    def wait(exchange: ReactorExchange, answer: ReactorAnswer) -> None:
        answer.on_lost = lambda: lost.append("lost")
        kept.append(answer)

    with serving(hello) as server:
        mount(server, wait)
        client = server.ask(request("/m"), kind)
        client.leave()
        server.settle()
        server.reactor.clock.now += 2  # it may have closed its half only, and still read
        server.factory.sweep()
        server.settle()
        assert lost == ["lost"]
        with pytest.raises(ClientGone):
            kept[0].block(b"late")
        kept[0].refuse(500)
        kept[0].cut()
        server.settle()
        assert [record.status for record in server.records] == [0]
        assert not server.factory.connections


@KINDS
def test_an_answer_that_takes_too_long_is_a_504_and_is_told(kind: str) -> None:
    lost: list[str] = []
    with serving(hello, request_timeout=5) as server:

        def wait(exchange: ReactorExchange, answer: ReactorAnswer) -> None:
            answer.on_lost = lambda: lost.append("lost")

        mount(server, wait)
        client = server.ask(request("/m"), kind)
        for _ in range(3):
            server.reactor.clock.now += 4
            server.factory.sweep()
            server.settle()
        assert client.received.startswith(b"HTTP/1.1 504 ")
        assert lost == ["lost"]
        assert [record.status for record in server.records] == [504]


@KINDS
def test_what_fails_is_a_500_or_a_cut(kind: str, caplog: object) -> None:
    def fail(exchange: ReactorExchange, answer: ReactorAnswer) -> None:
        if exchange.head.path == "/m/late":
            answer.begin("200 OK", PLAIN)
            answer.block(b"a part")
        raise ZeroDivisionError("by us")

    with serving(hello) as server:
        mount(server, fail)
        client = server.ask(request("/m"), kind)
        assert client.received.startswith(b"HTTP/1.1 500 ")
        late = server.ask(request("/m/late"), kind)
        assert late.ended or late.reset
        assert not late.received.endswith(b"0\r\n\r\n")
        assert sum("what is mounted failed" in str(event.get("log_format")) for event in server.log) == 2
        server.log.clear()


@KINDS
def test_a_body_is_whole_if_it_is_collected(kind: str) -> None:
    bodies: list[bytes] = []

    def keep(exchange: Any, answer: ReactorAnswer) -> None:
        with exchange.body.open() as file:
            bodies.append(file.read())
        answer.whole("200 OK", PLAIN, b"")

    with serving(hello) as server:
        mount(server, keep, collects=True)
        client = server.connect(kind)
        sent = request("/m", method="POST", body=b"0123456789")
        client.send(sent[:-4])
        server.settle()
        assert bodies == []
        client.send(sent[-4:])
        server.settle()
        assert bodies == [b"0123456789"]
        assert client.received.startswith(b"HTTP/1.1 200 ")


@KINDS
def test_an_answer_that_needs_no_body_does_not_wait_for_it(kind: str) -> None:
    with serving(hello) as server:
        mount(server, whole)
        client = server.connect(kind)
        client.send(request("/m", method="POST", body=b"x" * 100_000)[:200])
        server.settle()
        assert client.received.startswith(b"HTTP/1.1 200 ")
        assert b"Connection: close\r\n" in client.received
        small = server.ask(request("/m", method="POST", body=b"small") + request("/m/2"), kind)
        first, second = read_answers(small.received, ["POST", "GET"])
        assert (first.body, second.body) == (b"/m", b"/m/2")


def test_a_file_is_sent_and_the_connection_lives_on() -> None:
    with tempfile.TemporaryFile() as file, serving(hello) as server:
        file.write(b"0123456789" * 10_000)
        file.flush()

        def send(exchange: ReactorExchange, answer: ReactorAnswer) -> None:
            answer.file("200 OK", PLAIN, FileSpan(file.fileno(), 10, 50_000))

        mount(server, send)
        client = server.ask(request("/m") + request("/m", method="HEAD") + request("/m"))
        answers = read_answers(client.received, ["GET", "HEAD", "GET"])
        assert [len(answer.body) for answer in answers] == [50_000, 0, 50_000]


class Echo(Protocol):
    """Sends back what comes, and keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def dataReceived(self, data: bytes) -> None:
        if data == b"fail":
            raise ZeroDivisionError
        self.transport.write(data.upper())  # type: ignore[union-attr]

    def connectionLost(self, reason: object = None) -> None:
        self.told.append("lost")

    def sendClose(self, code: int) -> None:
        self.told.append(f"close {code}")
        self.transport.loseConnection()  # type: ignore[union-attr]


def hand_over_to(echo: Echo) -> Callable[[ReactorExchange, ReactorAnswer], object]:
    def upgrade(exchange: ReactorExchange, answer: ReactorAnswer) -> None:
        transport = answer.upgrade(echo)  # type: ignore[arg-type]
        echo.makeConnection(transport)  # type: ignore[arg-type]
        transport.write(b"101\r\n")

    return upgrade


@KINDS
def test_a_connection_changes_hands(kind: str) -> None:
    echo = Echo()
    with serving(hello, keep_alive=5, request_timeout=5) as server:
        mount(server, hand_over_to(echo))
        client = server.connect(kind)
        client.send(request("/a") + request("/m", fields="Upgrade: echo\nConnection: upgrade") + b"early")
        server.settle()
        assert client.received.endswith(b"101\r\nEARLY")
        for _ in range(20):
            server.reactor.clock.now += 60
            server.factory.sweep()
            server.settle()
        client.send(b"later")
        server.settle()
        assert client.received.endswith(b"EARLYLATER")
        client.leave()
        server.settle()
        assert echo.told == ["lost"]
        assert [record.status for record in server.records] == [200, 101]
        assert not server.factory.connections


@KINDS
def test_a_connection_that_changed_hands_may_be_paused_for_long(kind: str) -> None:
    echo = Echo()
    with serving(hello) as server:
        mount(server, hand_over_to(echo))
        client = server.ask(request("/m"), kind)
        echo.transport.pauseProducing()  # type: ignore[union-attr]
        for _ in range(4):
            server.reactor.clock.now += 1
            server.factory.sweep()
            server.settle()
        assert server.factory.forgotten == 0
        client.send(b"later")
        echo.transport.resumeProducing()  # type: ignore[union-attr]
        server.settle()
        assert client.received.endswith(b"LATER")
        assert not client.ended


@KINDS
def test_whoever_took_a_connection_is_asked_to_close_it_at_the_stop(kind: str) -> None:
    echo = Echo()
    with serving(hello) as server:
        mount(server, hand_over_to(echo))
        client = server.ask(request("/m"), kind)
        stopped: list[object] = []
        server.service.stopService().addCallback(stopped.append)
        server.settle()
        assert echo.told == ["close 1000", "lost"]
        assert client.ended
        assert stopped


@KINDS
def test_a_protocol_that_fails_loses_its_connection_alone(kind: str) -> None:
    echo = Echo()
    with serving(hello) as server:
        mount(server, hand_over_to(echo))
        client = server.ask(request("/m"), kind)
        client.send(b"fail")
        server.settle()
        assert echo.told == ["lost"]
        assert not server.factory.connections
        server.log.clear()


def test_a_connection_is_not_given_away_once_an_answer_has_begun() -> None:
    refused: list[str] = []

    def upgrade(exchange: ReactorExchange, answer: ReactorAnswer) -> None:
        answer.begin("200 OK", PLAIN)
        answer.block(b"begun")
        try:
            answer.upgrade(Echo())  # type: ignore[arg-type]
        except RuntimeError as error:
            refused.append(str(error))
        answer.end()

    with serving(hello) as server:
        mount(server, upgrade)
        server.ask(request("/m"))
        assert refused == ["the connection can not be taken over: an answer has begun, or the connection ends"]
