"""Does every wait of a connection end, and none too early? Time is the test's."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Iterator
from io import BufferedRandom, FileIO
from tempfile import TemporaryFile
from typing import Any

import pytest

from tests.support import GET, KINDS, PATIENCE, TEXT, Server, echo, request, serving
from twisted_wsgiref._connection.census import Census
from twisted_wsgiref._connection.deadlines import Deadlines, Phase
from twisted_wsgiref._connection.protocol import WSGIProtocol

kinds = pytest.mark.parametrize("kind", KINDS)
sockets = pytest.mark.parametrize("kind", ["socket", "ours", "opaque"])


@kinds
def test_a_head_has_a_total_deadline(kind: str) -> None:
    with serving(head_timeout=20) as server:
        client = server.connect(kind)
        for octet in GET[:18]:
            client.send(bytes([octet]))
            server.advance(1)
            assert client.received == b""
        for _ in range(5):  # that it comes on and on does not help
            client.send(b"x")
            server.advance(1)
        (answer,) = client.answers()
        assert answer.status == 408
        assert client.ended
        assert [record.status for record in server.records] == [408]


@kinds
def test_a_client_that_says_nothing_is_closed_without_a_word(kind: str) -> None:
    with serving(head_timeout=20) as server:
        client = server.connect(kind)
        server.advance(19)
        assert not client.ended
        server.advance(4)
        assert client.ended
        assert client.received == b""


@kinds
def test_an_idle_connection_is_closed_after_keep_alive(kind: str) -> None:
    with serving(keep_alive=65, head_timeout=5) as server:
        client = server.ask(GET, kind)
        server.advance(60)
        assert not client.ended
        client.send(GET)
        server.settle()
        server.advance(60)
        assert not client.ended
        server.advance(8)
        assert client.ended
        assert not client.aborted
        assert len(client.answers()) == 2
        assert server.factory.connections == set()


@kinds
def test_a_deadline_is_a_second_late_at_most(kind: str) -> None:
    with serving(keep_alive=5) as server:
        client = server.ask(GET, kind)
        server.advance(5)
        assert not client.ended
        server.advance(1)
        assert client.ended


def test_a_connection_that_goes_on_being_idle_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Phase] = []
    look = WSGIProtocol._look

    def counted(self: WSGIProtocol) -> tuple[Phase, int]:
        found = look(self)
        looks.append(found[0])
        return found

    with serving(keep_alive=65, head_timeout=5) as server:
        client = server.ask(GET)
        server.connect()
        monkeypatch.setattr(WSGIProtocol, "_look", counted)
        census = server.factory.census = Census(lambda: len(server.factory.connections))
        server.advance(4)
        assert sorted(each.name for each in looks) == ["FRESH", "IDLE"]
        assert census.phases == {"fresh": 1, "idle": 1}
        client.send(GET)
        server.settle()
        server.advance(50)
        assert looks.count(Phase.IDLE) == 2
        assert census.phases == {"idle": 1}


@kinds
@pytest.mark.parametrize("nonsense", [b"\0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"])
def test_a_connection_that_was_idle_and_is_refused_waits_for_its_end_no_longer(kind: str, nonsense: bytes) -> None:
    with serving(keep_alive=65, linger=2) as server:
        client = server.ask(GET, kind)
        server.advance(5)
        client.send(nonsense)
        server.settle()
        assert [each.status for each in client.answers()] == [200, 400]
        server.advance(5)
        assert client.ended
        assert server.factory.connections == set()


def test_a_sweep_that_comes_a_moment_early_is_in_time() -> None:
    deadlines = Deadlines({Phase.RUNNING: 5.0}, rate=0)
    assert not deadlines.is_late(Phase.RUNNING, 10.02)  # this one came a moment late
    assert not deadlines.is_late(Phase.RUNNING, 14.0)
    assert deadlines.is_late(Phase.RUNNING, 15.0)


@pytest.mark.parametrize("limit", [0.01, 0.05, 0.1])
def test_a_short_limit_is_not_over_before_half_of_it_is(limit: float) -> None:
    deadlines = Deadlines({Phase.CLOSING: limit}, rate=0)
    assert not deadlines.is_late(Phase.CLOSING, 10.0)
    assert not deadlines.is_late(Phase.CLOSING, 10.0 + 0.4 * limit)
    assert deadlines.is_late(Phase.CLOSING, 10.0 + 1.1 * limit)


@kinds
def test_the_head_of_a_later_request_has_the_head_s_deadline(kind: str) -> None:
    with serving(keep_alive=65, head_timeout=5) as server:
        client = server.ask(GET, kind)
        server.advance(30)
        client.send(GET[:10])
        server.advance(4)
        assert not client.ended
        server.advance(4)
        assert [each.status for each in client.answers()] == [200, 408]


@kinds
def test_a_slow_body_is_refused(kind: str) -> None:
    with serving(body_rate=256) as server:
        client = server.connect(kind).send(request(method="POST", fields="Content-Length: 100000"))
        for _ in range(15):
            client.send(b"x")
            server.advance(1)
        (answer,) = client.answers()
        assert answer.status == 408
        assert server.pool.done == 0


@kinds
def test_a_body_that_comes_fast_enough_may_take_long(kind: str) -> None:
    with serving(echo, body_rate=256) as server:
        client = server.connect(kind).send(request(method="POST", fields="Content-Length: 30000"))
        for _ in range(100):
            client.send(b"x" * 300)
            server.advance(1)
        assert client.answers()[0].status == 200


@kinds
def test_a_body_that_stops_after_a_fast_start_is_refused(kind: str) -> None:
    with serving(body_rate=256) as server:
        client = server.connect(kind).send(request(method="POST", fields="Content-Length: 100000") + b"x" * 50000)
        server.advance(25)
        assert client.answers()[0].status == 408


@sockets
@pytest.mark.parametrize("size", [30_000, 300_000])
def test_a_reader_that_stalled_is_cut_off(kind: str, size: int) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [*TEXT])
        return [b"x" * size]

    with serving(app, send_timeout=60, keep_alive=65) as server:
        client = server.connect(kind, buffer=4096)
        client.reading = False
        client.send(GET)
        server.advance(50)
        assert not client.aborted
        server.advance(100)
        assert client.aborted
        assert server.factory.connections == set()


@sockets
def test_a_reader_that_reads_slowly_is_served(kind: str) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [*TEXT])
        return [b"x" * 3_000_000]

    with serving(app, send_timeout=10) as server:
        client = server.connect(kind, buffer=4096)
        client.reading = False
        client.send(GET)
        server.settle()
        for _ in range(200):
            for _ in range(10):
                client.reading = True
                client.move()
                client.reading = False
                server.turn()
            server.advance(5)
            if len(client.received) > 3_000_000:
                break
        client.reading = True
        server.settle()
        assert len(client.answers()[0].body) == 3_000_000


@sockets
def test_a_stalled_reader_stops_the_worker_and_its_deadline_frees_it(kind: str) -> None:
    closed: list[int] = []
    made: list[int] = []

    class Endless:
        def __iter__(self) -> Iterator[bytes]:
            for number in range(1 << 20):
                made.append(number)
                yield b"x" * 1024

        def close(self) -> None:
            closed.append(1)

    def app(environ: dict[str, Any], start_response: Any) -> Endless:
        start_response("200 OK", [*TEXT])
        return Endless()

    with serving(app, high_water=65536, send_timeout=20) as server:
        client = server.connect(kind, buffer=4096)
        client.reading = False
        client.send(GET)
        server.settle(work=False)
        worker = server.step_in_thread()
        # The outlet's mark, what the transport holds, and what the kernel does.
        server.wait_until(lambda: _stands(server, made))
        assert len(made) < 600
        # A machine that is busy with other things may only have held the worker up: time goes on until it is cut off.
        for _ in range(1000):
            server.reactor.clock.now += 1
            server.turn()
            server.turn()
            worker.join(0.001)
            if client.aborted:
                break
        server.settle_while(worker)
        assert client.aborted
        assert closed == [1]
        assert len(made) < 600
        assert server.factory.connections == set()
        assert [record.status for record in server.records] == [200]


def _stands(server: Any, made: list[int]) -> bool:
    """Return whether a worker waits for room, and 50 turns of the reactor bring it none."""
    (connection,) = server.factory.connections
    before = len(made)
    for _ in range(50):
        if not connection._queue._room:
            return False
        server.turn()
    return len(made) == before


@kinds
@pytest.mark.parametrize("late", ["the head", "the body"])
def test_an_application_may_take_its_time(kind: str, late: str) -> None:
    servers: list[Any] = []

    def pass_time() -> None:
        for _ in range(100):
            servers[0].reactor.clock.now += 1
            servers[0].turn()

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        if late == "the head":
            pass_time()
        start_response("200 OK", [*TEXT])
        yield b"one"
        pass_time()
        yield b"two"

    with serving(app, send_timeout=5, keep_alive=5, head_timeout=5, queue_age=5) as server:
        servers.append(server)
        assert server.ask(GET, kind).answers()[0].body == b"onetwo"


def test_sweeping_one_connection_does_not_disturb_the_others() -> None:
    with serving(head_timeout=5) as server:
        first, second = server.connect(), server.connect()

        def broken(now: float) -> None:
            raise RuntimeError("on purpose")

        server.turn()
        for connection in list(server.factory.connections):
            if connection is first.protocol:
                connection.sweep = broken
        server.advance(8)
        assert second.ended
        assert not first.ended
        assert "on purpose" in server.logged()
        server.log.clear()


# ---- The application's ---------------------------------------------------------------------------------------------


class Waits:
    """An application that yields a block each time it is let go on, as often as it is `blocks`."""

    def __init__(self, blocks: int = 0) -> None:
        self.blocks = blocks
        self.begun = threading.Event()
        self.go_on = threading.Semaphore(0)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [*TEXT])
        self.begun.set()
        for _ in range(self.blocks):
            assert self.go_on.acquire(timeout=PATIENCE)
            yield b"block"
        assert self.go_on.acquire(timeout=PATIENCE)

    def start(self, server: Server) -> threading.Thread:
        """Have the next request answered by a thread of its own, and come back when it is at it."""
        server.settle(work=False)
        thread = server.step_in_thread()
        assert self.begun.wait(PATIENCE)
        return thread


@kinds
def test_an_application_that_takes_nothing_of_an_upload_has_its_deadline(kind: str) -> None:
    app = Waits()
    with serving(app, stream_input=True, body_memory=65536, request_timeout=5, validated=False) as server:
        client = server.connect(kind).send(request(method="POST", body=bytes(3_000_000)))
        thread = app.start(server)
        server.advance(7, work=False)
        assert [answer.status for answer in client.answers()] == [504]
        app.go_on.release()
        server.settle_while(thread)


@kinds
def test_an_application_has_its_whole_time_again_after_each_block(kind: str) -> None:
    app = Waits(blocks=3)
    with serving(app, request_timeout=10, validated=False) as server:
        client = server.connect(kind).send(GET)
        thread = app.start(server)
        for number in (1, 2, 3):
            server.advance(8, work=False)
            app.go_on.release()
            server.wait_until(lambda number=number: client.received.count(b"block") == number)  # type: ignore[misc]
        server.advance(8, work=False)
        app.go_on.release()
        server.settle_while(thread)
        assert [answer.body for answer in client.answers()] == [b"block" * 3]


def test_a_thread_that_comes_back_while_it_is_given_up_is_not_counted_as_stuck() -> None:
    app = Waits()
    with serving(app, request_timeout=5, validated=False) as server:
        unfit: list[bool] = []
        server.service.call_when_unfit(lambda: unfit.append(True))
        server.pool.size = 1
        client = server.connect().send(GET)
        thread = app.start(server)

        def comes_back(exchange: object, what: str) -> None:
            app.go_on.release()
            thread.join(PATIENCE)

        server.service._workers._describe = comes_back  # type: ignore[method-assign]
        server.advance(7, work=False)
        assert not thread.is_alive()
        assert [answer.status for answer in client.answers()] == [200]
        server.advance(3)
        assert server.service._workers.stuck == 0
        assert unfit == []


def test_a_service_may_be_stopped_by_its_own_sweep() -> None:
    app = Waits()
    with serving(app, request_timeout=5, grace=3, validated=False) as server:
        server.service.call_when_unfit(server.service.stopService)
        server.pool.size = 1
        server.connect().send(GET)
        thread = app.start(server)
        server.advance(15, work=False)
        app.go_on.release()
        server.settle_while(thread)
        assert not server.service._sweep.running
        gc.collect()  # of a Deferred with an error that nobody has seen
        assert "Unhandled" not in server.logged()


class OfNothing:
    """An application that yields empty blocks for as long as it is let."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.closed = threading.Event()
        self.ended_by: BaseException | None = None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [*TEXT])
        try:
            if environ["PATH_INFO"] == "/begun":
                yield b"some"
            end = time.monotonic() + PATIENCE
            while time.monotonic() < end:
                self.begun.set()
                yield b"" if environ["REQUEST_METHOD"] == "GET" else b"not sent"
                time.sleep(0.001)  # not to be right: so that others get the interpreter
        finally:
            self.closed.set()


@pytest.mark.parametrize("why", ["left", "late"])
@pytest.mark.parametrize("ask", [GET, request("/begun"), request(method="HEAD")])
@kinds
def test_an_application_that_gives_nothing_learns_that_nobody_waits(kind: str, ask: bytes, why: str) -> None:
    app = OfNothing()
    with serving(app, request_timeout=5, validated=False) as server:
        client = server.connect(kind).send(ask)
        server.settle(work=False)
        thread = server.step_in_thread()
        assert app.begun.wait(PATIENCE)
        if why == "left":
            client.leave()
            server.advance(2, work=False)
        else:
            server.advance(12, work=False)
        assert app.closed.wait(PATIENCE / 4)
        server.settle_while(thread)


def test_the_reactor_waits_for_no_read_of_a_body_by_its_application(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, go_on = threading.Event(), threading.Event()
    waited: list[bool] = []

    class SlowDisk(FileIO):
        def readinto(self, buffer: Any) -> int:
            reading.set()
            waited.append(go_on.wait(PATIENCE))
            return super().readinto(buffer)  # type: ignore[return-value]

    def temporary_file(**_: Any) -> BufferedRandom:
        with TemporaryFile() as file:
            return BufferedRandom(SlowDisk(os.dup(file.fileno()), "r+"))

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ["wsgi.input"].read(10)
        start_response("200 OK", [*TEXT])
        return [b"too late"]

    monkeypatch.setattr("twisted_wsgiref._gateway.request_body.TemporaryFile", temporary_file)
    with serving(app, request_timeout=5, body_memory=1000, validated=False) as server:
        client = server.connect().send(request(method="POST", body=bytes(100_000)))
        server.settle(work=False)
        thread = server.step_in_thread()
        assert reading.wait(PATIENCE)
        server.advance(7, work=False)
        assert [answer.status for answer in client.answers()] == [504]
        go_on.set()
        server.settle_while(thread)
    assert waited[0] is True
