"""Does a process end with the status that docs/deploying.md has for it, whatever the application leaves running?"""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from twisted_wsgiref._process.supervisor import CUT_SHORT

from .children import COMMANDS, PATIENCE, SOON, Stopwatch, get, started
from .raw_client import Client, request

pytestmark = pytest.mark.slow

BEGIN = "import atexit, ctypes, os, threading, time\n"
APP = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"." * (64 << 20) if environ["PATH_INFO"] == "/large" else b"small"]
"""
FOR_EVER = "threading.Event().wait"
# What the application leaves behind, and the status.
LEFT = {
    "nothing": ("", 0),
    "a thread that ends in time": ("threading.Timer(0.2, int).start()", 0),
    "a daemon thread": (f"threading.Thread(target={FOR_EVER}, daemon=True).start()", 0),
    "a thread": (f"threading.Thread(target={FOR_EVER}).start()", CUT_SHORT),
    "an atexit": (f"atexit.register({FOR_EVER})", CUT_SHORT),
    "an atexit that is busy": ("def turn():\n    while True:\n        pass\natexit.register(turn)", CUT_SHORT),
    "an atexit that raises": ("atexit.register(int, 'x')", 0),
    "a thread in a system call": ("threading.Thread(target=os.read, args=(os.pipe()[0], 1)).start()", CUT_SHORT),
}
WORKERS = {"twistd": [], "python -m": [], "a worker": ["--workers", "2"]}


@pytest.mark.parametrize(
    ("how", "left"),
    [("python -m", left) for left in LEFT]
    + [(how, f"a{n}") for how in ("twistd", "a worker") for n in (" thread", "n atexit")],
)
def test_what_outlives_the_grace_is_cut_short(how: str, left: str, tmp_path: Path) -> None:
    code, status = LEFT[left]
    (tmp_path / "demo.py").write_text(BEGIN + code + APP)
    command = COMMANDS[how if how in COMMANDS else "python -m"]
    with started([*command, *WORKERS[how], "--port", "0", "--grace", "1", "demo:app"], tmp_path) as child:
        # Whoever answers has installed its handlers of signals.
        assert get(child.port())[1] == b"small"
        watch = Stopwatch()
        assert child.end(patience=SOON) == status, child.said
        assert watch.undisturbed() < 4.0
    if status and how != "a worker":
        assert "the process has not ended at the end of the grace" in child.said


@pytest.mark.parametrize("how", ["python -m", "a worker"])
def test_an_answer_that_is_cut_off_counts_as_cut_short(how: str, tmp_path: Path) -> None:
    (tmp_path / "demo.py").write_text(APP)
    words = [*COMMANDS["python -m"], *WORKERS[how], "--port", "0", "--grace", "1", "demo:app"]
    with started(words, tmp_path) as child, Client(child.port(), PATIENCE) as client:
        client.send(request("/large"))
        assert client.next_status(PATIENCE) == 200
        assert child.end() == CUT_SHORT, child.said
    assert "1 connections are cut off at the end of the grace" in child.said


@pytest.mark.parametrize("how", ["python -m", "a worker"])
def test_an_idle_connection_that_is_cut_off_does_not(how: str, tmp_path: Path) -> None:
    (tmp_path / "demo.py").write_text(APP)
    words = [*COMMANDS["python -m"], *WORKERS[how], "--port", "0", "--grace", "1", "--linger", "5", "demo:app"]
    with started(words, tmp_path) as child, Client(child.port(), PATIENCE) as client:
        client.send(request("/", "HEAD"))
        assert client.read_answer("HEAD") is not None
        assert child.end() == 0, child.said


def test_the_timer_of_faulthandler_is_the_applications(tmp_path: Path) -> None:
    (tmp_path / "demo.py").write_text("import faulthandler\nfaulthandler.dump_traceback_later(1.5)\n" + APP)
    with started([*COMMANDS["python -m"], "--port", "0", "--workers", "2", "demo:app"], tmp_path) as child:
        child.port()
        child.wait_for(re.compile(r"Timeout \(0:00:01.5"))
        assert child.end(signal.SIGINT) == 0
