"""Does each turn of reading have the consequences that the decisions 9, 12, 13 and 14 name, and no others?"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support import PATIENCE
from twisted_wsgiref._threads import schedule
from twisted_wsgiref._threads.schedule import PAUSE, QUICK, Pace, Precedence, Schedule
from twisted_wsgiref.testing import SteppedPool

# ---- Decision 13: is one worker enough? ----------------------------------------------------------------------------


class Busy:
    """A process whose clocks stand until they are moved."""

    def __init__(self) -> None:
        self.now = 100.0
        self.cpu = 5.0
        self.taken = 0
        self.pace = Pace(self.now, lambda: self.cpu)

    def pass_on(self, seconds: float, jobs: int, *, busy: float = 1.0, waiting: int = 3) -> bool:
        self.now += seconds
        self.cpu += seconds * busy
        self.taken += jobs
        return self.pace.is_one_enough(self.now, self.taken, waiting)


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
    monkeypatch.setattr(schedule, "NO_GIL", True)
    assert not Busy().pass_on(0.001, 50)


# ---- Decision 14: may a worker go first? ---------------------------------------------------------------------------


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

    precedence = Precedence(time.monotonic, time.process_time, give_way=refuse)
    precedence.grant(False)
    precedence.grant(True)
    assert len(asked) == 1


@pytest.mark.skipif(not hasattr(os, "sched_yield"), reason="there is no such call here")
def test_it_gives_the_interpreter_up() -> None:
    gate = threading.Lock()
    ran: list[None] = []
    precedence = Precedence(time.monotonic, time.process_time)
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


# ---- What follows a turn -------------------------------------------------------------------------------------------


class Timer:
    def __init__(self, due: float, call: Callable[[], object]) -> None:
        self.due = due
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Job:
    """A request that says when it is run, and keeps its answer back as long as it may."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.left = False

    def run(self) -> None:
        self._house.now += self._house.seconds
        self._house.cpu += self._house.seconds
        self._house.done.append("run")
        self._house.schedule.batch.add(self)

    def depart(self) -> None:
        self.left = True


class House:
    """A schedule, a stepped pool and clocks that only a test moves; ``done`` is all that has been done, in its order.

    Each job takes ``seconds`` of the processor.
    """

    turning = True
    may_pause = True

    def __init__(self, threads: int = 4, limit: int = 1000) -> None:
        self.now, self.cpu, self.seconds = 100.0, 5.0, 0.00002
        self.done: list[str] = []
        self.timers: list[Timer] = []
        self.wakes: list[Callable[[], object]] = []
        self.failures: list[BaseException] = []
        self.pool = SteppedPool("stepped", minimum=threads, limit=limit, failed=self.failures.append)
        self.pool.start()
        self.schedule = Schedule(
            self.pool,
            wake=self.wakes.append,
            call_later=self.call_later,
            failed=self.failures.append,
            clock=lambda: self.now,
            cpu_clock=lambda: self.cpu,
        )
        self.schedule.reading = self
        self.schedule.refused = lambda job: self.done.append("refused")
        self.schedule.release = lambda job: self.done.append("released")
        precedence: Any = SimpleNamespace(grant=lambda nothing_else: self.done.append(f"granted {nothing_else}"))
        self.schedule._precedence = precedence
        wake = self.pool.wake
        # What is decided when a worker is woken: it has to be decided before.
        self.pool.wake = lambda: self.done.append(f"woken, held {self.held}") or wake()  # type: ignore

    @property
    def held(self) -> bool:
        return self.schedule.batch.held

    def call_later(self, seconds: float, call: Callable[[], object]) -> Timer:
        self.timers.append(Timer(self.now + seconds, call))
        return self.timers[-1]

    # As who reads.

    def pause(self, seconds: float) -> None:
        self.done.append("paused")
        self.may_pause = False
        self.call_later(seconds, self.resume)

    def resume(self) -> None:
        if not self.may_pause:
            self.may_pause = True
            self.schedule.resumed()
            self.done.append("resumed")

    # What a test does.

    def turn(self, jobs: int) -> list[str]:
        """Read so many requests in one turn; return what follows at once."""
        self.done.clear()
        for _ in range(jobs):
            self.schedule.submit(Job(self))
        self.schedule.flush()
        return self.done

    def work(self, jobs: int = 1000) -> None:
        """Have so many jobs be run, and the reactor be woken if one of them asks for it."""
        for _ in range(min(jobs, len(self.pool.jobs))):
            self.pool.step()
        while self.wakes:
            self.wakes.pop(0)()

    def wait(self, seconds: float) -> None:
        """Let time pass, and be called what is due."""
        self.now += seconds
        due = [each for each in self.timers if each.due <= self.now]
        self.timers = [each for each in self.timers if each not in due]
        for each in due:
            if not each.cancelled:
                each.call()

    def looks(self) -> int:
        return sum(each.call == self.schedule._look and not each.cancelled for each in self.timers)

    def hurry(self) -> None:
        """Have one worker be enough: many quick jobs, for longer than a moment."""
        self.turn(60)
        self.work()
        self.turn(1)
        self.work()
        assert self.pool.sparing


def test_a_turn_without_requests_has_no_consequences() -> None:
    house = House()
    assert house.turn(0) == []


# ---- Decision 14: a worker that is woken goes before the reactor -----------------------------------------------------


def test_a_worker_that_is_woken_goes_first() -> None:
    assert House().turn(1) == ["woken, held False", "granted False"]


def test_nobody_goes_first_if_no_worker_waits() -> None:
    house = House(threads=1)
    house.pool.at_work = 1
    assert house.turn(1) == ["woken, held False"]


# ---- Decision 9: nothing is read while more requests wait than there are workers -------------------------------------


def test_reading_goes_on_while_each_request_has_a_worker() -> None:
    house = House(threads=4)
    assert "paused" not in house.turn(4)
    assert "paused" in house.turn(1)


def test_reading_is_paused_before_a_worker_is_woken_and_that_one_may_take_its_time() -> None:
    assert House(threads=2).turn(3) == ["paused", "woken, held True", "granted True"]


def test_reading_goes_on_once_no_more_than_one_request_waits() -> None:
    house = House(threads=1)
    house.turn(4)
    house.work(2)
    assert "resumed" not in house.done
    house.work(1)
    assert house.done[-1] == "resumed"


def test_a_pause_ends_by_itself() -> None:
    house = House(threads=1)
    house.turn(4)
    house.wait(PAUSE * 0.9)
    assert "resumed" not in house.done
    house.wait(PAUSE * 0.2)
    assert house.done[-1] == "resumed"


def test_a_pause_that_is_over_wakes_the_reactor_no_more() -> None:
    house = House(threads=1)
    house.turn(4)
    house.wait(PAUSE)
    for _ in range(4):
        house.pool.step()
    assert not house.wakes


def test_reading_is_not_paused_if_whoever_reads_says_so() -> None:
    house = House(threads=1)
    house.may_pause = False
    assert "paused" not in house.turn(9)


# ---- Decision 12: answers leave together meanwhile -------------------------------------------------------------------


@pytest.mark.parametrize(("factor", "held"), [(0.9, False), (1.1, True)])
def test_answers_leave_together_only_if_the_requests_since_the_last_pause_were_slow(factor: float, held: bool) -> None:
    house = House(threads=1)
    house.turn(9)
    paused_at = house.now
    house.work()
    house.now = paused_at + 12 * QUICK * factor
    assert house.turn(12)[0] == "paused"
    assert house.held is held


def crowd(house: House) -> list[Any]:
    """Return jobs that are slow, and so many that their answers are held."""
    house.turn(20)
    house.wait(PAUSE)
    house.work()
    house.now += 1
    house.turn(20)
    assert house.held
    return list(house.pool.jobs)


def test_answers_leave_when_few_requests_wait() -> None:
    house = House(threads=1)
    jobs = crowd(house)
    house.work(15)
    assert not any(job.left for job in jobs)
    house.work(1)
    assert [job.left for job in jobs] == [True] * 16 + [False] * 4  # as many as leave together
    house.work(3)
    assert not house.held
    assert [job.left for job in jobs] == [True] * 19 + [False]


def test_answers_leave_at_the_end_of_a_pause_and_so_does_what_a_running_job_keeps() -> None:
    house = House(threads=1)
    jobs = crowd(house)
    house.work(3)
    house.pool.now = jobs[3]
    assert not any(job.left for job in jobs)
    house.wait(PAUSE)
    assert [job.left for job in jobs[:4]] == [True, True, True, False]
    assert house.done[-2:] == ["released", "resumed"]


def test_answers_of_the_reactors_own_leave_at_the_end_of_their_turn() -> None:
    house = House()
    jobs = [Job(house) for _ in range(20)]
    for count, job in enumerate(jobs, 1):
        house.schedule.hold_turn()
        house.schedule.batch.add(job)
        assert house.held
        assert job.left is (count == 16)
    assert [job.left for job in jobs] == [True] * 16 + [False] * 4
    house.turn(0)
    assert not house.held
    assert all(job.left for job in jobs)
    house.turn(3)
    assert house.done == ["woken, held False", "granted False"]


def test_an_answer_that_is_made_between_turns_leaves_at_once() -> None:
    house = House()
    house.turning = False
    house.schedule.hold_turn()
    job = Job(house)
    house.schedule.batch.add(job)
    assert (house.held, job.left) == (False, True)


def test_a_turn_that_ends_in_a_pause_lets_its_own_answers_leave_first() -> None:
    house = House(threads=1)
    house.seconds = 0.001
    house.schedule.hold_turn()
    job = Job(house)
    house.schedule.batch.add(job)
    house.turn(5)
    assert job.left
    assert "paused" in house.done


# ---- Decision 13: while one worker is enough, the others are spared --------------------------------------------------


def test_while_one_worker_is_enough_the_others_are_spared_and_a_look_is_planned() -> None:
    house = House()
    house.turn(40)
    assert not house.pool.sparing
    assert not house.looks()
    house.hurry()
    assert house.looks() == 1
    house.turn(1)
    assert house.looks() == 1


def test_while_one_worker_is_enough_there_is_no_other() -> None:
    house = House(threads=16)
    house.hurry()
    assert "paused" in house.turn(3)


def test_a_look_wakes_the_others_if_requests_wait_and_are_not_taken() -> None:
    house = House()
    house.hurry()
    house.turn(3)
    house.wait(PAUSE)  # in which nobody has taken one
    assert not house.pool.sparing
    assert house.looks() == 0


def test_a_look_is_followed_by_another_while_requests_are_taken_quickly() -> None:
    house = House()
    house.hurry()
    house.turn(120)
    house.work(110)
    house.wait(0)
    assert house.pool.sparing
    assert house.looks() == 1


def test_a_look_is_the_last_if_no_request_waits() -> None:
    house = House()
    house.hurry()
    house.wait(PAUSE)
    assert house.looks() == 0


def test_a_look_that_fails_is_not_the_last() -> None:
    house = House()
    house.hurry()
    house.turn(3)
    spare_none = house.pool.spare_none

    def fail() -> None:
        raise RuntimeError("on purpose")

    house.pool.spare_none = fail  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        house.wait(PAUSE)
    house.pool.spare_none = spare_none  # type: ignore[method-assign]
    house.work()
    house.wait(1)
    house.hurry()
    assert house.looks() == 1


# ---- And else --------------------------------------------------------------------------------------------------------


def test_a_request_without_room_is_refused_after_all_else() -> None:
    house = House(threads=1, limit=2)
    assert house.turn(4)[-2:] == ["granted True", "refused"]


def test_requests_that_come_by_another_way_are_put_together_in_the_next_turn() -> None:
    house = House()
    house.turning = False
    for _ in range(3):
        house.schedule.submit(Job(house))
    assert len(house.timers) == 1
    assert not house.pool.jobs
    house.wait(0)
    assert len(house.pool.jobs) == 3


def test_a_schedule_that_is_closed_leaves_nothing_to_be_called() -> None:
    house = House()
    house.hurry()
    house.schedule.close()
    assert house.looks() == 0
    house.pool.stop()
    house.turn(3)
    assert house.done.count("refused") == 3
    assert house.looks() == 0


def test_nobody_reads_unless_that_is_said() -> None:
    house = House(threads=1)
    house.schedule.reading = schedule.NoTurnReader()
    assert "paused" not in house.turn(9)
    house.work()
