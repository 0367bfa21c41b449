"""Real connections to a service that is turned by hand. No test belongs in here."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tests.support import Server, hello, request, serving
from twisted_wsgiref._connection.unwatched import MOMENT

LOCAL = "tcp:0:interface=127.0.0.1"
CLOSING = request(fields="Connection: close")


class Listening:
    """A service that listens on one endpoint, and the sockets of its clients."""

    def __init__(self, server: Server) -> None:
        server.settle()
        self.server = server
        self.port: Any = server.service._listener.ports.opened[0]
        self.clients: list[socket.socket] = []

    def connect(self, octets: bytes = b"") -> socket.socket:
        name = self.port.socket.getsockname()
        client = socket.socket(self.port.socket.family)
        self.clients.append(client)
        client.connect(name)
        client.setblocking(False)
        if octets:
            client.send(octets)
        return client

    def received(self, client: socket.socket) -> bytes:
        """Return all that came, up to the end."""
        got = b""
        for _ in range(200):
            self.server.settle()
            with suppress(BlockingIOError):
                piece = client.recv(1 << 20)
                if not piece:
                    return got
                got += piece
        return got

    def wait_a_moment(self) -> None:
        """Let as much time pass as a connection is left unwatched for, while no worker works."""
        for _ in range(2):
            self.server.advance(MOMENT * 1.1, work=False)

    @property
    def connections(self) -> list[Any]:
        return list(self.server.factory.connections)


@contextmanager
def listening(application: Any = hello, endpoint: Any = LOCAL, **settings: Any) -> Iterator[Listening]:
    with serving(application, service={"endpoints": [endpoint]}, **settings) as server:
        made = Listening(server)
        try:
            yield made
        finally:
            for client in made.clients:
                client.close()


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
