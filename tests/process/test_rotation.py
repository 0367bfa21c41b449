"""Is twistd's own log where logrotate expects it after SIGUSR1, once, and with nothing lost?"""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.logger import LogEvent, globalLogPublisher
from twisted.python.logfile import LogFile
from twisted.scripts._twistd_unix import UnixAppLogger

from twisted_wsgiref._process.rotation import call_on_rotation

REACTOR: Any = SimpleNamespace(callFromThread=lambda call, *words: call(*words))


@pytest.fixture
def handler() -> Iterator[None]:
    before = signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGUSR1, before)


class Log:
    """twistd's log below `folder`, as twistd itself makes it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "twistd.log"
        self.observe = UnixAppLogger({"logfile": str(self.path), "nodaemon": True})._getLogObserver()
        self.called: list[str] = []
        call_on_rotation(lambda: self.called.append("access log"), REACTOR)

    def say(self, line: str) -> None:
        self.observe({"log_format": line, "log_time": 0.0})

    def texts(self) -> dict[str, list[str]]:
        """What each file says, without dates."""
        return {
            each.name: [line.rpartition(" ")[2] for line in each.read_text().splitlines()]
            for each in self.path.parent.iterdir()
        }


@pytest.fixture
def log(tmp_path: Path, handler: None) -> Iterator[Log]:
    made = Log(tmp_path)
    made.say("before")
    yield made
    made.observe._outFile.close()


def test_a_moved_log_is_opened_anew_at_its_path(log: Log) -> None:
    log.path.rename(f"{log.path}.1")
    log.say("between")
    signal.raise_signal(signal.SIGUSR1)
    log.say("after")
    assert log.texts() == {"twistd.log.1": ["before", "between"], "twistd.log": ["after"]}
    assert log.called == ["access log"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_a_log_that_logrotate_has_moved_and_created_is_not_moved_twice(log: Log, mode: int) -> None:
    log.path.rename(f"{log.path}.1")
    log.path.touch()
    log.path.chmod(mode)
    signal.raise_signal(signal.SIGUSR1)
    log.say("after")
    assert log.texts() == {"twistd.log.1": ["before"], "twistd.log": ["after"]}
    assert stat.S_IMODE(log.path.stat().st_mode) == mode


def test_a_log_that_was_removed_is_made_again(log: Log) -> None:
    log.path.unlink()
    signal.raise_signal(signal.SIGUSR1)
    log.say("after")
    assert log.texts() == {"twistd.log": ["after"]}


def test_a_log_that_nobody_has_moved_is_rotated_by_twistd_once(log: Log) -> None:
    signal.raise_signal(signal.SIGUSR1)
    log.say("after")
    assert log.texts() == {"twistd.log.1": ["before"], "twistd.log": ["after"]}


def test_rotations_follow_each_other(log: Log) -> None:
    for number in (2, 1):
        log.path.rename(f"{log.path}.{number}")
        signal.raise_signal(signal.SIGUSR1)
        log.say(f"after{number}")
    assert log.texts() == {"twistd.log.2": ["before"], "twistd.log.1": ["after2"], "twistd.log": ["after1"]}


def test_a_log_that_can_not_be_opened_goes_on_where_it_is_and_says_so(log: Log) -> None:
    log.path.rename(f"{log.path}.1")
    log.path.mkdir()
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)
    try:
        signal.raise_signal(signal.SIGUSR1)
    finally:
        globalLogPublisher.removeObserver(events.append)
    log.say("after")
    assert (log.path.parent / "twistd.log.1").read_text().count("after") == 1
    assert [each["error"] for each in events if "can not be opened anew" in each["log_format"]] == ["Is a directory"]


def test_the_size_that_twistd_counts_is_the_new_files(log: Log, tmp_path: Path) -> None:
    file = LogFile.fromFullPath(str(tmp_path / "small.log"), rotateLength=10)

    def rotate(number: int, frame: object) -> None:
        file.rotate()

    rotate.__module__ = "twisted.scripts"
    signal.signal(signal.SIGUSR1, rotate)
    call_on_rotation(lambda: None, REACTOR)
    file.write("1234567890")
    os.rename(file.path, f"{file.path}.moved")
    signal.raise_signal(signal.SIGUSR1)
    file.write("12345")
    file.write("67890")
    assert Path(file.path).read_text() == "1234567890"
    file.close()


def test_a_handler_of_somebody_elses_is_called_as_well(handler: None) -> None:
    called: list[str] = []
    signal.signal(signal.SIGUSR1, lambda number, frame: called.append("somebody's"))
    call_on_rotation(lambda: called.append("access log"), REACTOR)
    signal.raise_signal(signal.SIGUSR1)
    assert called == ["access log", "somebody's"]
