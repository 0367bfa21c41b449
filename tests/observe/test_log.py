"""Does somebody see what a service logs, also in a program that has not begun logging?"""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from twisted.logger import LogBeginner, LogEvent, LogPublisher, formatEvent

from tests.real.children import ROOT, environment
from twisted_wsgiref._observe import log as log_module
from twisted_wsgiref._observe.log import logger
from twisted_wsgiref._twisted import private


class Program:
    """A program that has begun nothing: its log, and its standard error."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self.capture = capture
        self.publisher = LogPublisher()
        self.beginner = LogBeginner(self.publisher, io.StringIO(), sys, _NoWarnings())
        self.log: list[LogEvent] = []

    def begin(self) -> None:
        self.beginner.beginLoggingTo([self.log.append], redirectStandardIO=False)

    def lines(self) -> list[str]:
        """Return what came to standard error since the last look."""
        return self.capture.readouterr().err.splitlines()

    @property
    def logged(self) -> list[str]:
        return [formatEvent(each) for each in self.log]


class _NoWarnings:
    showwarning: Callable[..., None] = staticmethod(lambda *_: None)


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    made = Program(capsys)
    for module in (log_module, private):
        monkeypatch.setattr(module, "globalLogPublisher", made.publisher)
    monkeypatch.setattr(private, "globalLogBeginner", made.beginner)
    return made


@pytest.mark.parametrize("level", ["info", "warn", "error"])
def test_while_nobody_listens_it_goes_to_standard_error(program: Program, level: str) -> None:
    getattr(logger("wsgi.errors"), level)("{what} was said", what="something")
    (line,) = program.lines()
    assert line.endswith(f" [wsgi.errors#{level}] something was said")


def test_once_logging_has_begun_it_goes_to_the_log_alone(program: Program) -> None:
    log = logger("wsgi.errors")
    log.error("early")
    program.begin()
    log.error("late")
    assert program.logged == ["late"]
    assert [line.partition("] ")[2] for line in program.lines()] == ["early"]


def test_an_observer_is_somebody_who_listens(program: Program) -> None:
    seen: list[LogEvent] = []
    program.publisher.addObserver(seen.append)
    logger("wsgi.errors").error("heard")
    program.publisher.removeObserver(seen.append)
    logger("wsgi.errors").error("unheard")
    assert [formatEvent(each) for each in seen] == ["heard"]
    assert [line.partition("] ")[2] for line in program.lines()] == ["unheard"]


def test_what_is_critical_is_shown_by_twisted_and_kept(program: Program) -> None:
    logger("twisted_wsgiref").critical("the end")
    assert program.lines() == []
    program.begin()
    assert program.logged == ["the end"]


class Broken:
    def write(self, text: str) -> int:
        raise OSError("gone")


@pytest.mark.parametrize("stream", [None, Broken()], ids=["none", "broken"])
def test_without_a_standard_error_it_is_kept_for_the_log(
    program: Program, stream: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    logger("wsgi.errors").error("kept")
    program.begin()
    assert program.logged == ["kept"]


EMBEDDED = """
import sys
from urllib.request import urlopen
from twisted.internet.task import react
from twisted.internet.threads import deferToThread
from twisted_wsgiref import WSGIService
{begin}

def app(environ, start_response):
    environ["wsgi.errors"].write("something to say\\n")
    raise ValueError("boom")

def ask(port):
    try:
        urlopen(f"http://127.0.0.1:{{port}}/").read()
    except Exception as error:
        print("the client got", error)

async def main(reactor):
    service = WSGIService(app, "tcp:0:interface=127.0.0.1", reactor=reactor)
    service.startService()
    (port,) = await service.whenListening
    await deferToThread(ask, port.getHost().port)
    await service.stopService()

react(main)
"""
BEGUN = "from twisted.logger import globalLogBeginner, textFileLogObserver\n"
BEGUN += "globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)], redirectStandardIO=False)"


@pytest.mark.slow
@pytest.mark.parametrize("begin", ["", BEGUN], ids=["never", "begun"])
def test_an_embedded_application_that_fails_is_seen_once(begin: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EMBEDDED.format(begin=begin)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    here, there = (done.stdout, done.stderr) if begin else (done.stderr, done.stdout)
    for text in ("something to say", "ValueError: boom", "Traceback (most recent call last)", "GET / HTTP/1.1"):
        assert (here.count(text), there.count(text)) == (1, 0), text
    assert "the client got HTTP Error 500" in done.stdout
    assert done.returncode == 0
