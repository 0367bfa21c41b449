"""Is one worker taken for enough just where others would not help, and is it a small loss to be wrong?"""

from __future__ import annotations

import pytest

from twisted_wsgiref._threads import pace
from twisted_wsgiref._threads.pace import Pace


class Busy:
    """A process whose clocks stand until they are moved."""

    def __init__(self) -> None:
        self.now = 100.0
        self.cpu = 5.0
        self.taken = 0
        self.pace = Pace(lambda: self.now, lambda: self.cpu)

    def pass_on(self, seconds: float, jobs: int, *, busy: float = 1.0, waiting: int = 3) -> bool:
        self.now += seconds
        self.cpu += seconds * busy
        self.taken += jobs
        return self.pace.is_best(self.taken, waiting)


def test_one_is_enough_while_requests_are_quick_and_the_processor_is_busy() -> None:
    process = Busy()
    assert process.pass_on(0.001, 50)
    assert process.pass_on(0.001, 50)


@pytest.mark.parametrize(
    ("seconds", "jobs", "busy"),
    [
        pytest.param(0.001, 20, 1.0, id="requests that take their time"),
        pytest.param(0.001, 0, 1.0, id="nothing was taken"),
        pytest.param(0.001, 50, 0.8, id="the application waits for others"),
        pytest.param(10.0, 50, 0.0, id="a quiet moment before"),
    ],
)
def test_more_are_better_else(seconds: float, jobs: int, busy: float) -> None:
    process = Busy()
    assert not process.pass_on(seconds, jobs, busy=busy)


def test_it_is_not_looked_at_in_each_turn() -> None:
    process = Busy()
    assert not process.pass_on(0.0005, 40)
    assert process.pass_on(0.0006, 40)  # both together are long enough
    assert process.pass_on(0.0009, 0)
    assert not process.pass_on(0.0002, 0)


def test_who_was_wrong_is_more_careful_for_twenty_times_as_long() -> None:
    process = Busy()
    assert process.pass_on(0.001, 50)
    assert not process.pass_on(0.003, 1)
    for _ in range(59):
        assert not process.pass_on(0.001, 50)
    assert process.pass_on(0.002, 100)


def test_less_to_do_is_no_mistake() -> None:
    process = Busy()
    assert process.pass_on(0.001, 50)
    assert not process.pass_on(0.010, 1, waiting=0)
    assert process.pass_on(0.001, 50)


def test_threads_that_run_side_by_side_are_all_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_LOCKED", False)
    assert not Busy().pass_on(0.001, 50)
