"""Do answers wait for each other only where that is worth it, and does none wait for ever?"""

from __future__ import annotations

from typing import Any

import pytest

from twisted_wsgiref._threads.answer_batch import AnswerBatch

TOGETHER = 16


class Answer:
    """One that knows whether it has left, and may fail at that."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.left = 0
        self._error = error

    def depart(self) -> None:
        self.left += 1
        if self._error is not None:
            raise self._error


@pytest.fixture
def failures() -> list[BaseException]:
    return []


@pytest.fixture
def departures(failures: list[BaseException]) -> AnswerBatch:
    return AnswerBatch(failures.append)


def added(departures: AnswerBatch, count: int) -> list[Answer]:
    answers = [Answer() for _ in range(count)]
    for answer in answers:
        departures.add(answer)
    return answers


def lefts(answers: list[Answer]) -> list[int]:
    return [answer.left for answer in answers]


def test_each_leaves_at_once_where_nothing_is_held(departures: AnswerBatch) -> None:
    assert lefts(added(departures, 3)) == [1, 1, 1]


def test_they_wait_while_they_are_held(departures: AnswerBatch) -> None:
    departures.held = True
    answers = added(departures, TOGETHER - 1)
    assert not any(lefts(answers))
    departures.leave()
    assert lefts(answers) == [1] * len(answers)
    (late,) = added(departures, 1)
    departures.release()
    assert late.left == 1
    assert lefts(added(departures, 1)) == [1]


def test_a_few_do_not_wait_for_more(departures: AnswerBatch) -> None:
    departures.held = True
    assert lefts(added(departures, TOGETHER)) == [1] * TOGETHER
    assert lefts(added(departures, 1)) == [0]


@pytest.mark.parametrize("error", [IndexError("of its own"), SystemExit()])
def test_one_that_fails_holds_up_no_other(departures: AnswerBatch, failures: list[Any], error: Any) -> None:
    departures.held = True
    departures.add(Answer(error))
    (other,) = added(departures, 1)
    departures.release()
    assert other.left == 1
    assert failures == [error]
