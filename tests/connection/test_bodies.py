"""Does a body reach the application whole and exactly, through memory, a file or a pipe, and does nothing hang?"""

from __future__ import annotations

import hashlib
import os
from typing import Any

import pytest

from tests.support import GET, KINDS, TEXT, FullDisk, Server, echo, request, serving
from twisted_wsgiref._connection.reading import PIPE_FULL, Reading
from twisted_wsgiref._gateway.request_body import RequestBody

kinds = pytest.mark.parametrize("kind", KINDS)
BODY = os.urandom(300_000)


def digest(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [*TEXT])
    return [hashlib.sha256(environ["wsgi.input"].read(-1)).hexdigest().encode()]


def digest_of(octets: bytes) -> bytes:
    return hashlib.sha256(octets).hexdigest().encode()


def settle_without_disk(server: Server) -> None:
    server.held = True
    server.settle()
    server.held = False


# ---- A file --------------------------------------------------------------------------------------------------------


@kinds
def test_reading_stops_while_a_body_is_being_written_to_its_file(kind: str) -> None:
    with serving(digest, body_memory=100_000) as server:
        client = server.connect(kind).send(request(method="POST", body=BODY * 10))
        settle_without_disk(server)
        assert len(server.disk.jobs) == 1
        assert client.unsent > 1_000_000
        server.settle()
        assert client.answers()[0].body == digest_of(BODY * 10)


def test_what_comes_behind_a_body_that_is_still_being_written_is_the_next_request() -> None:
    # As TLS does: it gives what it has decrypted, although it was told to pause.
    octets = request(method="POST", body=BODY) + request(method="POST", body=b"second") + GET
    with serving(echo, body_memory=1000) as server:
        client = server.connect("string")
        for start in range(0, len(octets), 16384):
            client.protocol.dataReceived(octets[start : start + 16384])
        settle_without_disk(server)
        assert server.pool.done == 0
        server.settle()
        assert [each.body for each in client.answers()] == [BODY, b"second", b""]


@kinds
def test_what_is_wrong_behind_a_body_that_is_still_being_written_is_refused_after_that(kind: str) -> None:
    head = request(method="POST", fields="Transfer-Encoding: chunked")
    with serving(echo, body_memory=1000) as server:
        client = server.connect(kind)
        client.protocol.dataReceived(head + b"%x\r\n%s\r\n" % (len(BODY), BODY))
        client.protocol.dataReceived(b"nonsense\r\n")  # as TLS does
        settle_without_disk(server)
        assert client.received == b""
        server.settle()
        assert [answer.status for answer in client.answers()] == [400]
        assert "bug" not in server.logged()


@kinds
def test_a_client_that_leaves_while_its_body_is_being_written_leaves_nothing(kind: str) -> None:
    with serving(digest, body_memory=100_000) as server:
        before = len(os.listdir("/proc/self/fd"))
        client = server.connect(kind).send(request(method="POST", body=BODY * 10))
        settle_without_disk(server)
        client.leave()
        if kind != "string":
            client.transport.abortConnection()
        settle_without_disk(server)
        server.settle()
        assert server.factory.connections == set()
        server.clients.clear()
        del client
        assert len(os.listdir("/proc/self/fd")) == before


def test_the_thread_that_waits_for_disks_is_started_again_where_it_could_not_be() -> None:
    with serving() as server:
        server.advance(1)
        assert server.disk.sweeps == 1


@kinds
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), MemoryError("No space left")])
def test_a_disk_that_is_full_is_an_answer_and_a_line_in_the_log(
    kind: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: RequestBody) -> None:
        raise error

    monkeypatch.setattr(RequestBody, "spill", full)
    with serving(digest, body_memory=1000) as server:
        client = server.ask(request(method="POST", body=BODY), kind)
        assert client.answers()[0].status in (500, 503, 507)
        assert client.ended
        assert "No space left" in server.logged()


@kinds
def test_a_disk_that_is_full_at_the_very_end_is_500(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: RequestBody) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RequestBody, "open", full)
    with serving(digest) as server:
        octets = request(method="POST", body=b"xy")
        client = server.ask(octets[:-1], kind).send(octets[-1:])  # one that comes at once is never in a file
        server.settle()
        assert client.answers()[0].status == 500
        assert "No space left" in server.logged()


@kinds
@pytest.mark.parametrize("room", [0, 50_000, 100_000, 150_000])
def test_a_body_that_a_disk_takes_a_part_of_is_an_answer_and_an_end(
    kind: str, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FullDisk(monkeypatch, room)
    with serving(digest, body_memory=1000) as server:
        head, body = request(method="POST", fields=f"Content-Length: {len(BODY)}"), BODY
        client = server.connect(kind).send(head)
        server.settle()
        while body and not client.ended:
            client.send(body[:7001])
            body = body[7001:]
            server.settle()
        assert client.answers()[0].status == 500
        assert client.ended
        assert "No space left" in server.logged()
        client.leave()
        server.settle()
        assert server.factory.connections == set()
        assert [file.closed for file in disk.files] == [True]


@kinds
def test_after_a_body_whose_end_finds_no_room_the_connection_goes_on(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FullDisk(monkeypatch, 1000)
    with serving(digest, body_memory=1000) as server:
        client = server.ask(request(method="POST", body=BODY[:1500])[:-10], kind)
        assert len(disk.files) == 1
        client.send(BODY[1490:1500] + GET)
        server.settle()
        assert [answer.status for answer in client.answers()] == [500, 200]
        assert "No space left" in server.logged()
        assert [record.status for record in server.records] == [500, 200]
        assert [file.closed for file in disk.files] == [True]


# ---- A pipe: --stream-input ----------------------------------------------------------------------------------------


def run_job(server: Server) -> None:
    """Run the next job in a thread of its own, and go on until it is done."""
    server.settle(work=False)
    server.settle_while(server.step_in_thread())


@kinds
@pytest.mark.parametrize("size", [0, 1, 100, 50_000, 300_000])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_streamed_body_arrives_whole(kind: str, framing: str, size: int) -> None:
    body = BODY[:size]
    octets = request(method="POST", body=body)
    if framing == "chunked":
        octets = request(method="POST", fields="Transfer-Encoding: chunked")
        octets += (b"%x\r\n%s\r\n" % (size, body) if size else b"") + b"0\r\n\r\n"
    with serving(digest, stream_input=True, stream_chunked=True, body_memory=65536) as server:
        client = server.connect(kind).send(octets)
        run_job(server)
        assert client.answers()[0].body == digest_of(body)


@kinds
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("size", [0, 5, 300_000])
def test_a_body_in_chunks_has_a_length_unless_it_is_known_to_need_none(kind: str, streamed: bool, size: int) -> None:
    told: list[tuple[str | None, bool]] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        told.append((environ.get("CONTENT_LENGTH"), "HTTP_TRANSFER_ENCODING" in environ))
        return digest(environ, start_response)

    head = request(method="POST", fields="Transfer-Encoding: chunked\nExpect: 100-continue")
    with serving(app, stream_input=True, stream_chunked=streamed, body_memory=65536) as server:
        client = server.connect(kind).send(head)
        server.settle(work=False)
        assert len(server.pool.jobs) == streamed
        assert (b"100 Continue" in client.received) is not streamed
        client.send((b"%x\r\n%s\r\n" % (size, BODY[:size]) if size else b"") + b"0\r\n\r\n")
        run_job(server)
        assert client.answers()[0].body == digest_of(BODY[:size])
        assert told == [(None if streamed else str(size), False)]


@kinds
def test_a_streamed_body_is_read_while_it_comes(kind: str) -> None:
    seen: list[bytes] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        for _ in range(3):
            seen.append(environ["wsgi.input"].readline())
        start_response("200 OK", [*TEXT])
        return [b"done"]

    with serving(app, stream_input=True) as server:
        client = server.connect(kind).send(request(method="POST", fields="Content-Length: 6"))
        server.settle(work=False)
        worker = server.step_in_thread()
        for number in range(3):
            client.send(b"%d\n" % number)
            server.wait_until(lambda number=number: len(seen) == number + 1)  # type: ignore[misc]
        server.settle_while(worker)
        assert seen == [b"0\n", b"1\n", b"2\n"]
        assert client.answers()[0].body == b"done"
        client.send(GET)
        run_job(server)
        assert len(client.answers()) == 2


@kinds
def test_a_pipe_holds_no_more_than_it_may(kind: str) -> None:
    with serving(digest, stream_input=True, body_memory=65536) as server:
        client = server.connect(kind).send(request(method="POST", body=BODY * 10))
        server.settle(work=False)
        assert client.unsent > 2_000_000
        run_job(server)
        assert client.answers()[0].body == digest_of(BODY * 10)


@kinds
def test_the_first_read_asks_a_waiting_client_to_go_on(kind: str) -> None:
    with serving(echo, stream_input=True) as server:
        client = server.connect(kind)
        client.send(request(method="POST", fields="Expect: 100-continue\nContent-Length: 5"))
        server.settle(work=False)
        assert client.received == b""
        worker = server.step_in_thread()
        server.wait_until(lambda: client.received == b"HTTP/1.1 100 Continue\r\n\r\n")
        client.send(b"abcde")
        server.settle_while(worker)
        (answer,) = client.answers()
        assert (answer.interim, answer.body) == ([100], b"abcde")


@kinds
def test_an_answer_without_reading_refuses_the_upload(kind: str) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("401 Unauthorized", [*TEXT])
        return [b"who are you?"]

    with serving(app, stream_input=True) as server:
        client = server.connect(kind)
        client.send(request(method="POST", fields="Expect: 100-continue\nContent-Length: 5000000"))
        run_job(server)
        (answer,) = client.answers()
        assert (answer.status, answer.interim, answer.field("Connection")) == (401, [], "close")
        client.send(GET * 10)
        server.settle()
        assert len(client.answers()) == 1


def test_an_upload_that_nobody_reads_is_dropped_until_the_client_has_its_answer() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("401 Unauthorized", [*TEXT])
        return [b"who are you?"]

    with serving(app, stream_input=True, body_memory=65536) as server:
        client = server.connect().send(request(method="POST", body=BODY * 10))
        run_job(server)
        assert [answer.status for answer in client.answers()] == [401]
        assert client.unsent == 0
        client.leave()
        server.settle()
        assert not client.reset
        assert server.factory.connections == set()


@pytest.mark.parametrize("keep", [True, False])
def test_an_upload_that_fills_its_pipe_as_its_worker_ends_is_read_on(
    keep: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [*TEXT])
        return [b"unread"]

    pause = Reading.pause

    def pause_once_the_worker_is_through(self: Reading, reason: int) -> None:
        if reason == PIPE_FULL and server.pool.jobs:
            server.pool.step()
        pause(self, reason)

    monkeypatch.setattr(Reading, "pause", pause_once_the_worker_is_through)
    size = 5_000 if keep else 3_000_000
    with serving(app, stream_input=True, body_memory=1000, validated=False) as server:
        client = server.connect().send(request(method="POST", fields=f"Content-Length: {size}"))
        server.settle(work=False)
        client.send(bytes(size))
        server.settle(work=False)
        assert client.unsent == 0
        if keep:
            client.send(GET)
            server.settle()
        assert [answer.body for answer in client.answers()] == [b"unread"] * (1 + keep)


@kinds
def test_a_client_that_leaves_during_an_upload_frees_the_worker(kind: str) -> None:
    raised: list[type[BaseException]] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        try:
            environ["wsgi.input"].read(-1)
        except BaseException as error:
            raised.append(type(error))
            raise
        return []

    with serving(app, stream_input=True) as server:
        client = server.connect(kind).send(request(method="POST", fields="Content-Length: 1000") + b"part")
        server.settle(work=False)
        worker = server.step_in_thread()
        server.wait_until(lambda: server.pool.now is not None)
        client.leave()
        server.settle_while(worker)
        assert len(raised) == 1
        assert not issubclass(raised[0], Exception)
        assert server.factory.connections == set()


@kinds
def test_a_malformed_chunk_during_an_upload_frees_the_worker(kind: str) -> None:
    with serving(echo, stream_input=True, stream_chunked=True) as server:
        client = server.connect(kind).send(
            request(method="POST", fields="Transfer-Encoding: chunked") + b"3\r\nabc\r\n"
        )
        server.settle(work=False)
        worker = server.step_in_thread()
        server.wait_until(lambda: server.pool.now is not None)
        client.send(b"nonsense\r\n" + GET)
        server.settle_while(worker)
        assert [each.status for each in client.answers()] == [400]
        assert client.ended


@kinds
def test_an_upload_that_ends_too_early_leaves_a_line(kind: str) -> None:
    with serving(echo, stream_input=True) as server:
        client = server.connect(kind).send(request(method="POST", fields="Content-Length: 1000") + b"part")
        server.settle(work=False)
        worker = server.step_in_thread()
        server.wait_until(lambda: server.pool.now is not None)
        client.half_close()
        server.settle_while(worker)
        assert "refused with 400: the body ended too early" in server.logged()
        assert [(each.status, each.body) for each in client.answers()] == [(400, b"The request is malformed.\n")]
        assert [record.size for record in server.records] == [26]


@kinds
def test_an_upload_that_is_too_slow_frees_the_worker(kind: str) -> None:
    with serving(echo, stream_input=True, body_rate=256) as server:
        client = server.connect(kind).send(request(method="POST", fields="Content-Length: 1000") + b"part")
        server.settle(work=False)
        worker = server.step_in_thread()
        server.wait_until(lambda: server.pool.now is not None)
        for _ in range(25):
            server.reactor.clock.now += 1
            server.turn()
            server.turn()
        server.settle_while(worker)
        assert client.ended
        assert "refused with 408: the request body came too slowly" in server.logged()
        assert [(record.status, record.size) for record in server.records] == [(408, len(client.answers()[0].body))]
        assert server.factory.connections == set() or client.transport.half_closed


@kinds
def test_a_streamed_body_that_is_too_large_frees_the_worker(kind: str) -> None:
    with serving(echo, stream_input=True, stream_chunked=True, max_body=1000) as server:
        client = server.connect(kind).send(
            request(method="POST", fields="Transfer-Encoding: chunked") + b"3\r\nabc\r\n"
        )
        server.settle(work=False)
        worker = server.step_in_thread()
        server.wait_until(lambda: server.pool.now is not None)
        client.send(b"ffff\r\n" + b"x" * 2000)
        server.settle_while(worker)
        assert client.ended
