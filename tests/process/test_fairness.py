"""Is the load shared evenly enough, and does no client wait for a worker that does not come?"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

import pytest

from twisted_wsgiref._process.fairness import HOLD, IGNORE, MOST_AT_ONCE, STREAK, Table, Turn, pace


class Reactor:
    """A clock, and the numbers that a turn looks at."""

    def __init__(self, mine: int = 0, fewest: int | None = 0) -> None:
        self.now = 0.0
        self.mine = mine
        self.fewest = fewest
        self.turn = Turn(lambda: self.fewest, lambda: self.mine, lambda: self.now)


def test_whoever_is_alone_takes_what_comes() -> None:
    assert Reactor(5000, None).turn.may_take() == MOST_AT_ONCE


@pytest.mark.parametrize(("mine", "fewest", "taken"), [(0, 0, 1), (0, 1, 1), (0, 7, 7), (3, 7, 4), (0, 900, 16)])
def test_whoever_is_not_ahead_takes_as_many_as_it_is_behind(mine: int, fewest: int, taken: int) -> None:
    assert Reactor(mine, fewest).turn.may_take() == taken


@pytest.mark.parametrize(("mine", "fewest"), [(1, 0), (15, 14), (40, 30)])
def test_whoever_is_ahead_holds_back(mine: int, fewest: int) -> None:
    assert Reactor(mine, fewest).turn.may_take() == 0


def test_of_many_connections_a_few_make_no_difference() -> None:
    assert Reactor(1010, 1000).turn.may_take() == 1


def test_a_connection_that_nobody_else_took_is_taken() -> None:
    reactor = Reactor(1, 0)
    assert reactor.turn.may_take() == 0
    reactor.now += HOLD
    assert reactor.turn.may_take() == 1
    reactor.mine += 1
    assert reactor.turn.may_take() == 0


def test_a_connection_that_comes_much_later_is_held_back_for_too() -> None:
    reactor = Reactor(1, 0)
    assert reactor.turn.may_take() == 0
    reactor.now += 1
    assert reactor.turn.may_take() == 0


def test_others_that_never_come_are_not_waited_for() -> None:
    reactor = Reactor(10, 0)
    taken = held = 0
    for _ in range(1000):
        number = reactor.turn.may_take()
        taken += number
        held += not number
        reactor.now += HOLD if not number else 0.0001
    # At most some 50 ms in each second of it are lost.
    assert held <= STREAK * (reactor.now // IGNORE + 1)
    assert taken > 900


def test_nothing_is_forgotten_of_others_that_do_come() -> None:
    reactor = Reactor(1, 0)
    for _ in range(STREAK * 4):
        reactor.turn.may_take()
        reactor.now += HOLD
        reactor.fewest = 1
        reactor.turn.may_take()
        reactor.fewest = 0
        reactor.now += 1
    assert reactor.turn.may_take() == 0


def test_the_unfit_leaves_all_to_the_others_if_there_are_any() -> None:
    reactor = Reactor(0, 10)
    reactor.turn.unfit = True
    assert reactor.turn.may_take() == 0
    reactor.fewest = None
    assert reactor.turn.may_take() > 0


def test_two_processes_that_wake_together_share_a_burst() -> None:
    counts = [0, 0]
    turns = [
        Turn(lambda: counts[1], lambda: counts[0], lambda: now),
        Turn(lambda: counts[0], lambda: counts[1], lambda: now),
    ]
    now, waiting = 0.0, 32
    order = [0] * 5 + [1]  # the first is scheduled five times as often
    step = 0
    holding = [0.0, 0.0]
    while waiting:
        who = order[step % len(order)]
        step += 1
        now += 0.0001
        if now >= holding[who]:
            number = min(waiting, turns[who].may_take())
            counts[who] += number
            waiting -= number
            if not number:
                holding[who] = now + HOLD
    assert min(counts) >= 0.35 * 32


# ---- The table -----------------------------------------------------------------------------------------------------


@pytest.fixture
def page() -> Iterator[int]:
    with tempfile.TemporaryFile() as file:
        file.truncate(os.sysconf("SC_PAGESIZE"))
        yield file.fileno()


def test_each_sees_what_the_others_write(page: int) -> None:
    parent, first, second = Table(page), Table(page), Table(page)
    for slot in range(3):
        parent.clear(slot)
    first.put(0, 7)
    assert first.fewest(0) is None
    second.put(2, 3)
    assert first.fewest(0) == 3
    assert second.fewest(2) == 7
    parent.clear(2)
    assert first.fewest(0) is None


def test_no_connections_are_not_nobody(page: int) -> None:
    table = Table(page)
    table.clear(1)
    table.put(1, 0)
    assert table.fewest(0) == 0


# ---- A port --------------------------------------------------------------------------------------------------------


class Port:
    def __init__(self) -> None:
        self.connected = True
        self.disconnecting = False
        self.numberAccepts = 100
        self.done: list[str] = []

    def doRead(self) -> None:
        self.done.append(f"accepted {self.numberAccepts}")

    def stopReading(self) -> None:
        self.done.append("stopped")

    def startReading(self) -> None:
        self.done.append("started")


def test_a_port_accepts_by_its_turn_and_looks_again_after_holding_back() -> None:
    port, later, reactor = Port(), [], Reactor(1, 0)
    pace(port, reactor.turn, lambda seconds, call: later.append((seconds, call)))
    port.doRead()
    assert port.done == ["stopped"]
    (seconds, call) = later[0]
    assert seconds == HOLD
    call()
    reactor.fewest = 1
    port.doRead()
    assert port.done == ["stopped", "started", "accepted 1"]


def test_a_port_that_was_closed_meanwhile_stays_so() -> None:
    port, later, reactor = Port(), [], Reactor(1, 0)
    pace(port, reactor.turn, lambda seconds, call: later.append(call))
    port.doRead()
    port.connected = False
    later[0]()
    assert port.done == ["stopped"]
