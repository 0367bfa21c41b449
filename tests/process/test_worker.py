"""Is a worker what its parent and its operator take it for?"""

from __future__ import annotations

import io

import pytest
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_wsgiref._process.logs import log_to_stderr
from twisted_wsgiref.settings import Settings


def test_each_line_of_a_workers_log_begins_with_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    observer = log_to_stderr(Settings(), 12)
    log = Logger("demo", observer=observer)
    log.info("one line")
    try:
        raise KeyError("x")
    except KeyError:
        log.failure("it broke", Failure())
    lines = stream.getvalue().splitlines()
    assert len(lines) > 3
    assert [line for line in lines if not line.startswith("worker 12: ")] == []
    assert lines[0].endswith("[demo#info] one line")
