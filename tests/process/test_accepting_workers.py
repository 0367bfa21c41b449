"""Are the connections of a worker, whose ports its parent has bound, accepted and carried as those of one process?"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from tests import support
from tests.authorities import family
from tests.stepped import SteppedReactor
from tests.support import serving
from twisted_wsgiref._connection.plain_transports import TCPTransport
from twisted_wsgiref._connection.poller import make_poller
from twisted_wsgiref._connection.tls_transport import TLSTransport
from twisted_wsgiref._process.adoption import adopting
from twisted_wsgiref._process.listeners import Bound, tcp_key

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Twisted's own TLS uses what pyOpenSSL deprecates
    pytest.mark.skipif(make_poller(SteppedReactor(), print, print) is None, reason="there is no epoll here"),
]


@pytest.mark.parametrize(("kind", "transport"), [("tcp", TCPTransport), ("ssl", TLSTransport)])
def test_a_port_that_was_adopted_is_no_other(
    kind: str, transport: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    bound = [Bound(tcp_key(7, "127.0.0.1"), os.dup(listener.fileno()), socket.AF_INET)]
    adopted: list[Any] = []

    class Worker(support.SteppedService):
        def __init__(self, *given: Any, reactor: Any, **named: Any) -> None:
            super().__init__(*given, reactor=adopting(reactor, bound, adopted.append), **named)

    monkeypatch.setattr(support, "SteppedService", Worker)
    _, _, leaf = family()
    path = tmp_path / "all.pem"
    path.write_bytes(leaf.key_pem() + leaf.pem)
    words = "tcp:7:interface=127.0.0.1" if kind == "tcp" else f"ssl:7:{path}:interface=127.0.0.1"
    with serving(service={"endpoints": [words]}) as server, listener:
        server.settle()
        assert adopted == server.service._listener.ports.opened
        with socket.create_connection(listener.getsockname()) as client:
            client.send(b"\x16\3\1")
            server.settle()
            (connection,) = server.factory.connections
            assert isinstance(connection.transport, transport)
            assert connection.transport.reactor is server.reactor
