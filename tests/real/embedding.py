"""A program of Twisted's own that embeds a service: its endpoint is the first word, what else it does the second."""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import process, reactor
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import globalLogBeginner, textFileLogObserver

from twisted_wsgiref import Settings, WSGIService

from .forking_app import app

NAME = "import socket; print(f'handed {socket.socket(fileno=5).getsockname()[1]}', flush=True)"


class Printing(ProcessProtocol):
    def outReceived(self, data: bytes) -> None:
        print(data.decode(), flush=True)

    errReceived = outReceived


def hand_over(ports: list[Any]) -> list[Any]:
    """Hand a listening socket to another program, as servers do that are replaced without a gap."""
    # What it does on systems without posix_spawn, and for another user.
    process.Process._trySpawnInsteadOfFork = lambda *words: False  # type: ignore[method-assign,assignment]
    running: Any = reactor
    files = {0: "w", 1: "r", 2: "r", 5: ports[0].fileno()}
    running.spawnProcess(Printing(), sys.executable, [sys.executable, "-c", NAME], env=None, childFDs=files)
    return ports


def main(endpoint: str, what: str) -> None:
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)], redirectStandardIO=False)
    service = WSGIService(app, [endpoint], Settings(grace=20))
    running: Any = reactor
    if what == "hand over":
        service.whenListening.addCallback(hand_over)

    def told(ports: list[Any]) -> None:
        print(f"serving it on http://127.0.0.1:{ports[0].getHost().port}, embedded", flush=True)

    service.whenListening.addCallback(told)
    running.callWhenRunning(service.startService)
    running.addSystemEventTrigger("before", "shutdown", service.stopService)
    running.run()


main(*sys.argv[1:])
