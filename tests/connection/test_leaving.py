"""Is nobody troubled by a client that leaves: not the application, not the threads, not the descriptors?"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from typing import Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from tests.support import GET, KINDS, TEXT, echo, hello, request, serving
from twisted_wsgiref._connection.protocol import WSGIProtocol

kinds = pytest.mark.parametrize("kind", KINDS)
MOMENTS = {
    "before a word": b"",
    "within the request line": GET[:5],
    "within the head": GET[:-3],
    "before the body": request(method="POST", fields="Content-Length: 5"),
    "within the body": request(method="POST", fields="Content-Length: 5") + b"ab",
    "within a chunk": request(method="POST", fields="Transfer-Encoding: chunked") + b"5\r\nab",
    "before the last chunk": request(method="POST", fields="Transfer-Encoding: chunked") + b"2\r\nab\r\n",
    "before the last line end": request(method="POST", fields="Transfer-Encoding: chunked") + b"2\r\nab\r\n0\r\n",
}
moments = pytest.mark.parametrize("octets", MOMENTS.values(), ids=MOMENTS)


def never(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    raise RuntimeError("half a request reached the application")


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@kinds
@moments
def test_half_a_request_never_reaches_the_application(kind: str, octets: bytes) -> None:
    with serving(never) as server:
        client = server.ask(octets, kind)
        client.leave()
        server.settle()
        assert server.factory.connections == set()
        assert server.pool.done == 0


@kinds
@moments
def test_half_a_request_before_a_half_closed_connection_is_no_request(kind: str, octets: bytes) -> None:
    with serving(never) as server:
        client = server.ask(octets, kind)
        client.half_close()
        server.settle()
        assert client.gone
        assert [answer.status for answer in client.answers()] in ([], [400])
        assert server.pool.done == 0
        assert server.factory.connections == set()


@kinds
def test_a_client_that_left_costs_no_thread(kind: str) -> None:
    with serving(never) as server:
        server.held = True
        client = server.connect(kind).send(GET)
        server.settle()
        client.leave()
        # The end of a socket's input may be a half-close; after a while it is taken for what it mostly is.
        server.advance(2)
        server.held = False
        server.settle()
        assert server.pool.done == 1  # taken, and put away
        assert [record.status for record in server.records] == [0]
        assert server.factory.connections == set()


@kinds
def test_a_client_that_left_costs_no_other_its_answer(kind: str) -> None:
    kept: list[Any] = []

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        write = start_response("200 OK", [*TEXT])
        if kept:
            kept[0](b"news")  # as a chat does, in the thread of whoever says something
        kept.append(write)
        return [b"said"]

    with serving(application) as server:
        server.ask(GET, kind).leave()
        server.settle()
        speaker = server.ask(GET, kind)
        (answer,) = speaker.answers()
        assert answer.status == 500
        assert "ClientGone" in server.logged()


@kinds
def test_a_client_that_closed_its_half_is_answered(kind: str) -> None:
    with serving(echo) as server:
        client = server.connect(kind).send(request(method="POST", body=b"abc"))
        server.settle(work=False)
        client.half_close()
        server.settle(work=False)
        server.settle()
        assert client.answers()[0].body == b"abc"
        assert client.ended


@kinds
def test_all_that_was_pipelined_before_a_half_close_is_answered(kind: str) -> None:
    with serving(echo) as server:
        client = server.connect(kind)
        client.send(b"".join(request(method="POST", body=b"%d" % number) for number in range(5)))
        client.half_close()
        server.settle()
        assert [each.body for each in client.answers()] == [b"%d" % number for number in range(5)]
        assert client.ended
        assert server.factory.connections == set()


def test_what_was_pipelined_is_answered_also_if_the_half_close_comes_before_the_worker_s_wake() -> None:
    with serving(echo) as server:
        client = server.connect().send(request(method="POST", body=b"one") + request(method="POST", body=b"two"))
        server.settle(work=False)
        server.pool.step()
        client.half_close()
        client.protocol.readConnectionLost()
        server.settle()
        assert [each.body for each in client.answers()] == [b"one", b"two"]
        assert client.ended


@kinds
def test_the_window_that_was_closed_long_ago_is_not_worked_for(kind: str) -> None:
    with serving(never) as server:
        server.held = True
        client = server.connect(kind).send(GET)
        server.settle()
        client.half_close()
        server.advance(3)
        server.held = False
        server.settle()
        assert client.received == b""
        assert server.factory.connections == set()


class Body:
    """Blocks, during which the client does something; counts its `close`."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self.blocks = blocks
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return self.blocks

    def close(self) -> None:
        self.closed += 1


@kinds
def test_the_iterable_is_closed_once_if_the_client_leaves_during_the_answer(kind: str) -> None:
    bodies: list[Body] = []
    yielded: list[int] = []
    clients: list[Any] = []

    def blocks() -> Iterator[bytes]:
        for number in range(1000):
            if number == 3:
                clients[0].leave()
                for _ in range(5):
                    clients[0].server.reactor.turn()
            yielded.append(number)
            yield b"x" * 1000

    def app(environ: dict[str, Any], start_response: Any) -> Body:
        start_response("200 OK", [*TEXT])
        bodies.append(Body(blocks()))
        return bodies[0]

    with serving(app) as server:
        clients.append(server.connect(kind).send(GET))
        server.settle()
        assert bodies[0].closed == 1
        assert len(yielded) < 20
        assert server.factory.connections == set()
        assert [record.status for record in server.records] == [200]


@kinds
@pytest.mark.parametrize("how", ["iterated", "written", "suspended"])
@pytest.mark.parametrize(("method", "status"), [("HEAD", "200 OK"), ("GET", "204 No Content")])
def test_blocks_that_are_dropped_end_with_their_client(kind: str, how: str, method: str, status: str) -> None:
    bodies: list[Body] = []
    yielded: list[int] = []
    clients: list[Any] = []

    def blocks() -> Iterator[bytes]:
        for number in range(1000):
            if number == 3:
                clients[0].half_close()  # as a closed browser: its answer is read
                for _ in range(5):
                    clients[0].server.reactor.turn()
                clients[0].server.reactor.clock.now += 2
            yielded.append(number)
            yield b"x" * 1000

    def app(environ: dict[str, Any], start_response: Any) -> Body:
        write = start_response(status, [*TEXT] if method == "HEAD" else [])
        if how == "written":
            for block in blocks():
                write(block)
        bodies.append(Body(blocks()))
        return bodies[0]

    with serving(app, validated=False, suspend_streams=how == "suspended") as server:
        clients.append(server.connect(kind).send(f"{method} / HTTP/1.1\r\nHost: h\r\n\r\n".encode()))
        server.settle()
        assert 3 < len(yielded) < 20
        assert [body.closed for body in bodies] == ([] if how == "written" else [1])
        assert server.factory.connections == set()


@kinds
def test_an_application_can_ask_whether_its_client_is_there(kind: str) -> None:
    said: list[bool] = []
    clients: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        gone = environ["twisted_wsgiref.client_disconnected"]
        said.append(gone())
        clients[0].leave()
        for _ in range(5):
            clients[0].server.reactor.turn()
        said.append(gone())
        start_response("200 OK", [*TEXT])
        return [b"for nobody"]

    with serving(app) as server:
        clients.append(server.connect(kind).send(GET))
        server.settle()
        assert said == [False, True]
        assert server.factory.connections == set()


@kinds
@pytest.mark.parametrize("size", [10, 100_000])
def test_a_client_that_leaves_before_it_has_read_all_is_forgotten(kind: str, size: int) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [*TEXT])
        return [b"x" * size]

    with serving(app) as server:
        client = server.connect(kind, buffer=4096)
        client.reading = False
        client.send(GET)
        server.settle()
        client.leave()
        server.settle()
        assert server.factory.connections == set()
        assert len(server.records) == 1


def test_no_descriptor_is_left_after_clients_that_left_at_any_moment() -> None:
    octets = request(method="POST", body=b"x" * 2000)
    with serving(echo, body_memory=100) as server:
        server.ask(octets).leave()
        server.settle()
        before = descriptors()
        for cut in range(0, len(octets) + 1, 97):
            for kind in ("socket", "ours", "opaque"):
                client = server.connect(kind).send(octets[:cut])
                for _ in range(cut % 4):
                    server.turn()
                client.leave()
        server.settle()
        server.clients.clear()
        assert server.factory.connections == set()
        assert descriptors() == before


def test_a_connection_that_is_cut_off_is_closed_although_a_worker_is_at_it() -> None:
    seen: list[bool] = []
    clients: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        clients[0].protocol.cut_off()
        for _ in range(5):
            clients[0].server.turn()
        seen.append(clients[0].ended)
        start_response("200 OK", [*TEXT])
        return [b"for nobody"]

    with serving(app) as server:
        clients.append(server.connect().send(GET))
        server.settle()
        assert seen == [True]
        assert clients[0].received == b""
        assert [record.status for record in server.records] == [0]


def test_a_descriptor_is_kept_while_a_worker_may_send_on_it() -> None:
    seen: list[int] = []
    clients: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        fd = clients[0].transport.fileno()
        clients[0].transport.abortConnection()
        for _ in range(5):
            clients[0].server.reactor.turn()
        if not clients[0].transport.disconnected:
            raise RuntimeError("the reactor still has the connection")
        # Were the number free, this would get it.
        copies = [os.dup(0) for _ in range(5)]
        seen.append(fd in copies)
        for copy in copies:
            os.close(copy)
        start_response("200 OK", [*TEXT])
        return [b"for nobody"]

    with serving(app) as server:
        clients.append(server.connect().send(GET))
        server.settle()
        assert seen == [False]


def test_an_answer_of_which_nothing_could_be_sent_is_recorded_as_none() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        client.leave()  # and the reactor has not heard of it
        start_response("200 OK", [*TEXT])
        return [b"for nobody"]

    with serving(app) as server:
        client = server.connect("socket").send(GET)
        server.settle()
        (record,) = server.records
        assert (record.status, record.size) == (0, 0)
        assert server.factory.connections == set()


@pytest.mark.parametrize("kind", ["socket", "ours", "opaque"])
def test_an_answer_whose_client_leaves_within_its_first_block_is_recorded_as_begun(kind: str) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [*TEXT])
        yield b"x" * 10_000_000

    with serving(app) as server:
        client = server.connect(kind).send(GET)
        client.reading = False
        server.settle(work=False)
        worker = server.step_in_thread()
        server.wait_until(lambda: client.protocol._is_stalled)
        client.leave()
        server.settle_while(worker)
        (record,) = server.records
        assert (record.status, record.size) == (200, 10_000_000)


def ends(connection: WSGIProtocol) -> None:
    connection.transport.connectionLost(Failure(ConnectionDone()))


@pytest.mark.parametrize(
    "act",
    [
        ends,
        WSGIProtocol.retire,
        WSGIProtocol.resume,
        lambda connection: connection.sweep(connection.factory.clock()),
    ],
    ids=["lost", "retired", "resumed", "swept"],
)
def test_a_worker_may_end_its_exchange_between_two_looks_of_the_reactor(
    act: Callable[[WSGIProtocol], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    for looks in range(1, 6):
        with serving(hello) as server:
            client = server.connect().send(GET)
            server.settle(work=False)
            connection = client.protocol
            connection._half_closed = True
            seen = chain(repeat(connection._exchange, looks), repeat(None))
            with monkeypatch.context() as patched:
                patched.setattr(WSGIProtocol, "_exchange", property(lambda _, seen=seen: next(seen)), raising=False)
                act(connection)
            client.leave()
            server.settle()
            assert not server.factory.connections
