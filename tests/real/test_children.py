"""Does the launcher hear all that a process says, hold nobody up, and leave nothing behind?"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
from pathlib import Path

import pytest

from .children import COMMANDS, PATIENCE, Child, Process, alive, ended, environment, get
from .imported import Forked

pytestmark = pytest.mark.slow

READY = re.compile(r"ready (\d+)")
WITH_A_CHILD = """
import os, signal
if not (child := os.fork()):
    signal.pause()
print("ready", child, flush=True)
signal.pause()
"""
# What an application can see of the process that imports it.
TELLS = """
import json, os, re, signal, sys, threading

main = sys.modules["__main__"]
told = {
    "words": [sys.argv, sys.orig_argv, sys.executable, str(sys.flags), sys.warnoptions],
    "main": [main.__name__, getattr(main, "__file__", None), main.__spec__ and main.__spec__.name],
    "path": sys.path,
    "environment": dict(os.environ),
    "place": [os.getcwd(), os.getpgrp(), os.umask(0o22)],
    "signals": {number: str(getattr(handler, "__qualname__", handler))
        for number in signal.valid_signals() if (handler := signal.getsignal(number)) is not None},
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "threads": [each.name for each in threading.enumerate()],
    "descriptors": sorted(re.sub(r"[0-9]+", "", os.readlink(f"/proc/self/fd/{each}")) for each in range(50)
        if os.path.exists(f"/proc/self/fd/{each}")),
    "streams": [str((each.fileno(), each.mode, each.encoding, each.errors, each.line_buffering, each.write_through))
        for each in (sys.stdin, sys.stdout, sys.stderr)],
    "late": sorted(name for name in sys.modules if name.startswith("OpenSSL") or name == "twisted.internet.reactor"),
}

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(told).encode()]
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def wait_until_gone(pid: int) -> bool:
    for _ in range(int(PATIENCE / 0.01)):
        if not alive(pid):
            return True
        threading.Event().wait(0.01)
    return False


def test_a_process_that_nobody_reads_is_not_held_up(tmp_path: Path) -> None:
    # More than any pipe holds.
    with Process(python("print('x' * 3_000_000); print('end')"), tmp_path) as process:
        assert process.wait() == 0
        assert process.said == "x" * 3_000_000 + "\nend\n"


def test_what_was_said_before_the_end_is_found_after_it(tmp_path: Path) -> None:
    with Process(python("print('ready 1')"), tmp_path) as process:
        process.process.wait(PATIENCE)
        assert process.wait_for(READY)[1] == "1"
        with pytest.raises(EOFError, match=r"(?s)without saying more:\nready 1"):
            process.wait_for(re.compile("more"))


def test_silence_is_a_timeout_that_shows_what_was_said(tmp_path: Path) -> None:
    with Process(python("import signal; print('ready 1', flush=True); signal.pause()"), tmp_path) as process:
        process.wait_for(READY)
        with pytest.raises(TimeoutError, match=r"(?s)did not say more in time, but:\nready 1"):
            process.wait_for(re.compile("more"), 0)


def test_a_character_that_comes_in_two_pieces_is_one(tmp_path: Path) -> None:
    code = "import sys\nfor byte in 'ü\\n'.encode():\n    sys.stdout.buffer.write(bytes([byte])); sys.stdout.flush()"
    with Process(python(code), tmp_path) as process:
        assert process.wait_for(re.compile(".\n"))[0] == "ü\n"


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are looked up in /proc")
def test_its_children_are_gone_at_the_end(tmp_path: Path) -> None:
    with Process(python(WITH_A_CHILD), tmp_path) as process:
        child = int(process.wait_for(READY)[1])
        assert sorted(process.processes()) == sorted([process.pid, child])
    assert not alive(process.pid)
    assert wait_until_gone(child)


def test_with_a_session_of_its_own_what_it_has_left_behind_is_gone_too(tmp_path: Path) -> None:
    with Process(python(WITH_A_CHILD), tmp_path, own_session=True) as process:
        child = int(process.wait_for(READY)[1])
        assert process.end(signal.SIGKILL) == -signal.SIGKILL
        assert alive(child)
    assert wait_until_gone(child)


def test_without_one_it_ends_with_the_group_of_whoever_has_started_it(tmp_path: Path) -> None:
    with Process(python("import os; print('ready', os.getpgrp(), flush=True)"), tmp_path) as process:
        assert int(process.wait_for(READY)[1]) == os.getpgrp()


@pytest.mark.parametrize("before", [signal.SIG_IGN, signal.default_int_handler], ids=["background", "foreground"])
def test_sigint_ends_it_wherever_the_tests_run(before: object, tmp_path: Path) -> None:
    kept = signal.signal(signal.SIGINT, before)  # type: ignore[arg-type]
    try:
        code = "import signal; print('ready 1', flush=True); signal.pause()"
        with Process(["sh", "-c", f'exec "{sys.executable}" -c "{code}"'], tmp_path) as process:
            process.wait_for(READY)
            assert process.end(signal.SIGINT) in (-signal.SIGINT, 130, 1)
    finally:
        signal.signal(signal.SIGINT, kept)


def test_what_it_says_is_in_the_file_that_was_asked_for(tmp_path: Path) -> None:
    with Process(python("print('ready 1')"), tmp_path, output=tmp_path / "log") as process:
        process.wait()
    assert (tmp_path / "log").read_text() == process.said == "ready 1\n"


# ---- Forks ---------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are looked up in /proc")
@pytest.mark.parametrize("command", COMMANDS)
def test_an_application_can_not_tell_a_fork_from_a_fresh_interpreter(command: str, tmp_path: Path) -> None:
    (tmp_path / "tells.py").write_text(TELLS)
    told = []
    for fresh in (False, True):
        env = environment(SHOP="a", TZ="Asia/Tokyo")
        with Child([*COMMANDS[command], "--port", "0", "tells:app"], tmp_path, env, fresh=fresh) as child:
            assert isinstance(child.process, Forked) is not fresh
            told.append(json.loads(get(child.port())[1]))
            assert child.end() == 0, child.said
    assert told[0] == told[1]


def test_a_fork_ends_as_a_process_does(tmp_path: Path) -> None:
    words = [*COMMANDS["python -m"], "--port", "0"]
    with Child(words, tmp_path) as child:
        assert child.process.poll() is None
        child.port()
        child.process.kill()
        assert child.wait() == child.process.poll() == -signal.SIGKILL
    assert not alive(child.pid)
    done = [ended([*words, "--nonsense"], tmp_path, fresh=fresh) for fresh in (False, True)]
    assert [(each.returncode, each.stdout) for each in done] == [(1, "")] * 2
    assert done[0].stderr == done[1].stderr != ""


def test_what_an_interpreter_reads_when_it_starts_is_read_by_a_fresh_one(tmp_path: Path) -> None:
    for more in ({"PYTHONWARNINGS": "error"}, {"LC_ALL": "C"}, {"PYTHONPATH": f"{tmp_path}"}, {"LISTEN_FDS": "1"}):
        with Child([*COMMANDS["python -m"], "--version"], tmp_path, environment(**more)) as child:
            assert not isinstance(child.process, Forked), more
            child.wait()
