"""Is nobody refused who was let in by the kernel before a port closed?"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.tcp import Port

from twisted_wsgiref._connection.transports import stop_accepting


class Reactor(Clock):
    """Time, and sockets that nobody looks at."""

    def addReader(self, reader: object) -> None:
        """Do nothing."""

    removeReader = addWriter = removeWriter = addReader


@pytest.mark.parametrize("wait", [0, 1, 30])
def test_all_who_wait_are_accepted_before_the_port_closes(wait: int) -> None:
    reactor, accepted = Reactor(), []
    factory: Any = Factory.forProtocol(Protocol)
    factory.noisy = False
    build: Callable[[Any], Any] = factory.buildProtocol
    factory.buildProtocol = lambda address: accepted.append(build(address)) or accepted[-1]
    port: Any = Port(0, factory, 50, "127.0.0.1", reactor)
    port.startListening()
    port.numberAccepts = 1
    address = port.socket.getsockname()
    closed: list[object] = []
    with contextlib.ExitStack() as stack:
        stop_accepting(port).addCallback(closed.append)
        clients = [stack.enter_context(socket.create_connection(address, 5)) for _ in range(wait)]
        assert accepted == []
        reactor.advance(0)
        assert len(accepted) == wait
        assert closed == [None]
        for each, protocol in zip(clients, accepted, strict=True):
            protocol.transport.socket.sendall(b"served")
            assert each.recv(6) == b"served"
            protocol.transport.socket.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, 5)


def test_a_port_that_is_no_socket_is_just_stopped() -> None:
    class Memory:
        def stopListening(self) -> None:
            stopped.append(1)

    stopped: list[int] = []
    stop_accepting(Memory())
    assert stopped == [1]
