"""Do bodies that hold no thread, and requests that are interrupted, come through a tree of `twisted.web`?"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from tests.service.test_resource import Two
from tests.support import TEXT, echo, request
from tests.web_tree import web_serving
from twisted_wsgiref import AsyncBody

EVENTS = [("Content-Type", "text/event-stream")]


class Feed:
    """Blocks that a test gives; ``seen`` is what became of whoever yields them."""

    def __init__(self) -> None:
        self.next: Deferred[bytes | None] = Deferred()
        self.seen: list[str] = []

    def give(self, block: bytes | None) -> None:
        given, self.next = self.next, Deferred()
        given.callback(block)

    async def blocks(self) -> AsyncIterator[bytes]:
        yield b""
        try:
            while (block := await self.next) is not None:
                yield block
        except BaseException as error:
            self.seen.append(type(error).__name__)
            raise
        finally:
            self.seen.append("closed")

    def application(self, environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"] != "/events":
            return echo(environ, start_response)
        start_response("200 OK", [*EVENTS])
        return AsyncBody(self.blocks())


def streaming(feed: Feed, **settings: Any) -> Any:
    return web_serving(feed.application, validated=False, **settings)


@pytest.mark.parametrize("suspends", [False, True])
def test_an_async_body_holds_no_thread_and_its_connection_goes_on(suspends: bool) -> None:
    feed = Feed()
    with streaming(feed, suspend_streams=suspends) as server:
        client = server.ask(request("/events") + request("/next"))
        assert server.service.threads_at_work() == []
        assert b"text/event-stream" in client.received
        for block in (b"one", b"two"):
            feed.give(block)
            server.settle()
            assert client.received.endswith(b"3\r\n%b\r\n" % block)
        feed.give(None)
        server.settle()
        first, second = client.answers()
        assert (first.body, second.status) == (b"onetwo", 200)
        assert feed.seen == ["closed"]
        assert server.service.connections == 0


@pytest.mark.parametrize("suspends", [False, True])
def test_an_async_body_is_closed_when_its_client_leaves(suspends: bool) -> None:
    feed = Feed()
    with streaming(feed, suspend_streams=suspends) as server:
        client = server.ask(request("/events"))
        client.leave()
        server.settle()
        assert feed.seen == ["CancelledError", "closed"]
        assert server.service.connections == 0


def test_a_slow_reader_stops_an_async_body() -> None:
    made: list[int] = []

    async def blocks() -> AsyncIterator[bytes]:
        for number in range(200):
            made.append(number)
            yield b"x" * 16384

    def application(environ: dict[str, Any], start_response: Any) -> AsyncBody:
        start_response("200 OK", [*TEXT])
        return AsyncBody(blocks())

    with web_serving(application, validated=False, high_water=65536) as server:
        client = server.connect(buffer=8192)
        client.reading = False
        client.send(request())
        server.settle()
        assert 0 < len(made) < 50
        client.reading = True
        server.settle()
        assert client.answers()[0].body == b"x" * 16384 * 200


def test_an_async_body_has_no_deadline() -> None:
    feed = Feed()
    with streaming(feed, request_timeout=5.0) as server:
        client = server.ask(request("/events"))
        for _ in range(10):
            server.advance(3)
        feed.give(b"late")
        server.settle()
        assert client.received.endswith(b"4\r\nlate\r\n")
        feed.give(None)
        server.settle()


def test_an_async_body_is_made_for_a_stream_of_http_2() -> None:
    feed = Feed()
    with streaming(feed) as server:
        two = Two(server)
        stream = two.ask("/events")
        two.settle()
        feed.give(b"one")
        two.settle()
        assert two.bodies[stream] == b"one"
        feed.give(None)
        two.settle()
        assert two.ended[stream] == "StreamEnded"


def test_an_async_body_ends_when_the_reactor_stops() -> None:
    feed = Feed()
    with streaming(feed, linger=1.0, grace=30.0) as server:
        client = server.ask(request("/events"))
        done: list[object] = []
        server.service._reactor_stops().addCallback(done.append)
        server.settle()
        assert done == []
        for _ in range(8):
            server.advance(0.5)
        assert len(done) == 1
        assert client.received.endswith(b"0\r\n\r\n")
        assert feed.seen[-1] == "closed"


# ---- Over HTTP/2, at the reactor's stop -----------------------------------------------------------------------


def test_the_last_answers_of_http_2_leave_before_the_reactor_stops() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [*TEXT])
        yield b"half"
        yield b"whole"

    with web_serving(application) as server:
        two = Two(server)
        server.held = True
        streams = [two.ask(), two.ask()]
        two.settle()
        done: list[object] = []
        server.service._reactor_stops().addCallback(done.append)
        two.settle()
        assert done == []
        server.held = False
        two.settle()
        server.advance(0.1)
        two.settle()
        assert len(done) == 1
        assert [two.bodies[each] for each in streams] == [b"halfwhole"] * 2
        assert [two.ended[each] for each in streams] == ["StreamEnded"] * 2


# ---- Interrupted ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", ["http/1.1", "h2"])
def test_a_request_whose_time_is_over_is_interrupted(wire: str) -> None:
    began, ended = threading.Event(), threading.Event()
    seen: list[BaseException] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        began.set()
        try:
            while not ended.wait(0.001):
                pass
        except BaseException as error:
            seen.append(error)
            raise
        return echo(environ, start_response)

    with web_serving(application, validated=False, request_timeout=5.0, request_interrupt=True) as server:
        server.held = True
        if wire == "h2":
            two = Two(server)
            stream = two.ask()
            two.settle()
        else:
            client = server.ask(request())
        thread = server.step_in_thread()
        try:
            assert began.wait(20)
            server.advance(7, work=False)
            server.settle_while(thread)
        finally:
            ended.set()
        assert [type(error).__name__ for error in seen] == ["RequestExpired"]
        if wire == "h2":
            two.move()
            assert dict(two.heads[stream])[":status"] == "504"
        else:
            assert client.received.startswith(b"HTTP/1.1 504 ")
        assert server.service.connections == 0
        server.held = False
