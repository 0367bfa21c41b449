"""Does a service end when it should: after what is in flight, not before, and never too late?"""

from __future__ import annotations

import threading
from itertools import groupby
from typing import Any
from unittest import mock

import pytest

from tests.support import GET, KINDS, TEXT, Server, hello, request, serving

kinds = pytest.mark.parametrize("kind", KINDS)


def stopping(server: Server) -> list[object]:
    """Begin to stop; what is returned has an element once that is done."""
    done: list[object] = []
    server.service.stopService().addCallback(done.append)
    return done


def test_a_service_without_connections_stops_at_once() -> None:
    with serving() as server:
        assert stopping(server) == [None]


@kinds
def test_what_is_in_flight_is_answered_and_then_the_service_ends_at_once(kind: str) -> None:
    with serving() as server:
        client = server.connect(kind).send(GET)
        server.settle(work=False)
        done = stopping(server)
        server.settle(work=False)
        assert done == []
        server.settle()
        (answer,) = client.answers()
        assert answer.body == b"hello"
        assert answer.field("Connection") == "close"
        client.leave()
        server.settle()
        assert done == [None]


@kinds
def test_an_idle_connection_does_not_hold_up_the_end_for_long(kind: str) -> None:
    with serving(grace=25) as server:
        client = server.ask(GET, kind)
        done = stopping(server)
        server.advance(5)
        assert client.ended
        assert not client.aborted
        assert done == [None]


@kinds
def test_a_request_that_was_on_its_way_is_answered(kind: str) -> None:
    with serving() as server:
        client = server.ask(GET, kind)
        done = stopping(server)
        client.send(GET)
        server.settle()
        assert [answer.field("Connection") for answer in client.answers()] == [None, "close"]
        client.leave()
        server.advance(5)
        assert done == [None]


@kinds
def test_half_a_request_does_not_outlive_the_grace(kind: str) -> None:
    with serving(grace=10, head_timeout=60) as server:
        server.ask(GET[:10], kind)
        done = stopping(server)
        server.advance(12)
        assert done == [None]
        assert server.factory.connections == set()


@kinds
def test_pipelined_requests_beyond_the_one_in_flight_are_not_answered_any_more(kind: str) -> None:
    with serving() as server:
        client = server.connect(kind).send(GET * 5)
        server.settle(work=False)
        done = stopping(server)
        server.settle()
        answers = client.answers()
        assert answers[-1].field("Connection") == "close"
        client.leave()
        server.advance(5)
        assert done == [None]


def test_a_client_that_does_not_close_is_cut_off_and_the_service_ends() -> None:
    with serving(linger=2, grace=25) as server:
        client = server.connect("socket").send(GET)
        server.settle(work=False)
        done = stopping(server)
        server.settle()
        server.advance(6)
        assert client.transport.disconnected
        assert done == [None]


@kinds
def test_the_grace_ends_a_thread_that_hangs(kind: str) -> None:
    go = threading.Event()

    def stuck(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        go.wait(30)
        start_response("200 OK", [*TEXT])
        return [b"too late"]

    with serving(stuck, grace=5) as server:
        client = server.connect(kind).send(GET)
        server.settle(work=False)
        thread = server.step_in_thread()
        server.wait_until(lambda: server.pool.now is not None)
        done = stopping(server)
        for _ in range(4):
            server.reactor.clock.now += 1
            server.turn()
        assert done == []
        for _ in range(3):
            server.reactor.clock.now += 1
            server.turn()
        assert done == [None]
        assert server.factory.connections == set()
        assert b"too late" not in client.received
        go.set()
        server.settle_while(thread)


@kinds
def test_a_slow_reader_gets_its_answer_within_the_grace(kind: str) -> None:
    def large(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [*TEXT])
        return [b"x" * 1_000_000]

    with serving(large, grace=25) as server:
        client = server.connect(kind, buffer=4096)
        client.reading = False
        client.send(GET)
        server.settle()
        done = stopping(server)
        server.advance(3)
        assert done == []
        client.reading = True
        server.settle()
        client.leave()
        server.advance(5)
        assert done == [None]
        (answer,) = client.answers()
        assert len(answer.body) == 1_000_000


@kinds
def test_a_service_can_be_started_again(kind: str) -> None:
    with serving() as server:
        server.ask(GET, kind).leave()
        server.settle()
        for _ in range(2):
            done = stopping(server)
            server.advance(5)
            assert done == [None]
            server.service.startService()
            client = server.ask(GET + GET, kind)
            assert [(answer.status, answer.field("Connection")) for answer in client.answers()] == [(200, None)] * 2
            server.advance(20)
            assert not client.ended  # an idle connection is kept again
            client.leave()
            server.settle()


@kinds
def test_a_start_takes_back_a_stop_that_is_under_way(kind: str) -> None:
    with serving(grace=5, keep_alive=60) as server:
        server.connect(kind).send(GET)
        server.settle(work=False)
        done = stopping(server)
        server.settle(work=False)
        assert done == []
        server.service.startService()
        assert done == [None]
        client = server.ask(GET + GET, kind)
        server.advance(30)  # the grace of that stop is long over
        assert not client.ended
        client.send(GET)
        server.settle()
        assert [(answer.status, answer.field("Connection")) for answer in client.answers()] == [(200, None)] * 3
        client.leave()
        server.settle()


def test_a_start_takes_back_a_stop_that_was_asked_for_twice() -> None:
    with serving(grace=5) as server:
        server.connect().send(GET)
        server.settle(work=False)
        done = [stopping(server), stopping(server)]
        server.settle(work=False)
        assert done == [[], []]
        server.service.startService()
        assert done == [[None], [None]]
        client = server.ask(GET)
        server.advance(10)
        assert not client.ended
        client.leave()


@kinds
def test_connections_are_kept_as_long_as_before_once_a_stop_is_taken_back(kind: str) -> None:
    with serving(grace=30, keep_alive=20, linger=2) as server:
        clients = [server.ask(GET, kind), server.connect(kind).send(GET)]
        server.settle(work=False)  # one is idle, one is served
        stopping(server)
        server.service.startService()
        server.settle()
        server.advance(15)
        assert [client.ended for client in clients] == [False, False]
        assert [client.answers()[0].field("Connection") for client in clients] == [None, None]
        server.advance(7)
        assert [client.ended for client in clients] == [True, True]


def test_deadlines_are_looked_at_as_often_as_before_once_a_stop_is_taken_back() -> None:
    with serving() as server:
        server.connect().send(GET)
        server.settle(work=False)
        looks: list[object] = []
        for step in (lambda: None, lambda: stopping(server), server.service.startService):
            step()
            with mock.patch.object(server.service._workers, "_watch_ages", looks.append):
                for _ in range(20):
                    server.reactor.clock.now += 0.25
                    server.turn()
            looks.append(None)
        assert [len(list(each)) for wait, each in groupby(looks, lambda look: look is None) if not wait] == [5, 20, 5]


@pytest.mark.parametrize("stops", [1, 2])
def test_a_stop_may_be_taken_back_before_its_ports_are_closed(stops: int) -> None:
    listen = "tcp:0:interface=127.0.0.1"
    with serving(service={"endpoints": [listen]}, grace=5) as server:
        done = []
        for _ in range(stops):
            done.append(stopping(server))
            server.service.startService()
        server.settle()
        assert done == [[None]] * stops
        client = server.ask(GET + GET)
        assert [(answer.status, answer.field("Connection")) for answer in client.answers()] == [(200, None)] * 2
        server.advance(10)
        assert not client.ended
        client.leave()


@kinds
def test_nothing_is_reported_twice(kind: str) -> None:
    with serving(hello, grace=3) as server:
        client = server.connect(kind).send(request("/one") + request("/two"))
        server.settle(work=False)
        stopping(server)
        server.settle()
        client.leave()
        server.advance(10)
        assert len({record.request_line for record in server.records}) == len(server.records)
