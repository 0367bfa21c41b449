"""What of a daemon: threads that an import starts, a service that is started too early, words for a terminal?"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from http.client import HTTPException
from pathlib import Path

import pytest

from .children import PATIENCE, ROOT, ended, environment, free_port, get

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no daemons")]

TWISTD = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]

EARLY = """
import os
from twisted.application.service import Application
from twisted_wsgiref import WSGIService, Settings

def app(environ, start_response):
    start_response("200 OK", [])
    return [b"early"]

application = Application("early")
service = WSGIService(app, [os.environ["ENDPOINT"]], Settings(threads=2, grace=5, queue_age=4))
service.startService()
service.setServiceParent(application)
"""

THREADS = """
import os, queue, threading

def work():
    while True:
        asked, answer = jobs.get()
        answer.put(f"{asked} by a thread of {os.getpid()}, made in {pid}")

jobs, pid = queue.Queue(), os.getpid()
threading.Thread(target=work, daemon=True).start()

def app(environ, start_response):
    answer = queue.Queue()
    jobs.put(("done", answer))
    start_response("200 OK", [])
    return [answer.get(timeout=10).encode()]
"""

FAILING = """
def prepare():
    raise LookupError("no such shop")

prepare()
"""


def twistd(folder: Path, words: Sequence[str], **more: str) -> subprocess.CompletedProcess[str]:
    """Run a twistd until its terminal is free again."""
    command = [*TWISTD, "--pidfile", str(folder / "pid"), "--logfile", str(folder / "log"), *words]
    return ended(command, folder, environment(**more))


@contextlib.contextmanager
def daemon(folder: Path, words: Sequence[str], **more: str) -> Iterator[int]:
    """Start a daemon, and give its pid; it is ended in the end, and has to end well."""
    done = twistd(folder, words, **more)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    pid = int((folder / "pid").read_text())
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + PATIENCE
        while (folder / "pid").exists() and time.monotonic() < end:
            time.sleep(0.01)
        with contextlib.suppress(ProcessLookupError):
            if (folder / "pid").exists():
                os.kill(pid, signal.SIGKILL)


def ask(port: int) -> str:
    """Ask as soon as the reactor of a daemon turns: its terminal is free a moment before."""
    for _ in range(100):
        try:
            answer, body = get(port)
        except (ConnectionError, HTTPException):
            time.sleep(0.05)
        else:
            assert answer.status == 200
            return body.decode()
    raise TimeoutError(port)


def test_a_service_that_was_started_before_the_daemon_was_made_serves(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "early.tac").write_text(EARLY)
    with daemon(tmp_path, ["-y", "early.tac"], ENDPOINT=f"tcp:{port}:interface=127.0.0.1"):
        assert [ask(port) for _ in range(5)] == ["early"] * 5


def test_threads_that_an_import_starts_are_there_in_a_daemon(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "threads.py").write_text(THREADS)
    words = ["wsgiref", "--listen", f"tcp:{port}:interface=127.0.0.1", "threads:app"]
    with daemon(tmp_path, words) as pid:
        assert ask(port) == f"done by a thread of {pid}, made in {pid}"
    assert "serving threads:app" in (tmp_path / "log").read_text()


def test_an_import_that_runs_the_reactor_does_so_in_the_daemon(tmp_path: Path) -> None:
    port = free_port()
    words = ["wsgiref", "--listen", f"tcp:{port}:interface=127.0.0.1", "tests.real.reactor_apps:app"]
    with daemon(tmp_path, words, KIND="thread"):
        assert ask(port).startswith("the reactor answers")
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log
    assert "Server Shut Down" in log


@pytest.mark.parametrize(
    ("app", "line"),
    [
        ("nosuch:app", "there is no module nosuch"),
        ("failing:app", "importing failing failed: LookupError: no such shop at failing.py:3"),
        ("threads:ap", "module threads has no attribute ap; did you mean app?"),
        ("threads:app", "Address already in use"),
    ],
)
def test_what_is_wrong_with_an_application_is_told_to_the_terminal(app: str, line: str, tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text(FAILING)
    (tmp_path / "threads.py").write_text(THREADS)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1] if app == "threads:app" else 0
        done = twistd(tmp_path, ["wsgiref", "--listen", f"tcp:{port}:interface=127.0.0.1", app])
    assert done.returncode == 1
    said = [each for each in done.stderr.splitlines() if each.endswith(line)]
    assert len(said) == 1, done.stderr
    assert re.match(r"\S+ wsgiref: ", said[0])
    if app == "failing:app":
        assert 'raise LookupError("no such shop")' in done.stderr
    assert str(ROOT) not in done.stderr
    assert not (tmp_path / "log").exists() or "serving" not in (tmp_path / "log").read_text()
