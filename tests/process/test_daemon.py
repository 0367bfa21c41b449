"""Does a daemon leave what somebody waits for, and keep what it was given as a log? `tests.real` has whole ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from twisted.application.twist._options import TwistOptions
from twisted.python.usage import UsageError
from twisted.scripts.twistd import ServerOptions

from twisted_wsgiref import SettingError, serve
from twisted_wsgiref._process import below_twistd, command_line
from twisted_wsgiref._process.command_line import Options
from twisted_wsgiref._process.daemon import goes_to_file

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no daemons here")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Options, "environ", {})


def to_file(monkeypatch: pytest.MonkeyPatch, it_does: bool) -> None:
    monkeypatch.setattr(command_line, "goes_to_file", lambda descriptor: it_does)
    monkeypatch.setattr(below_twistd, "goes_to_file", lambda descriptor: it_does)


def parse(*words: str) -> Options:
    options = Options()
    options.parseOptions(words)
    return options


def test_an_access_log_has_no_output_of_a_daemons(monkeypatch: pytest.MonkeyPatch) -> None:
    to_file(monkeypatch, False)
    found = parse("--daemon")["configuration"]
    assert found.settings.access_log == "off"
    assert found.sources["access_log"] == "default of a daemon"
    assert parse("--daemon", "--access-log", "/var/log/a")["settings"].access_log == "/var/log/a"
    assert parse("--chdir", ".")["settings"].access_log == "-"
    with pytest.raises(UsageError, match="--access-log is '-': a daemon has no standard output; give a path"):
        parse("--daemon", "--access-log", "-")


def test_an_output_that_is_a_file_is_kept_and_has_the_access_log(monkeypatch: pytest.MonkeyPatch) -> None:
    to_file(monkeypatch, True)
    assert parse("--daemon")["settings"].access_log == "-"
    assert parse("--daemon", "--access-log", "-")["settings"].access_log == "-"


def test_a_file_is_told_from_what_somebody_reads(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with (tmp_path / "log").open("wb") as file:
        assert goes_to_file(file.fileno())
    assert not goes_to_file(writer)
    os.close(reader)
    os.close(writer)
    assert not goes_to_file(writer)


def test_twistd_and_twist_have_their_own_way(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind in (ServerOptions, TwistOptions):
        monkeypatch.setattr("sys.argv", ["twist"])
        below: Any = kind()
        with pytest.raises(SystemExit) as caught:
            below.parseOptions(["wsgiref", "--daemon"])
        assert "--daemon is on: it is for twisted-wsgiref serve" in str(caught.value)


def test_a_script_stays_where_it_is() -> None:
    with pytest.raises(SettingError, match="daemon is True: serve"):
        serve("shop:app", daemon=True)
