"""Does a whole service answer over Twisted's in-memory pumps, plain and through real TLS?"""

from __future__ import annotations

import datetime
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, PrivateCertificate, optionsForClientTLS
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, IOPump, connect

from tests.answers import read_answers
from tests.support import GET, PATIENCE, TEXT, Server, echo, hello, request, serving

# Twisted's own TLS uses what pyOpenSSL deprecates.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Collector(Protocol):
    """A client that keeps what comes."""

    def __init__(self) -> None:
        self.received = b""
        self.ended: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Any = None) -> None:
        self.ended = reason


@pytest.fixture(scope="module")
def certificate() -> PrivateCertificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return PrivateCertificate.loadPEM(pem)


class Pumped:
    """A client and the server, with a pump between them."""

    def __init__(self, server: Server, certificate: PrivateCertificate | None) -> None:
        self.server = server
        self.client = Collector()
        factory: Any = server.factory
        near: Any = self.client
        if certificate is not None:
            factory = TLSMemoryBIOFactory(certificate.options(), False, factory, clock=server.reactor)
            authority = Certificate.loadPEM(certificate.dumpPEM())

            wrapped = TLSMemoryBIOFactory(
                optionsForClientTLS("localhost", authority), True, Factory.forProtocol(lambda: self.client),
                clock=server.reactor,
            )  # fmt: skip
            near = wrapped.buildProtocol(None)
        far = factory.buildProtocol(None)
        self.pump: IOPump = connect(
            far, FakeTransport(far, isServer=True), near, FakeTransport(near, isServer=False), debug=False
        )

    def move(self) -> bool:
        moved = bool(self.pump.pump())
        self.server.reactor.turn()
        return moved

    def move_while(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE
        while condition():
            self.move()
            if time.monotonic() > end:
                raise RuntimeError("it never ended")

    def settle(self, *, work: bool = True) -> None:
        quiet = 0
        for _ in range(100_000):
            moved = self.move()
            if work and self.server.pool.jobs:
                self.server.pool.step()
                moved = True
            if self.server.disk.jobs:
                self.server.disk.step()
                moved = True
            quiet = 0 if moved else quiet + 1
            if quiet > 4:
                return
        raise RuntimeError("it never came to rest")


@pytest.fixture(params=["plain", "tls"])
def security(request: pytest.FixtureRequest, certificate: PrivateCertificate) -> PrivateCertificate | None:
    return certificate if request.param == "tls" else None


Security = PrivateCertificate | None


def test_requests_are_answered(security: Security) -> None:
    with serving() as server:
        pumped = Pumped(server, security)
        pumped.settle()
        pumped.client.transport.write(GET * 3)
        pumped.settle()
        assert [each.body for each in read_answers(pumped.client.received)] == [b"hello"] * 3
        assert pumped.client.ended is None


def test_the_environ_knows_tls(security: Security) -> None:
    seen: list[dict[str, Any]] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append({**environ})
        return hello(environ, start_response)

    with serving(app) as server:
        pumped = Pumped(server, security)
        pumped.client.transport.write(GET)
        pumped.settle()
        assert seen[0]["wsgi.url_scheme"] == ("http" if security is None else "https")
        assert seen[0].get("HTTPS") == (None if security is None else "on")


def test_large_bodies_pass_both_ways(security: Security) -> None:
    body = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(40_000))
    with serving(echo, body_memory=100_000) as server:
        pumped = Pumped(server, security)
        pumped.client.transport.write(request(method="POST", body=body) + request(method="POST", body=b"next"))
        pumped.settle()
        first, second = read_answers(pumped.client.received)
        assert hashlib.sha256(first.body).digest() == hashlib.sha256(body).digest()
        assert second.body == b"next"


def test_a_generator_passes(security: Security) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [*TEXT])
        for number in range(500):
            yield b"%d " % number * 50

    with serving(app, high_water=1 << 30) as server:
        pumped = Pumped(server, security)
        pumped.client.transport.write(GET)
        pumped.settle()
        (answer,) = read_answers(pumped.client.received)
        assert answer.body == b"".join(b"%d " % number * 50 for number in range(500))


def test_a_worker_that_waits_for_the_reader_goes_on(security: Security) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [*TEXT])
        for _ in range(200):
            yield b"x" * 10_000

    with serving(app, high_water=20_000) as server:
        pumped = Pumped(server, security)
        pumped.client.transport.write(GET)
        pumped.settle(work=False)
        worker = server.step_in_thread()
        pumped.move_while(worker.is_alive)
        pumped.settle()
        (answer,) = read_answers(pumped.client.received)
        assert len(answer.body) == 2_000_000


def test_a_wrong_request_is_answered_and_the_connection_ends(security: Security) -> None:
    with serving() as server:
        pumped = Pumped(server, security)
        pumped.client.transport.write(b"nonsense\r\n\r\n" + GET)
        pumped.settle()
        (answer,) = read_answers(pumped.client.received)
        assert answer.status == 400
        assert pumped.client.ended is not None


def test_close_is_kept(security: Security) -> None:
    with serving() as server:
        pumped = Pumped(server, security)
        pumped.client.transport.write(request(fields="Connection: close"))
        pumped.settle()
        (answer,) = read_answers(pumped.client.received)
        assert answer.body == b"hello"
        assert pumped.client.ended is not None
        assert server.factory.connections == set()


def test_an_error_in_the_middle_can_be_seen(security: Security) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [*TEXT])
        yield b"begun"
        raise ValueError("on purpose")

    with serving(app) as server:
        pumped = Pumped(server, security)
        pumped.client.transport.write(GET)
        pumped.settle()
        assert not pumped.client.received.endswith(b"0\r\n\r\n")
        assert pumped.client.ended is not None


def test_a_handshake_that_never_ends_is_cut_off(certificate: PrivateCertificate) -> None:
    with serving(tls_timeout=10, head_timeout=60) as server:
        factory = TLSMemoryBIOFactory(certificate.options(), False, server.factory, clock=server.reactor)
        silent = Collector()
        far = factory.buildProtocol(None)
        pump = connect(
            far, FakeTransport(far, isServer=True), silent, FakeTransport(silent, isServer=False), debug=False
        )
        for _ in range(9):
            server.advance(1)
            pump.flush()
        assert silent.ended is None
        for _ in range(4):
            server.advance(1)
            pump.flush()
        assert silent.ended is not None
        assert server.factory.connections == set()


def test_a_plain_request_to_a_tls_port_does_no_harm(certificate: PrivateCertificate) -> None:
    with serving() as server:
        factory = TLSMemoryBIOFactory(certificate.options(), False, server.factory, clock=server.reactor)
        plain = Collector()
        far = factory.buildProtocol(None)
        pump = connect(far, FakeTransport(far, isServer=True), plain, FakeTransport(plain, isServer=False), debug=False)
        plain.transport.write(GET)
        pump.flush()
        server.settle()
        pump.flush()
        assert plain.ended is not None
        assert server.pool.done == 0
        assert server.factory.connections == set()


def test_a_client_that_leaves_during_an_answer_through_tls(certificate: PrivateCertificate) -> None:
    closed = threading.Event()

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            while True:
                yield b"x" * 10_000

        def close(self) -> None:
            closed.set()

    def app(environ: dict[str, Any], start_response: Any) -> Body:
        start_response("200 OK", [*TEXT])
        return Body()

    with serving(app) as server:
        pumped = Pumped(server, certificate)
        pumped.client.transport.write(GET)
        pumped.settle(work=False)
        worker = server.step_in_thread()
        pumped.move_while(lambda: not pumped.client.received)
        pumped.client.transport.abortConnection()
        pumped.move_while(worker.is_alive)
        assert closed.is_set()
        pumped.settle()
        assert server.factory.connections == set()
