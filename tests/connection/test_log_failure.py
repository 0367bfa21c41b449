"""Does the log hear of every failure of a job, and its thread live on, whatever formatting the error raises?"""

from __future__ import annotations

import pytest
from twisted.logger import LogEvent, Logger, formatEventAsClassicLogText

from twisted_wsgiref._connection import factory


class Unspeakable(Exception):
    """What twisted.logger does not get over: its failure to be told fails to be told, too."""

    def __str__(self) -> str:
        raise SystemExit(self)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    written: list[str] = []

    def write(event: LogEvent) -> None:
        written.append(str(formatEventAsClassicLogText(event)))

    monkeypatch.setattr(factory, "_log", Logger("tests", observer=write))
    return written


def test_a_failure_is_logged_with_its_traceback(lines: list[str]) -> None:
    try:
        raise ValueError("the text")
    except ValueError as error:
        factory.log_failure("a job failed", error)
    assert len(lines) == 1
    assert "a job failed" in lines[0]
    assert "in test_a_failure_is_logged_with_its_traceback" in lines[0]
    assert "ValueError: the text" in lines[0]


def test_a_failure_is_logged_whatever_formatting_does(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def no_traceback(self: object, *given: object) -> str:
        raise Unspeakable

    monkeypatch.setattr("twisted.python.failure.Failure.getTraceback", no_traceback)
    try:
        raise Unspeakable
    except Unspeakable as error:
        factory.log_failure("a job failed", error)
    assert len(lines) == 1
    assert "a job failed" in lines[0]
    assert "in test_a_failure_is_logged_whatever_formatting_does" in lines[0]
    assert "Unspeakable" in lines[0]
