"""Is nobody let in by a parent that is about to end?"""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import unix
from twisted.internet.endpoints import UNIXServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock

from twisted_wsgiref import ListenError
from twisted_wsgiref._process.listeners import Listeners


class Reactor(Clock):
    """Time, and UNIX sockets that nobody looks at."""

    def addReader(self, reader: object) -> None:
        """Do nothing."""

    removeReader = addWriter = removeWriter = addReader

    def listenUNIX(self, address: str, factory: Any, backlog: int, mode: int, wantPID: bool) -> Any:
        port: Any = unix.Port(address, factory, backlog, mode, self, wantPID)
        port.startListening()
        return port


@pytest.mark.parametrize("may_remove", [True, False])
def test_a_path_that_can_not_be_removed_lets_nobody_in(
    may_remove: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reactor, path = Reactor(), str(tmp_path / "socket")
    listeners = Listeners(reactor, [path], UNIXServerEndpoint, 5)
    listeners.listen()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)

    def refuses(name: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", name)

    if not may_remove:
        monkeypatch.setattr(os, "unlink", refuses)
    closed: list[Any] = []
    listeners.close().addCallback(closed.extend)
    reactor.advance(0)
    assert [well for well, _ in closed] == [True]
    with socket.socket(socket.AF_UNIX) as client, pytest.raises((ConnectionRefusedError, FileNotFoundError)):
        client.connect(path)


def test_an_endpoint_that_is_taken_is_told_as_by_a_single_process() -> None:
    class Taken:
        def listen(self, factory: object) -> Any:
            raise CannotListenError("", 80, OSError(errno.EADDRINUSE, "Address already in use"))

    taken: Any = Taken()
    failed: list[Any] = []
    Listeners(Reactor(), ["tcp:80"], lambda reactor, text: taken, 5).listen().addErrback(failed.append)
    (failure,) = failed
    assert failure.check(ListenError)
    assert failure.getErrorMessage() == "can not listen on tcp:80: Address already in use"
