"""Does a service that can not listen say so, once, to whoever should hear it?"""

from __future__ import annotations

import gc
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, ensureDeferred, inlineCallbacks, succeed
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher

from tests.real.children import environment
from tests.stepped import SteppedReactor
from tests.support import hello
from twisted_wsgiref._connection.endpoints import ListenError
from twisted_wsgiref._connection.listening import NotListening
from twisted_wsgiref.service import WSGIService
from twisted_wsgiref.settings import Settings

WRONG = "can not listen on 'tpc:8080': Unknown endpoint type: 'tpc'; did you mean tcp:?"


class Program:
    """A service that listens nowhere, in a program whose reactor is turned by hand."""

    def __init__(self, endpoints: Any = ("tpc:8080",)) -> None:
        self.reactor = SteppedReactor()
        self.log: list[LogEvent] = []
        globalLogPublisher.addObserver(self.log.append)
        self.service = WSGIService(hello, endpoints, reactor=self.reactor)

    def turn(self) -> None:
        for _ in range(3):
            self.reactor.turn()

    def grave(self) -> list[str]:
        """Return what is logged so far, of the service and of what became of its Deferred."""
        gc.collect()
        levels = (LogLevel.error, LogLevel.critical)
        return [formatEvent(each) for each in self.log if each.get("log_level") in levels or each.get("isError")]

    def close(self) -> None:
        globalLogPublisher.removeObserver(self.log.append)
        if self.service.running:
            self.service.stopService()
        self.turn()
        self.reactor.close()


@pytest.fixture
def program() -> Iterator[Program]:
    made = Program()
    yield made
    made.close()


def test_a_failure_that_nobody_takes_is_one_line(program: Program) -> None:
    program.service.startService()
    program.turn()
    assert program.grave() == [WRONG]
    program.service._listener.announcement = None  # type: ignore[assignment]
    assert program.grave() == [WRONG]


def test_whoever_only_waits_for_ports_hears_the_line_too(program: Program) -> None:
    ports: list[Any] = []
    program.service.whenListening.addCallback(ports.append)
    program.service.startService()
    program.turn()
    program.service._listener.announcement = None  # type: ignore[assignment]
    assert (ports, program.grave()) == ([], [WRONG])


@pytest.mark.parametrize("early", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("how", ["errback", "await", "yield", "both", "chained"])
def test_a_failure_that_somebody_takes_is_theirs(program: Program, how: str, early: bool) -> None:
    service, taken = program.service, []

    async def waits() -> None:
        try:
            await service.whenListening
        except ListenError as error:
            taken.append(str(error))

    @inlineCallbacks
    def yields() -> Any:
        try:
            yield service.whenListening
        except ListenError as error:
            taken.append(str(error))

    def take() -> None:
        listening = service.whenListening
        if how == "errback":
            listening.addErrback(lambda failure: taken.append(failure.getErrorMessage()))
        elif how == "both":
            listening.addBoth(lambda failure: taken.append(failure.getErrorMessage()))
        elif how == "chained":
            chain: Deferred[Any] = succeed(None).addCallback(lambda _: listening)
            chain.addErrback(lambda failure: taken.append(failure.getErrorMessage()))
        elif how == "await":
            ensureDeferred(waits())
        else:
            yields()

    if early:
        take()
    service.startService()
    if not early:
        take()
    program.turn()
    assert taken == [WRONG]
    assert program.grave() == []


@pytest.mark.parametrize("how", ["errback", "await"])
def test_whoever_comes_later_gets_the_failure_after_the_line(program: Program, how: str) -> None:
    program.service.startService()
    program.turn()
    taken: list[str] = []

    async def waits() -> None:
        try:
            await program.service.whenListening
        except ListenError as error:
            taken.append(str(error))

    if how == "errback":
        program.service.whenListening.addErrback(lambda failure: taken.append(failure.getErrorMessage()))
    else:
        ensureDeferred(waits())
    program.turn()
    assert taken == [WRONG]
    assert program.grave() == [WRONG]


def test_at_the_start_of_a_process_it_ends_the_process(program: Program) -> None:
    application = MultiService()
    program.service.setServiceParent(application)
    with pytest.raises(NotListening) as caught:
        application.privilegedStartService()
    assert isinstance(caught.value, SystemExit)
    assert (caught.value.code, str(caught.value)) == (1, WRONG)
    program.turn()
    assert program.grave() == [WRONG]


def test_at_the_start_of_a_process_whoever_takes_it_decides(program: Program) -> None:
    taken: list[str] = []
    application = MultiService()
    program.service.setServiceParent(application)
    program.service.whenListening.addErrback(lambda failure: taken.append(failure.getErrorMessage()))
    application.privilegedStartService()
    program.turn()
    assert (taken, program.grave()) == ([WRONG], [])


@pytest.mark.parametrize("joins", [True, False], ids=["joins what runs", "alone"])
def test_whoever_starts_the_service_alone_keeps_control(program: Program, joins: bool) -> None:
    if joins:
        application = MultiService()
        application.startService()
        program.service.setServiceParent(application)
    else:
        program.service.privilegedStartService()
        program.service.startService()
    program.turn()
    assert program.grave() == [WRONG]


@pytest.mark.parametrize("given", ["tcp:0:interface=127.0.0.1", "object"])
def test_a_lone_endpoint_is_one(given: Any) -> None:
    program = Program(())
    try:
        if given == "object":
            given = TCP4ServerEndpoint(program.reactor, 0, interface="127.0.0.1")
        program.service = service = WSGIService(hello, given, reactor=program.reactor)
        service.startService()
        ports: list[Any] = []
        service.whenListening.addCallback(ports.extend)
        program.turn()
        assert [port.getHost().host for port in ports] == ["127.0.0.1"]
    finally:
        program.close()


def test_the_port_of_the_site_is_closed_though_another_endpoint_failed(tmp_path: Path) -> None:
    program = Program()
    site = tmp_path / "status.sock"
    try:
        program.service = service = WSGIService(
            hello, "tpc:8080", Settings(status=f"unix:{site}"), reactor=program.reactor
        )
        service.whenListening.addErrback(lambda _: None)
        service.startService()
        program.turn()
        assert site.exists()
        stopped: list[Any] = []
        service.stopService().addCallback(stopped.append)
        program.turn()
        assert (stopped, site.exists()) == ([None], False)
    finally:
        program.close()


@pytest.mark.parametrize("given", [8080, [8080], b"tcp:8080", [("tcp", 8080)], None])
def test_what_is_no_endpoint_is_said_at_once(given: Any) -> None:
    with pytest.raises(TypeError, match=r"^an endpoint is .*: it has to be a text as 'tcp:8000', or an "):
        WSGIService(hello, given, reactor=object())


TAC = """
from twisted.application.service import Application
from twisted_wsgiref import WSGIService
from twisted_wsgiref.simple_server import demo_app

application = Application("x")
WSGIService(demo_app, {endpoints!r}).setServiceParent(application)
"""


@pytest.mark.slow
@pytest.mark.parametrize("daemon", [False, True], ids=["nodaemon", "daemon"])
def test_below_twistd_a_port_that_is_taken_ends_the_process_with_1(tmp_path: Path, daemon: bool) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        endpoint = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        (tmp_path / "s.tac").write_text(TAC.format(endpoints=endpoint))
        done = subprocess.run(
            [
                *(sys.executable, "-c", "from twisted.scripts.twistd import run; run()"),
                *(() if daemon else ("-n",)),
                *("-y", "s.tac", "--pidfile", "x.pid"),
            ],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    said = (tmp_path / "twistd.log").read_text() if daemon else done.stdout
    line = f"can not listen on {endpoint}: Address already in use"
    assert [each.partition("] ")[2] for each in said.splitlines() if "can not listen" in each] == [line]
    assert "Traceback" not in said + done.stdout
    assert f"can not listen on {endpoint}: " in done.stdout
