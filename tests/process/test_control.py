"""Does a command find the server that it is for, and no other process, and is each mistake one line?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from twisted_wsgiref._process import control
from twisted_wsgiref._process.control import Refused, is_server, run
from twisted_wsgiref._process.pidfile import PidFile
from twisted_wsgiref._process.titles import PARTS, title

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no signals to ask by")
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="nothing tells of processes")

# Says when its handler is there, and by which signal it was asked.
ASKED = """
import signal, sys, time
asked = []
for name in sys.argv[1].split(","):
    if name:
        signal.signal(getattr(signal, name), lambda number, frame: asked.append(number))
print("ready", flush=True)
while not asked:
    time.sleep(0.01)
sys.exit(asked[0])
"""


class Server:
    """A process that looks like a server with handlers of the signals `handled`."""

    def __init__(self, handled: str, *words: str) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", ASKED, handled, *words], stdout=subprocess.PIPE)
        stdout = self.process.stdout
        assert stdout is not None
        assert stdout.readline() == b"ready\n"
        self.pid = self.process.pid

    def asked_by(self) -> int:
        return self.process.wait(30)


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    made = Server(getattr(request, "param", ""), "twisted_wsgiref", "shop:app")
    yield made
    made.process.kill()
    made.process.communicate()


def refusal(*words: str) -> str:
    with pytest.raises(Refused) as caught:
        run(words)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(control.PIDFILE, raising=False)


# ---- Which process -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["/usr/bin/python3", "-m", "twisted_wsgiref", "shop:app"],
        ["/srv/.venv/bin/python", "/srv/.venv/bin/twisted-wsgiref", "serve", "shop:app"],
        ["/usr/bin/python3", "/usr/bin/twistd", "-n", "wsgiref", "shop:app"],
        ["python", "/usr/bin/twist", "wsgiref"],
        ["twisted-wsgiref: parent [a/b]"],
    ],
)
def test_a_command_line_of_ours_is_known(words: list[str]) -> None:
    assert is_server(words)


@pytest.mark.parametrize(
    "words",
    [["bash"], ["vim", "/src/twisted_wsgiref/service.py"], ["twistd", "-n", "web"], ["gunicorn", "wsgiref.app"], []],
)
def test_a_command_line_of_others_is_not(words: list[str]) -> None:
    assert not is_server(words)


def test_without_a_word_of_which_nobody_is_asked() -> None:
    assert refusal("stop") == "which server? Say --pidfile FILE, as the server was told, or --pid PID"


def test_no_file_no_server(tmp_path: Path) -> None:
    path = tmp_path / "a.pid"
    assert refusal("reload", "--pidfile", f"{path}").startswith(f"there is no file {path}: ")
    assert refusal("reload", "--pidfile", f"{tmp_path}") == f"{tmp_path}: Is a directory"
    path.touch()
    assert refusal("stop", "--pidfile", f"{path}").startswith(f"{path} is empty: ")
    path.write_text("shop")
    assert refusal("stop", "--pidfile", f"{path}").startswith(f"{path} is no pid file: ")


def test_a_stale_file_is_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "a.pid"
    path.write_text("4194305")
    assert refusal("stop", "--pidfile", f"{path}") == f"{path} is stale: there is no process 4194305 any more"


@needs_proc
def test_the_number_of_a_process_that_came_later_is_stale_too(tmp_path: Path, server: Server) -> None:
    path = tmp_path / "a.pid"
    path.write_text(f"{server.pid}")
    os.utime(path, (1000, 1000))
    line = refusal("stop", "--pidfile", f"{path}")
    assert line.startswith(f"{path} is stale: process {server.pid} is '")
    assert line.endswith(", which was started later")
    assert server.process.poll() is None


@needs_proc
def test_a_process_of_another_kind_is_left_alone() -> None:
    other = Server("", "shop:app")
    try:
        line = refusal("stop", "--pid", f"{other.pid}")
        assert line.startswith(f"process {other.pid} is ")
        assert line.endswith(", and no server of twisted_wsgiref")
        assert other.process.poll() is None
    finally:
        other.process.kill()
        other.process.communicate()


@needs_proc
def test_a_worker_leads_to_its_parent() -> None:
    worker = Server("", "-m", "twisted_wsgiref._process.worker", "shop:app")
    assert title("shop", "worker 3").startswith(PARTS)
    try:
        line = refusal("reload", "--pid", f"{worker.pid}")
        assert line == f"process {worker.pid} is a part of a server: its parent, {os.getpid()}, takes commands"
    finally:
        worker.process.kill()
        worker.process.communicate()


@pytest.mark.parametrize("pid", [12, 13])
def test_a_process_that_was_forked_leads_to_the_first_of_its_kind(pid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    parents = {13: 12, 12: 11, 11: 10, 10: 1}
    words = {each: ["python", "-m", "twisted_wsgiref"] for each in (11, 12, 13)}
    monkeypatch.setattr(control, "lives", lambda pid: True)
    monkeypatch.setattr(control, "parent_of", parents.get)
    # Whoever started it may have its words among others.
    monkeypatch.setattr(control, "words_of", {**words, 10: ["timeout", "9", "python", "-m", "twisted_wsgiref"]}.get)
    assert refusal("stop", "--pid", f"{pid}") == f"process {pid} is a part of a server: its parent, 11, takes commands"
    assert control.found_by_number(11) == 11


def test_a_process_that_is_not_there_is_one_line() -> None:
    assert refusal("stop", "--pid", "4194305") == "there is no process 4194305"


def test_who_holds_the_file_is_believed_whatever_it_is_called(tmp_path: Path) -> None:
    file = PidFile(f"{tmp_path / 'a.pid'}")
    file.write()
    assert control.found_by_file(f"{tmp_path / 'a.pid'}") == os.getpid()
    file.remove()


@pytest.mark.parametrize("server", ["SIGHUP"], indirect=True)
def test_the_variable_of_the_server_is_the_default(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.pid").write_text(f"{server.pid}")
    monkeypatch.setenv(control.PIDFILE, f"{tmp_path / 'a.pid'}")
    run(["reload"])
    assert server.asked_by() == signal.SIGHUP


# ---- What it gets --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "words", "number", "said"),
    [
        ("SIGHUP", ["reload"], signal.SIGHUP, "reloads"),
        ("SIGTTIN", ["workers", "+1"], signal.SIGTTIN, "has one worker more from now on"),
        ("SIGTTOU", ["workers", "-1"], signal.SIGTTOU, "has one worker fewer, but never none, from now on"),
        ("SIGTERM", ["stop", "--timeout", "0"], signal.SIGTERM, "answers the requests in flight, and ends"),
    ],
    indirect=["server"],
)
def test_the_process_gets_its_signal(server: Server, words: list[str], number: int, said: str) -> None:
    assert said in run([*words, "--pid", f"{server.pid}"])
    assert server.asked_by() == number


@pytest.mark.parametrize("server", ["SIGTERM"], indirect=True)
def test_a_stop_waits_for_the_end(server: Server) -> None:
    assert run(["stop", "--pid", f"{server.pid}"]) == f"process {server.pid} has ended"


def test_a_process_that_does_not_end_in_time_is_one_line(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_send", lambda pid, number: None)
    line = refusal("stop", "--pid", f"{server.pid}", "--timeout", "0.01")
    assert line == f"process {server.pid} has not ended within 0.01 s; its log says what it waits for"


@needs_proc
@pytest.mark.parametrize("words", [["reload"], ["workers", "+1"], ["workers", "-1"]])
def test_a_server_without_workers_is_not_ended_by_mistake(server: Server, words: list[str]) -> None:
    assert refusal(*words, "--pid", f"{server.pid}").endswith("or has only begun: see --workers")
    assert server.process.poll() is None


def test_a_process_of_another_user_is_one_line(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    kill = os.kill

    def refuse(pid: int, number: int) -> None:
        kill(pid, 0)
        if number:
            raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(control.os, "kill", refuse)
        line = refusal("stop", "--pid", f"{server.pid}")
    assert line == f"process {server.pid} is another user's: only that user, or root, may ask it"


# ---- The words -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "begin"),
    [
        (["stop", "--pid", "x"], "argument --pid: invalid int value: 'x'"),
        (["workers", "3"], "argument +1|-1: invalid choice: '3'"),
        (["workers"], "the following arguments are required: +1|-1"),
        (["stop", "--pid", "1", "--pidfile", "a"], "argument --pidfile: not allowed with argument --pid"),
        (["stop", "shop"], "unrecognized arguments: shop"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], begin: str) -> None:
    assert refusal(*words).startswith(begin)


def test_the_commands_do_not_wait_for_twisted() -> None:
    code = "import sys; from twisted_wsgiref.__main__ import main\ntry: main(['stop', '--pid', '4194305'])\n"
    code += "except SystemExit as end: sys.exit(f'{end}, {\"twisted\" in sys.modules}')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "twisted-wsgiref stop: there is no process 4194305, False\n"
