"""Who goes when there are more connections than may be, and how much of a hasty client's input is kept?"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import GET, KINDS, Client, Server, hello, serving

kinds = pytest.mark.parametrize("kind", KINDS)
HALF = b"GET / HTTP/1.1\r\nHost: h\r\nX-Ha"


def crowd(server: Server, *first: bytes) -> list[Client]:
    """Return clients that have come one second after the other and have sent `first`."""
    clients = []
    for octets in first:
        clients.append(server.connect().send(octets))
        server.settle(work=False)
        server.reactor.clock.now += 1
    return clients


def test_the_connection_that_has_sent_nothing_for_longest_goes_for_a_new_one() -> None:
    with serving(hello, max_connections=3) as server:
        clients = crowd(server, b"", b"", b"")
        newcomer = server.ask(GET)
        assert [client.gone for client in clients] == [True, False, False]
        assert newcomer.answers()[0].status == 200


def test_a_connection_that_came_this_moment_counts_as_idle() -> None:
    with serving(hello, max_connections=3) as server:
        clients = [server.connect() for _ in range(3)]
        newcomer = server.ask(GET)
        assert sum(client.gone for client in clients) == 1
        assert newcomer.answers()[0].status == 200


def test_half_sent_heads_up_to_the_limit_shut_nobody_out() -> None:
    with serving(hello, max_connections=3) as server:
        clients = crowd(server, HALF, HALF, HALF)
        newcomer = server.ask(GET)
        assert [client.gone for client in clients] == [True, False, False]
        assert newcomer.answers()[0].status == 200


def test_refused_clients_that_stay_up_to_the_limit_shut_nobody_out() -> None:
    with serving(hello, max_connections=3, linger=5) as server:
        clients = crowd(server, b"nonsense\r\n\r\n", b"nonsense\r\n\r\n", b"nonsense\r\n\r\n")
        newcomer = server.ask(GET)
        assert [client.aborted for client in clients] == [True, False, False]
        assert newcomer.answers()[0].status == 200
        assert [client.answers()[0].status for client in clients] == [400, 400, 400]


def test_a_client_that_was_refused_this_moment_keeps_its_answer() -> None:
    with serving(hello, max_connections=2, linger=5) as server:
        clients = [server.ask(b"nonsense\r\n\r\n") for _ in range(2)]
        assert server.ask(GET).gone
        assert [client.aborted for client in clients] == [False, False]


def test_half_a_head_stays_where_another_is_idle_for_longer() -> None:
    with serving(hello, max_connections=3) as server:
        clients = crowd(server, b"", HALF, HALF)
        server.ask(GET)
        assert [client.gone for client in clients] == [True, False, False]


def test_connections_that_were_served_this_moment_are_idle_and_the_first_goes() -> None:
    with serving(hello, max_connections=3) as server:
        clients = []
        for _ in range(3):
            clients.append(server.ask(GET))
            server.reactor.clock.now += 0.1
        newcomer = server.ask(GET)
        assert [client.gone for client in clients] == [True, False, False]
        assert newcomer.answers()[0].status == 200


def test_a_request_behind_an_answer_that_nobody_has_looked_at_yet_is_not_lost_for_a_new_one() -> None:
    with serving(hello, max_connections=2) as server:
        client = server.ask(GET)
        connection = client.protocol
        assert connection.expendable_since is not None
        connection._reader.buffer = GET  # as it is when a worker has just ended the exchange before it
        assert connection.expendable_since is None


def test_where_every_connection_has_a_request_the_new_one_goes() -> None:
    with serving(hello, max_connections=2) as server:
        server.held = True
        clients = [server.ask(GET), server.ask(GET)]
        newcomer = server.ask(GET)
        assert newcomer.gone
        server.held = False
        server.settle()
        assert [client.answers()[0].status for client in clients] == [200, 200]


def test_each_of_a_crowd_is_cut_off_once() -> None:
    with serving(hello, max_connections=4) as server:
        clients = [server.connect() for _ in range(40)]
        server.settle()
        assert sum(not client.gone for client in clients) == 4
        assert len(server.factory.connections) == 4


@kinds
def test_pipelined_input_is_kept_to_its_limit_while_requests_are_served(kind: str) -> None:
    kept: list[int] = []

    def number(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        kept.append(len(client.protocol._reader.buffer))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["QUERY_STRING"].encode()]

    with serving(number, max_pipelined=65536) as server:
        client = server.connect(kind)
        client.send(b"".join(b"GET /?%d HTTP/1.1\r\nHost: h\r\n\r\n" % each for each in range(4000)))
        server.settle()
        assert max(kept) <= 65536
        assert [answer.body for answer in client.answers()] == [b"%d" % each for each in range(4000)]
