"""Does each body reach its own request, and no other, if a client sends the same head again and again?

A head that a connection knows is found by its bytes, and a body that came with it is taken as it is. So all is asked of
a connection that knows the head, and compared with one that knows nothing.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import GET, KINDS, TEXT, Server, echo, request, serving
from twisted_wsgiref._connection.reading import Reading

kinds = pytest.mark.parametrize("kind", KINDS)

#: Twenty bytes, so that each place to cut at can be tried.
BODY = b"abc\n\r\n\r\nGET / HTTP/1"
POST = request(method="POST", body=BODY)
HEAD = POST[: -len(BODY)]
# So often a head comes before nothing of it is new: head, fields and environ are known one request after the other.
KNOWN = 5


def known(server: Server, octets: bytes = POST, kind: str = "string") -> Any:
    """Return a client whose connection has seen `octets` again and again."""
    client = server.connect(kind)
    for _ in range(KNOWN):
        client.send(octets)
        server.settle()
    assert [answer.status for answer in client.answers()] == [200] * KNOWN
    return client


def is_known(client: Any) -> bool:
    return bool(client.protocol._reader.again_size)


def bodies(client: Any) -> list[bytes]:
    """Return the bodies of the answers behind those that made the head known."""
    return [answer.body for answer in client.answers()[KNOWN:]]


def send(server: Server, client: Any, *pieces: bytes) -> None:
    for piece in pieces:
        if not client.ended:
            client.send(piece)
            server.settle()


@kinds
def test_a_head_that_comes_again_has_the_body_that_came_with_it(kind: str) -> None:
    with serving(echo) as server:
        client = known(server, kind=kind)
        assert is_known(client)
        sent = [bytes([number]) * len(BODY) for number in range(50)]
        send(server, client, *(HEAD + body for body in sent))
        assert bodies(client) == sent
        assert is_known(client)


@pytest.mark.parametrize("cut", range(len(POST)))
def test_it_may_be_cut_at_each_byte(cut: int) -> None:
    with serving(echo) as server:
        client = known(server)
        other = HEAD + BODY[::-1]
        send(server, client, POST[:cut], POST[cut:], POST, other[:cut], other[cut:], POST)
        # An empty piece is the whole one after it.
        assert bodies(client) == [BODY, BODY, BODY[::-1], BODY]
        assert not server.logged().count("bug")


@pytest.mark.parametrize("cut", range(len(POST)))
def test_many_in_one_read_are_parted_by_their_lengths(cut: int) -> None:
    with serving(echo) as server:
        client = known(server)
        sent = [bytes([number]) * len(BODY) for number in range(5)]
        octets = b"".join(HEAD + body for body in sent)
        send(server, client, octets + POST[:cut], POST[cut:] + GET, POST)
        assert bodies(client) == [*sent, BODY, b"", BODY]


def test_a_body_that_looks_like_the_known_request_is_a_body() -> None:
    with serving(echo) as server:
        client = known(server)
        outer = request(method="POST", body=POST)
        head = outer[: -len(POST)]
        for _ in range(KNOWN):
            send(server, client, head, POST)
            send(server, client, POST)
        assert bodies(client) == [POST, BODY] * KNOWN


def test_a_part_of_a_body_that_looks_like_the_known_request_is_a_part_of_it() -> None:
    with serving(echo) as server:
        client = known(server)
        whole = b"<" + POST + POST + b">"
        head = request(method="POST", body=whole)[: -len(whole)]
        send(server, client, head + b"<", POST, POST, b">", POST)
        send(server, client, head, b"<", POST, POST, b">", POST)
        assert bodies(client) == [whole, BODY] * 2


def test_a_chunk_that_looks_like_the_known_request_is_a_chunk() -> None:
    with serving(echo) as server:
        client = known(server)
        head = request(method="POST", fields="Transfer-Encoding: chunked")
        send(server, client, head + b"%x\r\n" % len(POST), POST, b"\r\n0\r\n\r\n", POST)
        assert bodies(client) == [POST, BODY]


def test_a_known_request_in_the_place_of_a_chunk_s_size_is_refused() -> None:
    with serving(echo) as server:
        client = known(server)
        send(server, client, request(method="POST", fields="Transfer-Encoding: chunked"), POST)
        assert [answer.status for answer in client.answers()[KNOWN:]] == [400]
        assert client.ended


def test_the_known_request_behind_the_start_of_another_is_its_continuation() -> None:
    with serving(echo) as server:
        client = known(server)
        send(server, client, b"POST /other HTTP/1.1\r\nX: ", POST)
        # "X: POST / HTTP/1.1" is a field, and then comes the rest.
        assert bodies(client) == [BODY]


def test_the_known_request_behind_empty_lines_is_one_and_they_are_forgiven_anew() -> None:
    with serving(echo) as server:
        client = known(server)
        send(server, client, b"\r\n", POST, b"\r\n", POST, b"\r\n" + POST, POST)
        assert bodies(client) == [BODY] * 4
        send(server, client, b"\r\n", b"\r\n")
        assert client.answers()[-1].status == 400


@pytest.mark.parametrize("at", range(len(HEAD)))
def test_a_head_that_differs_in_one_byte_is_another(at: int) -> None:
    seen: list[dict[str, Any]] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append({key: value for key, value in environ.items() if type(value) is str and key != "REMOTE_PORT"})
        return echo(environ, start_response)

    with serving(app, validated=False) as server:
        for new in (HEAD[at] ^ 1, HEAD[at] ^ 32, HEAD[at] ^ 4, 0x30, 0x20, 0x0A, 0x3A):
            octets = HEAD[:at] + bytes([new]) + HEAD[at + 1 :] + BODY
            if octets == POST:
                continue
            known_one, fresh = known(server), server.connect("string")
            seen.clear()
            send(server, known_one, octets)
            told = seen.copy()
            seen.clear()
            send(server, fresh, octets)
            assert told == seen
            got = [(answer.status, answer.body) for answer in known_one.answers()[KNOWN:]]
            assert got == [(answer.status, answer.body) for answer in fresh.answers()]
            assert known_one.ended == fresh.ended
            for client in (known_one, fresh):
                client.leave()
            server.settle()
            server.clients.clear()


def test_two_connections_that_send_the_same_head_never_get_each_other_s_body() -> None:
    with serving(echo) as server:
        clients = [known(server) for _ in range(4)]
        for turn in range(20):
            for number, client in enumerate(clients):
                client.send(HEAD + b"%20d" % (turn * 10 + number))
            server.settle()
        for number, client in enumerate(clients):
            assert bodies(client) == [b"%20d" % (turn * 10 + number) for turn in range(20)]


@kinds
def test_one_that_comes_while_another_is_served_waits_for_its_turn(kind: str) -> None:
    with serving(echo) as server:
        client = known(server, kind=kind)
        sent = [bytes([number]) * len(BODY) for number in range(5)]
        for body in sent:
            client.send(HEAD + body)
            server.settle(work=False)
        assert len(server.pool.jobs) == 1
        server.settle()
        assert bodies(client) == sent


# ---- What an application does with it --------------------------------------------------------------------------------


def _twice(source: Any) -> bytes:
    source.read(-1)
    source.seek(0)
    return bytes(source.read(-1))


READS = {
    "nothing": (lambda source: b"", b""),
    "half": (lambda source: source.read(10), BODY[:10]),
    "all, byte by byte": (lambda source: b"".join(iter(lambda: source.read(1), b"")), BODY),
    "more than there is": (lambda source: source.read(1000), BODY),
    "behind the end": (lambda source: source.read(-1) + source.read(10) + source.read(-1), BODY),
    "a line": (lambda source: source.readline(), b"abc\n"),
    "lines": (lambda source: b"|".join(source.readlines()), BODY.replace(b"\n", b"\n|")),
    "its iterator": (b"|".join, BODY.replace(b"\n", b"\n|")),
    "from its start once more": (_twice, BODY),
    "all that is before": (lambda source: source.getvalue(), BODY),
}


@pytest.mark.parametrize("name", READS)
def test_an_application_may_read_as_it_likes(name: str) -> None:
    read, expected = READS[name]

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [*TEXT])
        return [bytes(read(environ["wsgi.input"]))]

    with serving(app, validated=False) as server:
        client = known(server)
        send(server, client, POST, POST + POST, GET)
        assert bodies(client) == [expected] * 3 + [b""]


@kinds
def test_what_an_application_keeps_or_writes_reaches_no_other_request(kind: str) -> None:
    kept: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        source = environ["wsgi.input"]
        body = source.read(-1)
        assert "mine" not in environ
        assert environ["CONTENT_LENGTH"] == str(len(BODY))
        environ["mine"] = environ["CONTENT_LENGTH"] = environ["PATH_INFO"] = "changed"
        source.seek(0)
        source.write(b"written by an application" * 10)
        kept.append(source)
        start_response("200 OK", [*TEXT])
        return [body]

    with serving(app, validated=False) as server:
        client = known(server, kind=kind)
        sent = [bytes([number]) * len(BODY) for number in range(10)]
        send(server, client, *(HEAD + body for body in sent))
        assert bodies(client) == sent
        assert len({id(each) for each in kept}) == KNOWN + 10
        assert all(each.closed for each in kept)


def test_the_log_and_others_are_told_its_size_whatever_becomes_of_it() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ["wsgi.input"].truncate(0)
        environ["wsgi.input"].close()
        start_response("200 OK", [*TEXT])
        return [b""]

    with serving(app, validated=False) as server:
        client = known(server)
        send(server, client, POST, GET)
    assert [record.received for record in server.records] == [len(BODY)] * (KNOWN + 1) + [0]


# ---- Expectations, limits, and the end -------------------------------------------------------------------------------


def test_a_client_is_asked_for_a_body_only_if_it_waits_for_that() -> None:
    post = request(method="POST", body=BODY, fields="Expect: 100-continue")
    head = post[: -len(BODY)]
    with serving(echo) as server:
        client = known(server, post)
        assert b"100 Continue" not in client.received
        for number in range(1, 4):
            send(server, client, head)
            assert client.received.count(b"100 Continue") == number
            send(server, client, BODY)
            send(server, client, post)
            assert client.received.count(b"100 Continue") == number


@pytest.mark.parametrize("size", [20, 21, 1000])
def test_a_body_that_a_read_has_brought_to_memory_needs_no_file(size: int) -> None:
    post = request(method="POST", body=b"x" * size)
    with serving(echo, body_memory=20) as server:
        client = known(server, post)
        assert is_known(client)
        assert server.disk.done == 0
        send(server, client, post)
        assert bodies(client) == [b"x" * size]


def test_a_body_that_is_too_large_is_refused() -> None:
    with serving(echo, max_body=20) as server:
        client = known(server)
        send(server, client, request(method="POST", body=b"x" * 21))
        assert client.answers()[-1].status == 413
        assert client.ended


def test_the_last_of_a_connection_is_its_last() -> None:
    post = request(method="POST", body=BODY, fields="Connection: close")
    with serving(echo) as server:
        client = server.connect("string").send(post)
        server.settle()
        client.protocol.dataReceived(post)
        server.settle()
        assert [answer.body for answer in client.answers()] == [BODY]


def test_a_body_that_streams_is_never_taken_at_once() -> None:
    kinds_of_input: list[str] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        kinds_of_input.append(type(environ["wsgi.input"]).__name__)
        return echo(environ, start_response)

    with serving(app, validated=False, stream_input=True) as server:
        client = known(server)
        assert not is_known(client)
        assert set(kinds_of_input) == {"BufferedReader"}


def test_a_known_post_and_a_known_get_may_take_turns() -> None:
    with serving(echo) as server:
        client = known(server)
        send(server, client, GET, GET, GET, GET, POST, GET, POST, POST + GET, GET + POST)
        assert bodies(client) == [b"", b"", b"", b"", BODY, b"", BODY, BODY, b"", b"", BODY]


# ---- Large ones, which are read by themselves ------------------------------------------------------------------------

SOCKETS = ("socket", "ours")
sockets = pytest.mark.parametrize("kind", SOCKETS)

LARGE = bytes(range(256)) * 80
LARGE_POST = request(method="POST", body=LARGE)
LARGE_HEAD = LARGE_POST[: -len(LARGE)]


def is_read_apart(client: Any) -> bool:
    return bool(client.protocol._reader.next_read == len(LARGE_HEAD) == client.protocol._reader.again_size)


@sockets
def test_a_large_body_is_read_by_itself_once_its_head_is_known(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    read_body = Reading.read_body

    def note(self: Reading, length: int) -> bytes:
        content = read_body(self, length)
        read.append(len(content))
        return content

    monkeypatch.setattr(Reading, "read_body", note)
    with serving(echo) as server:
        client = known(server, LARGE_POST, kind)
        assert is_read_apart(client)
        read.clear()
        sent = [bytes([number]) * len(LARGE) for number in range(10)]
        send(server, client, *(LARGE_HEAD + body for body in sent))
        assert bodies(client) == sent
        assert read == [len(LARGE)] * 10


@pytest.mark.parametrize("kind", ["tls", "opaque", "string"])
def test_whoever_is_told_of_bytes_by_others_reads_nothing(kind: str) -> None:
    with serving(echo) as server:
        client = known(server, LARGE_POST, kind)
        assert not is_read_apart(client)
        send(server, client, LARGE_POST, LARGE_HEAD, LARGE)
        assert bodies(client) == [LARGE] * 2


CUTS = [*range(len(LARGE_HEAD) + 3), len(LARGE_HEAD) + 10_000, len(LARGE_POST) - 2, len(LARGE_POST) - 1]


@sockets
@pytest.mark.parametrize("cut", CUTS)
def test_a_large_one_may_be_cut_at_each_byte(kind: str, cut: int) -> None:
    with serving(echo) as server:
        client = known(server, LARGE_POST, kind)
        other = LARGE_HEAD + LARGE[::-1]
        for _ in range(2):
            send(server, client, LARGE_POST[:cut], LARGE_POST[cut:], LARGE_POST, other[:cut], other[cut:], LARGE_POST)
            send(server, client, LARGE_POST)
        assert bodies(client) == [LARGE, LARGE, LARGE[::-1], LARGE, LARGE] * 2
        assert is_read_apart(client)


@sockets
@pytest.mark.parametrize("cut", CUTS)
def test_large_ones_behind_each_other_are_parted_by_their_lengths(kind: str, cut: int) -> None:
    with serving(echo) as server:
        client = known(server, LARGE_POST, kind)
        sent = [bytes([number]) * len(LARGE) for number in range(3)]
        octets = b"".join(LARGE_HEAD + body for body in sent)
        send(server, client, octets + LARGE_POST[:cut], LARGE_POST[cut:] + GET + POST, LARGE_POST)
        assert bodies(client) == [*sent, LARGE, b"", BODY, LARGE]


@sockets
def test_a_large_body_that_is_full_of_the_known_request_is_a_body(kind: str) -> None:
    whole = (LARGE_POST * 3)[:50_000] + b"end"
    head = request(method="POST", body=whole)[: -len(whole)]
    with serving(echo) as server:
        client = known(server, LARGE_POST, kind)
        for _ in range(3):
            send(server, client, head, whole[:20], LARGE_POST, whole[20 + len(LARGE_POST) :])
            send(server, client, LARGE_POST, LARGE_POST)
        assert bodies(client) == [whole[:20] + LARGE_POST + whole[20 + len(LARGE_POST) :], LARGE, LARGE] * 3


@sockets
def test_a_head_that_starts_as_a_known_one_of_a_large_body_is_another(kind: str) -> None:
    longer = request("/other", method="POST", body=LARGE, fields="X: " + "x" * 500)
    # All of the known head but its empty line, and then more fields.
    prefix = LARGE_HEAD[:-2] + b"X: 1\r\n\r\n" + LARGE
    with serving(echo) as server:
        client = known(server, LARGE_POST, kind)
        send(server, client, longer, LARGE_POST, LARGE_POST, prefix, LARGE_POST, LARGE_POST, GET)
        assert bodies(client) == [LARGE] * 6 + [b""]


@sockets
def test_other_requests_behind_a_large_body_are_read_as_always(kind: str) -> None:
    get = request("/" + "x" * 4000)
    with serving(echo) as server:
        client = known(server, LARGE_POST, kind)
        send(server, client, get)
        assert client.protocol._reader.next_read == client.protocol._reader.usual_read > len(get)
        send(server, client, get, LARGE_POST)
        assert bodies(client) == [b"", b"", LARGE]


@sockets
def test_a_client_that_ends_behind_the_head_of_a_large_body_gets_400(kind: str) -> None:
    with serving(echo) as server:
        client = known(server, LARGE_POST, kind)
        client.send(LARGE_HEAD)
        client.half_close()
        server.settle()
        assert [answer.status for answer in client.answers()[KNOWN:]] == [400]
        assert client.ended


@sockets
def test_a_client_that_resets_in_the_middle_of_a_large_body_leaves_nothing(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reset(self: Reading, length: int) -> bytes:
        raise ConnectionResetError

    with serving(echo) as server:
        client = known(server, LARGE_POST, kind)
        monkeypatch.setattr(Reading, "read_body", reset)
        done = server.pool.done
        send(server, client, LARGE_POST)
        assert server.pool.done == done
        assert server.factory.connections == set()
        assert "bug" not in server.logged()


@sockets
def test_a_client_that_waits_to_be_asked_for_a_large_body_is_asked(kind: str) -> None:
    post = request(method="POST", body=LARGE, fields="Expect: 100-continue")
    head = post[: -len(LARGE)]
    with serving(echo) as server:
        client = known(server, post, kind)
        assert b"100 Continue" not in client.received
        for number in range(1, 4):
            send(server, client, head)
            assert client.received.count(b"100 Continue") == number
            send(server, client, LARGE, post)
            assert client.received.count(b"100 Continue") == number


@sockets
def test_a_large_body_that_comes_while_another_is_served_waits_for_its_turn(kind: str) -> None:
    with serving(echo) as server:
        client = known(server, LARGE_POST, kind)
        sent = [bytes([number]) * len(LARGE) for number in range(4)]
        for body in sent:
            client.send(LARGE_HEAD + body)
            server.settle(work=False)
        assert len(server.pool.jobs) == 1
        server.settle()
        assert bodies(client) == sent
