"""Do the commands of the shell reach a server that was started by another one?"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from tests.authorities import family

from .children import COMMANDS, PATIENCE, Child, alive, ended, environment, free_port, get

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="processes are looked up in /proc"),
]

APP = """
import os

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.environ['SHOP']} {os.getcwd()}".encode()]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "shop.py").write_text(APP)
    yield tmp_path
    for process in Path("/proc").glob("[0-9]*"):  # a daemon that a failed test has left, and nobody's child
        with contextlib.suppress(OSError):
            if os.fsencode(tmp_path) in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)


def command(folder: Path, *words: str) -> str:
    done = ended([sys.executable, "-m", "twisted_wsgiref", *words], folder)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def workers_of(server: Child) -> list[int]:
    """Return the numbers of the processes of workers that have been started, in their order."""
    return [int(pid) for pid in re.findall(r"worker \d+ starts: pid (\d+)", server.look())]


def written(pidfile: Path) -> str:
    """Return what is in the file, which is there a moment after the line of the log that says where it serves."""
    end = time.monotonic() + PATIENCE
    while not (pidfile.exists() and pidfile.read_text()) and time.monotonic() < end:
        time.sleep(0.005)
    return pidfile.read_text()


def test_a_server_with_workers_is_reloaded_grows_and_ends_by_its_file(folder: Path) -> None:
    pidfile = folder / "site" / "shop.pid"
    words = [*COMMANDS["python -m"], "serve", "--chdir", "site", "--pidfile", "shop.pid", "--env", "SHOP=a, b"]
    with Child([*words, "--workers", "2", "--port", "0", "shop:app"], folder, fresh=True) as server:
        port = server.port()
        assert written(pidfile) == f"{server.pid}\n"
        assert get(port)[1].decode() == f"a, b {folder}/site"
        second = ended([*words, "--port", "0", "shop:app"], folder)
        assert second.returncode == 1
        assert f"--pidfile is 'shop.pid': the process {server.pid} lives and has it" in second.stderr
        assert command(folder, "reload", "--pidfile", f"{pidfile}").startswith(f"process {server.pid} reloads")
        server.wait_for(re.compile(r"reloaded: 2 workers"))
        command(folder, "workers", "+1", "--pid", f"{server.pid}")
        server.wait_for(re.compile(r"3 workers from now on"))
        refused = ended([sys.executable, "-m", "twisted_wsgiref", "reload", "--pid", f"{os.getpid()}"], folder)
        assert "and no server of twisted_wsgiref" in refused.stderr
        assert command(folder, "stop", "--pidfile", f"{pidfile}") == f"process {server.pid} has ended\n"
        assert server.wait() == 0
    assert not pidfile.exists()


def test_a_single_process_removes_its_file_and_is_not_ended_by_a_reload(folder: Path) -> None:
    pidfile = folder / "shop.pid"
    words = [*COMMANDS["twistd"], "--chdir", "site", "--pidfile", f"{pidfile}", "--env", "SHOP=a", "--port", "0"]
    with Child([*words, "shop:app"], folder, fresh=True) as server:
        port = server.port()
        assert written(pidfile) == f"{server.pid}\n"
        refused = ended([sys.executable, "-m", "twisted_wsgiref", "reload", "--pidfile", f"{pidfile}"], folder)
        assert "can not reload" in refused.stderr
        assert get(port)[0].status == 200
        assert server.end() == 0
    assert not pidfile.exists()


# ---- Daemons -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [[], ["--workers", "2"], ["--workers", "2", "--preload"]])
def test_a_daemon_serves_when_its_command_has_ended_and_nobody_waits_for_its_outputs(
    folder: Path, more: list[str]
) -> None:
    pidfile, port = folder / "shop.pid", free_port()
    words = [*COMMANDS["python -m"], "--daemon", "--pidfile", f"{pidfile}", "--chdir", "site", "--env", "SHOP=a"]
    # Its output is a pipe, which `ended` reads to its end: no process of it may have it.
    begun = ended([*words, *more, "--bind", f"127.0.0.1:{port}", "shop:app"], folder, fresh=True)
    try:
        assert begun.returncode == 0, begun.stderr
        assert get(port)[1].decode() == f"a {folder}/site"
        pid = int(pidfile.read_text())
        assert os.getsid(pid) != os.getsid(0)
        assert os.getsid(pid) != pid
        assert {os.readlink(f"/proc/{pid}/fd/{number}") for number in range(3)} == {"/dev/null"}
    finally:
        stopped = command(folder, "stop", "--pidfile", f"{pidfile}")
    assert stopped == f"process {pid} has ended\n"
    assert not pidfile.exists()


def test_a_daemon_that_can_not_serve_says_why_where_it_was_started(folder: Path) -> None:
    (folder / "broken.py").write_text("raise RuntimeError('no database')")
    words = [*COMMANDS["python -m"], "--daemon", "--port", "0"]
    done = ended([*words, "broken:app"], folder, fresh=True)
    assert done.returncode == 1
    assert "RuntimeError: no database" in done.stderr.splitlines()[-1]
    done = ended([*words, "nowhere:app"], folder, fresh=True)
    assert (done.returncode, done.stderr) == (1, "twisted_wsgiref: there is no module nowhere\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        done = ended([*COMMANDS["python -m"], "--daemon", "--bind", place], folder, fresh=True)
    assert done.returncode == 1
    assert "Address already in use" in done.stderr.splitlines()[-1]


def test_a_daemon_keeps_the_file_that_the_shell_has_given_it_as_a_log(folder: Path) -> None:
    pidfile, log = folder / "shop.pid", folder / "log"
    words = [*COMMANDS["python -m"], "--daemon", "--pidfile", f"{pidfile}", "--port", "0", "--workers", "2"]
    with log.open("wb") as output:
        begun = subprocess.run(
            words, cwd=folder, env=environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
        )
    assert begun.returncode == 0
    command(folder, "stop", "--pidfile", f"{pidfile}")
    assert "serving the demo page on" in log.read_text()
    assert "SIGTERM: answering the requests in flight" in log.read_text()


# ---- Hooks ---------------------------------------------------------------------------------------------------------

HOOKS = """
import os

def say(text):
    with open("said", "a") as file:
        file.write(f"{text} in {os.getpid()}\\n")

def worker_started():
    say("started")

def worker_stopping():
    say("stopping")

def request_finished(record):
    say(f"finished {record.status}")

def worker_died(end):
    say(f"died {end.number} {end.pid} {end.how} {end.asked}")
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_hooks_are_told_of_workers_in_them_and_of_their_end_in_the_parent(folder: Path, workers: int) -> None:
    (folder / "hooked.py").write_text(HOOKS)
    words = [*COMMANDS["python -m"], "--hooks", "hooked", "--port", "0", "--workers", f"{workers}"]
    with Child(words, folder, fresh=True) as server:
        get(server.port())
        served = workers_of(server) or [server.pid]
        assert server.end() == 0
    said = (folder / "said").read_text().splitlines()
    expected = [f"{event} in {pid}" for pid in served for event in ("started", "stopping")]
    if workers > 1:
        expected += [f"died {number} {pid} status 0 True in {server.pid}" for number, pid in enumerate(served, 1)]
    finished = [line for line in said if line.startswith("finished 200 in ")]
    assert len(finished) == 1
    assert int(finished[0].split()[-1]) in served
    assert sorted(set(said) - set(finished)) == sorted(expected)


# ---- TLS -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_tls_by_options_reaches_every_process(folder: Path, workers: int) -> None:
    root, middle, leaf = family()
    (folder / "chain.pem").write_bytes(leaf.pem + middle.pem)
    (folder / "key.pem").write_bytes(leaf.key_pem(b"secret"))
    (folder / "secret").write_text("secret\n")
    (folder / "root.pem").write_bytes(root.pem)
    words = [*COMMANDS["python -m"], "--tls-cert", "chain.pem", "--tls-key", "key.pem"]
    refused = ended([*words, "--check-config"], folder)
    assert refused.stderr.startswith("twisted_wsgiref: --tls-key is 'key.pem': the key is encrypted")
    words += ["--tls-passphrase-file", "secret", "--workers", f"{workers}", "--bind", "127.0.0.1:0"]
    with Child(words, folder, fresh=True) as server:
        port = server.port()
        assert f"serving the demo page on https://127.0.0.1:{port}" in server.said
        context = ssl.create_default_context(cafile=f"{folder / 'root.pem'}")
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # these authorities say the least
        with contextlib.closing(HTTPSConnection("localhost", port, timeout=30, context=context)) as connection:
            connection.request("GET", "/")
            assert connection.getresponse().status == 200
        assert server.end() == 0


# ---- Status --------------------------------------------------------------------------------------------------------


def test_the_table_of_a_server_is_printed_where_there_is_no_terminal(folder: Path) -> None:
    words = [*COMMANDS["python -m"], "--workers", "2", "--port", "0", "--status", f"unix:{folder}/s"]
    with Child(words, folder, fresh=True) as server:
        get(server.port())
        shown = command(folder, "status", "--status", f"unix:{folder}/s").splitlines()
        pids = {int(line.split()[1]) for line in shown[6:8]}
        assert pids == set(workers_of(server))
        refused = ended([sys.executable, "-m", "twisted_wsgiref", "stop", "--pid", f"{max(pids)}"], folder)
        assert f"its parent, {server.pid}, takes commands" in refused.stderr
        assert "   ready   up " in shown[0]
        assert shown[1].startswith("requests 1 ")
        assert server.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_whoever_ends_the_command_that_waits_for_a_daemon_ends_the_daemon(folder: Path, number: signal.Signals) -> None:
    # Otherwise one that can not serve would try it for ever, and nobody would know of it.
    told = folder / "site" / "told"
    os.mkfifo(told)
    slow = "import os, time\nwith open('told', 'w') as told:\n    told.write(f'{os.getpid()}')\ntime.sleep(60)\n"
    (folder / "site" / "slow.py").write_text(slow + APP)
    words = [*COMMANDS["python -m"], "--daemon", "--chdir", "site", "--port", "0", "slow:app"]
    with Child(words, folder, fresh=True) as waiting:
        daemon = int(told.read_text())
        assert alive(daemon)
        waiting.process.send_signal(number)
        assert waiting.wait() == 128 + number
        end = time.monotonic() + PATIENCE
        while alive(daemon):
            assert time.monotonic() < end
            time.sleep(0.02)
