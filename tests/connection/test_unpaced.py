"""Is what goes to a client on this machine sent as fast as it is read, and nothing changed for others?"""

from __future__ import annotations

import socket
from typing import Any

import pytest

from twisted_wsgiref._connection.transports import send_unpaced

TCP_CONGESTION = getattr(socket, "TCP_CONGESTION", None)
pytestmark = pytest.mark.skipif(TCP_CONGESTION is None, reason="this system has no such option")


class Listener:
    """A listening socket on `address` of a system that controls congestion by `algorithm`."""

    def __init__(self, address: str, algorithm: bytes, family: int = socket.AF_INET) -> None:
        self.family = family
        self.address = address
        self.algorithm = algorithm
        self.set: list[Any] = []

    def getsockname(self) -> tuple[str, int]:
        return self.address, 8000

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        assert (level, option) == (socket.IPPROTO_TCP, TCP_CONGESTION)
        return self.algorithm.ljust(size, b"\0")

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        assert (level, option) == (socket.IPPROTO_TCP, TCP_CONGESTION)
        self.set.append(value)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("algorithm", [b"bbr", b"bbr3"])
def test_on_a_loopback_address_nothing_is_spread_in_time(address: str, algorithm: bytes) -> None:
    listener: Any = Listener(address, algorithm, socket.AF_INET6 if ":" in address else socket.AF_INET)
    send_unpaced(listener)
    assert listener.set == [b"reno"]


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1", "2001:db8::1", "fe80::1%1"])
def test_what_others_can_reach_is_left_as_it_is(address: str) -> None:
    listener: Any = Listener(address, b"bbr", socket.AF_INET6 if ":" in address else socket.AF_INET)
    send_unpaced(listener)
    assert listener.set == []


@pytest.mark.parametrize("algorithm", [b"cubic", b"reno", b"dctcp"])
def test_another_algorithm_is_left_as_it_is(algorithm: bytes) -> None:
    listener: Any = Listener("127.0.0.1", algorithm)
    send_unpaced(listener)
    assert listener.set == []


def test_a_socket_that_is_no_tcp_is_not_asked() -> None:
    class Asked(socket.socket):
        options: list[object] = []

        def getsockopt(self, *option: Any) -> Any:
            self.options.append(option)
            return super().getsockopt(*option)

    with Asked(socket.AF_UNIX) as listener:
        send_unpaced(listener)
        assert listener.options == []


def test_a_system_that_forbids_it_is_served_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    listener: Any = Listener("127.0.0.1", b"bbr")

    def refuses(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(listener, "setsockopt", refuses)
    send_unpaced(listener)


def test_connections_begin_as_their_listener_says() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        try:
            listener.setsockopt(socket.IPPROTO_TCP, TCP_CONGESTION, b"bbr")
        except OSError:
            pytest.skip("this system has no bbr")
        send_unpaced(listener)
        with socket.create_connection(listener.getsockname(), 5), listener.accept()[0] as connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, TCP_CONGESTION, 16).rstrip(b"\0") == b"reno"
