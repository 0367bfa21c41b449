"""Is an application served whose import runs the reactor in a thread of its own, as `crochet.setup()` does?"""

from __future__ import annotations

import contextlib
import importlib.util
import re
import signal
import socket
import sys
from pathlib import Path

import pytest

from .children import COMMANDS, PATIENCE, ended, environment, get, started

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's here")]

APP = "tests.real.reactor_apps:app"
ENDPOINT = "tcp:0:interface=127.0.0.1"
WORKERS = {"workers": [*COMMANDS["python -m"], "--workers", "2"]}
KINDS = [
    "thread",
    pytest.param("crochet", marks=pytest.mark.skipif(not importlib.util.find_spec("crochet"), reason="no crochet")),
]


# Each way to start, each signal with and without workers.
ENDS = [
    *((name, signal.SIGTERM) for name in (*COMMANDS, *WORKERS)),
    ("python -m", signal.SIGINT),
    ("workers", signal.SIGINT),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "number"), ENDS)
def test_it_is_served_on_the_reactor_that_runs(name: str, kind: str, number: int, tmp_path: Path) -> None:
    if (name, kind) == ("twist", "crochet"):
        pytest.skip("twist begins its log after crochet has taken what was logged so far, the port among it")
    words = [*{**COMMANDS, **WORKERS}[name], "--listen", ENDPOINT, APP]
    with started(words, tmp_path, environment(KIND=kind)) as server:
        port = server.port()
        answers = [get(port)[1] for _ in range(3)]
        assert answers == [b"the reactor answers, the reactor answers"] * 3
        assert server.end(number) == 0, server.said
    assert "Traceback" not in server.said
    assert server.said.count("primary log target") < 10  # crochet's log does not come back to itself


@pytest.mark.parametrize("name", COMMANDS)
def test_a_thread_that_comes_late_finds_the_reactor_running(name: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    words = [*COMMANDS[name], "--listen", ENDPOINT, APP]
    with started(words, tmp_path, environment(KIND="late", GATE=str(gate))) as server:
        port = server.port()
        gate.touch()
        assert get(port)[1] == b"the reactor answers, nothing was asked"
        assert server.end() == 0, server.said
    assert "Traceback" not in server.said


@pytest.mark.parametrize("name", [*COMMANDS, *WORKERS])
def test_one_that_has_ended_the_reactor_gets_one_line(name: str, tmp_path: Path) -> None:
    words = [*{**COMMANDS, **WORKERS}[name], "--listen", ENDPOINT, APP]
    done = ended(words, tmp_path, environment(KIND="ended"))
    assert done.returncode == 1
    assert "crochet.no_setup()" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_service_manager_hears_that_it_is_ready_once_it_serves(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind(str(path))
        manager.settimeout(PATIENCE)
        words = [*COMMANDS["python -m"], "--listen", ENDPOINT, APP]
        with started(words, tmp_path, environment(KIND="thread", NOTIFY_SOCKET=str(path))) as server:
            assert b"READY=1" in manager.recv(4096)
            assert get(server.port())[1].startswith(b"the reactor answers")
            assert server.end() == 0
            assert b"STOPPING=1" in manager.recv(4096)


def test_the_threads_are_shown_by_a_signal(tmp_path: Path) -> None:
    words = [*COMMANDS["python -m"], "--listen", ENDPOINT, APP]
    with started(words, tmp_path, environment(KIND="thread")) as server:
        assert get(server.port())[1].startswith(b"the reactor answers")
        server.process.send_signal(signal.SIGUSR2)
        server.wait_for(re.compile("SIGUSR2: [01] of 4 threads busy"))  # one may just have answered
        assert server.end() == 0
