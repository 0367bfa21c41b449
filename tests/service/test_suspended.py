"""Does a generator whose client reads slowly hold no thread, and does all else stay as it is?"""

from __future__ import annotations

import contextvars
import io
import resource
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import GET, PATIENCE, TEXT, Client, Server, serving
from twisted_wsgiref._gateway.handler import WSGIHandler

BLOCK = b"x" * 0x10000
COUNT = 60

_seen: contextvars.ContextVar[str] = contextvars.ContextVar("seen", default="nothing")


class Stream:
    """An application that gives `count` blocks; ``events`` tells of all that was done to it."""

    def __init__(self, count: int = COUNT, *, fails_at: int = -1) -> None:
        self.count = count
        self.fails_at = fails_at
        self.made = 0
        self.events: list[str] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        if environ["PATH_INFO"] == "/quick":
            start_response("200 OK", [*TEXT])
            return iter([b"quick"])
        _seen.set(environ["PATH_INFO"])
        start_response("200 OK", [*TEXT])
        return self.blocks(environ)

    def blocks(self, environ: dict[str, Any]) -> Iterator[bytes]:
        try:
            for number in range(self.count):
                if number == self.fails_at:
                    raise RuntimeError("the stream has failed")
                self.made += 1
                yield BLOCK
        finally:
            self.events.append(f"closed, and sees {_seen.get()}")


def suspended(server: Server, kind: str = "socket") -> Client:
    """Return a client that reads nothing of an answer which is left in the middle."""
    client = server.connect(kind)
    client.reading = False
    client.send(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
    server.settle()
    return client


def streaming(application: Any, **settings: Any) -> Any:
    return serving(application, validated=False, suspend_streams=True, high_water=0x20000, **settings)


@pytest.mark.parametrize("kind", ["socket", "ours", "opaque"])
def test_a_client_that_reads_nothing_holds_no_thread(kind: str) -> None:
    stream = Stream()
    with streaming(stream) as server:
        client = suspended(server, kind)
        assert 0 < stream.made < COUNT
        assert not server.service.threads_at_work()
        assert server.factory.count_unanswered() == 1
        assert server.ask(b"GET /quick HTTP/1.1\r\nHost: h\r\n\r\n", kind).answers()[0].body == b"quick"
        assert stream.events == []
        client.reading = True
        server.settle()
        assert client.answers()[0].body == BLOCK * COUNT
        assert stream.events == ["closed, and sees /slow"]
        assert [record.size for record in server.records] == [5, len(BLOCK) * COUNT]


def test_a_thread_that_goes_on_makes_no_more_than_there_is_room_for() -> None:
    stream = Stream()
    with streaming(stream) as server:
        client = suspended(server)
        (connection,) = server.factory.connections
        while not stream.events:
            before = stream.made
            client.reading = True
            client.move()
            client.reading = False
            server.settle()
            assert stream.made - before < 20
            assert connection._queue.pending < 0x40000


def test_a_kept_connection_serves_on_after_a_suspended_answer() -> None:
    with streaming(Stream()) as server:
        client = suspended(server)
        client.send(GET.replace(b"/ ", b"/quick "))
        client.reading = True
        server.settle()
        assert [len(answer.body) for answer in client.answers()] == [len(BLOCK) * COUNT, 5]


@pytest.mark.parametrize("kind", ["socket", "ours", "opaque"])
def test_a_client_that_leaves_has_the_iterable_closed_by_a_worker(kind: str) -> None:
    stream = Stream()
    by: list[object] = []
    with streaming(stream) as server:
        client = suspended(server, kind)
        made = stream.made
        stream.events = _Noting(lambda: by.append(server.pool.now))  # type: ignore[assignment]
        client.leave()
        server.settle()
        assert len(by) == 1
        assert by[0] is not None  # a job ran
        assert stream.made == made
        assert len(server.records) == 1
        assert not server.factory.connections


class _Noting(list[str]):
    def __init__(self, note: Any) -> None:
        super().__init__()
        self._note = note

    def append(self, event: str) -> None:
        self._note()
        super().append(event)


def test_a_client_that_takes_nothing_is_cut_off_after_send_timeout() -> None:
    stream = Stream()
    with streaming(stream, send_timeout=5.0) as server:
        client = suspended(server)
        server.advance(4)
        assert not client.aborted
        server.advance(3)
        assert client.aborted
        assert stream.events == ["closed, and sees /slow"]
        assert len(server.records) == 1


def wait_for_a_thread(server: Server) -> Client:
    """Return a client whose answer waits for a thread to go on."""
    client = suspended(server)
    server.held = True
    client.reading = True
    server.settle()
    assert server.pool.jobs
    return client


def test_queue_age_is_none_of_an_answer_that_has_begun() -> None:
    with streaming(Stream(), queue_age=5.0) as server:
        client = wait_for_a_thread(server)
        server.advance(20)
        server.held = False
        server.settle()
        assert client.answers()[0].body == BLOCK * COUNT


def test_a_full_queue_refuses_no_answer_that_has_begun() -> None:
    with streaming(Stream(), queue=1, threads=1) as server:
        client = suspended(server)
        server.held = True
        server.pool.at_work = 1
        others = [server.ask(b"GET /quick HTTP/1.1\r\nHost: h\r\n\r\n") for _ in range(2)]
        client.reading = True
        server.settle()
        assert [other.answers()[0].status for other in others if other.received] == [503]
        server.held = False
        server.advance(3)
        assert client.answers()[0].body == BLOCK * COUNT
        assert b" 200 OK" in others[0].received


def test_request_timeout_ends_an_answer_that_no_thread_goes_on_with() -> None:
    stream = Stream()
    with streaming(stream, request_timeout=5.0) as server:
        client = wait_for_a_thread(server)
        server.advance(8)
        assert client.aborted
        server.held = False
        server.settle()
        assert stream.events == ["closed, and sees /slow"]
        assert "GET /slow HTTP/1.1 waited for a thread to go on" in server.logged()


def test_a_stop_waits_for_a_suspended_answer() -> None:
    with streaming(Stream()) as server:
        client = suspended(server)
        stopped = server.service.stopService()
        server.settle()
        assert not stopped.called
        client.reading = True
        server.advance(8)
        assert stopped.called
        assert client.answers()[0].body == BLOCK * COUNT


def test_the_end_of_a_grace_has_the_iterable_closed() -> None:
    stream = Stream()
    closed = threading.Event()
    before = {*threading.enumerate()}
    with streaming(stream, grace=5.0) as server:
        suspended(server)
        stream.events = _Noting(closed.set)  # type: ignore[assignment]
        stopped = server.service.stopService()
        server.advance(8)
        assert stopped.called
        assert closed.wait(PATIENCE)
        for each in {*threading.enumerate()} - before:
            each.join(PATIENCE)  # it wakes the reactor once more
        assert stream.events == ["closed, and sees /slow"]
        assert server.service.cut_off == 1


def test_an_exception_after_a_pause_cuts_the_answer_and_is_logged_once() -> None:
    stream = Stream(fails_at=COUNT - 5)
    with streaming(stream) as server:
        client = suspended(server)
        client.reading = True
        server.settle()
        assert client.ended
        assert server.logged().count("RuntimeError: the stream has failed") == 1
        assert stream.events == ["closed, and sees /slow"]
        assert len(server.records) == 1


def test_a_head_request_is_over_at_once() -> None:
    stream = Stream()
    with streaming(stream) as server:
        client = server.ask(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert client.answers("HEAD")[0].body == b""
        assert stream.events == ["closed, and sees /"]
        assert server.pool.done == 1


class _Rude:
    """An iterator that is no iterable, as `for` bears it."""

    def __init__(self, count: int) -> None:
        self._left = count

    def __next__(self) -> bytes:
        if not self._left:
            raise StopIteration
        self._left -= 1
        return BLOCK


class _Odd:
    def __iter__(self) -> Any:
        return _Rude(COUNT)


@pytest.mark.parametrize("kind", ["odd", "wrapper"])
def test_other_iterables_go_on_where_they_were(kind: str) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [*TEXT])
        return _Odd() if kind == "odd" else environ["wsgi.file_wrapper"](io.BytesIO(BLOCK * COUNT), len(BLOCK))

    with streaming(app) as server:
        client = suspended(server)
        assert not server.pool.running()
        assert server.factory.count_unanswered() == 1
        client.reading = True
        server.settle()
        assert client.answers()[0].body == BLOCK * COUNT


def test_write_waits_in_its_thread() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        write = start_response("200 OK", [*TEXT])
        for _ in range(COUNT):
            write(BLOCK)
        yield b"end"

    with streaming(app) as server:
        client = server.connect()
        client.reading = False
        server.held = True
        client.send(GET)
        server.settle()
        thread = server.step_in_thread()
        server.wait_until(lambda: server.factory.connections and bool(_only(server)._queue._room))
        assert thread.is_alive()
        client.reading = True
        server.settle_while(thread)
        server.held = False
        server.settle()
        assert client.answers()[0].body == BLOCK * COUNT + b"end"


def _only(server: Server) -> Any:
    (connection,) = server.factory.connections
    return connection


def test_a_handler_that_overrides_single_steps_is_suspended_too() -> None:
    done: list[str] = []

    class Handler(WSGIHandler):
        def write(self, data: bytes) -> None:
            done.append("write")
            super().write(data)

        def finish_content(self) -> None:
            done.append("finish_content")
            super().finish_content()

        def close(self) -> None:
            done.append("close")
            super().close()

    with streaming(Stream(), service={"handler_class": Handler}) as server:
        client = suspended(server)
        assert set(done) == {"write"}
        client.reading = True
        server.settle()
        assert done == ["write"] * COUNT + ["finish_content", "close"]
        assert client.answers()[0].body == BLOCK * COUNT


@pytest.mark.parametrize("method", ["run", "finish_response"])
def test_a_handler_that_overrides_the_whole_is_not_suspended(method: str) -> None:
    done: list[str] = []

    class Handler(WSGIHandler):
        pass

    def override(self: Any, *given: Any) -> None:
        getattr(WSGIHandler, method)(self, *given)
        done.append(method)

    setattr(Handler, method, override)
    with streaming(Stream(), service={"handler_class": Handler}) as server:
        client = server.connect()
        client.reading = False
        server.held = True
        client.send(GET)
        server.settle()
        thread = server.step_in_thread()
        server.wait_until(lambda: bool(_only(server)._queue._room))
        assert thread.is_alive()
        client.reading = True
        server.settle_while(thread)
        assert done == [method]
        assert client.answers()[0].body == BLOCK * COUNT


def test_a_line_that_was_begun_in_the_log_stays_with_its_request() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [*TEXT])
        environ["wsgi.errors"].write("begun by the stream")
        for _ in range(COUNT):
            yield BLOCK

    with streaming(app) as server:
        suspended(server)
        assert "begun by the stream" in server.logged()


def test_the_child_of_a_fork_goes_on_with_no_answer_and_closes_none() -> None:
    stream = Stream()
    with streaming(stream) as server:
        client = suspended(server)
        exchange = _only(server)._exchange
        made = stream.made
        server.service._workers.forked(False)
        assert exchange.is_given_up()
        assert stream.made == made
        assert stream.events == []
        server.pool._stopped = False
        exchange.connection = _only(server)
        client.leave()
        server.settle()
        exchange.run()  # for this test's own tidiness: nobody else does
        server.settle()


def test_a_request_that_was_long_suspended_is_not_said_to_run_for_long() -> None:
    with streaming(Stream(), send_timeout=600.0) as server:
        suspended(server)
        exchange = _only(server)._exchange
        server.advance(100)
        assert "has been running" not in server.logged()
        assert exchange.at_work_since == exchange.received
        client = server.clients[0]
        client.reading = True
        server.settle()
        assert exchange.at_work_since > exchange.received + 90


READERS = 400  # two descriptors each; the reactor is that of select, which knows 1024
MOST_EACH = 600 * 1024


def _resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_400_readers_that_take_nothing_leave_four_threads_to_others() -> None:
    stream = Stream(10**6)
    with streaming(stream, threads=4) as server:
        before = _resident()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = soft if soft == resource.RLIM_INFINITY else max(soft, min(4096, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        try:
            readers = [suspended_at_once(server) for _ in range(READERS)]
            server.settle()
            assert server.factory.count_unanswered() == READERS
            assert not server.service.threads_at_work()
            assert server.ask(b"GET /quick HTTP/1.1\r\nHost: h\r\n\r\n").answers()[0].body == b"quick"
            assert _resident() - before < READERS * MOST_EACH
            for reader in readers:
                reader.leave()
            server.settle()
            assert len(stream.events) == READERS
        finally:
            for each in server.clients:
                each.close()
            server.settle()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def suspended_at_once(server: Server) -> Client:
    client = server.connect(buffer=4096)
    client.reading = False
    return client.send(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
