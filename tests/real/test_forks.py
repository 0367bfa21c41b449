"""What has the child of a view's fork of the server: its signals, its port, its connections?"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .children import COMMANDS, PATIENCE, Child, alive, environment, get, parent_of, started

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")]

ENDPOINT = "tcp:0:interface=127.0.0.1"
APP = "tests.real.forking_app:app"
EMBEDDED = [sys.executable, "-m", "tests.real.embedding"]
# So many connections in a row that one of two workers would take by chance as good as never.
MANY = 100
# Forks of processes that have threads: what Python 3.12 and later say about that is not said here.
QUIET = "ignore::DeprecationWarning"
SERVERS = {
    **{name: [*words, "--threads", "4", "--grace", "20", "--listen"] for name, words in COMMANDS.items()},
    "workers": [*COMMANDS["python -m"], "--threads", "4", "--grace", "20", "--workers", "2", "--listen"],
    "embedded": EMBEDDED,
}


@contextlib.contextmanager
def serving(name: str, folder: Path, *, app: str = APP, endpoint: str = ENDPOINT) -> Iterator[Child]:
    last = "serve" if name == "embedded" else app
    with started([*SERVERS[name], endpoint, last], folder, environment(PYTHONWARNINGS=QUIET)) as child:
        yield child


def ask(port: int, path: str) -> str:
    answer, body = get(port, path)
    assert answer.status == 200
    return body.decode()


@contextlib.contextmanager
def orphan_of(port: int, path: str = "/orphan") -> Iterator[int]:
    """Have a view leave a process behind; it is ended in the end."""
    pid = int(ask(port, path))
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)


def read_all(client: socket.socket) -> None:
    while client.recv(1000):
        pass


@pytest.fixture(scope="module", params=SERVERS)
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server that has to end well after all that its children do."""
    with serving(request.param, tmp_path_factory.mktemp("server")) as server:
        yield server.port()
        assert server.end() == 0, server.said


def test_terminate_ends_a_process_of_a_view(port: int) -> None:
    assert [ask(port, "/terminate") for _ in range(3)] == [str(-signal.SIGTERM)] * 3


def test_signals_do_in_a_child_what_they_do_in_any_process(port: int) -> None:
    assert ask(port, "/handlers") == "SIG_DFL default_int_handler SIG_DFL SIG_DFL SIG_DFL SIG_DFL -1"


def test_a_program_that_a_view_prepares_and_runs_has_signals_of_its_own(port: int) -> None:
    assert ask(port, "/before-exec") == "SIG_DFL SIG_DFL"


@pytest.mark.parametrize("name", ["python -m", "workers"])
def test_a_pool_of_processes_in_a_view_hangs_no_request(name: str, tmp_path: Path) -> None:
    with serving(name, tmp_path) as server, ThreadPoolExecutor(4) as threads:
        port = server.port()
        for way, requests in (("fork", 30), ("forkserver", 4)):  # those of the second start an interpreter or two
            answers = list(threads.map(ask, [port] * requests, [f"/pool?{way}"] * requests))
            assert answers == ["285"] * requests
        assert server.end() == 0


@pytest.mark.parametrize("name", ["python -m", "twistd", "workers"])
def test_an_orphan_keeps_neither_the_server_nor_its_ports(name: str, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [*SERVERS[name], f"unix:{path}", "--listen", f"tcp:{port}:interface=127.0.0.1", APP]
    env = environment(PYTHONWARNINGS=QUIET)
    with started(words, tmp_path, env) as server:
        assert server.port() == port
        with socket.create_connection(("127.0.0.1", port)) as idle, orphan_of(port) as pid:
            begin = time.monotonic()
            assert server.end() == 0
            assert time.monotonic() - begin < 10
            idle.settimeout(10)
            assert idle.recv(1000) == b""
            assert alive(pid)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))
            with started(words, tmp_path, env) as second:
                assert second.port() == port
                assert ask(port, "/go").startswith("gone on")


@pytest.mark.parametrize("name", ["python -m", "embedded"])
def test_a_server_that_is_killed_leaves_its_port_to_nobody(name: str, tmp_path: Path) -> None:
    with serving(name, tmp_path) as server:
        port = server.port()
        with orphan_of(port) as pid:
            server.process.kill()
            server.process.wait(PATIENCE)
            assert alive(pid)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))


def test_a_process_that_an_import_left_behind_keeps_no_port(tmp_path: Path) -> None:
    with serving("workers", tmp_path, app="tests.real.forked_import:tell") as server:
        port = server.port()
        with orphan_of(port, "/") as pid:
            assert server.end() == 0
            assert alive(pid)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))


@pytest.mark.parametrize("name", ["python -m", "workers", "embedded"])
def test_a_client_sees_its_connection_reset_though_a_child_lives(name: str, tmp_path: Path) -> None:
    with serving(name, tmp_path) as server:
        port = server.port()
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
            client.sendall(b"GET /cut HTTP/1.0\r\n\r\n")
            said = b""
            while (found := re.search(rb"begun in (\d+)\n", said)) is None:
                said += client.recv(1000)
            holder = int(found[1])
            with contextlib.ExitStack() as orphans:
                # Whichever worker takes a connection answers: asked until it was the one that has the client's.
                made = (orphans.enter_context(orphan_of(port)) for _ in range(MANY))
                assert any(parent_of(pid) == holder for pid in made)
                assert any(ask(port, "/go") == f"gone on in {holder}" for _ in range(MANY))
                with pytest.raises(ConnectionResetError):
                    read_all(client)


def test_a_child_that_comes_back_sends_nothing_and_ends(tmp_path: Path) -> None:
    with serving("python -m", tmp_path) as server:
        port = server.port()
        for _ in range(10):
            said = ask(port, "/come-back")
            pid, _, rest = said.partition(" ")
            assert rest == "ended with 0"
            assert not alive(int(pid))
        assert server.end() == 0
        assert server.said.count("GET /come-back") == 10


def test_a_listening_socket_can_still_be_handed_to_a_program(tmp_path: Path) -> None:
    with started([*EMBEDDED, ENDPOINT, "hand over"], tmp_path) as server:
        port = server.port()
        assert server.wait_for(re.compile(r"handed (\d+)"))[1] == str(port)
        assert ask(port, "/go").startswith("gone on")
