"""Does a protocol see the same of our transport as of Twisted's own?"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet import tcp
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IPushProducer,
    ITCPTransport,
    ITransport,
    IUNIXTransport,
)
from twisted.internet.protocol import Protocol
from twisted.internet.unix import Server as UNIXServer
from twisted.logger import LogEvent, formatEvent
from twisted.python.failure import Failure
from zope.interface import directlyProvides, implementer
from zope.interface.verify import verifyObject

from tests.stepped import SteppedReactor
from twisted_wsgiref._connection.plain_transports import TCPTransport, UNIXTransport
from twisted_wsgiref._connection.poller import Poller, make_poller
from twisted_wsgiref._connection.socket_transport import SocketTransport
from twisted_wsgiref._connection.transports import Origin

pytestmark = pytest.mark.skipif(make_poller(SteppedReactor(), print, print) is None, reason="there is no epoll here")
PEER = ("127.0.0.2", 5)


class Told(Protocol):
    """What a transport tells a protocol."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.received = b""

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def readConnectionLost(self) -> None:
        self.events.append("read lost")

    def writeConnectionLost(self) -> None:
        self.events.append("write lost")

    def connectionLost(self, reason: Failure = None) -> None:  # type: ignore[assignment]
        self.events.append(type(reason.value))


@implementer(IPushProducer)
class Producer:
    """What a transport tells a producer."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")

    def stopProducing(self) -> None:
        self.calls.append("stop")


class Ends:
    """A transport of `kind` and the socket at its other end, moved by `turn`."""

    def __init__(self, kind: str, by_tcp: bool = False) -> None:
        self.reactor: Any = SteppedReactor()
        self.poller = Poller(self.reactor, lambda: None, lambda: None)
        self.protocol: Any = Told()
        if by_tcp:
            with socket.create_server(("127.0.0.1", 0)) as listener:
                self.far = socket.create_connection(listener.getsockname(), 5)
                near, peer = listener.accept()
        else:
            (near, self.far), peer = socket.socketpair(), PEER
        near.setblocking(False)
        self.far.settimeout(5)
        if kind == "ours":
            self.transport: Any = TCPTransport(near, self.protocol, Origin(peer, 8000, 3), self.reactor, self.poller)
        else:
            self.transport = tcp.Server(near, self.protocol, peer, None, 3, self.reactor)  # type: ignore[arg-type]
        self.protocol.makeConnection(self.transport)
        self.transport.startReading()

    def can_halve(self) -> None:
        directlyProvides(self.protocol, IHalfCloseableProtocol)

    def turn(self, times: int = 3) -> list[Any]:
        for _ in range(times):
            self.reactor.turn()
        return list(self.protocol.events)

    def close(self) -> None:
        self.transport.abortConnection()
        self.turn()
        self.far.close()
        self.poller.close()
        self.reactor.close()


@pytest.fixture(params=["ours", "twisted's"])
def ends(request: Any) -> Iterator[Ends]:
    made = Ends(request.param)
    yield made
    made.close()


@pytest.fixture(params=["ours", "twisted's"])
def tcp_ends(request: Any) -> Iterator[Ends]:
    made = Ends(request.param, by_tcp=True)
    yield made
    made.close()


@pytest.fixture
def our_ends() -> Iterator[Ends]:
    made = Ends("ours", by_tcp=True)
    yield made
    made.close()


def test_it_has_all_that_a_transport_has() -> None:
    made = Ends("ours")
    for interface in (ITransport, ITCPTransport, IConsumer, IPushProducer):
        verifyObject(interface, made.transport)
    near, far = socket.socketpair()
    local = UNIXTransport(near, Protocol(), Origin("", "/run/http", 0), made.reactor, made.poller)
    for interface in (ITransport, IUNIXTransport, IConsumer, IPushProducer):
        verifyObject(interface, local)
    for each in (near, far):
        each.close()
    made.close()


@pytest.mark.parametrize(("ours", "theirs"), [(TCPTransport, tcp.Server), (UNIXTransport, UNIXServer)])
def test_each_public_name_of_twisted_s_that_protocols_use_is_there(ours: type, theirs: type) -> None:
    of_base = {"startTLS", "fileno", "hostname", "client", "server", "sessionno", "logstr", "repstr", "TLS"}
    of_base |= {"bufferSize", "dataBuffer", "offset", "SEND_LIMIT", "writeSomeData", "disconnecting"}
    missing = {name for name in dir(theirs) if name[0] != "_"} - set(dir(ours)) - of_base
    assert missing == set()


def test_what_comes_is_told(ends: Ends) -> None:
    ends.far.send(b"one")
    assert ends.turn() == []
    ends.transport.pauseProducing()
    ends.far.send(b" two")
    ends.turn()
    assert ends.protocol.received == b"one"
    ends.transport.resumeProducing()
    ends.turn()
    assert ends.protocol.received == b"one two"


def test_what_is_written_goes_in_its_order(ends: Ends) -> None:
    ends.transport.write(b"one")
    ends.transport.writeSequence([b" two", b" three"])
    ends.turn()
    assert ends.far.recv(100) == b"one two three"
    with pytest.raises(TypeError):
        ends.transport.write("text")


def test_more_than_the_socket_takes_is_written_in_pieces(ends: Ends) -> None:
    sent = os.urandom(3_000_000)
    for start in range(0, len(sent), 70_000):
        ends.transport.write(sent[start : start + 70_000])
    ends.transport.loseConnection()
    got = b""
    ends.far.setblocking(False)
    for _ in range(1000):
        ends.turn(1)
        try:
            piece = ends.far.recv(1 << 20)
        except BlockingIOError:
            continue
        if not piece:
            break
        got += piece
    assert got == sent
    assert ends.turn() == [ConnectionDone]


def test_a_producer_is_told_to_pause_and_to_go_on(ends: Ends) -> None:
    producer = Producer()
    ends.transport.registerProducer(producer, True)
    with pytest.raises(RuntimeError):
        ends.transport.registerProducer(Producer(), True)
    ends.transport.write(b"x" * 1_000_000)
    assert producer.calls == ["pause"]
    ends.turn()
    assert producer.calls == ["pause"]
    for _ in range(200):
        ends.turn(1)
        if producer.calls != ["pause"]:
            break
        ends.far.recv(1 << 20)
    assert producer.calls == ["pause", "resume"]
    ends.transport.abortConnection()
    ends.turn()
    assert producer.calls == ["pause", "resume", "stop"]
    ends.transport.registerProducer(late := Producer(), True)
    assert late.calls == ["stop"]


def test_a_pull_producer_is_asked_at_once_and_whenever_there_is_room(ends: Ends) -> None:
    producer = Producer()
    ends.transport.registerProducer(producer, False)
    assert producer.calls == ["resume"]
    ends.turn()
    assert producer.calls == ["resume"]
    ends.transport.startWriting()
    ends.turn(1)
    assert producer.calls == ["resume", "resume"]
    ends.transport.unregisterProducer()


def test_a_close_waits_for_a_pull_producer(ends: Ends) -> None:
    producer = Producer()
    ends.transport.registerProducer(producer, False)
    ends.transport.loseConnection()
    assert ends.turn() == []
    ends.transport.write(b"last")
    ends.transport.unregisterProducer()
    assert ends.turn() == [ConnectionDone]
    assert ends.far.recv(100) == b"last"
    assert ends.far.recv(100) == b""


def test_the_protocol_is_not_told_of_its_own_close_within_its_call(ends: Ends) -> None:
    ends.transport.write(b"bye")
    ends.transport.loseConnection()
    ends.transport.loseConnection()
    assert ends.protocol.events == []
    assert ends.turn() == [ConnectionDone]
    assert ends.far.recv(100) == b"bye"
    ends.transport.write(b"more")
    ends.transport.loseConnection()
    ends.transport.abortConnection()
    assert ends.turn() == [ConnectionDone]


@pytest.mark.parametrize("while_reading", [False, True])
def test_nor_of_a_close_with_nothing_to_write(ends: Ends, while_reading: bool) -> None:
    seen: list[Any] = []

    def close(data: bytes = b"") -> None:
        ends.transport.loseConnection()
        seen.append(list(ends.protocol.events))

    if while_reading:
        ends.protocol.dataReceived = close
        ends.far.send(b"x")
        ends.turn()
    else:
        close()
    assert ends.turn() == [ConnectionDone]
    assert seen == [[]]


def test_a_connection_that_closes_is_not_read(ends: Ends) -> None:
    ends.transport.write(b"x" * 3_000_000)
    ends.transport.loseConnection()
    ends.far.send(b"late")
    ends.turn()
    assert ends.protocol.received == b""


@pytest.mark.parametrize("written", [b"", b"last"])
@pytest.mark.parametrize("while_reading", [False, True])
def test_what_has_come_unread_makes_no_reset_of_an_orderly_end(
    our_ends: Ends, written: bytes, while_reading: bool
) -> None:
    ends = our_ends

    def close(data: bytes = b"") -> None:
        ends.transport.write(written)
        ends.transport.loseConnection()
        ends.far.sendall(b"late" * 50_000)

    if while_reading:
        ends.protocol.dataReceived = close
        ends.far.send(b"x")
    else:
        close()
    assert ends.turn() == [ConnectionDone]
    assert ends.far.recv(100) == written
    if written:
        assert ends.far.recv(100) == b""


def test_a_client_that_sends_for_ever_does_not_hold_up_the_end(our_ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[int] = []

    def receive(most: int) -> bytes:
        received.append(most)
        return b"x" * most

    monkeypatch.setattr(our_ends.transport, "_receive", receive)
    our_ends.transport.loseConnection()
    assert our_ends.turn() == [ConnectionDone]
    assert 0 < len(received) < 100


def test_the_end_of_what_comes_is_the_end_of_it_all_for_most(ends: Ends) -> None:
    ends.far.shutdown(socket.SHUT_WR)
    assert ends.turn() == [ConnectionDone]


def test_one_that_can_do_with_half_still_writes(ends: Ends) -> None:
    ends.can_halve()
    ends.far.shutdown(socket.SHUT_WR)
    assert ends.turn() == ["read lost"]
    ends.transport.write(b"answer")
    ends.turn()
    assert ends.far.recv(100) == b"answer"
    ends.transport.loseConnection()
    assert ends.turn() == ["read lost", ConnectionDone]


@pytest.mark.parametrize("written", [b"", b"last"])
def test_half_can_be_closed_and_the_rest_later(ends: Ends, written: bytes) -> None:
    ends.can_halve()
    ends.transport.write(written)
    ends.transport.loseWriteConnection()
    assert ends.turn() == ["write lost"]
    assert ends.far.recv(100) == written
    if written:
        assert ends.far.recv(100) == b""
    ends.transport.write(b"more")
    ends.far.send(b"still")
    ends.turn()
    assert ends.protocol.received == b"still"
    ends.far.close()
    assert ends.turn() == ["write lost", "read lost"]
    ends.transport.loseConnection()
    assert ends.turn() == ["write lost", "read lost", ConnectionDone]


def test_a_reset_is_seen_as_one_by_both(tcp_ends: Ends) -> None:
    tcp_ends.transport.write(b"never sent")
    tcp_ends.transport.abortConnection()
    tcp_ends.transport.abortConnection()
    assert tcp_ends.protocol.events == []
    assert tcp_ends.turn() == [ConnectionAborted]
    with pytest.raises(ConnectionResetError):
        tcp_ends.far.recv(100)


@pytest.mark.parametrize("writes", [False, True])
def test_a_reset_by_the_other_end_is_a_loss(tcp_ends: Ends, writes: bool) -> None:
    if writes:
        tcp_ends.transport.write(b"x" * 10_000_000)
        tcp_ends.turn()
    tcp_ends.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    tcp_ends.far.close()
    assert tcp_ends.turn() == [ConnectionLost]


def test_a_reset_goes_before_a_close(tcp_ends: Ends) -> None:
    tcp_ends.transport.loseConnection()
    tcp_ends.transport.abortConnection()
    assert tcp_ends.turn() == [ConnectionAborted]
    with pytest.raises(ConnectionResetError):
        tcp_ends.far.recv(100)


def test_a_protocol_that_raises_loses_its_connection_alone(events: list[LogEvent]) -> None:
    ends = Ends("ours")

    def fail(data: bytes) -> None:
        raise ZeroDivisionError

    ends.protocol.dataReceived = fail
    ends.far.send(b"x")
    assert ends.turn() == [ZeroDivisionError]
    assert [formatEvent(each) for each in events] == ["a protocol failed"]
    ends.close()


def test_addresses_are_those_of_both_ends(tcp_ends: Ends) -> None:
    transport = tcp_ends.transport
    assert transport.getHost() == IPv4Address("TCP", *tcp_ends.far.getpeername())
    assert transport.getPeer() == IPv4Address("TCP", *tcp_ends.far.getsockname())
    transport.setTcpNoDelay(True)
    transport.setTcpKeepAlive(True)
    assert transport.getTcpNoDelay()
    assert transport.getTcpKeepAlive()
    assert transport.getHandle().fileno() == transport.fileno()


def test_addresses_of_ipv6_have_their_scope() -> None:
    ends = Ends("ours")
    near, far = socket.socketpair()
    with near, far:
        make = lambda peer: TCPTransport(near, Protocol(), Origin(peer, 80, 0), ends.reactor, ends.poller).getPeer()  # noqa: E731
        assert make(("::1", 5, 0, 0)) == IPv6Address("TCP", "::1", 5)
        number = socket.if_nametoindex("lo")
        assert make(("fe80::1", 5, 0, number)) == IPv6Address("TCP", "fe80::1%lo", 5, 0, number)
    ends.close()


def test_a_unix_socket_has_its_path_and_sends_descriptors(tmp_path: Any) -> None:
    ends = Ends("ours")
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as far:
        listener.bind(path)
        listener.listen()
        far.connect(path)
        near, peer = listener.accept()
        near.setblocking(False)
        transport: Any = UNIXTransport(near, Told(), Origin(peer, path, 0), ends.reactor, ends.poller)
        assert transport.getHost() == UNIXAddress(path)
        assert transport.getPeer() == UNIXAddress(None)
        with open(os.devnull) as one, open(os.devnull) as two:
            transport.sendFileDescriptor(one.fileno())
            transport.sendFileDescriptor(two.fileno())
            transport.write(b"abc")
            ends.turn()
        got = [socket.recv_fds(far, 100, 5) for _ in range(2)]
        assert b"".join(data for data, *_ in got) == b"abc"
        numbers = [number for _, numbers, *_ in got for number in numbers]
        assert len(numbers) == 2
        for number in numbers:
            os.close(number)
        transport.abortConnection()
        ends.turn()
    ends.close()


def test_its_name_says_which_connection_it_is() -> None:
    ends = Ends("ours")
    assert repr(ends.transport) == "<Told #3 on 8000>"
    assert ends.transport.logPrefix() == "Told,3,127.0.0.2"
    ends.close()


def test_a_socket_that_is_left_is_not_closed() -> None:
    ends = Ends("ours")
    sock = ends.transport.getHandle()
    ends.transport.leave_socket()
    ends.transport.loseConnection()
    assert ends.turn() == [ConnectionDone]
    assert sock.fileno() >= 0
    sock.close()
    ends.close()


def test_a_descriptor_that_a_child_has_open_is_told_of_no_more(events: list[LogEvent]) -> None:
    # Closed here without a word to the epoll object, which goes on telling of it as long as another has it open.
    ends = Ends("ours")
    copy = os.dup(ends.transport.fileno())
    other, far = socket.socketpair()
    read: list[bytes] = []
    ends.poller.add(other.fileno(), lambda: read.append(other.recv(10)))
    ends.far.send(b"x")
    ends.protocol.dataReceived = lambda data: ends.transport.loseConnection()
    ends.turn()
    assert ends.protocol.events == [ConnectionDone]
    ends.far.send(b"y")
    polled: list[int] = []
    poll = ends.poller._take_out
    ends.poller._take_out = lambda number: (polled.append(number), poll(number))  # type: ignore[assignment]
    ends.turn(200)
    assert len(polled) == 200  # a child of this moment lets go of it soon, and nobody has to hear of it
    assert events == []
    ends.reactor.clock.now += 0.3
    ends.turn(200)
    assert len(polled) == 201
    far.send(b"z")
    ends.turn()
    assert read == [b"z"]
    assert "has connections of this one open" in formatEvent(events[0])
    os.close(copy)
    for each in (other, far):
        each.close()
    ends.close()


def test_a_subclass_may_change_the_bytes() -> None:
    class Loud(TCPTransport):
        def _send(self, data: Any) -> int:
            return self.socket.send(bytes(data).upper())

        def _receive(self, most: int) -> bytes:
            return self.socket.recv(most).lower()

    ends = Ends("ours")
    near, far = socket.socketpair()
    near.setblocking(False)
    protocol = Told()
    transport: SocketTransport = Loud(near, protocol, Origin(PEER, 80, 0), ends.reactor, ends.poller)
    transport.startReading()
    transport.write(b"abc")
    far.send(b"ABC")
    ends.turn()
    assert far.recv(10) == b"ABC"
    assert protocol.received == b"abc"
    transport.loseConnection()
    ends.turn()
    far.close()
    ends.close()
