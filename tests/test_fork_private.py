"""Does the child of a fork lose Twisted's reactor and log without a word to its parent, and get others?

A test here fails, too, if Twisted has changed: see `twisted_wsgiref._twisted.fork_private`.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

if not hasattr(select, "epoll"):
    pytest.skip("there is no epoll here", allow_module_level=True)

ROOT = Path(__file__).resolve().parent.parent

# The parent forks between two turns, and goes on; its child runs another reactor in the frame that ran the first.
FORKING = """
import os, signal, socket, sys
from twisted.internet import reactor
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.logger import globalLogBeginner, globalLogPublisher, Logger
from twisted_wsgiref._twisted.fork_private import abandon, call_at_end, forget_log
from twisted_wsgiref._twisted.private import is_log_unheard
from twisted_wsgiref._twisted.turn_private import turns_of

said = []
globalLogBeginner.beginLoggingTo([said.append], redirectStandardIO=False)
ours, theirs = socket.socketpair()

class Echo(Protocol):
    def dataReceived(self, data):
        print("parent heard", data.decode(), flush=True)
        reactor.stop()

ours.setblocking(False)
reactor.adoptStreamConnection(ours.fileno(), ours.family, Factory.forProtocol(Echo))
ours.close()
child = False

def turn(seconds):
    global child, pid
    if pid is None:
        pid = os.fork()
        if not pid:
            child = True
            signal.set_wakeup_fd(-1)
            abandon(reactor)
            return
        call_at_end(pid, ended)
    turns.usual(seconds)

def ended(status):
    print("child ended with", status, flush=True)
    theirs.send(b"this")

pid = None
turns = turns_of(reactor, turn)
assert turns.take()
reactor.callLater(0.05, lambda: None)
reactor.callLater(60, reactor.crash)
reactor.run()
theirs.close()
if child:
    old, before = reactor, len(said)
    forget_log()
    Logger().info("is kept until the log begins")
    assert is_log_unheard()
    heard = []
    globalLogBeginner.beginLoggingTo([heard.append], redirectStandardIO=False)
    assert [event["log_format"] for event in heard] == ["is kept until the log begins"], heard
    assert len(said) == before
    from twisted.internet import reactor
    assert reactor is not old
    reactor.callLater(0.05, reactor.stop)
    reactor.run()
    os.write(1, b"child had a reactor of its own\\n")
    sys.exit(7)
"""


def test_a_child_gets_another_reactor_and_log_and_its_parent_hears_of_its_end() -> None:
    done = subprocess.run(  # noqa: PLW1510
        [sys.executable, "-W", "error", "-c", FORKING],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == ["child had a reactor of its own", "child ended with 7", "parent heard this"]
    assert done.stderr == ""
    assert done.returncode == 0
