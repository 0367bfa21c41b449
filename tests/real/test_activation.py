"""Do sockets of an activator's reach the server whatever their names: systemd's, an older one's, another program's?"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from .children import COMMANDS, Child, started
from .test_workers import DEMO, ask

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="descriptors are handed over as numbers"),
]

# What an activator does between fork and exec: sockets are descriptors from 3 on, and their names may be left out.
ACTIVATOR = """
import fcntl, os, sys
count, names = int(sys.argv[1]), sys.argv[2]
os.environ.update(LISTEN_FDS=str(count), LISTEN_PID=str(os.getpid()))
os.environ.pop("LISTEN_FDNAMES", None)
if names != "-":
    os.environ["LISTEN_FDNAMES"] = names
for number, descriptor in enumerate([fcntl.fcntl(int(word), fcntl.F_DUPFD, 20) for word in sys.argv[3:3 + count]], 3):
    os.dup2(descriptor, number)
os.execv(sys.argv[3 + count], sys.argv[3 + count:])
"""


@contextlib.contextmanager
def activated(folder: Path, names: str, *words: str, count: int) -> Iterator[tuple[Child, Sequence[int]]]:
    """A served demo with so many sockets of an activator's, and their ports."""
    (folder / "demo.py").write_text(DEMO)
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        descriptors = [sock.fileno() for sock in sockets]
        every = [sys.executable, "-c", ACTIVATOR, str(count), names, *map(str, descriptors), *COMMANDS["python -m"]]
        child = started([*every, *words, "demo:app"], folder, pass_fds=descriptors)
        ports = [sock.getsockname()[1] for sock in sockets]
    with child:
        yield child, ports


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sockets_without_names_are_served_by_their_numbers(workers: str, tmp_path: Path) -> None:
    listen = ["--listen", "systemd:domain=INET:index=0", "--listen", "systemd:domain=INET:index=1"]
    with activated(tmp_path, "-", *listen, "--workers", workers, count=2) as (child, ports):
        assert all(ask(port)[0] for port in ports)
        assert child.end() == 0, child.said


def test_a_name_that_several_sockets_have_shifts_no_other(tmp_path: Path) -> None:
    listen = ["--listen", "systemd:domain=INET:name=admin", "--listen", "systemd:domain=INET:index=0"]
    with activated(tmp_path, "shop:shop:admin", *listen, "--workers", "2", count=3) as (child, ports):
        assert ask(ports[2])[0]
        assert ask(ports[0])[0]
        assert child.end() == 0, child.said
