"""Does the launcher hear all that a process says, hold nobody up, and leave nothing behind?"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from pathlib import Path

import pytest

from .children import PATIENCE, Process, alive

pytestmark = pytest.mark.slow

READY = re.compile(r"ready (\d+)")
WITH_A_CHILD = """
import os, signal
if not (child := os.fork()):
    signal.pause()
print("ready", child, flush=True)
signal.pause()
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
