"""A server whose every turn is taken by the test: no thread, no time and no network but what the test moves.

`Server` is a whole service on a real reactor that is stepped by hand, with a clock that stands still and a pool whose
jobs run in the test's own thread. `Client` is the other end of a connection: over a socket that the server sees
(``socket``, the straight path; ``tls``, the same with TLS on it), over one that it does not (``opaque``, as under
Twisted's own TLS), or over Twisted's `StringTransport` (``string``). No test belongs in here.
"""

from __future__ import annotations

import errno
import os
import random
import re
import socket
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import BufferedRandom, FileIO
from typing import Any, TypeVar

import pytest
from incremental import Version
from OpenSSL import SSL, crypto
from twisted.internet import tcp
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.internet.testing import StringTransport
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

import twisted
from tests.answers import Answer, read_answers
from tests.authorities import family
from tests.stepped import SteppedReactor
from twisted_wsgiref._connection.plain_transports import TCPTransport
from twisted_wsgiref._connection.tls_transport import TLSTransport
from twisted_wsgiref._connection.transports import Origin
from twisted_wsgiref._gateway import request_body
from twisted_wsgiref.service import WSGIService
from twisted_wsgiref.settings import Settings
from twisted_wsgiref.testing import SteppedPool
from twisted_wsgiref.util import FileWrapper
from twisted_wsgiref.validate import validator

# For tests of ports that are taken: Twisted before 24.11 leaves the socket to the garbage collector.
PORT_TAKEN = pytest.mark.filterwarnings(
    ("ignore" if twisted.version < Version("Twisted", 24, 11, 0) else "error") + ":unclosed <socket:ResourceWarning"
)

TEXT = [("Content-Type", "text/plain")]
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
KINDS = ("socket", "ours", "tls", "opaque", "string")
# Nothing here waits for real time; a test that needs another thread may take this long on a loaded machine.
PATIENCE = 20.0


def name_of(value: object) -> str:
    """Return the value as a test's name tells it: without an address, which differs between the processes of a run."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def hello(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [*TEXT])
    return [b"hello"]


def echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answer with the request's body."""
    body = environ["wsgi.input"].read(-1)
    start_response("200 OK", [*TEXT])
    return [body]


def checked(application: Any) -> Any:
    """Return `application` within our `validator`, but with its own answer where that is a list, a tuple or a file.

    The server sees these by their type, which the validator's wrapper hides.
    """

    def outer(environ: dict[str, Any], start_response: Any) -> Any:
        own: list[Any] = []

        def inner(*args: Any) -> Any:
            own.append(application(*args))
            return own[0]

        wrapped = validator(inner)(environ, start_response)
        if type(own[0]) in (list, tuple, FileWrapper):
            wrapped.closed = True  # the server closes what it gets
            return own[0]
        return wrapped

    return outer


class _FileOnFullDisk(FileIO):
    """A real file without a name, of which the disk takes no more than `room` octets."""

    def __init__(self, room: int) -> None:
        descriptor, path = tempfile.mkstemp()
        os.unlink(path)
        super().__init__(descriptor, "r+b")
        self._room = room

    def write(self, octets: Any) -> int:
        fitting = memoryview(octets)[: max(0, self._room - self.tell())]
        if not fitting:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(fitting)


class FullDisk:
    """A disk for the bodies of requests that has room for `room` octets of each; ``files`` is what was put there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.files: list[BufferedRandom] = []

        def open_file(**_: Any) -> BufferedRandom:
            self.files.append(BufferedRandom(_FileOnFullDisk(room)))
            return self.files[-1]

        monkeypatch.setattr(request_body, "TemporaryFile", open_file)


class _Recorded:
    """What a transport was asked to do."""

    aborted = False
    half_closed = False

    def abortConnection(self) -> None:
        self.aborted = True
        super().abortConnection()  # type: ignore[misc]

    def loseWriteConnection(self) -> None:
        self.half_closed = True
        super().loseWriteConnection()  # type: ignore[misc]

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", 8080)

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.2", 50000)


class _SocketTransport(_Recorded, tcp.Server):
    """Twisted's own transport, over one end of a socketpair."""


class _OurTransport(_Recorded, TCPTransport):
    """The server's own transport, over the same."""


class _OpaqueTransport(_SocketTransport):
    """The same, but no socket is to be had from it."""

    getHandle: Any = None


class _TLSTransport(_Recorded, TLSTransport):
    """Ours, with TLS on one end of a socketpair."""


@cache
def _tls_factory() -> Any:
    _, _, leaf = family()
    key, certificate = crypto.PKey.from_cryptography_key(leaf.key), crypto.X509.from_cryptography(leaf.certificate)
    with warnings.catch_warnings():  # Twisted uses what pyOpenSSL deprecates
        warnings.simplefilter("ignore", DeprecationWarning)
        options = CertificateOptions(key, certificate)
        options.getContext()
    return TLSMemoryBIOFactory(options, False, Factory.forProtocol(Protocol))


class _TLSSocket:
    """The client's end of it: a socket that does not block, as far as `Client` uses one."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._tls = SSL.Connection(_client_context(), sock)
        self._tls.set_connect_state()
        self.fileno = sock.fileno

    def shake(self) -> bool:
        """Go on with the handshake; return whether it is over at this end."""
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            return False
        return True

    def send(self, octets: bytes) -> int:
        return self._step(self._tls.send, octets)

    def recv(self, most: int) -> bytes:
        return self._step(self._tls.recv, most)

    def _step(self, call: Any, given: Any) -> Any:
        try:
            return call(given)
        except (SSL.WantReadError, SSL.WantWriteError):
            raise BlockingIOError from None
        except SSL.ZeroReturnError:
            return b""
        except SSL.SysCallError as error:
            code = error.args[0] if error.args[0] > 0 else errno.ECONNRESET
            raise OSError(code, "cut") from None
        except SSL.Error as error:
            # OpenSSL says no more of a socket that is closed at its other end.
            if error.args not in (([],), ([("system library", "", "")],)):
                raise
            raise OSError(errno.EPIPE, "cut") from None

    def shutdown(self, how: int) -> None:
        with suppress(SSL.Error):
            self._tls.shutdown()
        self._sock.shutdown(how)

    def close(self) -> None:
        self._sock.close()  # as whoever vanishes: without a close_notify


@cache
def _client_context() -> SSL.Context:
    return SSL.Context(SSL.TLS_METHOD)


class _HalfString(StringTransport):
    def loseWriteConnection(self) -> None:
        pass


class _String(_Recorded, _HalfString):
    """`StringTransport`, with the rest of what a TCP transport can do."""

    def __init__(self) -> None:
        super().__init__(lenient=True)


class Client:
    """The other end of one connection; ``received`` is all that has come, ``ended`` whether the server has ended it.

    ``reading`` can be set to False: a slow client.
    """

    def __init__(self, server: Server, kind: str, buffer: int | None = None) -> None:
        self.server = server
        self.kind = kind
        self.received = b""
        self.reading = True
        self.ended = False
        self.reset = False
        self._unsent = b""
        self._sock: Any = None
        self.protocol = server.factory.buildProtocol(IPv4Address("TCP", "127.0.0.2", 50000))
        if kind == "string":
            self.transport: Any = _String()
        else:
            theirs, self._sock = socket.socketpair()
            if buffer is not None:
                theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
            for each in (theirs, self._sock):
                each.setblocking(False)
            peer = ("127.0.0.2", 50000)
            if kind in ("ours", "tls"):
                self._be_accepted(theirs, peer)
                return
            transport_class = _SocketTransport if kind == "socket" else _OpaqueTransport
            self.transport = transport_class(theirs, self.protocol, peer, None, 0, server.reactor)
        if self.protocol is not None:
            self.protocol.makeConnection(self.transport)

    def _be_accepted(self, theirs: socket.socket, peer: Any) -> None:
        server = self.server
        if server.factory.poller is None:
            theirs.close()
            self._sock.close()
            pytest.skip("this factory has no poller")
        ends = (theirs, self.protocol, Origin(peer, 8080, 0), server.reactor, server.factory.poller)
        if self.kind == "ours":
            self.transport = _OurTransport(*ends)
            self.protocol.begin(self.transport)
            return
        self._sock = sock = _TLSSocket(self._sock)
        self.transport = _TLSTransport(_tls_factory(), *ends)
        self.protocol.begin(self.transport)
        for _ in range(10):
            shaken = sock.shake()
            server.reactor.turn()
            if shaken and self.transport._shaken:
                return

    # ---- What the client does ----------------------------------------------------------------------------------

    def send(self, octets: bytes) -> Client:
        """Send, as far as the server takes it; the rest follows."""
        self._unsent += octets
        self.move()
        return self

    def half_close(self) -> None:
        """Send no more, but read on."""
        if self._sock is None:
            self.protocol.readConnectionLost()
        else:
            self._sock.shutdown(socket.SHUT_WR)

    def leave(self) -> None:
        """Be gone."""
        if self._sock is None:
            if not self.ended:
                self.ended = True
                self.transport.stopProducing()
                self.protocol.connectionLost(Failure(ConnectionLost()))
        else:
            self._sock.close()
            self.ended = True

    # ---- How it is moved ---------------------------------------------------------------------------------------

    @property
    def unsent(self) -> int:
        """How many octets the server has not taken."""
        return len(self._unsent)

    def move(self) -> int:
        """Send and read what can be; return how many octets were moved."""
        return self._move_string() if self._sock is None else self._move_socket(self._sock)

    def _move_string(self) -> int:
        moved = 0
        transport = self.transport
        if self._unsent and transport.producerState == "producing" and not (self.ended or transport.disconnecting):
            piece, self._unsent = self._unsent[:65536], self._unsent[65536:]
            moved += len(piece)
            self.protocol.dataReceived(piece)
        if self.reading:
            octets = transport.value()
            transport.clear()
            self.received += octets
            moved += len(octets)
            if transport.disconnecting and not self.ended:
                self.ended = True
                self.protocol.connectionLost(Failure(ConnectionDone()))
        return moved

    def _move_socket(self, sock: Any) -> int:
        moved = 0
        if sock.fileno() < 0:
            return 0
        if self._unsent:
            try:
                sent = sock.send(self._unsent)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                if error.errno not in (errno.EPIPE, errno.ECONNRESET):
                    raise
                sent = 0
                self.reset = True
                self._unsent = b""
            self._unsent = self._unsent[sent:]
            moved += sent
        while self.reading and not self.ended:
            try:
                octets = sock.recv(1 << 20)
            except BlockingIOError:
                break
            except ConnectionResetError:
                self.ended = self.reset = True
                break
            if not octets:
                self.ended = True
            self.received += octets
            moved += len(octets) or 1
        return moved

    @property
    def aborted(self) -> bool:
        """Whether the server has reset the connection."""
        return bool(self.transport.aborted)

    @property
    def gone(self) -> bool:
        """Whether the server has forgotten the connection, or closed it for good."""
        return bool(self.transport.disconnected or self.transport.disconnecting or self.ended)

    def answers(self, *methods: str) -> list[Answer]:
        """Return all answers, to requests of `methods` (GET where none are named); nothing else may have come."""
        return read_answers(self.received, methods, ended=self.ended)

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
        elif not self.ended:
            self.leave()


class SteppedService(WSGIService):
    """A service whose jobs are run by the test."""

    make_pool = SteppedPool


class Server:
    """A service that moves when told; use it by `serving`."""

    def __init__(
        self, application: Any, *, validated: bool = True, service: dict[str, Any] | None = None, **settings: Any
    ) -> None:
        self.reactor = SteppedReactor()
        self.records: list[Any] = []
        self.log: list[LogEvent] = []
        globalLogPublisher.addObserver(self.log.append)
        given: dict[str, Any] = {"observers": [self.records.append], "clock": self.reactor.clock, **(service or {})}
        self.service = SteppedService(
            checked(application) if validated else application,
            given.pop("endpoints", []),
            Settings(**settings),
            reactor=self.reactor,
            **given,
        )
        self.pool: Any = self.service._pool
        self.disk: Any = self.service._disk
        self.factory: Any = self.service._factory
        self.clients: list[Client] = []
        self.held = False  # whether jobs are left where they are
        self.service.startService()

    def connect(self, kind: str = "socket", buffer: int | None = None) -> Client:
        client = Client(self, kind, buffer)
        self.clients.append(client)
        return client

    def ask(self, octets: bytes, kind: str = "socket") -> Client:
        """Connect, send `octets`, and let everything happen that will."""
        client = self.connect(kind).send(octets)
        self.settle()
        return client

    def ask_in_pieces(self, octets: bytes, split: str, kind: str = "string") -> Client:
        """As `ask`, in one piece (``whole``), in single ``octets``, or in pieces of ``random`` sizes."""
        client = self.connect(kind)
        chance = random.Random(octets)
        while octets and not client.ended:
            sizes = {"whole": len(octets), "octets": 1, "random": chance.randrange(1, 1 + len(octets))}
            client.send(octets[: sizes[split]])
            octets = octets[sizes[split] :]
        self.settle()
        return client

    def turn(self) -> None:
        """One turn of the reactor, and of each client; no job."""
        self.reactor.turn()
        for client in self.clients:
            client.move()

    def settle(self, *, work: bool = True) -> None:
        """Go on until nothing moves any more; without `work`, no job is run."""
        quiet = 0
        for _ in range(20000):
            self.reactor.turn()
            moved = sum(client.move() for client in self.clients)
            for pool in (self.pool, self.disk) if work else (self.disk,):
                if pool.jobs and not self.held:
                    pool.step()
                    moved += 1
            quiet = 0 if moved else quiet + 1
            if quiet > 4:
                return
        raise RuntimeError("the server never came to rest")

    def settle_while(self, thread: threading.Thread) -> None:
        """Go on while `thread` runs, and until nothing moves after it."""
        end = time.monotonic() + PATIENCE
        while thread.is_alive():
            self.turn()
            thread.join(0.001)
            if time.monotonic() > end:
                raise RuntimeError("the thread never ended")
        self.settle()

    def step_in_thread(self) -> threading.Thread:
        """Have the next job run by a thread of its own, since it may have to wait."""
        thread = threading.Thread(target=self.pool.step, daemon=True)
        thread.start()
        return thread

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Take turns until `condition` holds, which another thread brings about."""
        end = time.monotonic() + PATIENCE
        while not condition():
            self.turn()
            time.sleep(0.001)
            if time.monotonic() > end:
                raise RuntimeError("it never came about")

    def advance(self, seconds: float, *, work: bool = True) -> None:
        """Let time pass, a second at a time at most, and all happen that is due."""
        left = seconds
        while left > 0:
            self.reactor.clock.now += min(1.0, left)
            left -= 1.0
            self.settle(work=work)

    def logged(self) -> str:
        """Return all that was logged, as text."""
        texts = []
        for event in self.log:
            texts.append(formatEvent(event))
            if "log_failure" in event:
                texts.append(event["log_failure"].getTraceback())
        return "\n".join(texts)

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.settle()
        stopped: Any = self.service.stopService() if self.service.running else None
        if stopped is not None and not stopped.called:
            self.advance(self.service._settings.grace + 5)
        self.settle()
        globalLogPublisher.removeObserver(self.log.append)
        self.reactor.close()
        for pool in (self.pool, self.disk):
            if pool.failures:
                raise RuntimeError(f"a job raised: {pool.failures!r}")
        bugs = [formatEvent(event) for event in self.log if "bug in twisted_wsgiref" in formatEvent(event)]
        if bugs:
            raise RuntimeError(self.logged())


@contextmanager
def serving(application: Any = hello, **how: Any) -> Iterator[Server]:
    """Make a `Server`, and take it down; fails if a job raised or a bug of ours was logged."""
    with taken_down(Server(application, **how)) as server:
        yield server


_Served = TypeVar("_Served", bound=Server)


@contextmanager
def taken_down(server: _Served) -> Iterator[_Served]:
    """Give `server`, and close it at the end; of two failures the test's own is the one."""
    try:
        yield server
    except BaseException:
        try:
            server.close()
        except Exception as error:  # the test's own failure says more
            print("while closing:", error)
        raise
    else:
        server.close()


def request(
    target: str = "/", *, method: str = "GET", minor: int = 1, body: bytes | None = None, fields: str = ""
) -> bytes:
    """Return a request; `fields` are lines, parted by newlines, beside Host and, with a body, Content-Length."""
    lines = [f"{method} {target} HTTP/1.{minor}", "Host: h", *fields.split("\n")]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "".join(f"{line}\r\n" for line in lines if line).encode("latin-1") + b"\r\n" + (body or b"")
