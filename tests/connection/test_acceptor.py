"""Are new connections accepted and read at once, by transports of ours where that can be, and as before elsewhere?"""

from __future__ import annotations

import errno
import gc
import os
import resource
import socket
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import tcp

from tests.connection.accepted import CLOSING, LOCAL, Listening, listening, reset
from tests.stepped import SteppedReactor
from tests.support import GET, TEXT, hello, request, serving
from twisted_wsgiref._connection.acceptor import Acceptor
from twisted_wsgiref._connection.plain_transports import TCPTransport, UNIXTransport
from twisted_wsgiref._connection.poller import make_poller
from twisted_wsgiref._process.fairness import pace

pytestmark = pytest.mark.skipif(make_poller(SteppedReactor(), print, print) is None, reason="there is no epoll here")


@contextmanager
def no_descriptor_left() -> Iterator[Callable[[], None]]:
    """Have the process as many descriptors as it may have, until what is yielded is called."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.dup(0)]
    most = max(map(int, os.listdir("/proc/self/fd"))) + 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))

    def free() -> None:
        while taken:
            os.close(taken.pop())

    try:
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))
        yield free
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        free()


# ---- Which connections --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tcp", "tcp6", "unix"])
def test_plain_connections_are_ours(kind: str, tmp_path: Path) -> None:
    endpoint = {"tcp": LOCAL, "tcp6": r"tcp6:0:interface=\:\:1", "unix": f"unix:{tmp_path}/s"}[kind]
    with listening(endpoint=endpoint) as made:
        client = made.connect(GET)
        made.server.settle()
        transport = made.connections[0].transport
        assert type(transport) is (UNIXTransport if kind == "unix" else TCPTransport)
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
        # The reactor knows the port and the poller, and nothing of the connection.
        assert transport not in made.server.reactor.getReaders() + made.server.reactor.getWriters()


def test_those_behind_a_wrapper_are_twisted_s() -> None:
    with listening(proxy_protocol=True, trusted_proxy=["127.0.0.1"]) as made:
        client = made.connect(b"PROXY TCP4 192.0.2.1 192.0.2.2 5 80\r\n" + GET)
        made.server.settle()
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
        assert isinstance(made.connections[0].transport._below, tcp.Server)


def test_those_of_a_port_that_is_somebody_else_s_are_left_to_it() -> None:
    class OwnPort(tcp.Port):
        pass

    def own_transport(*given: Any) -> Any:
        return tcp.Server(*given)

    for change in ("class", "transport", "doRead"):
        with listening() as made:
            reactor, factory = made.server.reactor, made.server.factory
            kind = OwnPort if change == "class" else tcp.Port
            port: Any = kind(0, factory, 50, "127.0.0.1", reactor)
            if change == "transport":
                port.transport = own_transport
            if change == "doRead":
                port.doRead = lambda port=port: tcp.Port.doRead(port)
            port.startListening()
            assert not Acceptor(port, factory, factory.poller, reactor).begin()
            port.stopListening()
            made.server.settle()


# ---- Together, and at once ----------------------------------------------------------------------------------------


def test_many_are_accepted_and_read_in_one_turn() -> None:
    with listening() as made:
        for _ in range(40):
            made.connect(GET)
        made.server.reactor.turn()
        assert len(made.connections) == 40
        assert len(made.server.pool.jobs) == 40  # read at once, and given to the workers together
        made.server.settle()
        assert all(client.recv(1000).startswith(b"HTTP/1.1 200 ") for client in made.clients)


def test_a_thousand_are_served() -> None:
    with listening(max_connections=5000) as made, ExitStack() as stack:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 5000), hard))
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for _ in range(20):
            batch = [made.connect(CLOSING) for _ in range(50)]
            assert all(made.received(client).startswith(b"HTTP/1.1 200 ") for client in batch)
        for client in made.clients:
            client.close()
        made.server.advance(0.1)
        assert made.connections == []


def test_they_come_in_turn_where_workers_share_a_port() -> None:
    class Turn:
        allowed = [0, 2, 3]

        def may_take(self) -> int:
            return self.allowed.pop(0) if self.allowed else 16

    with serving(hello) as server:
        port: Any = tcp.Port(0, server.factory, 50, "127.0.0.1", server.reactor)
        port.startListening()
        pace(port, Turn(), server.reactor.callLater)  # type: ignore[arg-type]
        assert Acceptor(port, server.factory, server.factory.poller, server.reactor).begin()
        clients = [socket.create_connection(port.socket.getsockname()) for _ in range(5)]
        counts = []
        for _ in range(4):
            server.reactor.turn()
            counts.append(len(server.factory.connections))
            server.reactor.clock.now += 0.01
        assert counts[0] == 0
        assert max(b - a for a, b in pairwise(counts)) <= 3
        for client in clients:
            client.close()
        port.stopListening()
        server.settle()


def test_all_who_wait_are_accepted_before_the_port_closes() -> None:
    with listening() as made:
        for _ in range(30):
            made.connect(GET)
        stopped: Any = made.server.service.stopService()
        made.server.settle()
        for client in made.clients:
            assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
            client.close()
        made.server.settle()
        assert stopped.called


# ---- Those that do not behave -------------------------------------------------------------------------------------


def test_one_that_sends_nothing_is_closed_in_time() -> None:
    with listening(head_timeout=5) as made:
        client = made.connect()
        made.server.settle()
        assert len(made.connections) == 1
        made.server.advance(8)
        assert made.connections == []
        assert client.recv(10) == b""


def test_one_that_sends_its_request_later_is_answered() -> None:
    with listening() as made:
        client = made.connect()
        made.server.settle()
        for part in (GET[:7], GET[7:]):
            client.send(part)
            made.server.settle()
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("sent", [b"", GET[:9], GET])
def test_one_that_resets_before_it_is_accepted_is_forgotten(sent: bytes) -> None:
    with listening() as made:
        reset(made.connect(sent))
        made.server.settle()
        assert made.connections == []


def test_one_that_sends_its_end_with_the_request_is_answered() -> None:
    with listening() as made:
        client = made.connect(GET)
        client.shutdown(socket.SHUT_WR)
        assert made.received(client).startswith(b"HTTP/1.1 200 ")
        assert made.connections == []


def test_one_that_leaves_while_it_is_answered_is_noticed() -> None:
    seen: list[bool] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        client.close()
        made.server.reactor.clock.now += 1
        for _ in range(5):
            made.server.reactor.turn()
        seen.append(environ["twisted_wsgiref.client_disconnected"]())
        start_response("200 OK", [*TEXT])
        return [b""]

    with listening(application) as made:
        client = made.connect(CLOSING)
        made.server.settle()
        assert seen == [True]
        assert made.connections == []


def test_beyond_the_limit_the_one_that_is_idle_goes() -> None:
    with listening(max_connections=3) as made:
        for _ in range(4):
            made.connect(GET)
            made.server.settle()
            made.server.advance(1.5)  # what is idle is known by the sweep
        assert len(made.connections) == 3
        with suppress(BlockingIOError):
            made.clients[0].recv(1000)
        with pytest.raises(ConnectionResetError):
            made.clients[0].recv(1000)


@pytest.mark.parametrize("code", [errno.EPERM, errno.ECONNABORTED])
def test_one_that_is_gone_hurts_no_other(code: int, monkeypatch: Any) -> None:
    with listening() as made:
        acceptor = made.port.doRead.__self__
        accept = acceptor._accept
        gone = [OSError(code, "gone")]

        def refuse() -> Any:
            if gone:
                raise gone.pop()
            return accept()

        acceptor._accept = refuse
        made.connect(GET)
        made.server.settle()
        assert made.clients[0].recv(1000).startswith(b"HTTP/1.1 200 ")


def test_without_descriptors_they_are_closed_and_later_ones_served() -> None:
    with listening() as made:
        made.connect(GET)
        made.server.settle()
        for _ in range(3):
            made.connect(GET)
        with no_descriptor_left():
            made.server.reactor.turn()
            made.server.reactor.turn()
        made.server.advance(3)
        for client in made.clients[1:]:
            with pytest.raises((ConnectionResetError, BrokenPipeError)):
                client.recv(1000)
        assert "no descriptor is left" in made.server.logged()
        for _ in range(3):
            made.connect(GET)
        made.server.settle()
        assert all(client.recv(1000).startswith(b"HTTP/1.1 200 ") for client in made.clients[4:])


def test_what_a_factory_raises_is_logged_and_closes_nothing_else() -> None:
    with serving(hello, service={"endpoints": [LOCAL]}) as server:
        made = Listening(server)
        build = server.factory.buildProtocol
        server.factory.buildProtocol = None
        made.connect(GET)
        server.reactor.turn()
        server.factory.buildProtocol = build
        assert "accepting failed" in server.logged()
        made.clients[0].settimeout(5)
        with pytest.raises(ConnectionResetError):
            made.clients[0].recv(10)
        server.log.clear()
        client = made.connect(GET)
        server.settle()
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
        for each in made.clients:
            each.close()


# ---- Those that say that a request is their last --------------------------------------------------------------------


def is_watched(made: Listening) -> bool:
    return bool(made.server.factory.poller._readers)


@pytest.mark.parametrize("octets", [CLOSING, request(minor=0)])
def test_a_last_request_is_answered_and_its_connection_never_watched(octets: bytes) -> None:
    with listening() as made:
        client = made.connect(octets)
        made.server.settle()
        assert made.received(client).startswith(b"HTTP/1.1 200 ")
        assert not is_watched(made)
        made.server.advance(0.01)
        assert made.connections == []


def test_one_that_is_over_makes_room_for_the_next() -> None:
    with listening(max_connections=1) as made:
        for _ in range(3):
            client = made.connect(CLOSING)
            assert made.received(client).startswith(b"HTTP/1.1 200 ")
        assert "limit" not in made.server.logged()


@pytest.mark.parametrize(
    "octets",
    [
        GET,  # more requests may come
        request(fields="Connection: close", body=b"x", method="POST"),  # some send a line behind a body
        CLOSING + b"more",  # it does not keep its word
        CLOSING[:-2],
    ],
)
def test_others_are_watched_at_once(octets: bytes) -> None:
    with listening() as made:
        made.connect(octets)
        made.server.held = True
        made.server.settle(work=False)
        assert is_watched(made)
        made.server.held = False


def test_one_whose_answer_takes_longer_is_watched_after_a_moment() -> None:
    with listening() as made:
        client = made.connect(CLOSING)
        made.server.settle(work=False)
        assert not is_watched(made)
        made.wait_a_moment()
        assert is_watched(made)
        reset(client)
        made.server.settle(work=False)
        assert made.connections == []


def test_its_answer_is_sent_whole_where_the_socket_does_not_take_it_at_once() -> None:
    def large(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [*TEXT])
        return [b"x" * 8_000_000]

    with listening(large) as made:
        client = made.connect(CLOSING)
        assert made.received(client).endswith(b"\r\n\r\n" + b"x" * 8_000_000)
        client.close()
        made.server.advance(0.1)
        assert made.connections == []


def test_where_we_end_it_the_client_may_still_send() -> None:
    with listening(keep_alive=0) as made:
        client = made.connect(GET)
        made.server.settle()
        assert is_watched(made)
        client.send(b"more that nobody reads")
        assert made.received(client).startswith(b"HTTP/1.1 200 ")


def test_a_stop_waits_for_none_of_those_that_are_over() -> None:
    with listening() as made:
        client = made.connect(CLOSING)
        made.server.settle()
        stopped: Any = made.server.service.stopService()
        made.server.advance(0.1)
        assert stopped.called
        assert made.received(client).startswith(b"HTTP/1.1 200 ")
        assert not made.server.reactor.getDelayedCalls()


# ---- What an application and a protocol see -------------------------------------------------------------------------


@pytest.mark.parametrize("interface", ["127.0.0.1", ""])
def test_addresses_are_those_of_the_connection(interface: str) -> None:
    told: list[dict[str, Any]] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        told.append(dict(environ))
        return hello(environ, start_response)

    with listening(application, f"tcp:0:interface={interface}") as made:
        client = socket.create_connection(("127.0.0.1", made.port.getHost().port))
        made.clients.append(client)
        client.send(GET)
        made.server.settle()
        host, number = client.getsockname()
        assert (told[0]["REMOTE_ADDR"], told[0]["REMOTE_PORT"]) == (host, str(number))
        assert (told[0]["SERVER_NAME"], told[0]["SERVER_PORT"]) == ("127.0.0.1", str(made.port.getHost().port))
        transport = made.connections[0].transport
        assert transport.getTcpNoDelay()
        assert not transport.getHandle().getblocking()
        assert repr(transport) == f"<WSGIProtocol #0 on {made.port.getHost().port}>"


def test_who_connects_to_a_unix_socket_is_known(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        told.append(dict(environ))
        return hello(environ, start_response)

    with listening(application, f"unix:{tmp_path}/s") as made:
        made.connect(GET)
        made.server.settle()
        assert told[0]["X_REMOTE_UID"] == str(os.getuid())
        assert made.connections[0].transport.getHost().name == os.fsencode(f"{tmp_path}/s")


def test_no_delay_is_asked_for_where_a_listener_s_is_not_inherited(monkeypatch: Any) -> None:
    with listening() as made:
        made.port.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, False)
        for _ in range(3):
            made.connect(GET)
            made.server.settle()
        assert all(each.transport.getTcpNoDelay() for each in made.connections)


# ---- What is left of them --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "settings"),
    [
        (CLOSING, {}),
        (GET, {}),
        (GET + CLOSING, {}),
        (b"GET / HTTP/1.1\r\n", {}),
        (b"", {}),
        (CLOSING, {"stream_input": True}),
        (CLOSING, {"trusted_proxy": ("127.0.0.1",)}),
    ],
    ids=["closing", "kept", "pipelined", "half a head", "nothing", "streams", "trusts"],
)
def test_one_that_is_lost_leaves_nothing_for_the_cycle_collector(octets: bytes, settings: dict[str, Any]) -> None:
    with listening(**settings) as made:
        client = made.connect(octets)
        made.server.settle(work=False)
        gc.collect()
        gc.disable()
        try:
            (protocol,) = made.connections
            left = [weakref.ref(protocol), weakref.ref(getattr(protocol, "transport", protocol))]
            del protocol
            made.server.settle()
            client.close()
            made.server.advance(0.01)
            assert not made.connections
            assert [each() for each in left] == [None, None]
        finally:
            gc.enable()
