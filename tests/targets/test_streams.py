"""Does the reactor go on with an `AsyncBody`, without a thread, and end it whenever and however it has to end?"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from io import BytesIO
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.protocols.basic import FileSender
from twisted.python.failure import Failure

from tests.answers import read_answers
from tests.support import GET, Client, Server, request, serving
from twisted_wsgiref import AsyncBody
from twisted_wsgiref.validate import validator

KINDS = pytest.mark.parametrize("kind", ["socket", "ours", "opaque", "string"])
EVENTS = [("Content-Type", "text/event-stream")]


class Feed:
    """Blocks that a test gives, one after the other; ``seen`` is what has become of whoever yields them."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.waiting: list[Deferred[bytes | None]] = []
        self.closed = 0

    def give(self, block: bytes | None) -> None:
        """Pass `block` on; None ends the body."""
        self.waiting.pop().callback(block)

    async def blocks(self) -> AsyncIterator[bytes]:
        self.seen.append(f"begun in {threading.current_thread().name}")
        try:
            while True:
                deferred: Deferred[bytes | None] = Deferred()
                self.waiting.append(deferred)
                block = await deferred
                if block is None:
                    return
                yield block
        except BaseException as error:
            self.seen.append(type(error).__name__)
            raise
        finally:
            self.seen.append("closed")

    def close(self) -> None:
        self.closed += 1


class Closing(AsyncBody):
    def __init__(self, source: Any, close: Callable[[], None]) -> None:
        super().__init__(source)
        self._and = close

    def close(self) -> None:
        super().close()
        self._and()


def streaming(feed: Feed, headers: list[tuple[str, str]] = EVENTS) -> Any:
    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [*headers])
        return Closing(feed.blocks(), feed.close)

    return application


def ask(server: Server, kind: str = "socket", octets: bytes = GET) -> Client:
    client = server.ask(octets, kind)
    assert server.pool.running() == []
    return client


@KINDS
def test_a_body_goes_on_without_a_thread(kind: str) -> None:
    feed = Feed()
    with serving(streaming(feed), validated=False) as server:
        client = ask(server, kind, GET + GET)
        assert client.received == b""
        feed.give(b"one")
        server.settle()
        assert b"text/event-stream" in client.received
        assert client.received.endswith(b"3\r\none\r\n")
        feed.give(b"two")
        server.settle()
        assert client.received.endswith(b"3\r\ntwo\r\n")
        assert server.records == []
        feed.give(None)
        server.settle()
        assert feed.seen == [f"begun in {threading.current_thread().name}", "closed", feed.seen[0]]
        assert feed.closed == 1
        feed.give(None)  # of the second request, on the same connection
        server.settle()
        first, second = read_answers(client.received, ["GET", "GET"])
        assert (first.body, first.chunks, second.body) == (b"onetwo", [b"one", b"two"], b"")
        assert [(record.status, record.size) for record in server.records] == [(200, 6), (200, 0)]


@KINDS
def test_an_empty_block_has_the_head_leave(kind: str) -> None:
    feed = Feed()
    with serving(streaming(feed), validated=False) as server:
        client = ask(server, kind)
        feed.give(b"")
        server.settle()
        assert client.received.endswith(b"\r\n\r\n")
        feed.give(None)


@KINDS
def test_a_client_that_leaves_ends_the_generator(kind: str) -> None:
    feed = Feed()
    with serving(streaming(feed), validated=False) as server:
        client = ask(server, kind)
        feed.give(b"one")
        server.settle()
        client.leave()
        server.settle()
        server.advance(2)
        assert feed.seen[1:] == ["CancelledError", "closed"]
        assert feed.closed == 1
        assert len(server.records) == 1
        assert server.service.connections == 0
        assert "failed" not in server.logged()


@KINDS
def test_a_client_that_leaves_while_the_worker_lets_go_is_noticed(kind: str) -> None:
    feed = Feed()
    with serving(streaming(feed), validated=False) as server:
        client = server.connect(kind)
        client.send(GET)
        server.settle(work=False)
        server.pool.step()
        if kind == "string":
            client.leave()
        else:
            client.transport.connectionLost(Failure(ConnectionLost()))
        server.settle()
        assert feed.seen == []
        assert feed.closed == 1
        assert len(server.records) == 1


@KINDS
def test_a_slow_client_stops_the_generator(kind: str) -> None:
    made = 0

    async def much() -> AsyncIterator[bytes]:
        nonlocal made
        for _ in range(400):
            made += 1
            yield b"x" * 10_000

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [*EVENTS])
        return AsyncBody(much())

    with serving(application, validated=False, high_water=100_000) as server:
        client = server.connect(kind)
        client.reading = False
        client.send(GET)
        server.settle()
        assert made < 200
        assert server.pool.running() == []
        client.reading = True
        server.settle()
        (answer,) = read_answers(client.received, ["GET"])
        assert len(answer.body) == 4_000_000


def test_a_client_that_takes_nothing_is_cut_off_and_the_generator_closed() -> None:
    closed = []

    async def much() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 10_000
        finally:
            closed.append(True)

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [*EVENTS])
        return AsyncBody(much())

    with serving(application, validated=False, high_water=100_000, send_timeout=10) as server:
        client = server.connect()
        client.reading = False
        client.send(GET)
        server.settle()
        server.advance(15)
        assert client.aborted
        assert closed == [True]


def test_silence_is_no_work_that_takes_too_long() -> None:
    feed = Feed()
    with serving(streaming(feed), validated=False, request_timeout=5, send_timeout=5) as server:
        client = ask(server)
        feed.give(b"one")
        server.settle()
        server.advance(60)
        feed.give(b"two")
        feed.give(None)
        server.settle()
        (answer,) = read_answers(client.received, ["GET"])
        assert answer.body == b"onetwo"
        assert server.service.threads_at_work() == []


@KINDS
def test_a_failure_before_the_head_is_a_500_and_is_logged_with_the_request(kind: str) -> None:
    feed = Feed()
    with serving(streaming(feed), validated=False) as server:
        client = ask(server, kind, request("/events"))
        feed.waiting.pop().errback(ZeroDivisionError("no such feed"))
        server.settle()
        (answer,) = read_answers(client.received, ["GET"])
        assert answer.status == 500
        (event,) = [event for event in server.log if "log_failure" in event]
        assert event["log_failure"].type is ZeroDivisionError
        assert event["request"] == "GET /events HTTP/1.1"
        assert event["client"] == "127.0.0.2"
        assert feed.closed == 1
        assert [record.status for record in server.records] == [500]


@KINDS
def test_a_failure_behind_the_head_cuts_the_connection(kind: str) -> None:
    feed = Feed()
    with serving(streaming(feed), validated=False) as server:
        client = ask(server, kind)
        feed.give(b"one")
        feed.waiting.pop().errback(ZeroDivisionError())
        server.settle()
        assert client.received.endswith(b"one\r\n")
        assert client.gone or client.transport.half_closed
        assert "ZeroDivisionError" in server.logged()
        assert feed.closed == 1
        assert len(server.records) == 1


def test_a_cancelled_wait_that_nobody_asked_for_is_a_failure() -> None:
    feed = Feed()
    with serving(streaming(feed), validated=False) as server:
        client = ask(server)
        feed.waiting.pop().errback(CancelledError())
        server.settle()
        assert client.answers()[0].status == 500
        assert "CancelledError" in server.logged()


def test_a_block_that_is_no_bytes_is_named() -> None:
    feed = Feed()
    with serving(streaming(feed), validated=False) as server:
        client = ask(server)
        feed.give("text")  # type: ignore[arg-type]
        server.settle()
        assert client.answers()[0].status == 500
        assert "a block of type str: it has to be bytes" in server.logged()


@KINDS
def test_the_answer_to_head_has_no_body_and_makes_none(kind: str) -> None:
    feed = Feed()
    with serving(streaming(feed), validated=False) as server:
        client = ask(server, kind, request(method="HEAD") + request(method="HEAD"))
        first, second = read_answers(client.received, ["HEAD", "HEAD"])
        assert (first.status, first.body, second.status) == (200, b"", 200)
        assert feed.seen == []
        assert feed.closed == 2


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_promised_length_is_kept(method: str) -> None:
    feed = Feed()
    with serving(streaming(feed, [("Content-Length", "6")]), validated=False) as server:
        client = ask(server, octets=request(method=method))
        if method == "GET":
            feed.give(b"one")
            feed.give(b"two")
            feed.give(None)
            server.settle()
        (answer,) = read_answers(client.received, [method])
        assert answer.field("Content-Length") == "6"
        assert answer.body == (b"onetwo" if method == "GET" else b"")
        assert not client.ended
        assert not server.logged()


@pytest.mark.parametrize("blocks", [[b"one"], [b"one", b"two", b"three"]], ids=["short", "long"])
def test_another_length_than_promised_is_logged_and_cut(blocks: list[bytes]) -> None:
    feed = Feed()
    with serving(streaming(feed, [("Content-Length", "7")]), validated=False) as server:
        client = ask(server)
        for block in blocks:
            feed.give(block)
        if len(blocks) == 1:
            feed.give(None)
        server.settle()
        assert "than its Content-Length says" in server.logged()
        assert client.gone or client.transport.half_closed
        assert feed.seen[-1] == "closed"
        assert len(client.received.partition(b"\r\n\r\n")[2]) <= 7


def test_an_http_1_0_client_gets_its_end_by_the_connection() -> None:
    feed = Feed()
    with serving(streaming(feed), validated=False) as server:
        client = ask(server, octets=request(minor=0))
        feed.give(b"one")
        feed.give(None)
        server.settle()
        (answer,) = read_answers(client.received, ["GET"])
        assert (answer.body, answer.framing) == (b"one", "close")


# ---- Producers -----------------------------------------------------------------------------------------------------


def producing(source: Any) -> Any:
    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [*EVENTS])
        return AsyncBody(source)

    return application


@KINDS
def test_a_pull_producer_of_twisted_sends_a_file(kind: str) -> None:
    data = bytes(range(256)) * 4000
    source = producing(lambda consumer: FileSender().beginFileTransfer(BytesIO(data), consumer))
    with serving(source, validated=False, high_water=65536) as server:
        client = server.connect(kind)
        client.reading = False
        client.send(GET)
        server.settle()
        client.reading = True
        server.settle()
        (answer,) = read_answers(client.received, ["GET"])
        assert answer.body == data


class Push:
    """An `IPushProducer` that is its own ``startProducing``."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.consumer: Any = None
        self.done: Deferred[None] = Deferred()

    def startProducing(self, consumer: Any) -> Deferred[None]:
        self.consumer = consumer
        return self.done

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


@pytest.mark.parametrize("kind", ["socket", "ours", "opaque"])
def test_a_push_producer_is_paused_resumed_and_ends(kind: str) -> None:
    push = Push()
    with serving(producing(push), validated=False, high_water=100_000) as server:
        client = server.connect(kind)
        client.reading = False
        client.send(GET)
        server.settle()
        for _ in range(200):
            if push.told:
                break
            push.consumer.write(b"x" * 50_000)
            server.settle()
        client.reading = True
        server.settle()
        assert push.told == ["pause", "resume"]
        push.done.callback(None)
        server.settle()
        assert read_answers(client.received, ["GET"])[0].framing == "chunked"


@KINDS
def test_a_push_producer_is_stopped_when_the_client_leaves(kind: str) -> None:
    push = Push()
    with serving(producing(push), validated=False) as server:
        client = ask(server, kind)
        push.consumer.write(b"one")
        server.settle()
        client.leave()
        server.settle()
        server.advance(2)
        assert push.told == ["stop"]
        push.consumer.write(b"late")
        assert "failed" not in server.logged()


def test_a_producer_that_fails_is_logged() -> None:
    push = Push()
    with serving(producing(push), validated=False) as server:
        client = ask(server)
        push.done.errback(ZeroDivisionError())
        server.settle()
        assert client.answers()[0].status == 500
        assert "ZeroDivisionError" in server.logged()


def test_a_producer_that_unregisters_ends_the_body() -> None:
    def start(consumer: Any) -> None:
        consumer.registerProducer(push, True)
        consumer.write(b"one")
        consumer.unregisterProducer()

    push = Push()
    with serving(producing(start), validated=False) as server:
        assert ask(server).answers()[0].body == b"one"
        assert push.told == []


def test_a_coroutine_may_write() -> None:
    async def start(consumer: Any) -> None:
        consumer.write(b"one")

    with serving(producing(start), validated=False) as server:
        assert ask(server).answers()[0].body == b"one"


@pytest.mark.parametrize("source", [None, b"bytes", [b"blocks"]])
def test_what_is_no_source_is_refused(source: Any) -> None:
    with pytest.raises(TypeError, match="it has to be an asynchronous iterable of bytes, or a callable"):
        AsyncBody(source)


def test_a_generator_that_was_not_called_is_refused() -> None:
    with pytest.raises(TypeError, match="call it"):
        AsyncBody(Feed.blocks)


def test_a_body_that_is_used_twice_is_refused() -> None:
    feed = Feed()
    body = AsyncBody(feed.blocks())
    with serving(lambda environ, start: (start("200 OK", []), body)[1], validated=False) as server:
        ask(server)
        client = server.ask(GET)
        assert client.answers()[0].status == 500
        assert "each answer needs one of its own" in server.logged()


# ---- A thread that iterates it ---------------------------------------------------------------------------------------


def wrapped(feed: Feed) -> Any:
    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        for block in streaming(feed)(environ, start_response):
            yield block.upper()

    return application


@pytest.mark.parametrize("wrap", [wrapped, lambda feed: validator(streaming(feed))], ids=["middleware", "validator"])
def test_middleware_iterates_it_and_holds_a_thread(wrap: Callable[[Feed], Any]) -> None:
    feed = Feed()
    with serving(wrap(feed), validated=False) as server:
        client = server.connect()
        client.send(GET)
        server.settle(work=False)
        thread = server.step_in_thread()
        for block in (b"one", b"two", None):
            server.wait_until(lambda: bool(feed.waiting))
            feed.give(block)
        server.settle_while(thread)
        (answer,) = read_answers(client.received, ["GET"])
        assert answer.body.lower() == b"onetwo"
        assert feed.seen == [f"begun in {threading.current_thread().name}", "closed"]


def test_a_thread_that_iterates_it_is_free_when_the_client_leaves() -> None:
    feed = Feed()
    with serving(wrapped(feed), validated=False) as server:
        client = server.connect()
        client.send(GET)
        server.settle(work=False)
        thread = server.step_in_thread()
        server.wait_until(lambda: bool(feed.waiting))
        client.leave()
        server.turn()
        server.reactor.clock.now += 2
        server.factory.sweep()
        server.settle_while(thread)
        assert feed.seen[1:] == ["CancelledError", "closed"]
        assert "failed" not in server.logged()


def test_what_the_body_raises_is_raised_in_the_thread_that_iterates_it() -> None:
    feed = Feed()
    met: list[BaseException] = []

    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        try:
            yield from streaming(feed)(environ, start_response)
        except BaseException as error:
            met.append(error)
            raise

    with serving(application, validated=False) as server:
        client = server.connect()
        client.send(GET)
        server.settle(work=False)
        thread = server.step_in_thread()
        server.wait_until(lambda: bool(feed.waiting))
        feed.waiting.pop().errback(ZeroDivisionError())
        server.settle_while(thread)
        assert [type(error) for error in met] == [ZeroDivisionError]
        assert client.answers()[0].status == 500


def test_middleware_that_closes_early_ends_the_generator() -> None:
    feed = Feed()

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        body = streaming(feed)(environ, start_response)
        first = next(body)
        body.close()
        return [first]

    with serving(application, validated=False) as server:
        client = server.connect()
        client.send(GET)
        server.settle(work=False)
        thread = server.step_in_thread()
        server.wait_until(lambda: bool(feed.waiting))
        feed.give(b"one")
        server.settle_while(thread)
        assert client.answers()[0].body == b"one"
        assert feed.seen[-1] == "closed"


def test_it_can_be_read_like_a_file_and_is_found_in_a_wrapper() -> None:
    feed = Feed()

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [*EVENTS])
        return environ["wsgi.file_wrapper"](Closing(feed.blocks(), feed.close), 4)

    with serving(application, validated=False) as server:
        client = ask(server)
        feed.give(b"onetwo")
        feed.give(None)
        server.settle()
        assert client.answers()[0].chunks == [b"onetwo"]
        assert feed.closed == 1

    with serving(lambda environ, start: iter(list(application(environ, start))), validated=False) as server:
        client = server.connect()
        client.send(GET)
        server.settle(work=False)
        thread = server.step_in_thread()
        for block in (b"onetwo", None):
            server.wait_until(lambda: bool(feed.waiting))
            feed.give(block)
        server.settle_while(thread)
        assert client.answers()[0].chunks == [b"onet", b"wo"]


def test_outside_of_a_request_it_says_where_it_belongs() -> None:
    with pytest.raises(RuntimeError, match="where no request of twisted_wsgiref runs"):
        next(AsyncBody(Feed().blocks()))


# ---- The stop ----------------------------------------------------------------------------------------------------


def test_streams_end_once_the_linger_is_over_and_a_stop_is_short() -> None:
    feed = Feed()
    with serving(streaming(feed), validated=False, linger=2, grace=30) as server:
        clients = [ask(server) for _ in range(4)]
        for _ in clients:
            feed.waiting.pop(0).callback(b"one")
        server.settle()
        stopped = server.service.stopService()
        server.advance(1)
        assert feed.seen.count("closed") == 0
        server.advance(3)
        assert feed.seen.count("closed") == 4
        assert [client.answers()[0].body for client in clients] == [b"one"] * 4
        server.advance(3)
        assert stopped.called
        assert server.service.cut_off == 0


def test_a_body_of_a_promised_length_has_the_whole_grace() -> None:
    feed = Feed()
    with serving(streaming(feed, [("Content-Length", "6")]), validated=False, linger=2, grace=30) as server:
        client = ask(server)
        feed.give(b"one")
        server.settle()
        server.service.stopService()
        server.advance(10)
        feed.give(b"two")
        feed.give(None)
        server.settle()
        assert client.answers()[0].body == b"onetwo"


def test_a_body_that_comes_after_the_linger_ends_at_once() -> None:
    feed = Feed()
    with serving(streaming(feed), validated=False, linger=2, grace=30) as server:
        client = server.connect()
        client.send(GET)
        server.settle(work=False)
        server.service.stopService()
        server.advance(4, work=False)
        server.settle()
        assert client.answers()[0].body == b""
        assert feed.seen == []


def test_a_thread_that_iterates_a_stream_is_free_at_a_stop() -> None:
    feed = Feed()
    with serving(wrapped(feed), validated=False, linger=2, grace=30) as server:
        client = server.connect()
        client.send(GET)
        server.settle(work=False)
        thread = server.step_in_thread()
        server.wait_until(lambda: bool(feed.waiting))
        feed.give(b"one")
        server.wait_until(lambda: bool(feed.waiting))
        server.service.stopService()
        server.advance(3, work=False)
        server.settle_while(thread)
        assert client.answers()[0].body == b"ONE"


def test_a_generator_can_ask_whether_the_server_stops() -> None:
    asked: list[Callable[[], bool]] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        asked.append(environ["twisted_wsgiref.stopping"])
        start_response("200 OK", [])
        return [b""]

    with serving(application) as server:
        server.ask(GET)
        assert not asked[0]()
        server.service.stopService()
        assert asked[0]()
        server.service.startService()
        assert not asked[0]()
