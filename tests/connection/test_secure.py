"""Does whoever comes without TLS to a port that speaks it get an answer, and everybody else what they came for?"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL
from twisted.internet.endpoints import SSL4ServerEndpoint
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, ISSLTransport
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

from tests.answers import read_answers
from tests.authorities import family
from tests.support import PATIENCE, Server, serving
from twisted_wsgiref._connection import tls_transport
from twisted_wsgiref._connection.certificates import read_secure
from twisted_wsgiref._connection.perhaps_secure import tls_factory
from twisted_wsgiref._http.opening import plain_opening

# Twisted's own TLS uses what pyOpenSSL deprecates.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

READABLE = b"This port speaks TLS: use https:// to reach it.\n"
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


@pytest.fixture
def words(tmp_path: Path) -> str:
    """The endpoint of a server on any port."""
    _, middle, leaf = family()
    path = tmp_path / "all.pem"
    path.write_bytes(leaf.key_pem() + leaf.pem + middle.pem)
    return f"ssl:0:{path}:interface=127.0.0.1"


@pytest.fixture(params=["ours", "twisted's"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Who speaks TLS: it is the same to everybody."""
    if request.param != "ours":
        monkeypatch.setattr(tls_transport, "accept_straight", lambda *_: False)
    return str(request.param)


class Visitor:
    """A client on a real socket, which waits for nothing."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.received = b""
        self.ended = False
        self.sock = socket.create_connection(("127.0.0.1", server.service._listener.ports.opened[0].getHost().port))
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def settle(self, until: Callable[[], object] = lambda: True) -> None:
        """Let everything happen that will, and `until` come about, for which the kernel may take its time."""
        end = time.monotonic() + PATIENCE
        while True:
            self.server.settle()
            try:
                while not self.ended:
                    data = self.sock.recv(1 << 16)
                    self.received += data
                    self.ended = not data
            except BlockingIOError:
                pass
            if until():
                return
            if time.monotonic() > end:
                raise RuntimeError(f"it never came about: {self.received!r}, {self.server.logged()}")

    def read_to_the_end(self) -> None:
        self.settle(lambda: self.ended)

    def close(self) -> None:
        """Leave, and wait until the server has seen it."""
        self.sock.close()
        self.ended = True
        self.settle(lambda: not self.server.factory.connections)


@contextmanager
def visited(endpoint: Any, **settings: Any) -> Iterator[Visitor]:
    with serving(service={"endpoints": [endpoint]}, **settings) as server:
        visitor = Visitor(server)
        try:
            yield visitor
        finally:
            visitor.close()


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "NONSENSE"])
def test_a_plain_request_gets_a_400_that_can_be_read(words: str, method: str) -> None:
    with visited(words) as visitor:
        visitor.sock.sendall(b"%b / HTTP/1.1\r\nHost: h\r\n\r\n" % method.encode())
        visitor.read_to_the_end()
        (answer,) = read_answers(visitor.received, [method], ended=visitor.ended)
        assert answer.status == 400
        assert answer.body == (b"" if method == "HEAD" else READABLE)
        assert len(visitor.server.factory.connections) == 1  # the client's half is still open
        server = visitor.server
        assert "refused with 400: plain HTTP came to a port that speaks TLS" in server.logged()
        assert [(each.peer, each.status, each.size) for each in server.records] == [
            ("127.0.0.1", 400, len(answer.body))
        ]
        assert server.pool.done == 0


def test_the_answer_is_not_lost_to_a_client_that_still_sends(words: str) -> None:
    with visited(words) as visitor:
        for _ in range(50):
            visitor.sock.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 10000)
            visitor.settle()
        visitor.read_to_the_end()
        assert visitor.received.endswith(READABLE)
        assert visitor.server.factory.connections
        visitor.close()


def test_whoever_does_not_close_is_closed_after_the_linger(words: str) -> None:
    with visited(words, linger=3) as visitor:
        visitor.sock.sendall(b"GET / HTTP/1.1\r\n")
        visitor.read_to_the_end()
        visitor.server.advance(2)
        assert len(visitor.server.factory.connections) == 1
        visitor.server.advance(3)
        assert not visitor.server.factory.connections


def test_a_stop_waits_for_nobody_who_came_without_tls(words: str) -> None:
    with visited(words, linger=3) as visitor:
        visitor.sock.sendall(b"GET / HTTP/1.1\r\n")
        visitor.read_to_the_end()
        stopped = visitor.server.service.stopService()
        visitor.server.advance(5)
        assert stopped.called


def test_a_proxy_header_that_nobody_expects_is_named(words: str) -> None:
    for header in (b"PROXY TCP4 192.0.2.7 198.51.100.9 56324 443\r\n", SIGNATURE + b"\x21\x11\x00\x0c" + b"\0" * 12):
        with visited(words) as visitor:
            visitor.sock.sendall(header)
            visitor.read_to_the_end()
            assert visitor.received.endswith(READABLE)
            assert (
                "a PROXY header came to a port that speaks TLS and expects none (--proxy-p" in visitor.server.logged()
            )


def test_behind_a_proxy_header_the_client_is_named(words: str) -> None:
    with visited(words, proxy_protocol=True, trusted_proxy=("127.0.0.1",)) as visitor:
        visitor.sock.sendall(b"PROXY TCP4 192.0.2.7 198.51.100.9 56324 443\r\n")
        visitor.settle()
        visitor.sock.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        visitor.read_to_the_end()
        assert visitor.received.endswith(READABLE)
        assert [each.peer for each in visitor.server.records] == ["192.0.2.7"]


def fetch(visitor: Visitor, request: bytes, pieces: bool) -> bytes:
    """Return the answer to `request` through TLS; with `pieces` each byte of the client's comes alone."""
    client = SSL.Connection(SSL.Context(SSL.TLS_METHOD), None)
    client.set_connect_state()
    said = b""
    shaken = False
    while True:
        ended = visitor.ended
        try:
            if not shaken:
                client.do_handshake()
                client.send(request)
                shaken = True
            while data := client.recv(1 << 16):
                said += data
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            return said
        if ended:
            return said
        try:
            sent = client.bio_read(1 << 16)
            for piece in [sent[i : i + 1] for i in range(len(sent))] if pieces else [sent]:
                visitor.sock.sendall(piece)
                visitor.server.turn()
        except SSL.WantReadError:
            pass
        visitor.settle(lambda: visitor.received or visitor.ended)
        client.bio_write(visitor.received)
        visitor.received = b""


def listens_on(server: Server, endpoint: Any) -> None:
    """Have `server`, which listens nowhere, listen on `endpoint`."""
    ports = server.service._listener.ports
    ports.endpoints = (endpoint,)
    ports.open()
    factory = tls_factory(ports.opened[0])
    if factory is not None:
        # Small writes are gathered by a call of the reactor's, for which Twisted takes the global one.
        factory._clock = server.reactor


@pytest.mark.parametrize("kind", ["words", "haproxy", "object"])
@pytest.mark.parametrize("pieces", [True, False], ids=["byte by byte", "at once"])
def test_tls_is_served_whoever_made_the_endpoint(words: str, kind: str, pieces: bool) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["wsgi.url_scheme"].encode()]

    with serving(app) as server:
        given: Any = f"haproxy:{words}" if kind == "haproxy" else words
        if kind == "object":
            options = read_secure(words.removeprefix("ssl:")).options
            given = SSL4ServerEndpoint(server.reactor, 0, options, interface="127.0.0.1")
        listens_on(server, given)
        request = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        if kind == "haproxy":  # Twisted's, which reads the header inside of TLS
            request = b"PROXY TCP4 192.0.2.7 198.51.100.9 56324 443\r\n" + request
        visitor = Visitor(server)
        assert fetch(visitor, request, pieces).endswith(b"\r\n\r\nhttps")
        visitor.close()
        second = Visitor(server)
        second.sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        second.read_to_the_end()
        assert second.received.endswith(READABLE)
        second.close()


class Hiding(Protocol):
    """A protocol between TLS and ours that has its own name for the one that it wraps."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def connectionMade(self) -> None:
        self._inner.makeConnection(self.transport)

    def dataReceived(self, data: bytes) -> None:
        self._inner.dataReceived(data)

    def connectionLost(self, reason: Any = None) -> None:
        self._inner.connectionLost(reason)


def test_tls_is_served_below_a_protocol_that_hides_ours(words: str) -> None:
    class Endpoint(SSL4ServerEndpoint):
        def listen(self, factory: Any) -> Any:
            wrapping = Factory.forProtocol(lambda: Hiding(factory.buildProtocol(None)))
            return super().listen(wrapping)

    with serving() as server:
        options = read_secure(words.removeprefix("ssl:")).options
        listens_on(server, Endpoint(server.reactor, 0, options, interface="127.0.0.1"))
        visitor = Visitor(server)
        answer = fetch(visitor, b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", False)
        assert answer.startswith(b"HTTP/1.1 200 ")
        visitor.close()


@pytest.mark.parametrize("kind", ["plain", "tls"])
def test_no_answer_waits_for_an_acknowledgement(words: str, kind: str) -> None:
    with serving() as server:
        listens_on(server, words if kind == "tls" else "tcp:0:interface=127.0.0.1")
        visitor = Visitor(server)
        if kind == "plain":
            visitor.sock.sendall(b"G")  # one that says nothing is not served yet
        visitor.settle(lambda: any(hasattr(each, "transport") for each in server.factory.connections))
        (connection,) = server.factory.connections
        assert connection.transport.getTcpNoDelay()
        visitor.close()


@pytest.mark.parametrize(
    "opening", [b"\x16\x03\x01\x02\x00", b"\x15\x03\x01", b"\x80\x2e\x01\x03\x01", b"\x00", b"\xff", b""]
)
def test_what_may_be_tls_is_left_to_tls(opening: bytes) -> None:
    assert plain_opening(opening) is None


@pytest.mark.parametrize("opening", [b"GET / HTTP/1.1\r\n", b"G", b"\r\nGET /", b"PRI * HTTP/2.0", b" ", b"~", b"PROX"])
def test_text_is_never_tls(opening: bytes) -> None:
    assert plain_opening(opening) == "plain HTTP came to a port that speaks TLS"


@pytest.mark.parametrize("wrapper", ["", "haproxy:"])
def test_a_port_of_twisted_s_own_speaks_tls_straight_on_its_sockets(words: str, wrapper: str, way: str) -> None:
    with serving() as server:
        listens_on(server, wrapper + words)
        visitor = Visitor(server)
        visitor.settle(lambda: server.factory.connections)
        (connection,) = server.factory.connections
        transport = connection.transport
        assert isinstance(transport, tls_transport.TLSTransport) is (way == "ours" and not wrapper)
        assert ISSLTransport.providedBy(transport)
        if not wrapper:
            assert isinstance(transport.getHandle(), SSL.Connection)
            assert transport.getPeerCertificate() is None
        visitor.close()


def test_an_endpoint_that_makes_something_else_has_twisted_s_way(words: str) -> None:
    @implementer(IOpenSSLServerConnectionCreator)
    class Creator:
        def serverConnectionForTLS(self, protocol: Any) -> Any:
            return Other(SSL.Connection(options.getContext(), None))

    class Other:
        def __init__(self, made: SSL.Connection) -> None:
            self.made = made

        def __getattr__(self, name: str) -> Any:
            return getattr(self.made, name)

    options = read_secure(words.removeprefix("ssl:")).options
    with serving() as server:
        listens_on(server, SSL4ServerEndpoint(server.reactor, 0, Creator(), interface="127.0.0.1"))
        visitor = Visitor(server)
        answer = fetch(visitor, b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", False)
        assert answer.startswith(b"HTTP/1.1 200 ")
        visitor.close()


# ---- Handshakes that fail ------------------------------------------------------------------------------------------


def shake(visitor: Visitor, context: SSL.Context) -> None:
    """Have a client of `context` try a handshake with the server, until it has failed at either end."""
    client = SSL.Connection(context, None)
    client.set_connect_state()
    while not visitor.ended:
        over = False
        try:
            client.do_handshake()
        except SSL.WantReadError:
            pass
        except SSL.Error:
            over = True
        try:
            visitor.sock.sendall(client.bio_read(1 << 16))
        except (SSL.WantReadError, ConnectionError):
            pass
        if over:
            break
        visitor.settle(lambda: visitor.received or visitor.ended)
        if visitor.received:
            client.bio_write(visitor.received)
            visitor.received = b""


def old() -> SSL.Context:
    """Return a client's context of a version that no server of today speaks."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_1_VERSION)
    context.set_max_proto_version(SSL.TLS1_1_VERSION)
    context.set_cipher_list(b"ALL:@SECLEVEL=0")
    return context


def wary() -> SSL.Context:
    """Return a client's context that trusts no authority."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_verify(SSL.VERIFY_PEER, lambda *facts: bool(facts[-1]))
    return context


@pytest.mark.parametrize(
    ("context", "why"), [(old, "unsupported protocol"), (wary, "unknown ca")], ids=["too old", "distrustful"]
)
def test_the_log_says_why_a_handshake_failed(words: str, context: Callable[[], SSL.Context], why: str) -> None:
    with visited(words) as visitor:
        shake(visitor, context())
        visitor.close()
        (line,) = [line for line in visitor.server.logged().splitlines() if "handshake" in line]
        assert line.startswith("a TLS handshake failed: ")
        assert line.endswith(why)


def test_floods_of_failed_handshakes_are_one_line_and_a_count(words: str) -> None:
    with visited(words) as visitor:
        for each in (Visitor(visitor.server), Visitor(visitor.server), visitor):
            shake(each, old())
            each.sock.close()
        visitor.close()
        visitor.server.advance(61)
        lines = [line for line in visitor.server.logged().splitlines() if "handshake" in line]
        assert len(lines) == 2
        assert lines[1].startswith(f"{lines[0]} (2 more in ")


def test_the_log_tells_of_a_client_that_leaves_within_a_handshake(words: str) -> None:
    with visited(words) as visitor:
        visitor.sock.sendall(b"\x16\x03\x01\x02\x00")
        visitor.settle(lambda: visitor.server.factory.connections)
        visitor.close()
        assert "a TLS handshake failed: the client left in the middle of it" in visitor.server.logged()


def test_the_log_tells_of_a_handshake_that_takes_too_long(words: str) -> None:
    with visited(words, tls_timeout=3) as visitor:
        visitor.sock.sendall(b"\x16\x03\x01\x02\x00")
        visitor.settle(lambda: visitor.server.factory.connections)
        visitor.server.advance(5)
        assert not visitor.server.factory.connections
        lines = [line for line in visitor.server.logged().splitlines() if "handshake" in line]
        assert lines == ["a TLS handshake failed: it was not over in time"]


def test_handshakes_that_have_begun_up_to_the_limit_shut_nobody_out(words: str) -> None:
    with serving(service={"endpoints": [words]}, max_connections=1) as server:
        connections = server.factory.connections
        first = Visitor(server)
        first.sock.sendall(b"\x16\x03\x01\x02\x00")
        first.settle(lambda: connections)
        (old,) = connections
        newcomer = Visitor(server)
        newcomer.settle(lambda: old not in connections)
        assert len(connections) == 1
        for each in (first, newcomer):
            each.sock.close()


@pytest.mark.parametrize("leaves", [True, False], ids=["leaves", "waits"])
def test_no_line_is_for_a_connection_that_says_nothing(words: str, leaves: bool) -> None:
    # Such as a balancer's check whether the port is open, every few seconds.
    with visited(words, tls_timeout=3) as visitor:
        visitor.settle(lambda: visitor.server.factory.connections)
        if leaves:
            visitor.close()
        visitor.server.advance(5)
        assert not visitor.server.factory.connections
        assert "handshake" not in visitor.server.logged()
