"""Is the log of every process what the settings say, and does the application's own output pass unharmed?"""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any

import pytest
from twisted.logger import LogEvent, Logger, LoggingFile, LogLevel, STDLibLogObserver, formatEvent, globalLogPublisher
from twisted.python import log as old_log
from twisted.python.failure import Failure

from twisted_wsgiref._observe.current import begin_request
from twisted_wsgiref._observe.failures import log_exception, log_text
from twisted_wsgiref._process import worker_process
from twisted_wsgiref._process.logs import LastResort, hear_logging, log_to_stderr, logging_kept
from twisted_wsgiref.settings import SettingError, Settings


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def log_on(stream: io.StringIO, settings: Settings, number: int | None = None, *, relayed: bool = False) -> Any:
    """Return the observer of a process whose standard error is `stream`."""
    with redirect_stderr(stream):
        return log_to_stderr(settings, number, relayed=relayed)


@contextmanager
def observed(observer: Any) -> Iterator[None]:
    globalLogPublisher.addObserver(observer)
    try:
        yield
    finally:
        globalLogPublisher.removeObserver(observer)


def objects(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def fail() -> Failure:
    try:
        raise KeyError("a basket")
    except KeyError:
        return Failure()


# ---- The format -----------------------------------------------------------------------------------------------------


def test_a_line_of_json_is_one_object(stream: io.StringIO) -> None:
    log = Logger("demo", observer=log_on(stream, Settings(log_format="json")))
    log.info("served {number}\nand more", number=3)
    (read,) = objects(stream)
    assert read.pop("timestamp").endswith("Z")
    assert read == {"level": "info", "logger": "demo", "message": "served 3\nand more", "process.pid": os.getpid()}


def test_an_exception_is_one_object_with_its_traceback_as_a_field(stream: io.StringIO) -> None:
    with observed(log_on(stream, Settings(log_format="json"), 3)):
        failure = fail()
        facts: dict[str, object] = {
            "request": "GET /a?b HTTP/1.1",
            "method": "GET",
            "path": "/a",
            "client": "127.0.0.1",
            "request_id": "abc",
        }
        log_exception("{request} failed", facts, failure.value, failure.tb, "Traceback, told\nin two lines")
    (read,) = objects(stream)
    del read["timestamp"]
    assert read == {
        "level": "error",
        "logger": "wsgi.errors",
        "message": "GET /a?b HTTP/1.1 failed",
        "worker": 3,
        "process.pid": os.getpid(),
        "http.request.method": "GET",
        "url.path": "/a",
        "client.address": "127.0.0.1",
        "request_id": "abc",
        "exception.type": "KeyError",
        "exception.message": "'a basket'",
        "exception.stacktrace": "Traceback, told\nin two lines",
    }


def test_an_exception_that_can_not_be_told_is_told_all_the_same(stream: io.StringIO) -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError("on purpose")

    log = Logger("demo", observer=log_on(stream, Settings(log_format="json")))
    try:
        raise Odd
    except Odd:
        log.failure("it broke")
    (read,) = objects(stream)
    assert (read["message"], read["level"]) == ("it broke", "critical")
    assert read["exception.type"].endswith("Odd")


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_level_leaves_out_what_is_below_it_but_nothing_of_the_applications(
    stream: io.StringIO, log_format: str
) -> None:
    with observed(log_on(stream, Settings(log_format=log_format, log_level="warn"))):
        log = Logger("demo")
        for level in ("debug", "info", "warn", "error", "critical"):
            getattr(log, level)(f"at {level}")
        old_log.msg("an old message")
        log_text("said by the application")
    text = stream.getvalue()
    assert [f"at {level}" in text for level in ("debug", "info", "warn", "error", "critical")] == [False] * 2 + [
        True
    ] * 3
    assert "an old message" not in text
    assert "said by the application" in text


@pytest.mark.parametrize("number", [None, 3])
@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("line", ['{"level": "info", "message": "of the application"}', '{"a": {"b": [1]}}'])
def test_a_line_of_json_that_an_application_writes_is_left_as_it_is(
    stream: io.StringIO, line: str, log_format: str, number: int | None
) -> None:
    with observed(log_on(stream, Settings(log_format=log_format), number)):
        log_text(line)
        log_text(f"{line}\n{line}")
    assert stream.getvalue() == f"{line}\n" * 3


def test_text_that_an_application_writes_is_left_as_it_is(stream: io.StringIO) -> None:
    with observed(log_on(stream, Settings(), 3)):
        log_text("[2026-11-28 12:00:00] WARNING in shop: an empty basket")
    assert stream.getvalue() == "[2026-11-28 12:00:00] WARNING in shop: an empty basket\n"


def test_in_json_other_text_becomes_an_object_with_its_request(stream: io.StringIO) -> None:
    with observed(log_on(stream, Settings(log_format="json"))):
        begin_request("abc")
        log_text('Traceback\n  File "x"')
        log_text('{"an": "object"}\n{"no object\n7')
        begin_request("")
    told = objects(stream)
    assert [each.get("message") for each in told] == ['Traceback\n  File "x"', None, '{"no object', "7"]
    assert [each.get("request_id") for each in told] == ["abc", None, "abc", "abc"]
    assert told[1] == {"an": "object"}


@pytest.mark.parametrize("settings", [{"log_format": "xml"}, {"log_level": "loud"}])
def test_a_format_or_level_that_there_is_not_is_told(settings: dict[str, str]) -> None:
    with pytest.raises(SettingError, match="neither"):
        Settings(**settings)  # type: ignore[arg-type]


def test_in_text_the_first_line_names_the_request(stream: io.StringIO) -> None:
    with observed(log_on(stream, Settings(), 3)):
        failure = fail()
        log_exception(
            "{request} failed", {"request": "GET / HTTP/1.1", "request_id": "abc"}, failure.value, None, "told"
        )
    first, *rest = stream.getvalue().splitlines()
    assert first.startswith("worker 3: ")
    assert first.endswith("[wsgi.errors#error] GET / HTTP/1.1 failed [request abc]")
    assert rest == ["worker 3: \ttold"]


# ---- `logging` ------------------------------------------------------------------------------------------------------


@contextmanager
def bare_logging() -> Iterator[None]:
    """`logging` as a process of ours has it: pytest has handlers of its own."""
    root = logging.getLogger()
    before, root.handlers = root.handlers, []
    try:
        with logging_kept():
            hear_logging()
            yield
    finally:
        root.handlers = before


def test_what_goes_to_logging_keeps_its_level_and_its_name(stream: io.StringIO) -> None:
    with bare_logging(), observed(log_on(stream, Settings(log_format="json"))):
        log = logging.getLogger("shop.basket")
        log.warning("an empty %s", "basket")
        log.info("nobody has asked for this")
        log.error("{with braces}")
        log.critical("the end")
        try:
            raise KeyError("x")
        except KeyError:
            log.exception("it broke")
    told = objects(stream)
    assert [(each["level"], each["logger"], each["message"]) for each in told] == [
        ("warn", "shop.basket", "an empty basket"),
        ("error", "shop.basket", "{with braces}"),
        ("critical", "shop.basket", "the end"),
        ("error", "shop.basket", "it broke"),
    ]
    assert told[-1]["exception.type"] == "KeyError"
    assert told[-1]["exception.stacktrace"].endswith("KeyError: 'x'")


def test_handlers_that_an_application_sets_up_are_left_alone(stream: io.StringIO) -> None:
    own = io.StringIO()
    events: list[LogEvent] = []
    with bare_logging(), observed(events.append):
        logging.basicConfig(handlers=[logging.StreamHandler(own)])
        logging.getLogger("shop").warning("mine")
    assert own.getvalue() == "WARNING:shop:mine\n"
    assert events == []


def test_a_log_that_goes_to_logging_does_not_come_back(capsys: pytest.CaptureFixture[str]) -> None:
    with bare_logging(), observed(STDLibLogObserver()):
        logging.getLogger("shop").warning("once")
        Logger("demo").warn("twice")
    # Python's own way, which knows no names and no levels.
    assert capsys.readouterr().err.splitlines() == ["once", "twice"]


def test_a_log_that_goes_to_logging_later_does_not_come_back() -> None:
    handed_on: list[LogEvent] = []
    with bare_logging(), observed(handed_on.append):
        Logger("demo").warn("once")
        for event in handed_on[:1]:  # as crochet's observer does, in a thread of its own
            STDLibLogObserver()(event)
    assert len(handed_on) == 1


def test_what_twisteds_log_hands_to_logging_is_not_printed_into_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # twistd's standard error is Twisted's log, to which crochet's observer listens.
    events: list[LogEvent] = []
    with bare_logging(), observed(events.append):
        monkeypatch.setattr(sys, "stderr", LoggingFile(Logger("stderr")))
        Logger("demo").warn("once")
        STDLibLogObserver()(events[0])
    assert len(events) == 1


def test_a_record_that_can_not_be_told_is_pythons_own_trouble(capsys: pytest.CaptureFixture[str]) -> None:
    with bare_logging():
        logging.getLogger("shop").warning("%d baskets", "no")
    assert "Message: '%d baskets'" in capsys.readouterr().err


def test_logging_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    before = logging.StreamHandler()
    monkeypatch.setattr(logging, "lastResort", before)
    with logging_kept():
        hear_logging()
        hear_logging()
        assert isinstance(logging.lastResort, LastResort)
        assert logging.lastResort._before is before
    assert logging.lastResort is before


# ---- From a worker to its parent ------------------------------------------------------------------------------------


def test_a_parent_logs_what_its_worker_logs_with_its_level(stream: io.StringIO) -> None:
    with observed(log_on(stream, Settings(), 7, relayed=True)):
        Logger("demo").warn("an empty {what}", what="basket")
        Logger("demo").failure("it broke", fail())
        log_text('{"level": "info"}')
    events: list[LogEvent] = []
    child = worker_process.WorkerProcess(None, 7, 0)  # type: ignore[arg-type]
    with observed(events.append):
        child.childDataReceived(2, stream.getvalue().encode())
        child.childDataReceived(1, b"printed\n")
    told = [(event["log_level"], event["log_namespace"], formatEvent(event)) for event in events]
    assert told[0] == (LogLevel.warn, "demo", "worker 7: an empty basket")
    assert told[1][:2] == (LogLevel.critical, "demo")
    assert told[1][2].startswith("worker 7: it broke\nworker 7: Traceback")
    assert [text for _, _, text in told[2:]] == ['worker 7: {"level": "info"}', "worker 7: printed"]
    assert [level for level, _, _ in told[2:]] == [LogLevel.info] * 2


@pytest.mark.parametrize("line", ["\x1e{", "\x1e7", "\x1e[]", "\x1e"])
def test_a_line_that_only_looks_like_a_workers_is_text(line: str) -> None:
    events: list[LogEvent] = []
    child = worker_process.WorkerProcess(None, 7, 0)  # type: ignore[arg-type]
    with observed(events.append):
        child.childDataReceived(2, line.encode() + b"\n")
    assert [formatEvent(event) for event in events] == [f"worker 7: {line}"]
