"""Is a connection whose client says nothing at first read when it does, and else one like others?"""

from __future__ import annotations

import gc
import socket
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.testing import StringTransport

from tests.connection.accepted import CLOSING, listening, reset
from tests.stepped import SteppedReactor
from tests.support import GET
from twisted_wsgiref._connection.brief import BriefConnection
from twisted_wsgiref._connection.newcomer import Newcomer
from twisted_wsgiref._connection.poller import make_poller
from twisted_wsgiref._connection.protocol import WSGIProtocol
from twisted_wsgiref._connection.unwatched import MOST, Unwatched

pytestmark = pytest.mark.skipif(make_poller(SteppedReactor(), print, print) is None, reason="there is no epoll here")
OK = b"HTTP/1.1 200 "


def is_reset(client: socket.socket) -> bool:
    try:
        client.recv(10)
    except ConnectionResetError:
        return True
    except BlockingIOError:
        pass
    return False


@pytest.mark.parametrize(("octets", "kind"), [(CLOSING, BriefConnection), (GET, WSGIProtocol), (GET[:5], WSGIProtocol)])
def test_what_comes_first_decides_what_it_is(octets: bytes, kind: type) -> None:
    with listening() as made:
        client = made.connect()
        made.server.settle(work=False)
        (newcomer,) = made.connections
        assert type(newcomer) is Newcomer
        client.send(octets)
        made.server.settle(work=False)
        assert [type(each) for each in made.connections] == [kind]
        made.server.settle()
        if octets == GET[:5]:
            client.send(GET[5:])
            made.server.settle()
        for _ in range(0 if kind is BriefConnection else 3):
            assert client.recv(1000).startswith(OK)
            client.send(GET)
            made.server.settle()
        assert client.recv(1000).startswith(OK)
        assert made.server.factory.poller._strangers == 0


def test_one_of_one_request_is_watched_after_a_moment_as_others_are() -> None:
    with listening() as made:
        client = made.connect()
        made.server.settle(work=False)
        client.send(CLOSING)
        made.server.settle(work=False)
        made.wait_a_moment()
        assert [type(each) for each in made.connections] == [WSGIProtocol]
        reset(client)
        made.server.settle(work=False)
        assert made.connections == []
        made.server.settle()
        assert "bug" not in made.server.logged()


def test_many_that_come_late_are_served_together() -> None:
    with listening() as made:
        clients = [made.connect() for _ in range(50)]
        made.server.settle(work=False)
        for client in clients:
            client.send(CLOSING)
        made.server.settle(work=False)
        assert len(made.server.pool.jobs) == 50
        made.server.settle()
        assert made.connections == []
        assert all(client.recv(1000).startswith(OK) for client in clients)
        assert not made.server.factory.poller._readers


def test_one_that_is_silent_for_a_moment_is_ordinary() -> None:
    with listening(head_timeout=5) as made:
        client = made.connect()
        made.server.settle()
        made.wait_a_moment()
        assert [type(each) for each in made.connections] == [WSGIProtocol]
        client.send(CLOSING)
        assert made.received(client).startswith(OK)
        silent = made.connect()
        made.server.settle()
        made.server.advance(7)
        assert silent.recv(10) == b""
        client.close()
        silent.close()
        made.server.advance(0.1)
        assert made.connections == []


def test_of_a_thousand_silent_ones_some_have_their_turn_at_a_time() -> None:
    looks: list[Callable[[], object]] = []
    watched: list[object] = []

    class Silent:
        def watch(self) -> None:
            watched.append(self)
            unwatched.live.discard(self)

    def call_later(delay: float, call: Callable[[], object]) -> Any:
        looks.append(call)

    unwatched = Unwatched(SimpleNamespace(callLater=call_later))
    unwatched.begin()
    unwatched.live.update(Silent() for _ in range(1000))
    most = 0
    while looks:
        before = len(watched)
        looks.pop()()
        most = max(most, len(watched) - before)
    assert (most, len(watched), unwatched.live) == (MOST, 1000, set())


@pytest.mark.parametrize("leave", ["end", "reset"])
def test_one_that_leaves_without_a_word_is_forgotten(leave: str) -> None:
    with listening() as made:
        client = made.connect()
        made.server.settle()
        assert [type(each) for each in made.connections] == [Newcomer]
        if leave == "reset":
            reset(client)
        else:
            client.close()
        made.server.settle()
        assert made.connections == []


def test_at_the_limit_it_goes_for_another() -> None:
    with listening(max_connections=2) as made:
        silent = [made.connect(), made.connect()]
        made.server.settle()
        client = made.connect(GET)
        made.server.settle()
        made.server.settle()
        assert client.recv(1000).startswith(OK)
        assert len(made.connections) == 2
        assert sum(map(is_reset, silent)) == 1


def test_more_than_the_limit_at_once_cost_one_place_each() -> None:
    with listening(max_connections=5) as made:
        silent = [made.connect() for _ in range(12)]
        made.port.doRead()
        made.server.settle()
        assert sum(map(is_reset, silent)) == 7
        assert len(made.connections) == 5


def test_one_that_speaks_has_its_place() -> None:
    with listening(max_connections=2) as made:
        busy, silent = made.connect(CLOSING), made.connect()
        made.server.settle(work=False)
        silent.send(GET)
        (newcomer,) = (each for each in made.connections if type(each) is Newcomer)
        newcomer.expendable_since = None  # as of one that is chosen no more
        made.server.factory.buildProtocol(None).makeConnection(StringTransport())  # it is cut off, and not lost yet
        made.server.settle()
        assert silent.recv(1000).startswith(OK)
        assert made.received(busy).startswith(OK)


@pytest.mark.parametrize("leaves", [False, True])
def test_a_stop_does_not_wait_for_it_longer_than_for_others(leaves: bool) -> None:
    with listening(linger=2) as made:
        client = made.connect()
        made.server.settle()
        stopped = made.server.service.stopService()
        if leaves:
            reset(client)
        made.server.advance(0.1 if leaves else 4)
        assert stopped.called
        assert not made.server.reactor.getDelayedCalls()


def test_sweeps_counts_and_cuts_find_it() -> None:
    with listening() as made:
        made.connect()
        made.server.settle()
        factory = made.server.factory
        newcomer = made.connections[0]
        assert newcomer.expendable_since == made.server.reactor.seconds()
        assert factory.count_unanswered() == 0
        factory.resume()
        factory.sweep()
        assert [type(each) for each in made.connections] == [WSGIProtocol]
        for late in (newcomer.watch, newcomer.retire, newcomer.cut_off, newcomer._come):
            late()
        newcomer.sweep(0.0)
        client = made.connect()
        made.server.settle()
        made.connections[0].cut_off()
        factory.cut_off()
        made.server.settle()
        with pytest.raises(ConnectionResetError):
            client.recv(10)
        assert made.connections == []


def test_it_leaves_nothing_for_the_cycle_collector() -> None:
    with listening() as made:
        client = made.connect()
        made.server.settle(work=False)
        gc.collect()
        gc.disable()
        try:
            left = weakref.ref(made.connections[0])
            client.send(CLOSING)
            made.server.settle()
            assert left() is None
        finally:
            gc.enable()
