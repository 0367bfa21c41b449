"""Is each request measured while there are few, and counted for while there are many?"""

from __future__ import annotations

from typing import Any

from twisted_wsgiref._gateway.wsgi_exchange import WSGIExchange
from twisted_wsgiref._targets.sample import TURNS, Sample


def jobs(count: int) -> list[Any]:
    """Exchanges that nobody has begun."""
    made = [object.__new__(WSGIExchange) for _ in range(count)]
    for each in made:
        each.started, each.weight = 0.0, 0
    return made


def weights(sample: Sample, *turns: int) -> list[list[int]]:
    found = []
    for count in turns:
        turn = jobs(count)
        sample.take(turn)
        found.append([each.weight for each in turn])
    return found


def test_requests_that_come_one_by_one_are_each_measured() -> None:
    assert weights(Sample(), 1, 1, 1) == [[1], [1], [1]]


def test_one_in_the_middle_of_a_turn_counts_for_all_of_it() -> None:
    assert weights(Sample(), 2, 5) == [[0, 2], [0, 0, 5, 0, 0]]


def test_of_many_turns_some_are_measured_and_none_is_lost() -> None:
    sample = Sample()
    found = weights(sample, *[2] * (TURNS + 160))
    measured = [max(each) for each in found]
    assert measured[:TURNS] == [2] * TURNS
    assert sum(each > 0 for each in measured[TURNS:]) == 10
    assert sum(measured) == 2 * (TURNS + 160)


def test_after_a_second_each_is_measured_again() -> None:
    sample = Sample()
    weights(sample, *[1] * (TURNS + 5))
    sample.begin_second()
    assert weights(sample, 1, 1) == [[6], [1]]


def test_a_request_that_goes_on_after_a_pause_is_not_measured_again() -> None:
    sample, (resumed,) = Sample(), jobs(1)
    resumed.started = 1.0
    sample.take([resumed])
    assert resumed.weight == 0
