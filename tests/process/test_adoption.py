"""Does an endpoint in a child find the socket that its twin in the parent has bound?"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory

from twisted_wsgiref._process.adoption import AdoptingReactor
from twisted_wsgiref._process.listeners import BindingReactor, Bound, Listeners, adopted_key, tcp_key, unix_key


class Port:
    def __init__(self, name: str, sock: socket.socket | None = None) -> None:
        self.name = name
        self.reading = True
        self.socket = sock
        self.stopped = False

    def stopReading(self) -> None:
        self.reading = False

    def fileno(self) -> int:
        return -1 if self.socket is None else self.socket.fileno()

    def stopListening(self) -> None:
        self.stopped = True


class Reactor:
    """Notes what it is asked to listen on."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []
        self.adopted: list[tuple[int, int]] = []

    def _port(self, name: str) -> Port:
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        self.sockets.append(sock)
        return Port(name, sock)

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Port:
        return self._port(f"tcp {port} {interface}")

    def listenUNIX(self, address: Any, factory: Any, backlog: int = 50, mode: int = 0o666, wantPID: int = 0) -> Port:
        return self._port(f"unix {address} {mode} {wantPID}")

    def adoptStreamPort(self, descriptor: int, family: int, factory: Any) -> Port:
        self.adopted.append((os.fstat(descriptor).st_ino, family))
        return Port("adopted")

    def seconds(self) -> float:
        return 7.0


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    made = Reactor()
    yield made
    for sock in made.sockets:
        sock.close()


class Endpoint:
    def __init__(self, reactor: Any, text: str) -> None:
        self.reactor = reactor
        self.text = text

    def listen(self, factory: Any) -> Any:
        if self.text == "bad":
            raise ValueError("no such thing")
        return self.reactor.listenTCP(int(self.text), factory)


def test_the_parent_binds_and_reads_nothing(reactor: Reactor) -> None:
    listeners = Listeners(reactor, ["80", "81"], Endpoint, 99)
    found: list[Any] = []
    listeners.listen().addCallback(found.extend)
    assert [port.name for port in found] == ["tcp 80 ", "tcp 81 "]
    assert not any(port.reading for port in found)
    assert [each.key for each in listeners.bound()] == [tcp_key(80), tcp_key(81)]
    listeners.close()
    assert all(port.stopped for port in found)
    assert listeners.bound() == []


def test_the_first_that_can_not_be_bound_is_told(reactor: Reactor) -> None:
    failures: list[Any] = []
    Listeners(reactor, ["80", "bad"], Endpoint, 99).listen().addErrback(failures.append)
    assert str(failures[0].value) == "can not listen on bad: no such thing"


def test_all_that_an_endpoint_may_call_has_a_name(reactor: Reactor) -> None:
    binding = BindingReactor(reactor)
    with socket.socket() as given:
        binding.listenTCP(80, Factory(), interface="::")
        binding.listenUNIX(b"/run/x", Factory(), mode=0o600, wantPID=1)
        binding.adoptStreamPort(given.fileno(), socket.AF_INET, Factory())
        keys = [tcp_key(80, "::"), unix_key("/run/x"), adopted_key(given.fileno())]
    assert [key for key, _ in binding.bound] == keys
    assert binding.seconds() == 7.0


def bound(*keys: str) -> list[Bound]:
    return [Bound(key, socket.socket().detach(), socket.AF_INET) for key in keys]


def test_each_gets_its_own_and_the_inherited_number_is_closed(reactor: Reactor) -> None:
    given = bound(tcp_key(0), tcp_key(80), tcp_key(0))
    numbers = [os.fstat(each.descriptor).st_ino for each in given]
    told: list[Any] = []
    adopting = AdoptingReactor(reactor, given, told.append)
    for port in (80, 0, 0):
        adopting.listenTCP(port, Factory(), backlog=1, interface="")
    assert [inode for inode, _ in reactor.adopted] == [numbers[1], numbers[0], numbers[2]]
    assert len(told) == 3
    for each in given:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(each.descriptor)
    assert adopting.seconds() == 7.0


def test_what_the_parent_has_not_bound_is_an_error_that_says_what_to_do(reactor: Reactor) -> None:
    adopting = AdoptingReactor(reactor, [], lambda port: None)
    with pytest.raises(CannotListenError, match="the parent has bound no such socket: restart it"):
        adopting.listenTCP(80, Factory())
