"""Do twistd, twist and python -m serve, stop with status 0, and say each mistake in one line?

What is `fresh` is the command as people type it, from the start of its interpreter on.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from .children import COMMANDS, PATIENCE, ROOT, Child, ended, environment, get, in_turn, started

pytestmark = pytest.mark.slow

DEMO = """
print("imported", flush=True)

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello from " + environ["PATH_INFO"].encode("latin-1")]

class Site:
    def app(self, environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"dotted"]

site = Site()

def create_app(word="nothing"):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"made of " + word.encode()]
    return app

def gated(environ, start_response):
    print("in flight", flush=True)
    with open("gate") as gate:
        gate.read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"answered"]

text = "not callable"
"""
ANY = ["--port", "0"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "demo.py").write_text(DEMO)
    (tmp_path / "failing.py").write_text("import nowhere_at_all\n")
    return tmp_path


@pytest.fixture
def busy() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_without_an_application_a_newcomer_sees_a_page(command: str, folder: Path) -> None:
    with started([*COMMANDS[command], *ANY], folder, fresh=True) as child:
        answer, body = get(child.port())
        assert answer.status == 200
        assert body.startswith(b"Hello world!")
        assert child.end() == 0, child.said
    assert "Traceback" not in child.said
    assert not list(folder.glob("twistd.*"))


APPLICATIONS = {
    "module": (["demo"], b"hello from /"),
    "attribute": (["--app", "demo:site.app"], b"dotted"),
    "call": (["demo:create_app('words')", "--threads", "2"], b"made of words"),
}


@pytest.mark.parametrize(("command", "kind"), in_turn(APPLICATIONS))
def test_an_application_of_the_current_directory_is_served(command: str, kind: str, folder: Path) -> None:
    words, body = APPLICATIONS[kind]
    with started([*COMMANDS[command], *ANY, *words], folder) as child:
        assert get(child.port())[1] == body
        assert child.end() == 0, child.said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_request_in_flight_is_answered_and_then_the_status_is_0(
    command: str, number: signal.Signals, folder: Path
) -> None:
    answers: list[bytes] = []
    os.mkfifo(folder / "gate")
    with started([*COMMANDS[command], *ANY, "demo:gated"], folder) as child:
        port = child.port()
        asking = threading.Thread(target=lambda: answers.append(get(port)[1]))
        asking.start()
        child.wait_for(re.compile("in flight"))
        child.process.send_signal(number)
        child.wait_for(re.compile(r"\(TCP Port \d+ Closed\)|answering the requests in flight"))
        (folder / "gate").write_text("go on")
        asking.join(PATIENCE)
        assert child.process.wait(PATIENCE) == 0, child.look()
    assert answers == [b"answered"]
    assert "Traceback" not in child.said


@pytest.mark.parametrize("reactor", ["asyncio", "select", "poll"])
def test_the_status_is_0_on_other_reactors_too(reactor: str, folder: Path) -> None:
    with started([*COMMANDS["python -m"], *ANY, "--reactor", reactor, "demo"], folder) as child:
        assert get(child.port())[1] == b"hello from /"
        assert child.end() == 0, child.said


def mistakes(port: int) -> dict[str, tuple[list[str], str]]:
    return {
        "no module": (["demon:app"], "there is no module demon; did you mean demo?"),
        "no attribute": (["demo:aplication"], "module demo has no attribute aplication; did you mean application?"),
        "not callable": (["demo:text"], "demo:text is a str: a WSGI application has to be callable"),
        "not words": (["./demo.py"], "'./demo.py' does not start with the name of a module"),
        "no endpoint": (["--listen", "pigeon:1"], "can not listen on 'pigeon:1': Unknown endpoint type: 'pigeon'"),
        "busy port": (["demo", "--listen", f"tcp:{port}:interface=127.0.0.1"], str(port)),
        "bad value": (["--threads", "many"], "--threads is 'many': "),
        "senseless value": (["--threads", "0"], "--threads is 0: it has to be at least 1"),
        "bad port": (["--port", "http"], "--port is 'http': it has to be a number from 0 to 65535"),
        "no option": (["--nonsense"], "option --nonsense not recognized"),
        "two applications": (["demo", "demo"], "the application is 'demo' already, so 'demo' is too many"),
        "no log": (["--access-log", "/no/such/folder/x"], "--access-log is '/no/such/folder/x': No such file"),
    }


@pytest.mark.once
# Of those that are met in the words, in the loading and in the listening, one each by each command.
@pytest.mark.parametrize(("command", "kind"), in_turn(mistakes(0), ["bad value", "no module", "busy port"]))
def test_a_mistake_is_one_line_on_standard_error(command: str, kind: str, folder: Path, busy: int) -> None:
    words, line = mistakes(busy)[kind]
    done = ended([*COMMANDS[command], *words], folder)
    assert done.returncode == 1
    assert line in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert not list(folder.glob("twistd.*"))


@pytest.mark.parametrize("command", COMMANDS)
def test_an_application_that_fails_shows_its_own_traceback_and_none_of_ours(command: str, folder: Path) -> None:
    done = ended([*COMMANDS[command], *ANY, "failing:app"], folder, fresh=True)
    assert done.returncode == 1
    first, *_, last = done.stderr.splitlines()
    assert first == "Traceback (most recent call last):"
    assert last.endswith(
        "importing failing failed: ModuleNotFoundError: No module named 'nowhere_at_all' at failing.py:1"
    )
    assert "twisted_wsgiref/" not in done.stderr


@pytest.mark.once
@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_lists_the_options(command: str, folder: Path) -> None:
    done = ended([*COMMANDS[command], "--help"], folder, fresh=True)
    assert done.returncode == 0
    assert "[options] [MOD:APP]" in done.stdout
    assert "--max-body=" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(("command", "word"), in_turn(["--help", "--version", "--check-config"]))
def test_a_reader_that_has_enough_is_no_mistake(command: str, word: str, folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as output:
        done = subprocess.run(
            [*COMMANDS[command], word],
            cwd=folder,
            env=environment(PYTHONUNBUFFERED=""),
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")


def access_lines(child: Child) -> list[str]:
    return [line for line in child.said.splitlines() if '"GET /' in line]


@pytest.mark.parametrize("command", COMMANDS)
def test_in_the_foreground_the_access_log_is_on_standard_output(command: str, folder: Path) -> None:
    with started([*COMMANDS[command], *ANY, "demo"], folder) as child:
        get(child.port(), "/here")
        assert child.end() == 0
    (line,) = access_lines(child)
    assert re.fullmatch(r'127\.0\.0\.1 - - \[[^]]+\] "GET /here HTTP/1\.1" 200 16 "-" "-"', line)


def test_the_access_log_can_be_a_file_and_rotated(folder: Path) -> None:
    path = folder / "access.log"
    with started([*COMMANDS["python -m"], *ANY, "demo", "--access-log", "access.log"], folder) as child:
        port = child.port()
        get(port, "/first")
        # Written at most a moment after the answer: the second request is only asked once the first is in the file.
        for _ in range(500):
            if path.read_text():
                break
            threading.Event().wait(0.02)
        path.rename(folder / "access.log.1")
        child.process.send_signal(signal.SIGUSR1)
        get(port, "/second")
        assert child.end() == 0
    assert "/first" in (folder / "access.log.1").read_text()
    assert "/second" in path.read_text()
    assert access_lines(child) == []


def test_a_daemon_tells_the_terminal_why_it_can_not_start(folder: Path, busy: int) -> None:
    words = [word for word in COMMANDS["twistd"] if word != "-n"]
    done = ended([*words, "demo", "--listen", f"tcp:{busy}:interface=127.0.0.1"], folder)
    assert done.returncode == 1
    assert str(busy) in done.stderr
    assert "Traceback" not in done.stderr + (folder / "twistd.log").read_text()
    assert str(busy) in (folder / "twistd.log").read_text()
    assert not (folder / "twistd.pid").exists()


def test_the_plugin_is_found_from_a_checkout_with_another_directory(folder: Path) -> None:
    done = ended([*COMMANDS["twistd"], "--version"], folder, environment(PYTHONPATH=str(ROOT)), fresh=True)
    assert done.returncode == 0
    assert done.stdout.startswith("twisted_wsgiref ")
