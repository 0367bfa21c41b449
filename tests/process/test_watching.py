"""Does the thread that waits for files to change begin, tell, and end?"""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from twisted_wsgiref._process.watching import Watch, check_watched
from twisted_wsgiref.settings import SettingError

pytest.importorskip("watchfiles")

# The interpreter ends while the thread is in watchfiles' own code, a little later each time.
PROGRAM = """
import sys, threading
from twisted_wsgiref._process.watching import Watch
watch = Watch([sys.argv[1]], [], lambda: None)
watch.start()
threading.Event().wait(0.3 + float(sys.argv[2]))
watch.stop()
watch.join()
"""


def test_a_change_is_told_and_the_thread_has_ended_after_join(tmp_path: Path) -> None:
    told = threading.Event()
    watch = Watch([str(tmp_path)], [], told.set)
    watch.start()
    for _ in range(100):  # until it watches, a change goes unseen
        (tmp_path / "demo.py").touch()
        if told.wait(0.1):
            break
    watch.stop()
    watch.join()
    assert told.is_set()
    assert not [each for each in threading.enumerate() if each.name == "watch"]


def test_changes_in_each_of_several_directories_are_told(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    told = threading.Event()
    watch = Watch([str(here), str(there), str(here / "below")], [], told.set)
    assert watch._folders == [str(here), str(there)]
    watch.start()
    for _ in range(100):
        (there / "demo.py").touch()
        if told.wait(0.1):
            break
    watch.stop()
    watch.join()
    assert told.is_set()


def test_a_directory_that_is_not_there_is_refused() -> None:
    with pytest.raises(SettingError, match="reload_dir is '/nowhere': there is no such directory"):
        check_watched(["/nowhere"])


def test_what_was_never_started_can_be_stopped(tmp_path: Path) -> None:
    watch = Watch([str(tmp_path)], [], lambda: None)
    watch.stop()
    watch.join()
    assert not [each for each in threading.enumerate() if each.name == "watch"]


@pytest.mark.parametrize("later", [0.01, 0.03, 0.05])
def test_an_interpreter_that_ends_is_not_aborted_by_it(tmp_path: Path, later: float) -> None:
    words = [sys.executable, "-c", PROGRAM, str(tmp_path), str(later)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
