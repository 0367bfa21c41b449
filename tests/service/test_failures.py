"""Does a program that looks at the log find the exception of an application, and its request, and not only text?"""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from twisted.logger import (
    LogEvent,
    LogLevel,
    STDLibLogObserver,
    eventAsJSON,
    eventAsText,
    globalLogPublisher,
)
from twisted.trial.unittest import SynchronousTestCase

from tests.support import GET, TEXT, request, serving
from twisted_wsgiref import WSGIHandler
from twisted_wsgiref.testing import client


def failing(environ: dict[str, Any], start_response: Any) -> Any:
    try:
        raise KeyError("the cause")
    except KeyError as error:
        raise ValueError("on purpose") from error


def close_fails(environ: dict[str, Any], start_response: Any) -> Any:
    class Closing(list[bytes]):
        def close(self) -> None:
            raise ValueError("on purpose")

    start_response("200 OK", [*TEXT])
    return Closing([b"x"])


def cut(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", [*TEXT])
    yield b"x"
    raise ValueError("on purpose")


def events_of(application: Any, *, octets: bytes = GET, **how: Any) -> list[LogEvent]:
    """Return what is logged while `application` answers once."""
    with serving(application, validated=False, **how) as server:
        server.ask(octets)
        return [event for event in server.log if event["log_namespace"] == "wsgi.errors"]


@pytest.mark.parametrize("application", [failing, close_fails, cut])
def test_an_exception_of_the_application_is_a_failure_with_its_request(application: Any) -> None:
    (event,) = events_of(application, octets=request("/path?query"))
    assert event["log_failure"].check(ValueError)
    assert event["log_level"] is LogLevel.error
    assert event["request"] == "GET /path?query HTTP/1.1"
    assert event["client"] == "127.0.0.2"
    assert eventAsText(event).count("ValueError: on purpose") == 1


def test_its_text_is_the_traceback_as_python_shows_it() -> None:
    (event,) = events_of(failing)
    text = eventAsText(event)
    assert "GET / HTTP/1.1 failed\nTraceback (most recent call last):\n" in text
    assert "KeyError: 'the cause'\n\nThe above exception was the direct cause" in text
    assert "/_gateway/" not in text


def test_an_observer_that_raises_is_a_failure() -> None:
    def observer(record: Any) -> None:
        raise ValueError("on purpose")

    def fine(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [*TEXT])
        return [b"fine"]

    (event,) = events_of(fine, service={"observers": [observer]})
    assert event["log_failure"].check(ValueError)
    assert eventAsText(event).count("an observer failed\nTraceback") == 1


def test_a_log_exception_that_raises_is_a_failure() -> None:
    class Broken(WSGIHandler):
        def log_exception(self, exc_info: Any) -> None:
            raise LookupError("of the handler")

    (event,) = events_of(failing, service={"handler_class": Broken})
    assert event["log_failure"].check(LookupError)
    assert "ValueError: on purpose" in eventAsText(event)  # its context


def test_a_stream_of_a_handler_s_own_gets_the_text() -> None:
    lines: list[str] = []

    class Stream:
        def write(self, text: str) -> int:
            lines.append(text)
            return len(text)

        def flush(self) -> None:
            pass

    class Elsewhere(WSGIHandler):
        def get_stderr(self) -> Any:
            return Stream()

    assert events_of(failing, service={"handler_class": Elsewhere}) == []
    assert lines[0].startswith("GET / HTTP/1.1 failed\nTraceback")


def test_what_the_application_wrote_before_it_failed_comes_first() -> None:
    def talking(environ: dict[str, Any], start_response: Any) -> Any:
        environ["wsgi.errors"].write("begun")
        raise ValueError("on purpose")

    first, second = events_of(talking)
    assert first["text"] == "begun"
    assert second["log_failure"].check(ValueError)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), MemoryError()], ids=repr)
def test_an_exception_that_can_not_be_told_is_logged_all_the_same(error: BaseException) -> None:
    class Unspeakable(Exception):
        def __str__(self) -> str:
            raise error

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        raise Unspeakable

    (event,) = events_of(application)
    assert "Unspeakable" in eventAsText(event)


def test_an_observer_of_the_log_that_ends_its_caller_costs_no_answer() -> None:
    def observer(event: LogEvent) -> None:
        if "log_failure" in event:
            raise SystemExit(3)

    globalLogPublisher.addObserver(observer)
    try:
        with serving(failing, validated=False) as server:
            (answer,) = server.ask(GET).answers()
            assert answer.status == 500
            assert "ValueError: on purpose" in server.logged()
    finally:
        globalLogPublisher.removeObserver(observer)


def test_it_is_an_exception_to_logging_and_to_json(caplog: pytest.LogCaptureFixture) -> None:
    (event,) = events_of(failing)
    with caplog.at_level(logging.INFO):
        STDLibLogObserver(name="tests")(event)
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[0] is ValueError
    assert record.levelno == logging.ERROR
    event["log_source"] = None
    assert json.loads(eventAsJSON(event))["request"] == "GET / HTTP/1.1"


class Trial(SynchronousTestCase):
    def test_flush_logged_errors_sees_it(self) -> None:
        with client(failing) as web:
            self.assertEqual(web.result(web.get("/")).code, 500)
        (failure,) = self.flushLoggedErrors(ValueError)
        self.assertIn("on purpose", failure.getErrorMessage())
        self.assertEqual(self.flushLoggedErrors(), [])
