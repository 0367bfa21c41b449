"""Does the supervisor keep as many workers as were asked for, and lose nobody's request over it?"""

from __future__ import annotations

import itertools
import signal

import pytest

from twisted_wsgiref._process.supervisor import End, Patience, Supervisor

KILL, TERM = signal.SIGKILL, signal.SIGTERM


class House:
    """A supervisor, the clock that it looks at, and what it did."""

    def __init__(
        self, target: int = 2, *, start: float = 60.0, beat: float = 30.0, grace: float = 25.0, patient: bool = False
    ) -> None:
        self.now = 1000.0
        self.begins = True  # their interpreters run
        self.started: list[int] = []
        self.signals: list[tuple[int, int]] = []
        self.said: list[str] = []
        self.levels: dict[str, str] = {}
        self.statuses: list[int] = []
        self.reloads: list[bool] = []
        self.announced = 0
        self.supervisor = Supervisor(
            target,
            self,
            Patience(start=start, beat=beat, grace=grace, until_reload=patient),
            clock=lambda: self.now,
        )

    def say(self, line: str, level: str = "info") -> None:
        self.said.append(line)
        self.levels[line] = level

    def done(self, status: int) -> None:
        self.statuses.append(status)

    def ready(self) -> None:
        self.announced += 1

    def reloading(self, now: bool) -> None:
        self.reloads.append(now)

    def start(self, number: int) -> None:
        self.started.append(number)
        if self.begins:
            self.supervisor.begun(number)

    def signal(self, number: int, signum: int) -> None:
        self.signals.append((number, signum))

    def serving(self, *numbers: int) -> None:
        for number in numbers:
            self.supervisor.ready(number)

    def die(self, number: int, how: str = "SIGKILL") -> None:
        self.supervisor.exited(number, End(how, well=how == "status 0", by_itself=how.startswith("status")))

    def wait(self, seconds: float, *, beating: bool = True) -> None:
        for _ in range(round(seconds / 0.25)):
            self.now += 0.25
            if beating:
                for number in list(self.supervisor.children):
                    self.supervisor.beat(number)
            self.supervisor.tick()

    def heard(self, text: str) -> bool:
        return any(text in line for line in self.said)


def up(target: int = 2, **patience: float) -> House:
    house = House(target, **patience)
    house.supervisor.start()
    house.serving(*range(1, target + 1))
    return house


def test_as_many_as_asked_for_are_started_and_announced_once_all_serve() -> None:
    house = House(3)
    house.supervisor.start()
    assert house.started == [1, 2, 3]
    house.serving(1, 2)
    assert house.announced == 0
    house.serving(3)
    house.serving(3)
    assert house.announced == 1


def test_a_dead_child_is_replaced_at_once() -> None:
    house = up()
    house.die(1)
    assert house.started == [1, 2, 3]
    assert house.heard("worker 1 died (SIGKILL)")


def test_what_a_child_said_before_it_ended_is_told() -> None:
    house = House(1)
    house.supervisor.start()
    house.supervisor.failed(1, "importing demo failed: KeyError: 'x'")
    house.die(1, "status 1")
    assert house.heard("worker 1 did not start (status 1: importing demo failed: KeyError: 'x')")
    assert house.started == [1, 2]


def test_deaths_far_apart_never_slow_the_replacement() -> None:
    house = up()
    for victim in range(1, 16):
        house.die(victim)
        house.serving(house.started[-1])
        assert len(house.started) == 2 + victim
        house.wait(3)


@pytest.mark.parametrize("serves_first", [False, True])
def test_a_crash_loop_is_slowed_to_one_start_a_second_after_five(serves_first: bool) -> None:
    house = House(2)
    house.supervisor.start()
    begun = house.now
    when: list[float] = []
    for _ in range(400):
        before = len(house.started)
        for number in list(house.supervisor.children):
            if serves_first:
                house.serving(number)
            house.die(number, "status 3")
        house.now += 0.05
        house.supervisor.tick()
        when += [house.now] * (len(house.started) - before)
    assert house.now - begun == pytest.approx(20)
    slowed = when[6:]
    assert min(later - earlier for earlier, later in itertools.pairwise(slowed)) >= 1.0
    assert 5 + 15 <= len(when) <= 8 + 20
    assert house.heard("from now on one is started a second")
    assert house.statuses == []


def test_a_loop_that_is_over_is_forgiven() -> None:
    house = up(1)
    for _ in range(8):
        house.die(house.started[-1])
        house.wait(1)
    house.serving(house.started[-1])
    house.wait(11)
    count = len(house.started)
    house.die(house.started[-1])
    assert len(house.started) == count + 1
    assert house.heard("without a pause again")


def test_a_mistake_in_the_command_line_ends_it_all_with_status_1() -> None:
    house = House(2)
    house.supervisor.start()
    house.supervisor.failed(1, "there is no module demon", hopeless=True)
    assert house.signals == [(1, TERM), (2, TERM)]
    house.die(1, "status 1")
    house.die(2, "SIGTERM")
    assert house.statuses == [1]
    assert house.said.count("there is no module demon") == 1


def test_the_same_mistake_later_is_only_told() -> None:
    house = up(1)
    house.die(1)
    house.supervisor.failed(2, "there is no module demon", hopeless=True)
    house.die(2, "status 1")
    assert house.statuses == []
    assert house.started == [1, 2, 3]


def test_stopping_drains_all_and_is_done_when_the_last_is_gone() -> None:
    house = up()
    house.supervisor.stop()
    house.supervisor.stop()
    assert house.signals == [(1, TERM), (2, TERM)]
    house.die(1, "status 0")
    assert house.statuses == []
    house.die(2, "status 0")
    house.supervisor.tick()
    assert house.statuses == [0]
    assert house.started == [1, 2]


def test_stopping_before_anybody_serves_is_no_failure() -> None:
    house = House(2)
    house.supervisor.start()
    house.supervisor.stop()
    house.die(1, "SIGTERM")
    house.die(2, "SIGTERM")
    assert house.statuses == [0]


def test_a_child_that_outlives_the_grace_is_killed_and_the_status_says_so() -> None:
    house = up(2, grace=5.0)
    house.supervisor.stop()
    house.die(2, "status 0")
    house.wait(5.5)
    assert (1, KILL) not in house.signals
    house.wait(0.25)
    assert house.signals[-1] == (1, KILL)
    house.wait(1)
    assert house.signals.count((1, KILL)) == 1
    house.die(1)
    assert house.statuses == [3]


def test_a_child_that_had_to_cut_a_thread_short_is_in_the_status() -> None:
    house = up()
    house.supervisor.stop()
    house.die(1, "status 3")
    house.die(2, "status 0")
    assert house.statuses == [3]


def test_a_reload_drains_the_old_only_when_all_new_serve() -> None:
    house = up()
    house.supervisor.reload()
    assert house.started == [1, 2, 3, 4]
    house.serving(3)
    assert house.signals == []
    house.serving(4)
    assert house.signals == [(1, TERM), (2, TERM)]
    house.die(1, "status 0")
    house.die(2, "status 0")
    assert house.started == [1, 2, 3, 4]
    assert house.heard("reloaded: 2 workers with the new code")


def test_new_code_that_does_not_load_leaves_the_old_at_work() -> None:
    house = up()
    house.supervisor.reload()
    house.serving(4)
    house.supervisor.failed(3, "importing demo failed: SyntaxError: invalid syntax at demo.py:1")
    house.die(3, "status 1")
    assert house.signals == [(4, TERM)]
    house.die(4, "status 0")
    house.wait(5)
    assert house.started == [1, 2, 3, 4]
    assert sorted(house.supervisor.children) == [1, 2]
    assert house.heard("SyntaxError: invalid syntax at demo.py:1")
    assert house.heard("the reload is given up")


def test_new_code_that_hangs_in_import_is_killed_and_the_old_goes_on() -> None:
    house = up(start=10.0)
    house.supervisor.reload()
    house.wait(10.5)
    assert house.signals == []
    house.wait(0.25)
    assert house.signals == [(3, KILL), (4, KILL)]
    house.die(3)
    house.die(4)
    assert sorted(house.supervisor.children) == [1, 2]
    assert house.heard("did not begin to serve within 10 s")


def test_a_reload_during_a_reload_begins_anew() -> None:
    house = up()
    house.supervisor.reload()
    house.serving(3)
    house.supervisor.reload()
    assert house.signals == [(3, TERM), (4, TERM)]
    assert house.started == [1, 2, 3, 4, 5, 6]
    house.die(4, "SIGTERM")
    house.serving(5, 6)
    assert house.signals[2:] == [(1, TERM), (2, TERM)]


def test_a_reload_gets_a_looping_service_out_of_its_loop() -> None:
    house = House(1)
    house.supervisor.start()
    for _ in range(7):
        house.die(house.started[-1], "status 1")
    count = len(house.started)
    house.supervisor.reload()
    assert len(house.started) == count + 1
    house.serving(house.started[-1])
    assert house.announced == 1


def test_an_old_child_may_die_during_a_reload() -> None:
    house = up()
    house.supervisor.reload()
    house.die(1)
    house.serving(3, 4)
    assert house.signals == [(2, TERM)]
    assert house.started == [1, 2, 3, 4]


def test_one_more_and_one_fewer_but_never_none() -> None:
    house = up(1)
    house.supervisor.more()
    assert house.started == [1, 2]
    house.serving(2)
    house.supervisor.fewer()
    assert house.signals == [(2, TERM)]
    house.die(2, "status 0")
    house.supervisor.fewer()
    assert house.signals == [(2, TERM)]
    assert house.supervisor.target == 1


def test_who_asks_to_be_replaced_goes_when_the_successor_serves() -> None:
    house = up()
    house.supervisor.asks(1, "1000 requests served")
    house.supervisor.asks(1, "1000 requests served")
    assert house.started == [1, 2, 3]
    assert house.signals == []
    house.serving(3)
    assert house.signals == [(1, TERM)]
    house.die(1, "status 0")
    assert house.started == [1, 2, 3]


def test_who_can_do_no_more_drains_at_once_if_another_serves() -> None:
    house = up()
    house.supervisor.unfit(1, "every thread of it is stuck")
    assert house.signals == [(1, TERM)]
    assert house.started == [1, 2, 3]


def test_the_last_one_waits_for_its_successor_even_then() -> None:
    house = up()
    house.supervisor.unfit(1, "every thread of it is stuck")
    house.supervisor.unfit(2, "every thread of it is stuck")
    assert house.signals == [(1, TERM)]
    assert house.started == [1, 2, 3, 4]
    house.serving(3, 4)
    assert house.signals == [(1, TERM), (2, TERM)]


def test_a_start_that_ended_itself_for_its_length_says_so() -> None:
    house = House(1, start=10.0)
    house.supervisor.start()
    house.now += 10.1
    house.die(1, "status 1")
    assert house.heard("worker 1 did not start (status 1: it did not begin to serve within 10 s)")


def test_each_successor_relieves_one() -> None:
    house = up(4)
    house.supervisor.asks(1, "old")
    house.supervisor.asks(2, "old")
    house.serving(5)
    assert house.signals == [(1, TERM)]
    house.serving(6)
    assert house.signals == [(1, TERM), (2, TERM)]


def test_a_successor_that_can_not_start_leaves_the_old_at_work() -> None:
    house = up(1)
    house.supervisor.asks(1, "old")
    house.die(2, "status 1")
    assert house.signals == []
    assert house.started == [1, 2, 3]
    house.serving(3)
    assert house.signals == [(1, TERM)]


def test_a_reactor_that_does_not_turn_costs_the_child_its_life() -> None:
    house = up(2, beat=5.0)
    for _ in range(21):
        house.now += 0.25
        house.supervisor.beat(2)
        house.supervisor.tick()
    assert house.signals == [(1, KILL)]
    house.die(1)
    assert house.started == [1, 2, 3]
    assert house.heard("its reactor has not turned for 5 s")


def test_a_parent_that_slept_itself_blames_nobody() -> None:
    house = up(2, beat=5.0)
    house.now += 3600
    house.supervisor.tick()
    assert house.signals == []


def test_no_limit_is_no_limit() -> None:
    house = House(1, start=0, beat=0)
    house.supervisor.start()
    house.wait(1000, beating=False)
    house.serving(1)
    house.wait(1000, beating=False)
    assert house.signals == []


def test_news_of_strangers_is_ignored() -> None:
    house = up(1)
    house.supervisor.ready(99)
    house.supervisor.beat(99)
    house.supervisor.asks(99, "x")
    house.supervisor.failed(99, "x")
    house.die(99)
    assert house.started == [1]


def test_a_process_that_can_not_even_be_made_is_a_slowed_loop_too() -> None:
    house = House(2)

    def start(number: int) -> None:
        house.started.append(number)
        house.die(number, "it could not be started: no memory")

    house.start = start  # type: ignore[method-assign]
    house.supervisor.start()
    count = len(house.started)
    assert count <= 8
    house.wait(5)
    assert len(house.started) - count <= 6


# ---- What no restart mends -----------------------------------------------------------------------------------------


def test_an_interpreter_that_can_not_begin_ends_it_with_status_1() -> None:
    house = House(2)
    house.begins = False
    house.supervisor.start()
    house.die(1, "status 1")
    house.die(2, "status 1")
    assert house.statuses == [1]
    assert house.started == [1, 2]
    assert house.heard("worker 1 could not begin (status 1): can this user run ")


def test_one_that_is_killed_before_it_begins_is_tried_again() -> None:
    house = House(1)
    house.begins = False
    house.supervisor.start()
    house.die(1, "SIGKILL")
    assert (house.statuses, house.started) == ([], [1, 2])


def test_once_an_interpreter_has_begun_another_is_tried_again() -> None:
    house = House(1)
    house.begins = False
    house.supervisor.start()
    house.supervisor.begun(1)
    house.die(1, "status 7")
    house.die(2, "status 1")
    assert (house.statuses, house.started) == ([], [1, 2, 3])


def broken(house: House, number: int) -> None:
    house.supervisor.failed(number, "importing demo failed: SyntaxError")
    house.die(number, "status 1")


def test_code_that_fails_while_it_is_written_waits_for_the_next_change() -> None:
    house = House(1, patient=True)
    house.supervisor.start()
    broken(house, 1)
    house.wait(60)
    assert house.started == [1]
    assert house.said[-1].endswith(
        "did not start (status 1: importing demo failed: SyntaxError): waiting for a file to change"
    )
    house.supervisor.reload()
    broken(house, 2)
    house.wait(60)
    assert house.started == [1, 2]
    house.supervisor.reload()
    house.serving(3)
    assert (house.announced, house.statuses) == (1, [])
    house.die(3)
    assert house.started == [1, 2, 3, 4]  # that one had served: it is a crash, and no code that fails


def test_a_change_while_others_still_start_starts_them_all_anew() -> None:
    house = House(2, patient=True)
    house.supervisor.start()
    broken(house, 1)
    house.supervisor.reload()
    assert house.signals == [(2, TERM)]
    assert house.started == [1, 2, 3, 4]
    house.die(2, "SIGTERM")
    house.serving(3, 4)
    house.wait(5)
    assert (house.started, house.announced) == ([1, 2, 3, 4], 1)


def test_a_change_while_another_serves_is_a_reload() -> None:
    house = House(2, patient=True)
    house.supervisor.start()
    house.serving(1, 2)
    house.die(1)
    broken(house, 3)
    house.supervisor.reload()
    house.serving(*house.started[3:])
    assert house.heard("reloaded: 2 workers with the new code")
    assert house.signals == [(2, TERM)]


def test_without_patience_code_that_fails_is_tried_again() -> None:
    house = House(1)
    house.supervisor.start()
    broken(house, 1)
    assert house.started == [1, 2]


# ---- A log without the news of every day ---------------------------------------------------------------------------


def test_the_reason_for_the_end_is_critical() -> None:
    house = House()
    house.supervisor.start()
    house.supervisor.failed(1, "there is no module shop", hopeless=True)
    assert house.levels["there is no module shop"] == "critical"


def test_a_worker_that_dies_or_is_killed_is_a_warning() -> None:
    house = up(beat=30.0)
    house.die(1)
    house.wait(31, beating=False)
    assert {level for line, level in house.levels.items() if "died" in line or "killed" in line} == {"warn"}


def test_a_reload_that_fails_is_a_warning() -> None:
    house = up()
    house.supervisor.reload()
    house.die(3, "status 1")
    assert {level for line, level in house.levels.items() if "new code did" in line or "given up" in line} == {"warn"}


def test_what_goes_well_is_no_warning() -> None:
    house = up()
    house.supervisor.reload()
    house.serving(3, 4)
    assert set(house.levels.values()) == {"info"}
