"""Is the access log what the settings ask for, and each mistake in them one clear line?"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from twisted.python.usage import UsageError

from twisted_wsgiref._observe.atoms import Atoms
from twisted_wsgiref._observe.record import Record
from twisted_wsgiref._process.access import check_access_log, open_access_log
from twisted_wsgiref._process.command_line import Options
from twisted_wsgiref._process.making import makeService
from twisted_wsgiref.settings import SettingError, Settings

RECORD = Record("127.0.0.1", "GET /a HTTP/1.1", 200, 5, 1.0, 0.1, "", "", "", "GET")


@pytest.mark.parametrize("value", ["off", ""])
def test_off_is_no_log(value: str) -> None:
    assert open_access_log(Settings(access_log=value)) is None


def test_the_log_has_the_format_and_leaves_out_what_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = open_access_log(Settings(access_log=str(path), access_log_format="json", access_log_skip="^/health"))
    assert log is not None
    log.observe_facts(RECORD)
    log.observe_facts(RECORD._replace(request_line="GET /health/live HTTP/1.1"))
    assert log.close()
    assert [json.loads(line)["url.path"] for line in path.read_text().splitlines()] == ["/a"]


def test_the_default_of_gunicorn_is_the_combined_format(tmp_path: Path) -> None:
    text = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
    log = open_access_log(Settings(access_log=str(tmp_path / "log"), access_log_format=text))
    assert log is not None
    log.observe_facts(RECORD)
    assert log.close()
    assert [(tmp_path / "log").read_text()] == Atoms(text).lines([tuple(RECORD)])


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"access_log_format": "%(x)s"}, "access_log_format is '%(x)s': there is no atom %(x)s: there are h,"),
        ({"access_log_format": "jsonl"}, "access_log_format is 'jsonl': it has to be combined, json, or a format"),
        ({"access_log": "syslog:,facility=x"}, "access_log is 'syslog:,facility=x': there is no facility 'x'"),
        ({"access_log": "/nowhere/at/all"}, "access_log is '/nowhere/at/all': No such file or directory"),
        ({"access_log": "syslog:/nowhere"}, "access_log is 'syslog:/nowhere': /nowhere: No such file or directory"),
    ],
)
def test_a_mistake_is_one_line(settings: dict[str, str], told: str) -> None:
    with pytest.raises(SettingError, match=re.escape(told)):
        open_access_log(Settings(**settings))  # type: ignore[arg-type]


def test_a_pattern_that_is_none_is_told() -> None:
    with pytest.raises(SettingError, match=r"access_log_skip is '\(': no regular expression: missing"):
        Settings(access_log_skip="(")


def test_a_check_opens_nothing(tmp_path: Path) -> None:
    check_access_log(Settings(access_log=str(tmp_path / "no" / "log")))


def start(*words: str) -> None:
    options = Options()
    options.environ = {}
    options.parseOptions(words)
    makeService(options)


@pytest.mark.parametrize("words", [["--check-config"], [], ["--workers", "2"]])
def test_a_command_line_ends_with_that_line(words: list[str]) -> None:
    told = r"--access-log-format is '%\(x\)s': there is no atom %\(x\)s"
    with pytest.raises((SystemExit, UsageError), match=told):
        start("--access-log-format", "%(x)s", *words)
