"""Does the parent hear all that its children say, and see how each ends?"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.error import ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from twisted_wsgiref._process.supervisor import End
from twisted_wsgiref._process.worker_process import LAST_WORDS, LONGEST_LINE, WorkerProcess


class Parent:
    """What a child's process tells its parent."""

    def __init__(self) -> None:
        self.reactor = Clock()
        self.ends: list[End] = []

    def gone(self, child: Any, end: End) -> None:
        self.ends.append(end)


@pytest.mark.parametrize(("number", "how"), [(9, "SIGKILL"), (40, "signal 40")])
def test_every_signal_is_an_end(number: int, how: str) -> None:
    parent: Any = Parent()
    child = WorkerProcess(parent, 1, 0)
    child.processExited(Failure(ProcessTerminated(signal=number)))
    parent.reactor.advance(LAST_WORDS)
    assert parent.ends == [End(how)]


def test_last_words_without_an_end_of_line_are_logged(logged: list[str]) -> None:
    child = WorkerProcess(Parent(), 7, 0)  # type: ignore[arg-type]
    child.childDataReceived(2, b"one\ntwo, and no")
    child.childDataReceived(2, b" more")
    assert logged == ["worker 7: one"]
    for descriptor in (1, 2, 3):
        child.childConnectionLost(descriptor)
    assert logged == ["worker 7: one", "worker 7: two, and no more"]


def test_a_line_without_an_end_is_not_kept_for_ever(logged: list[str]) -> None:
    child = WorkerProcess(Parent(), 7, 0)  # type: ignore[arg-type]
    for _ in range(10):
        child.childDataReceived(1, b"." * 16 * 1024)
    assert sum(line.count(".") for line in logged) >= 160 * 1024 - LONGEST_LINE


def test_a_line_that_names_its_worker_is_not_given_the_name_twice(logged: list[str]) -> None:
    child = WorkerProcess(Parent(), 7, 0)  # type: ignore[arg-type]
    child.childDataReceived(2, b"worker 7: 2025-11-26T12:00:00+0000 [demo#info] said\nprinted\n")
    assert logged == ["worker 7: 2025-11-26T12:00:00+0000 [demo#info] said", "worker 7: printed"]
