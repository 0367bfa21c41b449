"""Can whoever develops at a terminal use `breakpoint`, and is nobody caught by one where there is no terminal?"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from .children import COMMANDS, PATIENCE, Child, environment, get, started

pytestmark = pytest.mark.slow

APP = """
import sys

def app(environ, start_response):
    here = "here"
    if environ["PATH_INFO"] == "/break":
        breakpoint()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"answered {here}".encode()]
"""
# What a shell does: a session with this terminal, whose foreground job this is.
SESSION = "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
SESSION += "os.execv(sys.argv[1], sys.argv[1:])"
SERVING = re.compile(r"serving demo:app on http://\S+:(\d+), ")
RELOAD = [*COMMANDS["python -m"], "--reload"]
WAYS = {
    "twistd": COMMANDS["twistd"],
    "twist": COMMANDS["twist"],
    "python -m": COMMANDS["python -m"],
    "--reload": RELOAD,
    "twistd --reload": [*COMMANDS["twistd"], "--reload"],
}


class Session:
    """A program in the foreground of a terminal, and all that it has shown so far."""

    def __init__(self, words: Sequence[str], folder: Path) -> None:
        self.keys, tty = os.openpty()
        self.shown = ""
        self.process = subprocess.Popen(
            [sys.executable, "-c", SESSION, *words],
            cwd=folder,
            env=environment(TERM="dumb"),
            stdin=tty,
            stdout=tty,
            stderr=tty,
        )
        self.tty = tty

    def wait_for(self, pattern: str, patience: float = PATIENCE) -> re.Match[str]:
        end = time.monotonic() + patience
        while (found := re.search(pattern, self.shown)) is None:
            if not select.select([self.keys], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError(f"the terminal does not show {pattern}, but:\n{self.shown}")
            self.shown += os.read(self.keys, 65536).decode("utf-8", "replace").replace("\r\n", "\n")
        return found

    def type(self, text: str) -> None:
        self.shown = ""
        os.write(self.keys, text.encode())

    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self.tty)[3] & termios.ECHO)


@contextlib.contextmanager
def session(words: Sequence[str], folder: Path, app: str = APP) -> Iterator[Session]:
    (folder / "demo.py").write_text(app)
    made = Session([*words, "--port", "0", "demo:app"], folder)
    try:
        yield made
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(made.process.pid, signal.SIGKILL)
        made.process.wait(PATIENCE)
        os.close(made.keys)
        os.close(made.tty)


def asked(port: int, path: str, answers: list[bytes]) -> threading.Thread:
    def ask() -> None:
        with contextlib.suppress(OSError):
            answers.append(get(port, path)[1])

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("way", WAYS)
def test_a_breakpoint_in_a_view_prompts_and_goes_on(way: str, tmp_path: Path) -> None:
    if "reload" in way:
        pytest.importorskip("watchfiles")
    answers: list[bytes] = []
    with session(WAYS[way], tmp_path) as terminal:
        port = int(terminal.wait_for(SERVING.pattern)[1])
        thread = asked(port, "/break", answers)
        terminal.wait_for(r"\(Pdb\) ")
        assert get(port)[1] == b"answered here"  # the others are served meanwhile
        terminal.type("here = 'there'\n")
        terminal.wait_for(r"\(Pdb\) ")
        terminal.type("c\n")
        thread.join(PATIENCE)
        assert answers == [b"answered there"]
        os.write(terminal.keys, b"\x03")
        assert terminal.process.wait(PATIENCE) == 0


@pytest.mark.parametrize("place", ["at import", "in the reactor"])
def test_nothing_ends_a_session_however_long_it_thinks(place: str, tmp_path: Path) -> None:
    pytest.importorskip("watchfiles")
    app = APP + "breakpoint()\n"
    if place == "in the reactor":
        app = APP + "from twisted.internet import reactor\nreactor.callLater(0.5, lambda: breakpoint())\n"
    words = [*RELOAD, "--start-timeout", "3", "--watchdog", "3", "--stall", "0.5", "--request-timeout", "1"]
    with session(words, tmp_path, app) as terminal:
        terminal.wait_for(r"\(Pdb\) ")
        with pytest.raises(TimeoutError):
            terminal.wait_for("has not turned|is killed|did not begin|did not start", 5.0)
        found = re.search(SERVING.pattern, terminal.shown)  # else it is still to come
        terminal.type("c\n")
        assert get(int((found or terminal.wait_for(SERVING.pattern))[1]))[1] == b"answered here"


@pytest.mark.parametrize("way", ["python -m", "--reload"])
def test_two_ctrl_c_at_a_prompt_leave_the_terminal_as_it_was(way: str, tmp_path: Path) -> None:
    if "reload" in way:
        pytest.importorskip("watchfiles")
    with session(WAYS[way], tmp_path) as terminal:
        port = int(terminal.wait_for(SERVING.pattern)[1])
        asked(port, "/break", [])
        terminal.wait_for(r"\(Pdb\) ")
        # As a prompt with line editing does.
        modes = termios.tcgetattr(terminal.tty)
        modes[3] &= ~termios.ECHO
        termios.tcsetattr(terminal.tty, termios.TCSANOW, modes)
        os.write(terminal.keys, b"\x03")
        terminal.wait_for("a second Ctrl-C ends it at once")
        threading.Event().wait(1.1)
        os.write(terminal.keys, b"\x03")
        assert terminal.process.wait(PATIENCE) == -signal.SIGINT
        assert terminal.echoes()


def test_job_control_starts_no_worker(tmp_path: Path) -> None:
    pytest.importorskip("watchfiles")
    with session(RELOAD, tmp_path) as terminal:
        terminal.wait_for(SERVING.pattern)
        # What the kernel sends to a job that reads its terminal from the background.
        os.killpg(terminal.process.pid, signal.SIGTTIN)
        os.killpg(terminal.process.pid, signal.SIGCONT)
        os.write(terminal.keys, b"\x03")
        terminal.wait_for("Main loop terminated")
        assert terminal.process.wait(PATIENCE) == 0
        assert "2 workers from now on" not in terminal.shown


def test_a_terminal_that_is_closed_ends_it(tmp_path: Path) -> None:
    pytest.importorskip("watchfiles")
    with session(RELOAD, tmp_path) as terminal:
        terminal.wait_for(SERVING.pattern)
        os.close(terminal.keys)
        terminal.keys = os.open(os.devnull, os.O_RDONLY)
        assert terminal.process.wait(PATIENCE) == 0


LINE = re.compile(
    r"breakpoint\(\) at (\S+demo\.py):7 is passed over, since this process has no terminal: serve with --reload"
)


@pytest.mark.parametrize("words", [["--workers", "2"], []])
def test_without_a_terminal_a_breakpoint_is_passed_over_with_one_line(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "demo.py").write_text(APP)
    with started([*COMMANDS["python -m"], *words, "--port", "0", "demo:app"], tmp_path) as child:
        port = child.port()
        for _ in range(6):
            assert get(port, "/break")[1] == b"answered here"
        child.wait_for(LINE)
        assert child.end() == 0
    assert len(LINE.findall(child.said)) <= 2
    assert "BdbQuit" not in child.said


def test_a_debugger_that_was_chosen_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "demo.py").write_text(APP + "\ndef debug():\n    print('chosen', flush=True)\n")
    env = environment(PYTHONBREAKPOINT="demo.debug")
    words = [*COMMANDS["python -m"], "--workers", "2", "--port", "0", "demo:app"]
    with started(words, tmp_path, env) as child:
        assert get(child.port(), "/break")[1] == b"answered here"
        child.wait_for(re.compile("chosen"))
        assert child.end() == 0


def said_by_stdout(child: Child) -> str:
    return child.wait_for(re.compile(r"stdout: (\S+ \S+)"))[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_standard_output_is_a_real_file(command: str, tmp_path: Path) -> None:
    write = 'sys.stdout.buffer.write(b"stdout: %d ok\\n" % sys.stdout.fileno()); sys.stdout.flush()'
    app = APP.replace('here = "here"', f'here = "here"; {write}')
    (tmp_path / "demo.py").write_text(app)
    with started([*COMMANDS[command], "--port", "0", "demo:app"], tmp_path) as child:
        assert get(child.port())[0].status == 200
        assert said_by_stdout(child) == "1 ok"
        assert child.end() == 0
