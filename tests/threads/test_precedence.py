"""Do workers go first where it is only them who do, and nobody else for long?"""

from __future__ import annotations

import os
import sys
import threading
import time

import pytest

from tests.support import PATIENCE
from twisted_wsgiref._threads.precedence import Precedence


class Processor:
    """A processor on which others go first for `seconds`, of which this process gets the part `own`."""

    def __init__(self) -> None:
        self.now = 100.0
        self.cpu = 5.0
        self.seconds = 0.00003
        self.own = 1.0
        self.granted = 0
        self.precedence = Precedence(lambda: self.now, lambda: self.cpu, self.give_way)

    def give_way(self) -> None:
        self.granted += 1
        self.now += self.seconds
        self.cpu += self.seconds * self.own

    def grants(self, nothing_else: bool = False) -> bool:
        before = self.granted
        self.precedence.grant(nothing_else)
        return self.granted > before


def test_a_worker_goes_first_each_time() -> None:
    processor = Processor()
    assert all(processor.grants() for _ in range(5))


def test_it_may_take_its_time_while_there_is_nothing_else_to_do() -> None:
    processor = Processor()
    processor.seconds = 0.003
    assert all(processor.grants(True) for _ in range(5))


@pytest.mark.parametrize("seconds", [0.0006, 0.003, 0.1])
@pytest.mark.parametrize(("nothing_else", "own"), [(False, 1.0), (False, 0.1), (True, 0.1)])
def test_what_is_slow_is_let_go_first_for_a_hundredth_of_the_time(
    seconds: float, nothing_else: bool, own: float
) -> None:
    # A request that computes, while others could be read; or another process.
    processor = Processor()
    processor.seconds, processor.own = seconds, own
    start = processor.now
    while processor.now < start + 500 * seconds:
        processor.grants(nothing_else)
        processor.now += seconds / 10  # what else there is to do
    assert 4 <= processor.granted <= 6


def test_it_is_tried_again_when_the_other_may_have_gone() -> None:
    processor = Processor()
    processor.seconds = 0.003
    assert processor.grants()
    assert not processor.grants()
    processor.seconds = 0.00003
    processor.now += 0.4
    assert processor.grants()
    assert processor.grants()


def test_a_short_wait_is_none_whoever_ran() -> None:
    processor = Processor()
    processor.seconds, processor.own = 0.0004, 0.0
    assert processor.grants()
    assert processor.grants()


def test_where_it_is_forbidden_it_is_not_tried_again() -> None:
    asked: list[None] = []

    def refuse() -> None:
        asked.append(None)
        raise PermissionError

    precedence = Precedence(give_way=refuse)
    precedence.grant(False)
    precedence.grant(True)
    assert len(asked) == 1


@pytest.mark.skipif(not hasattr(os, "sched_yield"), reason="there is no such call here")
def test_it_gives_the_interpreter_up() -> None:
    gate = threading.Lock()
    ran: list[None] = []
    precedence = Precedence()
    interval = sys.getswitchinterval()
    with gate:
        thread = threading.Thread(target=lambda: ran.append(None) if gate.acquire() else None)
        thread.start()
        sys.setswitchinterval(1000)
    end = time.monotonic() + PATIENCE
    try:
        while not ran and time.monotonic() < end:
            precedence.grant(False)
        assert ran
    finally:
        sys.setswitchinterval(interval)
        thread.join()
