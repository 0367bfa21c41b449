"""Does one id name a request to the application, to its client and in both logs?"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from twisted.web.resource import Resource

from tests.observe.test_lines import Kept
from tests.support import KINDS, TEXT, hello, request, serving
from twisted_wsgiref._observe.access_log import AccessLog
from twisted_wsgiref._observe.atoms import Atoms
from twisted_wsgiref._observe.current import current_request_id
from twisted_wsgiref._observe.json_lines import JSONLines

PROXIED = "X-Request-ID: from-the-proxy"
TRACE = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def told(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    assert environ["twisted_wsgiref.request_id"] == environ["HTTP_X_REQUEST_ID"] == current_request_id()
    start_response("200 OK", [*TEXT])
    return [environ["HTTP_X_REQUEST_ID"].encode()]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("minor", [0, 1])
def test_each_request_has_an_id_of_its_own_in_environ_and_answer(kind: str, minor: int) -> None:
    with serving(told, request_id=True) as server:
        client = server.connect(kind)
        client.send(request("/", minor=minor, fields="Connection: keep-alive") * 3)
        server.settle()
        answers = client.answers()
        assert current_request_id() == ""
    ids = [answer.field("X-Request-ID") for answer in answers]
    assert [each.body.decode() for each in answers] == ids
    assert len(set(ids)) == 3
    assert all(each and re.fullmatch("[0-9a-f]{32}", each) for each in ids)
    assert [each.request_id for each in server.records] == ids


def blocks(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", [*TEXT])
    yield b"one"
    yield b"two"


def large(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [*TEXT])
    return [b"x" * 100_000]


def writes(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("204 No Content", [])(b"")
    return []


@pytest.mark.parametrize("application", [blocks, large, writes])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_every_kind_of_answer_has_the_id_once(application: Any, method: str) -> None:
    with serving(application, validated=False, request_id=True) as server:
        client = server.ask(request("/", method=method))
        (answer,) = client.answers(method)
    assert answer.fields["x-request-id"] == [server.records[0].request_id]


def test_an_id_that_the_application_gives_is_left_alone() -> None:
    def own(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [*TEXT, ("x-request-id", "mine")])
        return [b""]

    with serving(own, request_id=True) as server:
        (answer,) = server.ask(request("/")).answers()
    assert answer.fields["x-request-id"] == ["mine"]


@pytest.mark.parametrize("trusted", [[], ["127.0.0.2"]])
def test_a_trusted_proxy_chooses_and_nobody_else(trusted: list[str]) -> None:
    with serving(told, request_id=True, trusted_proxy=tuple(trusted)) as server:
        (answer,) = server.ask(request("/", fields=PROXIED)).answers()
    assert (answer.field("X-Request-ID") == "from-the-proxy") == bool(trusted)


def test_without_the_setting_nothing_is_said_and_nothing_changed() -> None:
    def passes(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [*TEXT])
        return [f"{environ['HTTP_X_REQUEST_ID']} {'twisted_wsgiref.request_id' in environ}".encode()]

    with serving(passes) as server:
        (answer,) = server.ask(request("/", fields=PROXIED)).answers()
    assert (answer.body, answer.field("X-Request-ID")) == (b"from-the-proxy False", None)
    assert server.records[0].request_id == ""


def test_a_refusal_after_the_head_has_the_id_too() -> None:
    with serving(hello, request_id=True, queue_age=1.0) as server:
        client = server.connect()
        client.send(request("/"))
        server.settle(work=False)
        for _ in range(4):
            server.advance(1.0, work=False)
        (answer,) = client.answers()
    assert answer.status == 503
    assert answer.field("X-Request-ID") == server.records[0].request_id != ""


def test_what_is_mounted_is_identified() -> None:
    class Page(Resource):
        isLeaf = True

        def render_GET(self, request: Any) -> bytes:
            return b"page"

    with serving(hello, request_id=True, service={"mounts": {"/page": Page()}}) as server:
        (answer,) = server.ask(request("/page")).answers()
    assert re.fullmatch("[0-9a-f]{32}", answer.field("X-Request-ID") or "")


@pytest.mark.parametrize("suspends", [False, True])
def test_both_logs_have_the_id(suspends: bool) -> None:
    def fails(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ["wsgi.errors"].write("said\n")
        raise KeyError("basket")

    kept = Kept()
    log = AccessLog(kept, line_format=JSONLines())
    how: dict[str, Any] = {"trusted_proxy": ("127.0.0.2",), "suspend_streams": suspends, "request_id": True}
    with serving(fails, service={"observers": [log]}, **how) as server:
        server.ask(request("/a?b", fields=f"{PROXIED}\n{TRACE}"))
        (event,) = [each for each in server.log if "log_failure" in each]
    assert log.close()
    assert (event["request_id"], event["method"], event["path"]) == ("from-the-proxy", "GET", "/a")
    read = json.loads(kept.data)
    assert read["request_id"] == "from-the-proxy"
    assert read["trace_id"] == "0af7651916cd43dd8448eb211c80319c"


def test_a_format_may_ask_for_the_id_in_three_ways() -> None:
    kept = Kept()
    log = AccessLog(kept, line_format=Atoms("%(id)s %({x-request-id}i)s %({X-Request-Id}o)s"))
    with serving(hello, service={"observers": [log]}, request_id=True) as server:
        (answer,) = server.ask(request("/")).answers()
    assert log.close()
    assert kept.data.decode().split() == [answer.field("X-Request-ID")] * 3
