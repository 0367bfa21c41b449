"""Are plain sockets read together, and are they left alone while requests wait for a thread anyway?"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.stepped import SteppedReactor
from tests.support import GET, hello, serving
from twisted_wsgiref.gather import Gather, make_gather

LONGEST_HOLD = 0.002

pytestmark = pytest.mark.skipif(make_gather(SteppedReactor(), print) is None, reason="there is no epoll here")


class Ends:
    """Two sockets that are gathered, their other ends, and what has been done."""

    def __init__(self) -> None:
        self.reactor = SteppedReactor()
        self.done: list[str] = []
        self.gather = Gather(self.reactor, lambda: self.done.append("turned"))
        pairs = [socket.socketpair(), socket.socketpair()]
        self.mine = [pair[0] for pair in pairs]
        self.theirs = [pair[1] for pair in pairs]
        for number, sock in enumerate(self.mine):
            self.gather.add(sock.fileno(), lambda number=number: self.read(number))

    def read(self, number: int) -> None:
        self.done.append(f"{number}: {self.mine[number].recv(100).decode()}")

    def hold(self) -> None:
        """Hold, after a read, as it has to be."""
        self.theirs[1].send(b"before")
        self.turn()
        self.gather.hold()

    def turn(self) -> list[str]:
        self.done.clear()
        self.reactor.turn()
        return self.done


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    made.gather.close()
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
    ends.gather.hold()
    ends.theirs[0].send(b"a")
    assert ends.turn() == []
    ends.gather.release()
    ends.gather.release()
    assert ends.turn() == ["0: a", "turned"]


def test_a_hold_ends_by_itself(ends: Ends) -> None:
    ends.hold()
    ends.theirs[0].send(b"a")
    ends.reactor.clock.now += LONGEST_HOLD * 0.9
    assert ends.turn() == []
    ends.reactor.clock.now += LONGEST_HOLD * 0.2
    assert ends.turn() == ["0: a", "turned"]


def test_a_hold_right_after_another_ends_by_itself_too(ends: Ends) -> None:
    for _ in range(5):
        ends.hold()
        ends.gather.release()
    assert len(ends.reactor.getDelayedCalls()) == 1
    ends.hold()
    ends.theirs[0].send(b"a")
    ends.reactor.clock.now += LONGEST_HOLD * 1.1
    assert ends.turn() == ["0: a", "turned"]


def test_between_two_holds_is_a_read(ends: Ends) -> None:
    # Requests that come by other ways, as pipelined ones do, ask for a hold in every turn: nobody else would be read.
    ends.hold()
    ends.theirs[0].send(b"a")
    ends.gather.release()
    assert not ends.gather.may_hold
    ends.gather.hold()
    assert ends.turn() == ["0: a", "turned"]
    assert ends.gather.may_hold


def test_what_is_closed_while_it_is_held_leaves_nothing(ends: Ends) -> None:
    ends.hold()
    ends.gather.close()
    assert ends.reactor.getDelayedCalls() == []
    ends.gather.release()
    assert ends.gather not in ends.reactor.getReaders()
    ends.gather.add(ends.mine[0].fileno(), lambda: ends.read(0))
    ends.theirs[0].send(b"a")
    assert ends.turn() == ["0: a", "turned"]


def test_while_many_requests_wait_others_are_read_later_and_all_are_answered() -> None:
    with serving(hello, threads=4) as server:
        clients = [server.connect("socket").send(GET) for _ in range(6)]
        server.reactor.turn()
        assert len(server.pool.jobs) == 6
        late = server.connect("socket").send(GET)
        for _ in range(3):
            server.reactor.turn()
        assert len(server.pool.jobs) == 6
        for _ in range(2):
            server.pool.step()
        for _ in range(2):  # the wake, the read
            server.reactor.turn()
        assert len(server.pool.jobs) == 5
        server.settle()
        answers: list[Any] = [client.answers() for client in (*clients, late)]
        assert [one.body for (one,) in answers] == [b"hello"] * 7
