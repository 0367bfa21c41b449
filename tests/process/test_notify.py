"""Does the service manager hear what happens, in its own words, and does its silence do no harm?"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher

from twisted_wsgiref._process.notify import Notifier, message, socket_address


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@twisted-wsgiref-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind(name.replace("@", "\0") if name.startswith("@") else name)
        except OSError:
            pytest.skip("no abstract sockets here")
        sock.settimeout(5)
        yield name, sock


@pytest.mark.parametrize(
    ("states", "status", "data"),
    [
        (["READY=1"], "", b"READY=1"),
        (["READY=1"], "serving", b"READY=1\nSTATUS=serving"),
        (["RELOADING=1", "MONOTONIC_USEC=7"], "", b"RELOADING=1\nMONOTONIC_USEC=7"),
        (["READY=1"], "two\nSTOPPING=1", b"READY=1\nSTATUS=two STOPPING=1"),
        (["READY=1"], "\udcff", b"READY=1\nSTATUS=?"),
    ],
)
def test_a_message_is_a_name_a_line_and_a_status_adds_none(states: list[str], status: str, data: bytes) -> None:
    assert message(*states, status=status) == data


@pytest.mark.parametrize(
    ("text", "address"),
    [("/run/notify", "/run/notify"), ("@abstract", "\0abstract"), ("", None), ("@", None), ("vsock:2:1", None)],
)
def test_only_sockets_of_this_machine_are_spoken_to(text: str, address: str | None) -> None:
    assert socket_address(text) == address


def test_what_is_said_arrives(manager: tuple[str, socket.socket]) -> None:
    name, sock = manager
    notifier = Notifier(name)
    notifier.ready("serving demo:app")
    assert sock.recv(4096) == b"READY=1\nSTATUS=serving demo:app"
    before = time.monotonic_ns() // 1000
    notifier.reloading()
    first, second, third = sock.recv(4096).decode().split("\n")
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000
    assert third.startswith("STATUS=")
    notifier.stopping()
    assert sock.recv(4096).startswith(b"STOPPING=1\n")


def test_the_environment_is_read_once_and_not_passed_on(manager: tuple[str, socket.socket]) -> None:
    name, sock = manager
    environ = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid()), "HOME": "/"}
    notifier = Notifier.taken_from(environ)
    assert environ == {"HOME": "/"}
    clock = Clock()
    notifier.keep_alive(clock)
    assert sock.recv(64) == b"WATCHDOG=1"
    clock.advance(1.5)
    assert sock.recv(64) == b"WATCHDOG=1"
    sock.setblocking(False)
    clock.advance(1.4)
    with pytest.raises(BlockingIOError):
        sock.recv(64)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"WATCHDOG_USEC": "3000000"},
        {"NOTIFY_SOCKET": "/nowhere"},
        {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "0"},
        {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "much"},
        {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"},
    ],
)
def test_no_watchdog_of_ours_no_beat(environ: dict[str, str]) -> None:
    clock = Clock()
    Notifier.taken_from(dict(environ)).keep_alive(clock)
    assert clock.getDelayedCalls() == []


def test_a_manager_that_is_not_there_is_told_of_once_and_nothing_breaks(tmp_path: Path) -> None:
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)
    try:
        notifier = Notifier(str(tmp_path / "gone"))
        notifier.ready("serving")
        notifier.stopping()
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert [each["error"] for each in events if "error" in each] == ["No such file or directory"]


def test_a_manager_that_reads_nothing_holds_nobody_up(manager: tuple[str, socket.socket]) -> None:
    notifier = Notifier(manager[0])
    before = time.monotonic()
    for _ in range(2000):
        notifier.ready("serving")
    assert time.monotonic() - before < 20
