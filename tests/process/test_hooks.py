"""Are the functions of a user's module called, and does nothing break if they fail or are missing?"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogEvent, formatEvent

from twisted_wsgiref._observe.record import Record
from twisted_wsgiref._process.hooks import NO_HOOKS, Hooks, WorkerEnd
from twisted_wsgiref.settings import SettingError

RECORD = Record.refused(None, 400, 0, 0.0)
END = WorkerEnd(3, 1234, "SIGKILL", False)

ALL = """
said = []
def worker_started():
    said.append("started")
def worker_stopping():
    said.append("stopping")
def request_finished(record):
    said.append(record.status)
def worker_died(end):
    said.append((end.number, end.pid, end.how, end.asked))
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    sys.modules.pop("shop_hooks", None)


def hooks(text: str, **given: Any) -> Hooks:
    Path("shop_hooks.py").write_text(text)
    made = Hooks("shop_hooks", **given)
    made.load()
    return made


def call_all(made: Hooks) -> None:
    made.worker_started()
    for observe in made.observers():
        observe(RECORD)
    made.worker_died(END)
    made.worker_stopping()


def test_each_hook_is_called_with_what_it_is_told() -> None:
    made = hooks(ALL)
    made.worker_stopping()  # it never served
    made.worker_started()
    call_all(made)
    assert sys.modules["shop_hooks"].said == ["started", 400, (3, 1234, "SIGKILL", False), "stopping"]


def test_without_a_module_nobody_is_called() -> None:
    call_all(NO_HOOKS)
    assert NO_HOOKS.observers() == ()


def test_a_module_with_some_of_them_costs_no_request_anything(events: list[LogEvent]) -> None:
    made = hooks("def worker_died(end): pass")
    assert made.observers() == ()
    call_all(made)
    assert events == []


def test_a_module_without_any_of_them_is_one_line(events: list[LogEvent]) -> None:
    call_all(hooks("def worker_start(): pass"))
    assert [formatEvent(each) for each in events] == [
        "--hooks shop_hooks has none of worker_started, worker_stopping, request_finished, worker_died"
    ]


@pytest.mark.parametrize("error", ["RuntimeError('no')", "SystemExit(3)", "1 / 0"])
def test_a_hook_that_fails_is_in_the_log_and_breaks_nothing(error: str, events: list[LogEvent]) -> None:
    now = [0.0]
    fails = "".join(f"def {name}(*args): fail()\n" for name in ("worker_started", "request_finished", "worker_died"))
    made = hooks(f"{fails}def fail():\n    raise {error}", clock=lambda: now[0])
    for _ in range(3):
        call_all(made)
    texts = [formatEvent(each) for each in events]
    assert texts == [
        f"the hook {name} of shop_hooks failed" for name in ("worker_started", "request_finished", "worker_died")
    ]
    assert "in fail" in events[0]["log_failure"].getTraceback()
    now[0] = 60.0
    call_all(made)
    assert len(events) == 5


@pytest.mark.parametrize("error", ["raise RuntimeError('no')", "raise SystemExit(3)", "def"])
def test_a_module_that_can_not_be_imported_is_in_the_log_and_breaks_nothing(error: str, events: list[LogEvent]) -> None:
    call_all(hooks(error))
    assert [formatEvent(each) for each in events] == ["--hooks shop_hooks can not be imported: no hook is called"]


def test_a_module_that_is_not_there_is_refused_at_the_start() -> None:
    with pytest.raises(SettingError, match="hooks is 'shop_hoks': there is no module shop_hoks"):
        Hooks.checked("shop_hoks")
    Path("shop_hooks.py").write_text("raise RuntimeError")
    Hooks.checked("shop_hooks")  # imports nothing
    Hooks.checked("")
