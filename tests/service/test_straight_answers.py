"""Is an answer that leaves a site of `twisted.web` as one, past `Request.write`, what Twisted itself would write?"""

from __future__ import annotations

import re
from typing import Any
from unittest.mock import patch

import pytest
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from tests.support import TEXT, hello, request
from tests.web_tree import web_serving
from twisted_wsgiref._connection import web_request


class Above(Resource):
    """Sets what Twisted adds to a head by itself, as the path says, and hands on to `below`."""

    def __init__(self, below: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._below = below

    def getChild(self, path: bytes, request: Any) -> Any:
        request.setHeader(b"X-Above", b"1")
        if path == b"cookie":
            request.addCookie(b"a", b"b")
        elif path == b"etag":
            request.setETag(b'"tag"')
        elif path == b"modified":
            request.setLastModified(1)
        return self._below


def written(octets: bytes, application: Any, straight: bool) -> tuple[bytes, bool]:
    """Return all that a client receives, and whether its connection has ended."""
    with web_serving(application, validated=False) as server:
        server.factory.resource = Above(server.resource)
        if straight:
            client = server.ask(octets)
        else:
            with patch.object(web_request, "write_straight", lambda *given: False):
                client = server.ask(octets)
        return re.sub(rb"Date: [^\r]*", b"Date:", client.received), client.ended


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("minor", [0, 1])
@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "304 Not Modified", "404 Not Here"])
@pytest.mark.parametrize("blocks", [[b"hello"], [b""], [], [b"a", b"b"]])
def test_the_same_bytes_leave_either_way(method: str, minor: int, status: str, blocks: list[bytes]) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        fields = [("X-Field", "a"), ("X-Field", "b")]
        start_response(status, fields if status[0] == "3" or status[1:3] == "04" else [*TEXT, *fields])
        return [] if status[:3] in {"204", "304"} else blocks

    octets = request("/a", method=method, minor=minor)
    assert written(octets, application, True) == written(octets, application, False)


@pytest.mark.parametrize("path", ["/cookie", "/etag", "/modified"])
def test_twisteds_own_additions_to_a_head_stay(path: str) -> None:
    received, _ = written(request(path), hello, True)
    assert (received, False) == written(request(path), hello, False)
    assert {"/cookie": b"Set-Cookie: a=b", "/etag": b'ETag: "tag"', "/modified": b"Last-Modified: "}[path] in received


def test_a_small_answer_leaves_without_a_turn_of_the_transport() -> None:
    with web_serving() as server:
        client = server.connect()
        with patch.object(client.transport, "startWriting", side_effect=AssertionError("the reactor is asked")):
            client.send(request() + request())
            server.settle()
        assert [answer.body for answer in client.answers()] == [b"hello"] * 2


def test_answers_of_a_client_that_does_not_read_come_whole_and_in_order() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [*TEXT])
        return [environ["PATH_INFO"].encode() * 10_000]

    with web_serving(application) as server:
        client = server.connect("socket", 4096)
        client.reading = False
        client.send(b"".join(request(f"/{number}") for number in range(10)))
        server.settle()
        client.reading = True
        server.settle()
        assert [answer.body for answer in client.answers()] == [b"/%d" % number * 10_000 for number in range(10)]


def test_a_request_of_somebody_elses_class_writes_by_itself() -> None:
    class Loud(Request):
        def write(self, data: bytes) -> None:
            super().write(data.upper())

    def site(root: Any, **how: Any) -> Any:
        return Site(root, requestFactory=Loud, **how)

    with web_serving(site=site) as server:
        (answer,) = server.ask(request()).answers()
        assert answer.body == b"HELLO"


def test_the_access_log_of_the_site_has_the_size() -> None:
    with web_serving() as server:
        lines: list[str] = []
        with patch.object(server.factory, "log", lambda request: lines.append(f"{request.code} {request.sentLength}")):
            server.ask(request())
        assert lines == ["200 5"]


def test_a_client_that_is_gone_when_its_answer_is_made_leaves_nothing() -> None:
    with web_serving() as server:
        server.held = True
        client = server.connect().send(request())
        server.settle()
        client.leave()
        server.held = False
        server.settle()
        assert server.service.connections == 0
