"""Does a fence stand between each mark and its look, is each place told, and does it work where there is no GIL?"""

from __future__ import annotations

import ast
import os
import re
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import twisted_wsgiref
from tests.support import GET, PATIENCE, hello, serving
from twisted_wsgiref._observe.access_log import AccessLog
from twisted_wsgiref._observe.record import Record
from twisted_wsgiref._threads import marks
from twisted_wsgiref._threads.marks import fence
from twisted_wsgiref._threads.pool import WorkerPool

PACKAGE = Path(twisted_wsgiref.__file__ or "").parent
DESIGN = PACKAGE.parent / "docs" / "design.md"


def files_with_a_fence() -> list[Path]:
    """Return the few files that are worth being parsed."""
    return [path for path in PACKAGE.rglob("*.py") if "fence()" in path.read_text()]


def functions_with_a_fence() -> set[str]:
    """Return the functions that call `fence`, each as "file: Class.function"."""
    found = set()
    for path in files_with_a_fence():
        for owner in ast.walk(ast.parse(path.read_text())):
            if not isinstance(owner, ast.ClassDef):
                continue
            for function in owner.body:
                if any(isinstance(each, ast.Call) and ast.unparse(each) == "fence()" for each in ast.walk(function)):
                    found.add(f"{owner.name}.{function.name}")  # type: ignore[attr-defined]
    return found


def test_the_design_tells_each_place_that_rests_on_the_gil() -> None:
    section = DESIGN.read_text().partition("### What rests on the GIL")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    told = {name for row in rows for name in re.findall(r"`(\w+\.\w+)`", row)}
    assert told == functions_with_a_fence()


def test_each_fence_is_left_out_while_there_is_a_gil() -> None:
    wrong = []
    for path in files_with_a_fence():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Expr) and ast.unparse(node) == "fence()":
                before = path.read_text().splitlines()[node.lineno - 2].strip()
                wrong += [] if before == "if NO_GIL:" else [f"{path.name}:{node.lineno}"]
    assert wrong == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_the_child_of_a_fork_passes_a_fence_that_a_thread_held() -> None:
    with marks._lock[0]:
        pid = os.fork()
        if not pid:
            fence()
            os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    fence()


@pytest.fixture
def no_gil(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Have all go the way of an interpreter without the GIL; return an entry for each fence that was passed."""
    passed: list[None] = []

    def count() -> None:
        passed.append(None)
        fence()

    for name, module in list(sys.modules.items()):
        if name.startswith("twisted_wsgiref.") and hasattr(module, "NO_GIL"):
            monkeypatch.setattr(module, "NO_GIL", True)
            if hasattr(module, "fence"):
                monkeypatch.setattr(module, "fence", count)
    return passed


def test_requests_are_served_without_a_gil(no_gil: list[None]) -> None:
    with serving(hello, threads=1) as server:
        clients = [server.connect().send(GET + GET) for _ in range(5)]
        server.settle()
        assert [len(client.answers()) for client in clients] == [2] * 5
    assert no_gil


def test_a_pool_and_a_log_work_without_a_gil(no_gil: list[None]) -> None:
    class Lines(list[bytes]):
        def write(self, data: bytes) -> int:
            self.append(data)
            return len(data)

        def close(self) -> None:
            """Stay."""

    done = threading.Semaphore(0)

    class Job:
        def run(self) -> None:
            log.observe_facts(Record("127.0.0.1", "GET / HTTP/1.1", 200, 5, 1.0, 0.1, "", "", ""))
            done.release()

    lines: Any = Lines()
    log = AccessLog(lines)
    pool = WorkerPool("fenced", minimum=3, maximum=3, idle=1, limit=1000, failed=print)
    pool.start()
    for _ in range(50):
        assert not pool.put([Job() for _ in range(7)])
    for _ in range(350):
        assert done.acquire(timeout=PATIENCE)
    pool.stop()
    assert log.close(timeout=PATIENCE)
    assert b"".join(lines).count(b"\n") == 350
