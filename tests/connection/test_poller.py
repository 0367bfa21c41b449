"""Are plain sockets read together, and are they left alone while requests wait for a thread anyway?"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.logger import LogEvent, formatEvent

from tests.stepped import SteppedReactor
from tests.support import GET, hello, serving
from twisted_wsgiref._connection.poller import Poller, make_poller

LONGEST_HOLD = 0.002

pytestmark = pytest.mark.skipif(make_poller(SteppedReactor(), print, print) is None, reason="there is no epoll here")


class Ends:
    """Two sockets that are gathered, their other ends, and what has been done."""

    def __init__(self) -> None:
        self.reactor = SteppedReactor()
        self.done: list[str] = []
        self.poller = Poller(self.reactor, self.turn_ended, lambda: self.done.append("released"))
        self.turned: Callable[[], object] = lambda: None
        pairs = [socket.socketpair(), socket.socketpair()]
        self.mine = [pair[0] for pair in pairs]
        self.theirs = [pair[1] for pair in pairs]
        for number, sock in enumerate(self.mine):
            self.poller.add(sock.fileno(), lambda number=number: self.read(number))

    def turn_ended(self) -> None:
        self.done.append("turned")
        self.turned()

    def read(self, number: int) -> None:
        self.done.append(f"{number}: {self.mine[number].recv(100).decode()}")

    def hold(self) -> None:
        """Hold, after a read, as it has to be."""
        self.theirs[1].send(b"before")
        self.turn()
        self.poller.pause(LONGEST_HOLD)

    def turn(self) -> list[str]:
        self.done.clear()
        self.reactor.turn()
        return self.done


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    made.poller.close()
    for each in (*made.mine, *made.theirs):
        each.close()
    made.reactor.close()


def test_what_can_be_read_is_read_in_one_turn(ends: Ends) -> None:
    assert ends.turn() == []
    for sock in ends.theirs:
        sock.send(b"a")
    assert sorted(ends.turn()) == ["0: a", "1: a", "turned"]
    assert ends.turn() == []


def test_nothing_is_read_while_it_is_held(ends: Ends) -> None:
    ends.hold()
    ends.poller.pause(LONGEST_HOLD)
    ends.theirs[0].send(b"a")
    assert ends.turn() == []
    ends.poller.resume()
    ends.poller.resume()
    # At once: the reactor was woken for this.
    assert ends.done == ["released", "0: a", "turned"]
    ends.theirs[0].send(b"b")
    assert ends.turn() == ["0: b", "turned"]


@pytest.mark.parametrize("after_another", [False, True])
def test_a_hold_ends_by_itself_in_its_own_time(ends: Ends, after_another: bool) -> None:
    if after_another:
        ends.hold()
        ends.reactor.clock.now += LONGEST_HOLD * 0.9
        ends.poller.resume()
    ends.hold()
    ends.theirs[0].send(b"a")
    ends.reactor.clock.now += LONGEST_HOLD * 0.9
    assert ends.turn() == []
    ends.reactor.clock.now += LONGEST_HOLD * 0.2
    assert ends.turn() == ["released", "0: a", "turned"]


def test_a_hold_right_after_another_ends_by_itself_too(ends: Ends) -> None:
    for _ in range(5):
        ends.hold()
        ends.poller.resume()
    assert len(ends.reactor.getDelayedCalls()) == 1
    ends.hold()
    ends.theirs[0].send(b"a")
    ends.reactor.clock.now += LONGEST_HOLD * 1.1
    assert ends.turn() == ["released", "0: a", "turned"]


def test_between_two_holds_is_a_read(ends: Ends) -> None:
    # Requests that come by other ways, as pipelined ones do, ask for a hold in every turn: nobody else would be read.
    assert not ends.poller.may_pause
    ends.poller.pause(LONGEST_HOLD)
    ends.theirs[0].send(b"a")
    assert ends.turn() == ["0: a", "turned"]
    assert ends.poller.may_pause
    ends.poller.pause(LONGEST_HOLD)
    assert not ends.poller.may_pause


def test_what_is_read_at_the_end_of_a_hold_may_begin_the_next(ends: Ends) -> None:
    ends.hold()
    ends.turned = lambda: ends.poller.pause(LONGEST_HOLD)
    ends.theirs[0].send(b"a")
    ends.done.clear()
    ends.poller.resume()
    assert ends.done == ["released", "0: a", "turned"]
    ends.theirs[0].send(b"b")
    assert ends.turn() == []
    assert ends.poller not in ends.reactor.getReaders()
    ends.reactor.clock.now += LONGEST_HOLD * 1.1
    assert ends.turn() == ["released", "0: b", "turned"]


def test_what_is_closed_while_it_is_held_leaves_nothing(ends: Ends) -> None:
    ends.hold()
    ends.poller.close()
    assert ends.reactor.getDelayedCalls() == []
    ends.poller.resume()
    assert ends.poller not in ends.reactor.getReaders()
    ends.poller.add(ends.mine[0].fileno(), lambda: ends.read(0))
    ends.theirs[0].send(b"a")
    assert ends.turn() == ["0: a", "turned"]


def test_the_last_read_of_a_service_may_be_that_of_a_holds_end(ends: Ends) -> None:
    # A client that has reset its connection is the last that a service waited for.
    ends.hold()
    ends.theirs[0].send(b"a")
    ends.turned = ends.poller.close
    ends.poller.resume()
    assert ends.poller not in ends.reactor.getReaders()
    ends.turned = lambda: None
    ends.poller.add(ends.mine[0].fileno(), lambda: ends.read(0))
    ends.theirs[0].send(b"b")
    assert ends.turn() == ["0: b", "turned"]


RAISED = [OSError(24, "Too many open files"), MemoryError(), SystemExit(3)]
raised = pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)


def bugs(events: list[LogEvent]) -> list[BaseException]:
    return [event["log_failure"].value for event in events if "bug in twisted_wsgiref" in formatEvent(event)]


@raised
@pytest.mark.parametrize("held", [False, True])
def test_what_fails_at_the_end_of_a_turn_leaves_no_socket_unread(
    ends: Ends, held: bool, error: BaseException, events: list[LogEvent]
) -> None:
    def fail() -> None:
        raise error

    if held:
        ends.hold()
    ends.turned = fail
    ends.theirs[0].send(b"a")
    if held:
        ends.poller.resume()
    else:
        ends.turn()
    assert bugs(events) == [error]
    ends.turned = lambda: None
    ends.theirs[0].send(b"b")
    assert ends.turn() == ["0: b", "turned"]


@raised
def test_what_fails_at_one_socket_leaves_no_other_unread(
    ends: Ends, error: BaseException, events: list[LogEvent]
) -> None:
    def fail() -> None:
        ends.mine[0].recv(100)
        raise error

    ends.poller.remove(ends.mine[0].fileno())
    ends.poller.add(ends.mine[0].fileno(), fail)
    for _ in range(2):
        for sock in ends.theirs:
            sock.send(b"a")
        assert ends.turn() == ["1: a", "turned"]
        assert not ends.poller.turning
    assert bugs(events) == [error, error]


def test_while_many_requests_wait_others_are_read_later_and_all_are_answered() -> None:
    with serving(hello, threads=4) as server:
        clients = [server.connect("socket").send(GET) for _ in range(6)]
        server.reactor.turn()
        assert len(server.pool.jobs) == 6
        late = server.connect("socket").send(GET)
        for _ in range(3):
            server.reactor.turn()
        assert len(server.pool.jobs) == 6
        for _ in range(5):
            server.pool.step()
        server.reactor.turn()  # the wake
        assert len(server.pool.jobs) == 2
        server.settle()
        answers: list[Any] = [client.answers() for client in (*clients, late)]
        assert [one.body for (one,) in answers] == [b"hello"] * 7


def crowd(server: Any, count: int) -> list[Any]:
    """Return clients whose requests are queued, and not all of which have a thread."""
    clients = [server.connect("socket").send(GET) for _ in range(count)]
    server.reactor.turn()
    assert server.factory.batch.held
    return clients


def came(clients: list[Any]) -> list[bool]:
    for client in clients:
        client.move()
    return [bool(client.received) for client in clients]


def test_while_many_requests_wait_answers_leave_together() -> None:
    with serving(hello, threads=1) as server:
        clients = crowd(server, 4)
        for answered in (0, 0, 2):
            server.pool.step()
            assert sum(came(clients)) == answered
        assert len(server.records) == 2
        server.settle()
        assert [client.answers()[0].body for client in clients] == [b"hello"] * 4


def test_answers_are_held_before_a_worker_is_woken() -> None:
    # Else it would send the first of them one by one.
    with serving(hello, threads=1) as server:
        held: list[bool] = []
        server.pool.wake = lambda: held.append(server.factory.batch.held)
        crowd(server, 4)
        assert held == [True]


def test_answers_leave_when_the_time_of_a_hold_is_over() -> None:
    with serving(hello, threads=1) as server:
        clients = crowd(server, 9)
        server.pool.step()
        assert not any(came(clients))
        server.reactor.clock.now += LONGEST_HOLD * 1.1
        server.reactor.turn()
        assert came(clients) == [True] + [False] * 8
        server.settle()
        assert all(came(clients))


@pytest.mark.parametrize("whole", [False, True])
def test_no_block_waits_for_an_application(whole: bool) -> None:
    def slow(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"first"
        if not server.records and server.factory.batch.held:
            assert not any(came(clients))
            server.reactor.clock.now += LONGEST_HOLD * 1.1
            for _ in range(2):  # the hold's end, and the wake
                server.reactor.turn()
            assert came(clients) == [True] + [False] * 5
        if not whole:
            yield b"second"

    with serving(slow, threads=1) as server:
        clients = crowd(server, 6)
        server.settle()
        body = b"first" if whole else b"firstsecond"
        assert [client.answers()[0].body for client in clients] == [body] * 6


@pytest.mark.parametrize("blocks", [1, 2])
def test_what_ends_an_answer_does_not_overtake_what_is_kept(blocks: int) -> None:
    def chunked(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        for _ in range(blocks):
            yield b"block"

    with serving(chunked, threads=1) as server:
        clients = crowd(server, 5)
        for _ in range(2):
            server.pool.step()
            assert server.factory.batch.held
        server.settle()
        assert [client.answers()[0].body for client in clients] == [b"block" * blocks] * 5


def test_a_client_that_leaves_before_its_answer_is_logged_as_one() -> None:
    with serving(hello, threads=1) as server:
        clients = crowd(server, 4)
        server.pool.step()
        clients[0].leave()
        server.settle()
        assert sorted(record.status for record in server.records) == [0, 200, 200, 200]


def test_an_answer_that_fails_behind_a_kept_block_is_cut() -> None:
    def fails(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "10")])
        yield b"first"
        raise ValueError("on purpose")

    with serving(fails, threads=1) as server:
        clients = crowd(server, 4)
        server.settle()
        for client in clients:
            assert client.received.endswith(b"\r\n\r\nfirst")
            assert client.ended


def test_a_service_that_stops_lets_answers_leave_first() -> None:
    with serving(hello, threads=1) as server:
        clients = crowd(server, 4)
        server.pool.step()
        server.service.stopService()
        server.settle()
        assert [client.answers()[0].body for client in clients] == [b"hello"] * 4


# ---- What a turn of reading is followed by -------------------------------------------------------------------------


class Granted:
    """Stands where a worker is let go first; says each time whether there was nothing else to do."""

    def __init__(self) -> None:
        self.grants: list[bool] = []

    def grant(self, nothing_else: bool) -> None:
        self.grants.append(nothing_else)


@pytest.mark.parametrize(("requests", "held"), [(1, False), (4, True)])
def test_a_worker_that_was_woken_goes_first(requests: int, held: bool) -> None:
    with serving(hello, threads=1) as server:
        server.service._workers._schedule._precedence = granted = Granted()
        for _ in range(requests):
            server.connect("socket").send(GET)
        server.reactor.turn()
        assert granted.grants == [held]
        server.settle()


def test_nobody_goes_first_if_no_thread_waits() -> None:
    with serving(hello, threads=1) as server:
        server.service._workers._schedule._precedence = granted = Granted()

        def asks(pool_step: Any = server.pool.step) -> None:
            server.reactor.turn()

        server.pool.queue([Job(asks)])
        server.connect("socket").send(GET)
        server.pool.step()  # its only thread works while the request comes
        assert granted.grants == []
        server.settle()


@pytest.mark.parametrize(("seconds", "worth"), [(0.0010, False), (0.0500, True)])
def test_answers_wait_for_each_other_only_if_the_last_ones_were_slow(seconds: float, worth: bool) -> None:
    with serving(hello, threads=1) as server:
        for _ in range(40):
            server.connect("socket").send(GET)
        server.settle()
        server.reactor.clock.now += seconds
        for client in server.clients:
            client.send(GET)
        server.reactor.turn()
        assert server.factory.batch.held is worth
        server.settle()


class Job:
    def __init__(self, run: Any) -> None:
        self.run = run


def test_a_thread_that_could_not_be_started_is_tried_again_at_the_next_sweep() -> None:
    with serving(hello, threads=1, threads_max=2) as server:
        server.pool.may_start = False
        more = server.connect("socket")

        def asks() -> None:
            more.send(GET)
            server.reactor.turn()

        server.pool.queue([Job(asks)])
        server.pool.step()
        assert server.pool.threads == 1
        server.pool.may_start = True
        server.held = True
        server.pool.jobs.append(Job(lambda: None))
        server.advance(1)
        assert server.pool.threads == 2
        server.held = False
        server.settle()
        server.log.clear()  # it was said that a thread could not be started


def test_small_answers_are_not_held_back_by_the_kernel() -> None:
    with serving(hello) as server:
        port: Any = server.reactor.listenTCP(0, server.factory, interface="127.0.0.1")
        try:
            with socket.create_connection(("127.0.0.1", port.getHost().port)):
                server.wait_until(lambda: len(server.factory.connections) == 1)
                (connection,) = server.factory.connections
                assert connection.transport.getTcpNoDelay()
        finally:
            port.stopListening()
        server.wait_until(lambda: not server.factory.connections)
