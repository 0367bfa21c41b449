"""Does what is saved get served, is the service manager told, and does root leave its rights behind?"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import site
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .children import COMMANDS, PATIENCE, ROOT, Child, ended, environment, get, in_turn, started
from .raw_client import ask, request
from .wires import make_certificate

pytestmark = pytest.mark.slow

APP = """
import os

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"WORD {os.getresuid()} {os.getresgid()} {os.getgroups()} {os.environ['HOME']}".encode()]
"""
MODULE = COMMANDS["python -m"]


def said(port: int) -> str:
    return get(port)[1].decode()


def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError("it does not come true")
        threading.Event().wait(0.05)


# ---- Developing ----------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "demo.py").write_text(APP)
    (tmp_path / "page.html").write_text("one")
    return tmp_path


def test_code_that_is_broken_from_the_start_is_told_once_and_tried_when_it_is_saved(folder: Path) -> None:
    pytest.importorskip("watchfiles")
    (folder / "demo.py").write_text("def broken(:\n")
    with started([*MODULE, "--port", "0", "--reload", "demo:app"], folder) as child:
        child.wait_for(re.compile(r"SyntaxError: invalid syntax at demo\.py:1\): waiting for a file to change"))
        child.wait_for(re.compile(r"watching \*\.py below"))
        with pytest.raises(TimeoutError):
            child.wait_for(re.compile("worker 2 starts"), 2.5)
        (folder / "demo.py").write_text(APP)
        assert said(child.port()).startswith("WORD ")
        assert child.end() == 0, child.said
    assert child.said.count("worker 1 did not start") == 1


def test_what_is_saved_is_served_and_what_is_broken_is_not(folder: Path) -> None:
    pytest.importorskip("watchfiles")
    words = [*MODULE, "--port", "0", "--reload", "--reload-include", "*.html", "demo:app"]
    with started(words, folder) as child:
        port = child.port()
        child.wait_for(re.compile(rf"watching \*\.py, \*\.html below {re.escape(str(folder))}"))
        assert said(port).startswith("WORD ")
        (folder / "demo.py").write_text(APP.replace("WORD", "second"))
        child.wait_for(re.compile(r"changed: demo\.py\n(?s:.)*reloaded: 1 worker with the new code"))
        until(lambda: said(port).startswith("second "))
        (folder / "demo.py").write_text("def broken(:\n")
        child.wait_for(re.compile("the reload is given up: the workers with the old code go on"))
        assert "SyntaxError" in child.said
        assert said(port).startswith("second ")
        (folder / "demo.py").write_text(APP.replace("WORD", "third and mended"))
        until(lambda: said(port).startswith("third "))
        (folder / "page.html").write_text("two")
        child.wait_for(re.compile(r"changed: page\.html\n"))
        assert child.end() == 0, child.said


def test_without_watchfiles_one_line_says_how_to_get_it(folder: Path) -> None:
    hide = "import importlib.util, sys; importlib.util.find_spec = lambda name, package=None: None\n"
    hide += "from twisted_wsgiref.__main__ import main; main()"
    done = ended([sys.executable, "-c", hide, "--reload", "demo:app"], folder)
    assert done.returncode == 1
    assert done.stderr == ("twisted_wsgiref: --reload needs watchfiles: pip install 'twisted-wsgiref[reload]'\n")


# ---- Configuration -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_a_variable_and_a_word_each_have_their_place(command: str, folder: Path) -> None:
    (folder / "pyproject.toml").write_text(
        "[tool.twisted_wsgiref]\napp = 'demo:app'\nthreads = 2\nqueue = 7\nlinger = 1\n"
    )
    env = environment(TWISTED_WSGIREF_QUEUE="8", TWISTED_WSGIREF_LINGER="2", PORT="0")
    words = [*COMMANDS[command], "--config", "pyproject.toml", "--linger", "3"]
    checked = ended([*words, "--check-config"], folder, env)
    assert checked.returncode == 0, checked.stderr
    shown = {" ".join(line.split()) for line in checked.stdout.splitlines()}
    assert {
        'app = "demo:app" # pyproject.toml:tool.twisted_wsgiref.app',
        'listen = ["tcp:0"] # PORT',
        "threads = 2 # pyproject.toml:tool.twisted_wsgiref.threads",
        "queue = 8 # TWISTED_WSGIREF_QUEUE",
        "linger = 3.0 # command line",
        "keep_alive = 65.0 # default",
        "# would serve demo:app on tcp:0",
    } <= shown
    with started(words, folder, env) as child:
        assert said(child.port()).startswith("WORD ")
        assert ", 2 threads" in child.said
        assert child.end() == 0, child.said


MISTAKES: dict[str, tuple[list[str], dict[str, str], str]] = {
    "no file": (["--config", "gone.toml"], {}, "--config is 'gone.toml': No such file or directory"),
    "no file of a variable": (
        [],
        {"TWISTED_WSGIREF_CONFIG": "gone.toml"},
        "TWISTED_WSGIREF_CONFIG is 'gone.toml': No such file or directory",
    ),
    "no setting": (["--config", "bad.toml"], {}, "bad.toml: thread names no setting; did you mean threads?"),
    "no endpoint": (["--listen", "carrier:1"], {}, "can not listen on 'carrier:1': Unknown endpoint type: 'carrier'"),
    "no network": ([], {"FORWARDED_ALLOW_IPS": "x"}, "FORWARDED_ALLOW_IPS is ('x',): trusted proxy 'x' is no network"),
}


@pytest.mark.once
@pytest.mark.parametrize(("command", "kind"), in_turn(MISTAKES, ["no endpoint"]))
def test_a_mistake_is_found_by_the_check(command: str, kind: str, folder: Path) -> None:
    words, more, line = MISTAKES[kind]
    (folder / "bad.toml").write_text("thread = 1\n")
    done = ended([*COMMANDS[command], *words, "--check-config"], folder, environment(**more))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert line in done.stderr


# ---- systemd -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def managed(folder: Path, *words: str) -> Iterator[tuple[Child, Callable[[str], str]]]:
    """A server below something that listens as systemd does; the second reads on until a message begins so."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(folder / "notify"))
        sock.settimeout(PATIENCE)

        def hear(beginning: str) -> str:
            for _ in range(1000):
                text = sock.recv(4096).decode()
                if text.startswith(beginning):
                    return text
            raise TimeoutError(f"{beginning} is not said")

        env = environment(NOTIFY_SOCKET=str(folder / "notify"), WATCHDOG_USEC="400000")
        with started([*MODULE, "--port", "0", *words, "demo:app"], folder, env) as child:
            yield child, hear


def test_the_service_manager_hears_of_a_process(folder: Path) -> None:
    with managed(folder) as (child, hear):
        ready = hear("READY=1\n")
        assert re.fullmatch(r"READY=1\nSTATUS=serving demo:app on http://0\.0\.0\.0:\d+, 4 threads", ready)
        hear("WATCHDOG=1")
        hear("WATCHDOG=1")
        child.process.send_signal(signal.SIGTERM)
        hear("STOPPING=1\n")
        assert child.process.wait(PATIENCE) == 0


def test_the_service_manager_hears_of_workers_and_of_reloads(folder: Path) -> None:
    with managed(folder, "--workers", "2") as (child, hear):
        ready = hear("READY=1\n")
        assert "2 workers of 4 threads" in ready
        assert get(int(ready.rpartition(":")[2].partition(",")[0]))[0].status == 200
        before = time.monotonic_ns() // 1000
        child.process.send_signal(signal.SIGHUP)
        told = hear("RELOADING=1\nMONOTONIC_USEC=").split("\n")[1]
        assert int(told.partition("=")[2]) >= before
        hear("READY=1\n")
        (folder / "demo.py").write_text("def broken(:\n")
        child.process.send_signal(signal.SIGHUP)
        hear("RELOADING=1\n")
        hear("READY=1\n")
        hear("WATCHDOG=1")
        child.process.send_signal(signal.SIGTERM)
        hear("STOPPING=1\n")
        assert child.wait() == 0


# ---- Who it is -----------------------------------------------------------------------------------------------------

ROOTS = pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
OTHER = next(each for each in pwd.getpwall() if each.pw_uid not in (0, os.getuid()))


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user can read; pytest's own can only be read by who runs it."""
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o755)
        (folder / "demo.py").write_text(APP)
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def interpreter() -> tuple[str, dict[str, str]]:
    """An interpreter that others than root can run, and the environment in which it finds everything."""
    env = environment(PYTHONPATH=os.pathsep.join([str(ROOT), *site.getsitepackages()]))
    code = f"import os, sys; os.setgroups([]); os.setgid({OTHER.pw_gid}); os.setuid({OTHER.pw_uid}); "
    code += "os.execv(sys.argv[1], [sys.argv[1], '-c', 'import twisted_wsgiref._process.worker'])"
    for each in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        done = subprocess.run(
            [sys.executable, "-c", code, each], env=env, cwd="/", capture_output=True, timeout=PATIENCE, check=False
        )
        if done.returncode == 0:
            return each, env
    pytest.skip(f"{ROOT} or every interpreter can only be read by root")


@ROOTS
@pytest.mark.parametrize(
    ("command", "workers"),
    [
        *[pytest.param(command, [], marks=pytest.mark.once) for command in COMMANDS],
        pytest.param("twistd", ["--workers", "2"], marks=pytest.mark.once),
        *[("python -m", ["--workers", "2"]), ("python -m", ["--workers", "2", "--preload"])],
    ],
)
def test_the_application_never_runs_as_root(
    command: str, workers: list[str], open_folder: Path, interpreter: tuple[str, dict[str, str]]
) -> None:
    executable, env = interpreter
    words = [executable, *COMMANDS[command][1:], "--port", "0", "--user", OTHER.pw_name, *workers, "demo:app"]
    (open_folder / "demo.py").write_text("import os\nprint('imported by', os.getuid(), flush=True)\n" + APP)
    with started(words, open_folder, env) as child:
        port = child.port()
        uid, gid = OTHER.pw_uid, OTHER.pw_gid
        expected = f"WORD ({uid}, {uid}, {uid}) ({gid}, {gid}, {gid}) "
        assert said(port).startswith(expected)
        assert said(port).endswith(OTHER.pw_dir)
        assert Path(f"/proc/{child.process.pid}").stat().st_uid == uid
        child.process.send_signal(signal.SIGHUP)
        child.wait_for(re.compile("reloaded: "))
        assert said(port).startswith(expected)
        assert child.end() == 0, child.said
    assert set(re.findall(r"imported by (\d+)", child.said)) == {str(uid)}


@ROOTS
@pytest.mark.once
def test_a_path_that_only_root_can_bind_serves_and_does_so_again(
    open_folder: Path, interpreter: tuple[str, dict[str, str]]
) -> None:
    for _ in range(2):
        serves_on_a_path(open_folder, interpreter)


def serves_on_a_path(open_folder: Path, interpreter: tuple[str, dict[str, str]]) -> None:
    executable, env = interpreter
    words = [executable, *MODULE[1:], "--listen", "unix:http.sock", "--user", OTHER.pw_name, "demo:app"]
    with started(words, open_folder, env) as child:
        child.wait_for(re.compile("serving demo:app on unix:"))
        answer = ask(str(open_folder / "http.sock"), request("/"), timeout=PATIENCE)
        assert answer is not None
        assert answer.body.startswith(b"WORD ")
        assert child.end() == 0, child.said
    assert "Traceback" not in child.said


@ROOTS
@pytest.mark.once
@pytest.mark.parametrize("workers", [[], ["--workers", "2"]])
def test_an_interpreter_that_the_user_may_not_execute_ends_it(workers: list[str], tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    (tmp_path / "demo.py").write_text(APP)
    executable = tmp_path / "closed" / "python"
    executable.symlink_to(os.path.realpath(sys.executable))
    env = environment(PYTHONPATH=os.pathsep.join([str(ROOT), *site.getsitepackages()]))
    words = [str(executable), *MODULE[1:], "--port", "0", "--user", OTHER.pw_name, *workers, "demo:app"]
    done = ended(words, tmp_path, env)
    assert done.returncode == 1
    assert f"{executable} may not be executed by the user {OTHER.pw_uid}" in done.stderr
    assert "Traceback" not in done.stderr


@ROOTS
@pytest.mark.once
def test_packages_that_the_user_may_not_read_end_it(open_folder: Path, interpreter: tuple[str, dict[str, str]]) -> None:
    executable, env = interpreter
    executable = os.path.realpath(executable)  # no environment, into which the package may be installed
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    (closed / "ours").symlink_to(ROOT)
    env = {**env, "PYTHONPATH": os.pathsep.join([str(closed / "ours"), *site.getsitepackages()])}
    words = [executable, *MODULE[1:], "--port", "0", "--user", OTHER.pw_name, "demo:app"]
    done = ended(words, open_folder, env)
    assert done.returncode == 1
    assert "could not begin (status 1): can this user run" in done.stderr
    assert done.stderr.count(" starts: pid ") == 1


@ROOTS
@pytest.mark.once
def test_a_key_that_the_user_may_not_read_ends_it(open_folder: Path, interpreter: tuple[str, dict[str, str]]) -> None:
    executable, env = interpreter
    key, certificate = make_certificate(open_folder)
    key.chmod(0o600)
    endpoint = f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={certificate}"
    words = [executable, *MODULE[1:], "--listen", endpoint, "--user", OTHER.pw_name, "demo:app"]
    done = ended(words, open_folder, env)
    assert done.returncode == 1
    assert re.search(r"can not listen on .*ssl:0.*: Permission denied", done.stderr), done.stderr
    assert done.stderr.count(" starts: pid ") == 1


@ROOTS
@pytest.mark.once
def test_who_there_is_not_is_one_line(folder: Path) -> None:
    done = ended([*MODULE, "--port", "0", "--user", "nobody-at-all", "demo:app"], folder)
    assert done.returncode == 1
    assert done.stderr == "twisted_wsgiref: --user is 'nobody-at-all': there is no such user\n"


# ---- As the first process of a container ---------------------------------------------------------------------------

CONTAINED = """
import os, signal, subprocess

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    path = environ["PATH_INFO"]
    if path == "/stop":
        os.kill(1, signal.SIGTERM)
    elif path == "/orphan":
        # The shell ends at once; what it started is then the first process's, which did not start it.
        pid = subprocess.check_output(["sh", "-c", "sleep 0.2 >/dev/null & echo $!"])
        return [pid.strip()]
    elif path.startswith("/there/"):
        return [str(os.path.exists("/proc" + path.removeprefix("/there"))).encode()]
    with open("/proc/1/cmdline", "rb") as first:
        return [str(b"twisted_wsgiref" in first.read()).encode()]
"""


def test_as_the_first_process_it_waits_for_orphans_and_stops_when_told(folder: Path) -> None:
    wrap = [shutil.which("unshare") or "", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if not wrap[0] or subprocess.run([*wrap, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no PID namespaces here")
    (folder / "demo.py").write_text(CONTAINED)
    with started([*wrap, *MODULE, "--port", "0", "--workers", "2", "demo:app"], folder) as child:
        port = child.port()
        assert said(port) == "True"
        orphan = get(port, "/orphan")[1].decode()
        until(lambda: get(port, f"/there/{orphan}")[1] == b"False")
        assert get(port, "/stop")[1] == b"True"
        assert child.process.wait(PATIENCE) == 0
