"""Does a server take certificates that were renewed on disk, and lose no connection by it?"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import ssl
import sys
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from tests.authorities import Owner, family, make

from .children import COMMANDS, PATIENCE, Child, alive, get
from .test_workers import pids, until

pytestmark = [
    pytest.mark.libraries,
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no signal to ask by"),
]

ROOT, MIDDLE, FIRST = family()
TAKEN = re.compile("certificates are renewed: connections get them from now on")
KEPT = re.compile("certificates are not renewed, those of before stay: (?P<why>.*)")
BY_OPTIONS = ("--tls-cert", "cert.pem", "--tls-key", "key.pem", "--bind", "127.0.0.1:0")
BY_ENDPOINT = ("--listen", "ssl:0:interface=127.0.0.1:privateKey=key.pem:certKey=cert.pem")


def write(folder: Path, owner: Owner) -> None:
    """Have `owner` in the files of the server."""
    (folder / "key.pem").write_bytes(owner.key_pem())
    (folder / "cert.pem").write_bytes(owner.pem + MIDDLE.pem)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, FIRST)
    return tmp_path


@contextlib.contextmanager
def server(folder: Path, *words: str, command: str = "python -m", fresh: bool = False) -> Iterator[Child]:
    with Child([*COMMANDS[command], "--grace", "5", *words], folder, fresh=fresh) as child:
        yield child
        assert child.end() == 0, child.said
    assert "Traceback" not in child.said


class Client:
    """A connection that stays."""

    def __init__(self, port: int, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> None:
        sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.sock = context.wrap_socket(sock, server_hostname="localhost", session=session)
        shown: Any = self.sock.getpeercert()
        self.serial = int(shown["serialNumber"], 16)
        self.ask()  # the tickets of TLS 1.3 come with the answer

    def ask(self) -> None:
        self.sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = HTTPResponse(self.sock)
        answer.begin()
        assert answer.status == 200
        answer.read()


@pytest.fixture
def context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=ROOT.pem.decode())
    return context


@pytest.mark.parametrize(
    ("command", "words"), [("python -m", BY_OPTIONS), ("python -m", BY_ENDPOINT), ("twistd", BY_OPTIONS)]
)
def test_one_process_takes_new_certificates_and_loses_no_connection(
    folder: Path, context: ssl.SSLContext, command: str, words: tuple[str, ...]
) -> None:
    with server(folder, *words, command=command) as child:
        old = Client(child.port(), context)
        (folder / "key.pem").unlink()
        child.process.send_signal(signal.SIGHUP)
        name = "tls_key" if words is BY_OPTIONS else "privateKey"
        assert child.wait_for(KEPT)["why"] == f"{name} is 'key.pem': No such file or directory"
        with contextlib.closing(Client(child.port(), context).sock) as sock:
            assert sock.version() == "TLSv1.3"
        fresh = make("localhost", MIDDLE)
        write(folder, fresh)
        child.process.send_signal(signal.SIGHUP)
        child.wait_for(TAKEN)
        new = Client(child.port(), context)
        assert (old.serial, new.serial) == (FIRST.certificate.serial_number, fresh.certificate.serial_number)
        old.ask()
        for client in (old, new):
            client.sock.close()


def test_workers_take_new_certificates_at_a_reload(folder: Path, context: ssl.SSLContext) -> None:
    with server(folder, *BY_OPTIONS, "--workers", "2") as child:
        with contextlib.closing(Client(child.port(), context).sock):
            fresh = make("localhost", MIDDLE)
            write(folder, fresh)
            child.process.send_signal(signal.SIGHUP)
            child.wait_for(re.compile("reloaded: "))
        until(lambda: not any(alive(pid) for pid in pids(child)[:2]))
        for _ in range(4):
            new = Client(child.port(), context)
            new.sock.close()
            assert new.serial == fresh.certificate.serial_number


@pytest.mark.parametrize(("words", "goes_on"), [(BY_OPTIONS, True), (BY_ENDPOINT, False)])
def test_a_session_goes_on_by_options(
    folder: Path, context: ssl.SSLContext, words: tuple[str, ...], goes_on: bool
) -> None:
    with server(folder, *words) as child:
        first = Client(child.port(), context)
        again = Client(child.port(), context, first.sock.session)
        assert again.sock.session_reused is goes_on
        for client in (first, again):
            client.sock.close()


def test_without_tls_the_signal_still_ends_one_process(folder: Path) -> None:
    with Child([*COMMANDS["python -m"], "--bind", "127.0.0.1:0"], folder) as child:
        get(child.port())
        child.process.send_signal(signal.SIGHUP)
        assert child.process.wait(PATIENCE) == -signal.SIGHUP


def test_a_command_asks_for_certificates(folder: Path, context: ssl.SSLContext) -> None:
    with server(folder, *BY_OPTIONS, fresh=True) as child:
        Client(child.port(), context).sock.close()
        with Child([*COMMANDS["python -m"], "reload", "--pid", f"{child.pid}"], folder) as asking:
            assert asking.process.wait(PATIENCE) == 0, asking.look()
        child.wait_for(TAKEN)


@pytest.mark.skipif(sys.platform != "linux", reason="each system gives a terminal in its own way")
@pytest.mark.parametrize("by_nohup", [False, True])
def test_a_closed_terminal_still_ends_it(folder: Path, context: ssl.SSLContext, by_nohup: bool) -> None:
    master, slave = os.openpty()
    begin = f"""
import fcntl, os, signal, sys, termios
os.setsid()
fcntl.ioctl({slave}, termios.TIOCSCTTY, 0)
os.close({slave})
signal.signal(signal.SIGHUP, signal.{"SIG_IGN" if by_nohup else "SIG_DFL"})
os.execvp(sys.argv[1], sys.argv[1:])
"""
    words = [COMMANDS["python -m"][0], "-c", begin, *COMMANDS["python -m"], *BY_OPTIONS]
    with Child(words, folder, pass_fds=[slave]) as child:
        os.close(slave)
        Client(child.port(), context).sock.close()
        os.close(master)
        if by_nohup:
            child.wait_for(TAKEN)
            child.process.send_signal(signal.SIGTERM)
        assert child.process.wait(PATIENCE) == 0, child.look()
