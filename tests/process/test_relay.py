"""Does each worker hear what the others run, whoever of them answers, and once?"""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.task import Clock

from twisted_wsgiref._observe import board
from twisted_wsgiref._observe.board import Board
from twisted_wsgiref._process.relay import Relay, Sibling, Siblings, siblings
from twisted_wsgiref._process.supervisor import Child, State


class Wire:
    """A line, whose other end is `heard` when the test says so."""

    def __init__(self, heard: Any) -> None:
        self.heard = heard
        self.waiting: list[str] = []

    def pass_on(self, *words: str) -> None:
        line = " ".join(words)
        assert len(line) < 65536
        assert line.isascii()
        self.waiting.append(line)


class Company:
    """Workers and their parent, in one process."""

    def __init__(self, *numbers: int) -> None:
        self.clock = Clock()
        self.running: dict[int, list[Any]] = {number: [{"worker": number, "age": 1.0}] for number in numbers}
        self.workers = {number: self._worker(number) for number in numbers}
        self.down = {number: Wire(worker.heard) for number, worker in self.workers.items()}
        self.board = Board(memoryview(bytearray(board.board_size(3))), 1e9)
        self.relay = Relay(
            self.board, lambda: [Sibling(number, 1000 + number, self.down[number]) for number in self.down]
        )
        self.up: dict[int, Wire] = {}
        for number, worker in self.workers.items():
            self.up[number] = worker.line = Wire(self._to_parent(number))  # type: ignore[assignment]
        self.deaf: set[int] = set()
        self.answers: list[Any] = []

    def _worker(self, number: int) -> Siblings:
        return Siblings(lambda: self.running[number], self.clock.callLater)

    def _to_parent(self, number: int) -> Any:
        def heard(line: str) -> None:
            word, _, rest = line.partition(" ")
            self.relay.heard(number, word, rest)

        return heard

    def settle(self) -> None:
        for _ in range(50):
            moved = False
            for number in list(self.down):
                for wire in (self.up[number], self.down[number]):
                    lines, wire.waiting = wire.waiting, []
                    for line in lines:
                        if number not in self.deaf or wire is self.up[number]:
                            wire.heard(line)
                            moved = True
            if not moved:
                return
        raise RuntimeError("they never came to rest")

    def ask(self, number: int) -> None:
        self.workers[number].ask(self.answers.append, 1.0)
        self.settle()


def test_a_worker_hears_what_the_others_run() -> None:
    company = Company(1, 2, 3)
    company.ask(2)
    (answer,) = company.answers
    assert sorted(each["worker"] for each in answer.running) == [1, 3]
    assert answer.silent == []


def test_a_worker_without_others_is_answered_at_once() -> None:
    company = Company(1)
    company.ask(1)
    assert [(list(answer.running), list(answer.silent)) for answer in company.answers] == [([], [])]


def test_one_that_does_not_answer_is_listed_when_the_time_is_over() -> None:
    company = Company(1, 2, 3)
    company.deaf.add(3)
    company.ask(1)
    assert company.answers == []
    company.clock.advance(1.0)
    (answer,) = company.answers
    assert [each["worker"] for each in answer.running] == [2]
    assert answer.silent == [{"worker": 3, "pid": 1003, "why": "it has not answered within 1 s"}]


def test_an_answer_that_comes_too_late_is_dropped() -> None:
    company = Company(1, 2)
    company.deaf.add(2)
    company.ask(1)
    company.clock.advance(1.0)
    company.workers[1].heard("told 1 2 . []")
    assert len(company.answers) == 1


def test_a_parent_that_does_not_answer_is_told_of() -> None:
    company = Company(1, 2)
    company.deaf.add(1)
    company.ask(1)
    company.clock.advance(1.0)
    assert company.answers[0].silent == [{"why": "the parent has not answered within 1 s"}]


def test_long_answers_come_in_pieces() -> None:
    company = Company(1, 2)
    company.running[2] = [{"worker": 2, "age": 1.0, "stack": ["é" * 50_000] * 3}]
    company.ask(1)
    assert company.answers[0].running == company.running[2]


def test_two_questions_at_once_do_not_mix() -> None:
    company = Company(1, 2, 3)
    company.workers[1].ask(company.answers.append, 1.0)
    company.workers[1].ask(company.answers.append, 1.0)
    company.workers[2].ask(company.answers.append, 1.0)
    company.settle()
    assert [sorted(each["worker"] for each in answer.running) for answer in company.answers] == [[2, 3], [2, 3], [1, 3]]


def test_one_worker_forgets_the_metrics_of_a_process_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten: list[int] = []
    monkeypatch.setitem(
        sys.modules,
        "twisted_wsgiref._targets.application_metrics",
        SimpleNamespace(forget_process=forgotten.append),
    )
    monkeypatch.setitem(sys.modules, "prometheus_client", SimpleNamespace())
    company = Company(1, 2)
    company.relay.begin(0)
    company.relay.end(0, SimpleNamespace(pid=4711), well=False)  # type: ignore[arg-type]
    company.settle()
    assert forgotten == [4711]


def test_a_process_that_is_gone_is_told_of_once_there_is_somebody_to_hear() -> None:
    there: list[Sibling] = []
    relay = Relay(Board(memoryview(bytearray(board.board_size(1))), 1e9), lambda: there)
    relay.begin(0)
    relay.end(0, SimpleNamespace(pid=4711), well=True)  # type: ignore[arg-type]
    wire = Wire(None)
    there.append(Sibling(1, 1, wire))
    relay.look(2)
    relay.look(2)
    assert wire.waiting == ["dead 4711"]


def test_those_that_serve_come_before_those_that_drain() -> None:
    workers = [Child(number, 1, 0.0, 0.0, served=number != 3) for number in (1, 2, 3, 4)]
    workers[0].state = State.DRAINING
    workers[1].state = workers[3].state = State.SERVING
    processes: Any = {number: SimpleNamespace(line=None, process=SimpleNamespace(pid=number)) for number in (1, 2, 3)}
    supervisor: Any = SimpleNamespace(children={each.number: each for each in workers})
    processes[4] = SimpleNamespace(line=None, process=None)
    assert [each.number for each in siblings(supervisor, processes)] == [2, 1]
