"""Is a worker that the parent itself forks as good as any, and what of the parent's is left in it?"""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from .children import COMMANDS, Child, alive, get, parent_of
from .test_workers import DEMO, house, pids, reloaded, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc"),
]

OVER = "import atexit, os\natexit.register(lambda: os.write(1, b'over in %d\\n' % os.getpid()))\n" + DEMO


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "demo.py").write_text(OVER)
    return tmp_path


def descriptors(pid: int) -> dict[str, str]:
    """Return where each descriptor of a process leads, but for those that lead nowhere."""
    found: dict[str, str] = {}
    for each in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[each] = os.readlink(f"/proc/{pid}/fd/{each}")
        except OSError:
            pass  # closed meanwhile
    return {number: place for number, place in found.items() if place != os.devnull}


def children_of(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_there_are_no_processes_but_the_parent_and_its_workers(folder: Path) -> None:
    with house(folder) as child:
        child.port()
        assert sorted(children_of(child.pid)) == sorted(pids(child))
        reloaded(child)
        until(lambda: sorted(children_of(child.pid)) == sorted(pids(child)[2:]))
        assert child.end() == 0, child.said
    assert "Traceback" not in child.said
    # What the application has registered runs in each worker, once, and nothing runs twice.
    assert sorted(map(int, re.findall(r"over in (\d+)", child.said))) == sorted(pids(child))
    assert child.said.count("Main loop terminated") <= len(pids(child)) + 1


def test_no_worker_has_a_line_of_another_one_or_a_file_of_the_parents(folder: Path) -> None:
    pidfile = folder / "pid"
    with house(folder, "--pidfile", str(pidfile), workers=3) as child:
        child.port()
        os.kill(pids(child)[0], signal.SIGKILL)
        child.wait_for(re.compile("worker 4 serves"))
        parents = set(descriptors(child.pid).values())
        listening = {place for place in parents if place.startswith("socket:")}
        for pid in pids(child)[1:]:
            shared = {place for place in descriptors(pid).values() if place in parents}
            assert str(pidfile) not in shared
            # All that both have: standard output and error, the table of all workers, and the socket that listens.
            assert len(shared & listening) <= 1, shared
        assert pidfile.read_text() == f"{child.pid}\n"
        os.kill(child.pid, signal.SIGKILL)
        until(lambda: not any(alive(pid) for pid in pids(child)))


def test_workers_see_the_end_of_their_parent_also_while_they_import(folder: Path) -> None:
    (folder / "demo.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(3600)\n")
    with house(folder, workers=3) as child:
        until(lambda: child.look().count("importing") == 3)
        os.kill(child.pid, signal.SIGKILL)
        until(lambda: not any(alive(pid) for pid in pids(child)), 6)


def test_a_worker_reads_nothing_of_the_parents_standard_input(folder: Path) -> None:
    (folder / "demo.py").write_text("import sys\nprint('read', repr(sys.stdin.read()), flush=True)\n" + DEMO)
    with house(folder) as child:
        child.port()
        until(lambda: child.look().count("read ''") == 2)
        assert child.end() == 0, child.said


def test_a_descriptor_that_the_parent_was_started_with_reaches_its_workers(folder: Path) -> None:
    script = f'exec 9>>{folder / "access"}; exec "$@"'
    every = ["sh", "-c", script, "sh", *COMMANDS["python -m"], "--workers", "2", "--access-log", "/dev/fd/9"]
    with Child([*every, "--port", "0", "demo:app"], folder) as child:
        assert get(child.port())[0].status == 200
        until(lambda: "GET / HTTP/1.1" in (folder / "access").read_text())
        assert child.end() == 0, child.said


def test_a_log_of_a_worker_has_nothing_of_its_parents(folder: Path) -> None:
    with house(folder) as child:
        child.port()
        reloaded(child)
        assert child.end() == 0, child.said
    of_workers = [line for line in child.said.splitlines() if line.startswith("worker ")]
    assert of_workers
    assert not [line for line in of_workers if "starts: pid" in line or "serves," in line]
    assert "Warning" not in child.said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_the_parent_hears_how_a_worker_ends(number: signal.Signals, folder: Path) -> None:
    with house(folder) as child:
        port = child.port()
        os.kill(pids(child)[1], number)
        child.wait_for(re.compile(rf"worker 2 died \({'status 0' if number is signal.SIGTERM else number.name}\)"))
        child.wait_for(re.compile("worker 3 serves"))
        assert get(port)[0].status == 200
        assert parent_of(pids(child)[2]) == child.pid
        assert child.end() == 0, child.said


def test_an_old_connection_ends_with_its_worker_and_not_with_the_others(folder: Path) -> None:
    with house(folder, "--threads", "1") as child:
        port = child.port()
        with socket.create_connection(("127.0.0.1", port), 10) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            said = client.recv(65536)
            while b"\r\n\r\n" not in said or not said.partition(b"\r\n\r\n")[2]:
                said += client.recv(65536)
            pid = int(said.partition(b"\r\n\r\n")[2].split()[0])
            os.kill(pid, signal.SIGKILL)
            child.wait_for(re.compile("worker 3 serves"))
            client.settimeout(10)
            start = time.monotonic()
            try:
                assert client.recv(1) == b""
            except ConnectionResetError:
                pass
            assert time.monotonic() - start < 9
        assert child.end() == 0, child.said


def test_workers_with_hooks_are_not_forked_from_the_process_that_has_the_hooks(folder: Path) -> None:
    (folder / "hooked.py").write_text("def worker_started():\n    pass\n")
    every = [*COMMANDS["python -m"], "--hooks", "hooked", "--workers", "2", "--port", "0", "demo:app"]
    with Child(every, folder) as child:
        child.port()
        assert parent_of(pids(child)[0]) != child.pid
        assert child.end() == 0, child.said
