"""Are workers that are forked, with the application or without, as good as others, and what comes of their server?"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from .children import COMMANDS, SOON, Child, alive, ended, get, parent_of
from .test_workers import DEMO, asked, house, pids, reloaded, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc"),
]

IMPORTED = "import atexit, os, signal, time\nos.write(1, b'imported by %d\\n' % os.getpid())\n"
IMPORTED += "atexit.register(lambda: os.write(1, b'over in %d\\n' % os.getpid()))\n" + DEMO
MADE = IMPORTED + "def make():\n    os.write(1, b'made by %d\\n' % os.getpid())\n    return app\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "demo.py").write_text(IMPORTED)
    return tmp_path


def importers(child: Child) -> list[int]:
    return [int(pid) for pid in re.findall(r"imported by (\d+)", child.look())]


def asked_pid(port: int) -> int:
    return int(get(port)[1].split()[0])


@pytest.mark.parametrize("command", COMMANDS)
def test_the_application_is_imported_once_and_anew_at_each_reload(command: str, folder: Path) -> None:
    with house(folder, "--preload", command=command) as child:
        port = child.port()
        first = pids(child)
        (server,) = importers(child)
        assert {parent_of(pid) for pid in first} == {server}
        assert asked_pid(port) in first
        (folder / "demo.py").write_text(IMPORTED.replace("{os.getpid()} ", "{os.getpid()} new-"))
        reloaded(child)
        assert get(port)[1].split()[1].startswith(b"new-")
        assert len(importers(child)) == 2
        until(lambda: not alive(server))
        assert child.end() == 0, child.said
    assert "Traceback" not in child.said
    # What the import has registered runs where the application has run.
    assert {int(pid) for pid in re.findall(r"over in (\d+)", child.said)} == set(pids(child))


def test_a_factory_is_called_once(folder: Path) -> None:
    (folder / "demo.py").write_text(MADE)
    every = [*COMMANDS["python -m"], "--preload", "--workers", "2", "--port", "0", "demo:make()"]
    with Child(every, folder) as child:
        assert asked_pid(child.port()) in pids(child)
        assert child.end() == 0, child.said
    assert child.said.count("made by ") == 1


def test_a_single_worker_can_be_preloaded(folder: Path) -> None:
    with house(folder, "--preload", workers=1) as child:
        assert asked_pid(child.port()) == pids(child)[0]
        assert importers(child) != pids(child)
        assert child.end() == 0, child.said


def test_a_killed_worker_is_forked_again_from_the_same_application(folder: Path) -> None:
    with house(folder, "--preload") as child:
        port = child.port()
        os.kill(pids(child)[0], signal.SIGKILL)
        child.wait_for(re.compile(r"worker 1 died \(SIGKILL\)"))
        child.wait_for(re.compile("worker 3 serves"))
        assert len(importers(child)) == 1
        assert asked_pid(port) in pids(child)[1:]
        assert child.end() == 0, child.said


@pytest.mark.parametrize("words", [["--preload"], ["--hooks", "hooked"]])
def test_workers_outlive_their_fork_server_and_are_replaced_by_another(words: Sequence[str], folder: Path) -> None:
    (folder / "hooked.py").write_text("def worker_started():\n    pass\n")
    with house(folder, *words) as child:
        port = child.port()
        one, other = pids(child)
        server = parent_of(one)
        assert server != child.pid
        os.kill(server, signal.SIGKILL)
        until(lambda: parent_of(one) != server)
        assert asked_pid(port) in (one, other)
        os.kill(one, signal.SIGKILL)
        child.wait_for(re.compile("worker 1 died"))
        child.wait_for(re.compile("worker 3 serves"))
        assert parent_of(pids(child)[2]) not in (server, child.pid)
        reloaded(child)
        assert child.end() == 0, child.said
        assert not [pid for pid in pids(child) if alive(pid)]


@pytest.mark.parametrize("words", [["--preload"], []])
def test_a_parent_that_dies_takes_the_fork_server_and_the_workers_with_it(words: Sequence[str], folder: Path) -> None:
    answers: list[list[str]] = []
    with house(folder, *words) as child:
        port = child.port()
        everyone = [*pids(child), parent_of(pids(child)[0])]
        thread = asked(port, "/slow", answers)
        child.wait_for(re.compile("in flight"))
        child.process.kill()
        thread.join()
        until(lambda: not any(alive(pid) for pid in everyone))
    assert len(answers) == 1


def test_a_parent_that_dies_while_its_fork_server_imports_leaves_nothing(folder: Path) -> None:
    (folder / "demo.py").write_text(IMPORTED + "print('hanging', flush=True)\ntime.sleep(3600)\n")
    with house(folder, "--preload") as child:
        child.wait_for(re.compile("hanging"))
        (server,) = importers(child)
        child.process.kill()
        until(lambda: not alive(server))


def test_a_stop_does_not_wait_for_an_import(folder: Path) -> None:
    (folder / "demo.py").write_text(IMPORTED + "print('hanging', flush=True)\ntime.sleep(3600)\n")
    with house(folder, "--preload") as child:
        child.wait_for(re.compile("hanging"))
        assert child.end(patience=SOON) == 0, child.said
        assert not alive(importers(child)[0])


@pytest.mark.parametrize("words", [["--preload"], []])
def test_a_signal_to_the_whole_group_ends_it_in_order(words: Sequence[str], folder: Path) -> None:
    every = [*COMMANDS["python -m"], *words, "--workers", "2", "--port", "0", "demo:app"]
    with Child(every, folder, own_session=True) as child:
        child.port()
        os.killpg(child.pid, signal.SIGTERM)
        assert child.wait() == 0, child.said


def test_an_import_that_hangs_shows_where_and_the_old_workers_go_on(folder: Path) -> None:
    with house(folder, "--preload", "--start-timeout", "4") as child:
        port = child.port()
        (folder / "demo.py").write_text("import time\n\n\ntime.sleep(3600)\n")
        child.process.send_signal(signal.SIGHUP)
        child.wait_for(re.compile("the reload is given up"))
        assert 'demo.py", line 4 in <module>' in child.said
        assert asked_pid(port) in pids(child)[:2]
        assert child.end() == 0, child.said


@pytest.mark.parametrize("end", ["os._exit(7)", "def broken(:"])
def test_a_reload_that_can_not_be_imported_is_given_up(end: str, folder: Path) -> None:
    with house(folder, "--preload") as child:
        port = child.port()
        before = (folder / "demo.py").read_text()
        (folder / "demo.py").write_text(f"import os\n{end}\n")
        child.process.send_signal(signal.SIGHUP)
        child.wait_for(re.compile("the reload is given up"))
        assert asked_pid(port) in pids(child)[:2]
        (folder / "demo.py").write_text(before)
        reloaded(child)
        assert asked_pid(port) in pids(child)[2:]
        assert child.end() == 0, child.said


CAN_NOT = {
    "a thread (rebuilder)": "threading.Thread(target=wait_for_ever, name='rebuilder', daemon=True).start()",
    "Twisted's reactor": "from twisted.internet import reactor",
    "an event loop": "import asyncio\nloop = asyncio.new_event_loop()",
}


@pytest.mark.parametrize("made", CAN_NOT)
def test_what_can_not_be_forked_is_named_and_nothing_starts(made: str, folder: Path) -> None:
    (folder / "demo.py").write_text(f"{IMPORTED}\n{CAN_NOT[made]}\n")
    done = ended([*COMMANDS["python -m"], "--preload", "--workers", "2", "--port", "0", "demo:app"], folder)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if "can not be preloaded" in line]
    assert len(lines) == 1
    assert made in lines[0]
    assert "Traceback" not in done.stderr


def test_no_application_of_that_name_is_one_line(folder: Path) -> None:
    done = ended([*COMMANDS["python -m"], "--preload", "--workers", "2", "--port", "0", "demo:ap"], folder)
    assert done.returncode == 1
    assert "module demo has no attribute ap; did you mean app?" in done.stderr


def test_an_upgrade_of_a_package_gets_a_fresh_interpreter_at_a_reload(folder: Path) -> None:
    package = folder / "sitecustomize.py"  # imported before all else, as a package of ours would be
    package.write_text("VERSION = 'one'\n")
    (folder / "demo.py").write_text(IMPORTED.replace("{sys.path[0]}", "{__import__('sitecustomize').VERSION}"))
    environ = {"PYTHONPATH": os.pathsep.join((str(folder), str(Path(__file__).parents[2]))), "PYTHONUNBUFFERED": "1"}
    every = [*COMMANDS["python -m"], "--workers", "2", "--port", "0", "demo:app"]
    with Child(every, folder, {**os.environ, **environ}) as child:
        port = child.port()
        server = parent_of(pids(child)[0])
        assert get(port)[1].split()[-1] == b"one"
        reloaded(child)
        assert parent_of(pids(child)[2]) == server
        package.write_text("VERSION = 'another'\n")
        reloaded(child)
        assert get(port)[1].split()[-1] == b"another"
        assert parent_of(pids(child)[4]) != server
        assert child.end() == 0, child.said


def test_each_worker_has_random_numbers_of_its_own(folder: Path) -> None:
    (folder / "demo.py").write_text(
        "import os, random\nrandom.seed(1)\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [('Content-Type', 'text/plain')])\n"
        "    return [f'{os.getpid()} {random.random()}'.encode()]\n"
    )
    with house(folder, "--preload", "--threads", "1") as child:
        port = child.port()
        said: dict[bytes, bytes] = {}
        until(lambda: said.update([tuple(get(port)[1].split())]) or len(said) == 2)  # type: ignore[func-returns-value]
        assert len(set(said.values())) == 2
        assert child.end() == 0, child.said
