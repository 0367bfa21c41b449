"""Does a worker end with its parent, however early that dies?"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.real.children import PATIENCE, Process, alive

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="processes are looked up in /proc")

# A parent that has a worker forked, and whose fork server is gone before the worker reads its orders.
PARENT = """
import os, signal, socket, time
from twisted_wsgiref._process.early_fork import fork_early
from twisted_wsgiref._process.fairness import nameless_memory
from twisted_wsgiref._process.fork_server import Task
from twisted_wsgiref._process.link import Orders
from twisted_wsgiref._process.listeners import Bound
from twisted_wsgiref._process.spawning import nameless_file
from twisted_wsgiref.settings import Settings

early = fork_early()
task = Task("slow:app", [], preload=False, environ=dict(os.environ), directory=os.getcwd(), umask=0o22)
with nameless_file(task.text()) as file:
    socket.send_fds(early.sock, [b"begin\\n"], [file])
ours, theirs = socket.socketpair()
with socket.create_server(("127.0.0.1", 0)) as port:
    socket.send_fds(early.sock, [b"start 1 3 -\\n"], [theirs.fileno(), nameless_memory(), port.fileno()])
theirs.close()
words = early.sock.makefile()
assert words.readline() == "begun\\n"
print(words.readline(), flush=True)
os.kill(early.pid, signal.SIGKILL)
os.waitpid(early.pid, 0)
bound = [Bound("tcp 0 ", 0, int(socket.AF_INET))]
orders = Orders(1, 0, "slow:app", ["tcp:0"], [], Settings(), "", bound, None, time.monotonic(), os.getpid())
ours.sendall(orders.text().encode() + b"\\n")
ours.recv(1)
signal.pause()
"""


def test_a_worker_whose_fork_server_went_first_ends_with_its_parent(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(3600)\n")
    with Process([sys.executable, "-c", PARENT], tmp_path) as parent:
        pid = int(parent.wait_for(re.compile(r"forked 1 (\d+)\n"))[1])
        try:
            parent.wait_for(re.compile("importing"))
            parent.process.kill()
            end = time.monotonic() + PATIENCE
            while alive(pid) and time.monotonic() < end:
                time.sleep(0.02)
            assert not alive(pid)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
