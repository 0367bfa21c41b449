"""Does the record of an exchange say what came, what went, and how long a thread was waited for?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from twisted.web.resource import Resource

from tests.support import GET, KINDS, TEXT, echo, hello, request, serving
from twisted_wsgiref._observe.record import Facts, Record

kinds = pytest.mark.parametrize("kind", KINDS)


class Page(Resource):
    isLeaf = True

    def render_POST(self, request: Any) -> bytes:
        return bytes(request.content.read())


def recording() -> tuple[list[Record], dict[str, Any]]:
    records: list[Record] = []
    return records, {"service": {"observers": [records.append]}}


@kinds
def test_a_record_says_how_long_a_request_waited_for_a_thread(kind: str) -> None:
    records, how = recording()

    def slow(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        server.reactor.clock.now += 0.5
        return hello(environ, start_response)

    with serving(slow, **how) as server:
        client = server.connect(kind)
        client.send(GET)
        server.settle(work=False)
        server.reactor.clock.now += 0.25
        server.settle()
        assert len(client.answers()) == 1
    assert [(each.method, each.waited, each.seconds) for each in records] == [("GET", 0.25, 0.75)]


def test_a_request_that_no_thread_has_taken_waited_for_all_its_time() -> None:
    records, how = recording()
    with serving(hello, queue_age=5.0, **how) as server:
        client = server.connect()
        client.send(GET)
        server.settle(work=False)
        for _ in range(8):
            server.advance(1.0, work=False)
        assert [each.status for each in client.answers()] == [503]
    (record,) = records
    assert (record.status, record.method) == (503, "GET")
    assert record.waited == record.seconds >= 5.0


def test_what_needs_no_thread_waits_for_none() -> None:
    records, how = recording()
    how["service"]["mounts"] = {"/page": Page()}
    with serving(hello, **how) as server:
        client = server.ask(request("/page", method="POST", body=b"body"))
        assert [each.body for each in client.answers()] == [b"body"]
    assert [(each.method, each.waited, each.received, each.size) for each in records] == [("POST", 0.0, 4, 4)]


def test_a_request_that_gives_its_thread_back_waits_once() -> None:
    records, how = recording()

    def blocks(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [*TEXT])
        yield b"one"
        server.reactor.clock.now += 1
        yield b"two"

    with serving(blocks, suspend_streams=True, high_water=1, **how) as server:
        client = server.connect()
        client.send(GET)
        server.settle(work=False)
        server.reactor.clock.now += 0.25
        server.settle()
        assert [each.body for each in client.answers()] == [b"onetwo"]
    assert [(each.waited, each.seconds) for each in records] == [(0.25, 1.25)]


@pytest.mark.parametrize("stream_input", [False, True])
@pytest.mark.parametrize(
    ("fields", "body"),
    [("Content-Length: 5", b"hello"), ("Transfer-Encoding: chunked", b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n")],
)
def test_a_record_counts_the_bytes_of_both_bodies(fields: str, body: bytes, stream_input: bool) -> None:
    records, how = recording()
    with serving(echo, stream_input=stream_input, **how) as server:
        client = server.connect()
        client.send(request("/", method="POST", fields=fields))
        server.settle(work=False)
        client.send(body)
        server.settle()
        assert [each.body for each in client.answers()] == [b"hello"]
    assert [(each.received, each.size) for each in records] == [(5, 5)]


def test_what_never_became_a_request_has_no_method() -> None:
    records, how = recording()
    with serving(hello, **how) as server:
        server.ask(b"no request\r\n\r\n")
    assert [(each.status, each.method, each.waited, each.received) for each in records] == [(400, "", 0.0, 0)]


def test_an_observer_may_ask_for_more_of_environ_request_and_answer() -> None:
    class Asks:
        told: list[Facts] = []

        def extract(self, environ: Mapping[str, object], fields: Mapping[str, str], lines: str) -> tuple[str, ...]:
            return str(environ["mine"]), fields["HTTP_X"], lines

        def observe_facts(self, facts: Facts) -> None:
            self.told.append(facts)

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ["mine"] = "seen"
        environ["HTTP_X"] = "changed"
        start_response("200 OK", [("Content-Type", "text/plain"), ("X-Answer", "a")])
        return [b""]

    records: list[Record] = []
    with serving(application, service={"observers": [records.append, Asks()]}) as server:
        server.ask(request("/", fields="X: asked"))
        server.ask(b"no request\r\n\r\n")
    expected = [("seen", "asked", "Content-Type: text/plain\r\nX-Answer: a\r\n"), ()]
    assert [each.extra for each in records] == expected
    assert [each[-1] for each in Asks.told] == expected
