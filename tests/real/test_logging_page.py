"""Do the examples of docs/logging.md work, and are its tables those of the server?"""

from __future__ import annotations

import io
import json
import logging
import re
import shlex
from contextlib import redirect_stderr
from typing import Any

import pytest
from twisted.logger import globalLogPublisher

from tests.observe.test_lines import Kept
from tests.support import TEXT, request, serving
from twisted_wsgiref._observe.access_log import AccessLog
from twisted_wsgiref._observe.atoms import NAMES, Atoms
from twisted_wsgiref._observe.json_lines import JSONLines
from twisted_wsgiref._observe.syslog import Target
from twisted_wsgiref._process.access import check_access_log
from twisted_wsgiref._process.logs import log_to_stderr
from twisted_wsgiref._process.standalone import Options
from twisted_wsgiref.settings import Settings

from .children import ROOT

PAGE = (ROOT / "docs" / "logging.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [text.strip() for language, text in BLOCKS if language == "sh"]
EVENT, REQUEST = (json.loads(text) for language, text in BLOCKS if language == "json")
TRACE = "00-6e0c63257de34c926f9efcd03927272e-00f067aa0ba902b7-01"


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_is_understood(command: str) -> None:
    program, *words = shlex.split(command)
    assert program == "twisted-wsgiref"
    options = Options()
    options.environ = {}
    options.parseOptions(words)
    check_access_log(options.found.settings)


def test_each_atom_of_the_table_is_one_and_none_is_missing() -> None:
    atoms = re.findall(r"^\| `%\(([^)]+)\)s` \|", PAGE, re.MULTILINE)
    assert [atom for atom in atoms if "{" not in atom] == list(NAMES)
    assert [atom for atom in atoms if "{" in atom] == ["{Name}i", "{Name}o", "{NAME}e"]
    for atom in atoms:
        Atoms(f"%({atom})s")


def test_each_target_of_syslog_is_one() -> None:
    targets = re.findall(r"`(syslog:[^`]*)`", PAGE)
    assert len(targets) == 4
    for target in targets:
        Target(target)


def test_the_request_in_json_has_the_fields_that_a_request_has() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ.update(SSL_PROTOCOL="TLSv1.3", REMOTE_USER="frank")
        start_response("200 OK", [*TEXT])
        return [b"hello"]

    kept = Kept()
    log = AccessLog(kept, line_format=JSONLines())
    fields = f"traceparent: {TRACE}\nReferer: https://shop.example/\nUser-Agent: Mozilla/5.0"
    with serving(application, service={"observers": [log]}, request_id=True, trusted_proxy=("127.0.0.2",)) as server:
        server.ask(request("/basket?item=7", fields=fields))
    assert log.close()
    told = json.loads(kept.data)
    assert list(told) == list(REQUEST)
    same = ("http.request.method", "url.path", "url.query", "request_id", "trace_id", "span_id", "tls.protocol.version")
    assert {name: told[name] for name in same} == {name: REQUEST[name] for name in same}


def test_the_event_in_json_has_the_fields_that_an_exception_has() -> None:
    def fails(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        raise KeyError("item")

    stream = io.StringIO()
    with redirect_stderr(stream):
        observer = log_to_stderr(Settings(log_format="json"), 3)
    globalLogPublisher.addObserver(observer)
    try:
        with serving(fails, request_id=True) as server:
            server.ask(request("/basket"))
    finally:
        globalLogPublisher.removeObserver(observer)
    (told,) = [json.loads(line) for line in stream.getvalue().splitlines() if "exception" in line]
    assert set(told) == set(EVENT)
    assert {name: told[name] for name in ("message", "exception.type", "exception.message", "worker")} == {
        name: EVENT[name] for name in ("message", "exception.type", "exception.message", "worker")
    }


def test_a_filter_of_logging_has_the_id_of_the_request() -> None:
    (code,) = [text for language, text in BLOCKS if language == "python"]
    root, stream = logging.getLogger(), io.StringIO()
    before, root.handlers = root.handlers, []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        logging.getLogger("shop").warning("an empty basket")
        start_response("200 OK", [*TEXT])
        return [environ["twisted_wsgiref.request_id"].encode()]

    try:
        with redirect_stderr(stream):
            exec(compile(code, "docs/logging.md", "exec"), {})
        with serving(application, request_id=True) as server:
            (answer,) = server.ask(request("/")).answers()
            logging.getLogger("shop").warning("nobody's")
    finally:
        root.handlers = before
    assert stream.getvalue().splitlines() == [
        f"WARNING {answer.body.decode()} an empty basket",
        "WARNING - nobody's",
    ]
