"""Does a process show its name where it can, and does it go on where it can not?"""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.logger import LogEvent, globalLogPublisher

from twisted_wsgiref._process.titles import MISSING, take_title


@pytest.fixture
def lines() -> Any:
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)
    yield events
    globalLogPublisher.removeObserver(events.append)


def test_a_process_has_its_role_and_the_name_of_its_server(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setitem(sys.modules, "setproctitle", SimpleNamespace(setproctitle=shown.append))  # type: ignore
    take_title("shop", "parent")
    take_title("shop", "worker 3")
    take_title("", "parent")
    assert shown == ["twisted-wsgiref: parent [shop]", "twisted-wsgiref: worker 3 [shop]"]


def test_without_the_package_the_name_is_ignored_with_one_line(
    monkeypatch: pytest.MonkeyPatch, lines: list[LogEvent]
) -> None:
    monkeypatch.setitem(sys.modules, "setproctitle", None)  # type: ignore[arg-type]
    take_title("shop", "parent", tells=True)
    take_title("shop", "worker 3")
    take_title("", "parent", tells=True)
    assert [each["line"] for each in lines] == [MISSING]
