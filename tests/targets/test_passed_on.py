"""Does an answer with X-Accel-Redirect or X-Sendfile lead to what is meant, and to nothing else, on one connection?"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.protocol import Protocol
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from tests.answers import Answer
from tests.support import KINDS, TEXT, Client, Server, hello, request
from tests.support import serving as validating
from tests.web_tree import web_serving
from twisted_wsgiref import AsyncBody, InternalMount
from twisted_wsgiref._observe.current import current_request_id
from twisted_wsgiref.service import WSGIService
from twisted_wsgiref.settings import SettingError

# The validator wants a Content-Type, which whoever passes a request on had better leave out.
serving = partial(validating, validated=False)

LARGE = bytes(range(256)) * 40960  # 10 MiB
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"


class Body:
    """A body that is not sent; ``events`` is what is done with it."""

    def __init__(self, events: list[str]) -> None:
        self._events = events

    def __iter__(self) -> Iterator[bytes]:
        self._events.append("iterated")
        yield b"dropped"

    def close(self) -> None:
        self._events.append(f"closed in {threading.current_thread().name}")


class Application:
    """Passes each request on to ``to``; ``headers`` go along, ``body`` is what it returns instead of a `Body`."""

    def __init__(self) -> None:
        self.field = "X-Accel-Redirect"
        self.to = "/files/small.txt"
        self.status = "200 OK"
        self.headers: list[tuple[str, str]] = []
        self.body: Any = None
        self.events: list[str] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/plain":
            start_response("200 OK", [*TEXT, ("X-Accel-Buffering", "no")])
            return [b"plain"]
        environ["wsgi.input"].read()
        start_response(self.status, [*self.headers, (self.field, self.to)])
        return Body(self.events) if self.body is None else self.body


class Stream(Resource):
    """Streams events; ``requests`` are those that are open."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Any] = []
        self.gone: list[Any] = []

    def render(self, request: Any) -> int:
        self.requests.append(request)
        request.setHeader(b"Content-Type", b"text/plain")
        request.notifyFinish().addErrback(self.gone.append)
        request.write(b"%b %b %b" % (request.method, request.uri, request.content.read()))
        return NOT_DONE_YET


def inner(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("201 Created", [*TEXT, ("Set-Cookie", "inner=1"), ("X-Inner", "i")])
    told = (
        *(environ[name] for name in ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REQUEST_URI")),
        environ.get("REMOTE_USER", ""),
        environ["wsgi.input"].read().decode(),
        environ.get("CONTENT_LENGTH", ""),
    )
    return ["|".join(told).encode("latin-1")]


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    names = {"small.txt": b"small", "large.bin": LARGE, "a b.txt": b"space", "100%.txt": b"per", "ü.txt": b"u"}
    for name, content in {**names, "docs/index.html": b"<p>", ".hidden": b"hidden"}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (1_700_000_000, 1_700_000_000))
    (tmp_path / "secret.txt").write_bytes(b"secret")
    (folder / "out").symlink_to(tmp_path / "secret.txt")
    return folder


@pytest.fixture
def server(application: Application, folder: Path, stream: Stream) -> Iterator[Server]:
    mounts = {
        "/files": f"internal:static:{folder}",
        "/open": f"static:{folder}",
        "/stream": InternalMount(stream),
        "/inner": InternalMount(inner),
        "/again": InternalMount(application),
        "/old": "internal:redirect:https://example.com/new",
    }
    with serving(
        application, service={"mounts": mounts}, sendfile_root=(str(folder),), static_max_age=("*.bin=60",)
    ) as made:
        yield made


def one(client: Client, *methods: str) -> Answer:
    (answer,) = client.answers(*methods)
    return answer


def ask(server: Server, method: str = "GET", kind: str = "socket", target: str = "/", **fields: str) -> Answer:
    """Return the answer to one request, whose connection lives on."""
    lines = "\n".join(f"{name.replace('_', '-')}: {value}" for name, value in fields.items())
    client = server.ask(request(target, fields=lines, method=method), kind)
    answer = one(client, method)
    assert not client.ended
    return answer


# ---- Where it leads --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "content"), [("small.txt", b"small"), ("large.bin", LARGE), ("docs/", b"<p>")])
def test_a_file_takes_the_place_of_the_answer(
    server: Server, application: Application, kind: str, name: str, content: bytes
) -> None:
    application.to = f"/files/{name}"
    application.status = "404 Not Found"
    answer = ask(server, kind=kind)
    assert (answer.status, answer.body) == (200, content)
    assert "x-accel-redirect" not in answer.fields
    assert answer.fields["content-length"] == [str(len(content))]
    assert application.events == [f"closed in {threading.current_thread().name}"]
    (record,) = server.records
    assert (record.status, record.size, record.request_line) == (200, len(content), "GET / HTTP/1.1")
    assert server.pool.running() == []


@pytest.mark.parametrize("kind", KINDS)
def test_ordinary_answers_and_passed_ones_take_turns_on_one_connection(server: Server, kind: str) -> None:
    targets = ["/plain", "/", "/open/small.txt", "/", "/files/small.txt", "/plain"] * 20
    client = server.connect(kind)
    for target in targets:
        client.send(request(target))
    server.settle()
    answers = client.answers()
    assert [answer.body for answer in answers] == [
        b"plain",
        b"small",
        b"small",
        b"small",
        b"There is nothing here.\n",
        b"plain",
    ] * 20
    assert answers[0].fields["x-accel-buffering"] == ["no"]  # for a proxy in front, who passes nothing on here
    assert [record.status for record in server.records] == [200, 200, 200, 200, 404, 200] * 20


@pytest.mark.parametrize(
    ("to", "content"),
    [
        ("/files/a%20b.txt", b"space"),
        ("/files/a b.txt", b"space"),
        ("/files/100%25.txt", b"per"),
        ("/files/%C3%BC.txt", b"u"),
        ("/files/\xc3\xbc.txt", b"u"),  # as PEP 3333 has UTF-8
        ("/files/ü.txt", b"u"),
        ("/files/small.txt?a=b", b"small"),
        ("/%66iles/small.txt", b"small"),
    ],
)
def test_the_path_is_read_as_a_path_of_a_url(server: Server, application: Application, to: str, content: bytes) -> None:
    application.to = to
    assert ask(server).body == content


@pytest.mark.parametrize(
    "to",
    [
        "/nowhere",
        "/plain",
        "/open/small.txt",  # for everybody, and so nothing to be passed on to
        "/files/../open/small.txt",
        "/open/../files/small.txt",
        "//files/small.txt",
        "/files/%2e%2e/secret.txt",
        "/files/.hidden",
        "/files/out",
        "/files/missing",
        "/",
    ],
)
def test_what_leads_nowhere_is_a_404(server: Server, application: Application, to: str) -> None:
    application.to = to
    application.headers = [("Content-Type", "application/pdf"), ("Set-Cookie", "a=b")]
    answer = ask(server)
    assert answer.status == 404
    assert answer.fields["content-type"] == ["text/plain; charset=utf-8"]
    assert b"secret" not in answer.body
    if not to.startswith("/files/") or "open" in to:
        assert "X-Accel-Redirect: /" in server.logged()


@pytest.mark.parametrize(
    "to",
    ["files/a", "", "http://h/files/small.txt", "/files/%", "/files/%zz", "/files/%00", "/files/\r\nX: y", "@named"],
)
def test_what_is_no_path_is_an_error_of_the_application(server: Server, application: Application, to: str) -> None:
    application.to = to
    answer = ask(server)
    assert answer.status == 500
    assert "the header X-Accel-Redirect is " in server.logged()


def test_two_orders_are_an_error_of_the_application(server: Server, application: Application) -> None:
    application.headers = [("x-accel-redirect", "/files/large.bin")]
    assert ask(server).status == 500
    assert "the header X-Accel-Redirect is there more than once" in server.logged()


# ---- From outside ----------------------------------------------------------------------------------------------


INTERNAL_PATHS = [
    "/files/small.txt",
    "/files",
    "/%66iles/small.txt",
    "/files%2fsmall.txt",
    "http://h/files/small.txt",
    "http://files/files/small.txt",
    "/files//small.txt",
    "/files/x/../small.txt",
    "/stream",
    "/inner/x",
    "/again/x",
    "/old",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "X"])
def test_no_client_reaches_an_internal_mount(server: Server, stream: Stream, kind: str, method: str) -> None:
    for target in INTERNAL_PATHS:
        client = server.ask(request(target, fields="X-Accel-Redirect: /files/small.txt", method=method), kind)
        answer = one(client, method)
        assert answer.status == 404, target
        assert answer.body == (b"" if method == "HEAD" else b"There is nothing here.\n"), target
        assert server.pool.done == 0, target
        assert not stream.requests, target


@pytest.mark.parametrize("target", ["//files/small.txt", "/./files/small.txt", "/open/../files/small.txt"])
def test_a_path_with_two_readings_reaches_nothing(server: Server, target: str) -> None:
    assert one(server.ask(request(target))).status == 400
    assert server.pool.done == 0


# ---- The fields ------------------------------------------------------------------------------------------------


def test_what_the_application_says_of_the_answer_is_kept(server: Server, application: Application) -> None:
    kept = [
        ("Content-Type", "application/pdf"),
        ("Content-Disposition", 'attachment; filename="a.pdf"'),
        ("Set-Cookie", "a=b"),
        ("Set-Cookie", "c=d"),
        ("Cache-Control", "private, max-age=5"),
        ("X-Content-Type-Options", "nosniff"),
        ("Vary", "Cookie"),
    ]
    application.headers = [
        *kept,
        ("ETag", '"mine"'),
        ("Last-Modified", "Thu, 01 Jan 1970 00:00:01 GMT"),
        ("Content-Encoding", "gzip"),
        ("Content-Length", "7"),
        ("Content-Range", "bytes 0-6/7"),
        ("Location", "/elsewhere"),
        ("X-Accel-Limit-Rate", "1"),
        ("X-Accel-Buffering", "no"),
        ("X-Sendfile", "/etc/passwd"),
    ]
    for to in ("/files/small.txt", "/files/large.bin"):
        application.to = to
        answer = ask(server)
        told = {name: answer.fields[name.lower()] for name, _ in kept}
        assert told == {name: [value for each, value in kept if each == name] for name, _ in kept}
        assert answer.fields["last-modified"] == [DATE]
        assert '"mine"' not in answer.fields["etag"]
        assert answer.fields["accept-ranges"] == ["bytes"]
        assert not {"content-encoding", "content-range", "location", "x-sendfile"} & answer.fields.keys()
        assert not [name for name in answer.fields if name.startswith("x-accel")]


def test_what_it_does_not_say_the_file_says(server: Server, application: Application) -> None:
    answer = ask(server)
    assert answer.fields["content-type"] == ["text/plain; charset=utf-8"]
    assert answer.fields["cache-control"] == ["private, no-cache"]
    application.to = "/files/large.bin"
    assert ask(server).fields["cache-control"] == ["private, max-age=60"]
    application.headers = [("Expires", DATE)]
    answer = ask(server)
    assert answer.fields["expires"] == [DATE]
    assert "cache-control" not in answer.fields


@pytest.mark.parametrize("name", ["small.txt", "large.bin"])
def test_ranges_and_conditions_are_the_file_s(server: Server, application: Application, name: str) -> None:
    application.to = f"/files/{name}"
    application.headers = [("Content-Type", "image/png"), ("ETag", '"mine"')]
    whole = ask(server)
    tag = whole.fields["etag"][0]
    part = ask(server, Range="bytes=1-3")
    assert (part.status, part.body, part.fields["content-type"]) == (206, whole.body[1:4], ["image/png"])
    parts = ask(server, Range="bytes=0-0,2-2")
    assert parts.fields["content-type"][0].startswith("multipart/byteranges")
    assert parts.body.count(b"Content-Type: image/png\r\n") == 2
    assert ask(server, If_None_Match=tag).status == 304
    assert "content-type" not in ask(server, If_None_Match=tag).fields
    assert ask(server, If_None_Match='"mine"').status == 200
    assert ask(server, If_Modified_Since=DATE).status == 304
    assert ask(server, If_Match='"mine"').status == 412
    wrong = ask(server, Range="bytes=99999999-")
    assert (wrong.status, wrong.fields["content-type"]) == (416, ["text/plain; charset=utf-8"])
    head = ask(server, "HEAD")
    assert (head.status, head.body, head.fields["content-length"]) == (200, b"", [str(len(whole.body))])
    application.headers = [("Accept-Ranges", "none")]
    assert ask(server, Range="bytes=1-3").status == 200


@pytest.mark.parametrize("field", ["X-Accel-Redirect", "X-Sendfile"])
@pytest.mark.parametrize("size", [100, 100_000])
def test_a_file_that_is_made_for_each_request_is_never_an_older_one(
    server: Server, application: Application, folder: Path, field: str, size: int
) -> None:
    application.field = field
    application.to = f"{'/files' if field == 'X-Accel-Redirect' else folder}/report"
    for user in (b"a", b"b"):
        (folder / "report").write_bytes(user * size)
        os.utime(folder / "report", (1_700_000_000, 1_700_000_000))
        assert ask(server).body == user * size
    (folder / "report").unlink()
    assert ask(server).status == 404


def test_a_file_answers_a_post_as_a_get(server: Server, application: Application) -> None:
    client = server.connect().send(
        request("/", fields="Range: bytes=1-2\nIf-None-Match: *", body=b"body", method="POST")
    )
    server.settle()
    answer = one(client, "POST")
    assert (answer.status, answer.body) == (200, b"small")
    (record,) = server.records
    assert (record.method, record.received) == ("POST", 4)


# ---- X-Sendfile ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("small.txt", b"small"),
        ("large.bin", LARGE),
        ("100%.txt", b"per"),
        ("ü.txt", b"u"),
        ("docs/./../a b.txt", b"space"),
    ],
)
def test_a_file_is_sent_by_its_path(
    server: Server, application: Application, folder: Path, kind: str, name: str, content: bytes
) -> None:
    application.field, application.to = "X-Sendfile", f"{folder}/{name}"
    application.headers = [("Content-Length", str(len(content))), ("Content-Type", "image/png")]
    answer = ask(server, kind=kind)
    assert (answer.status, answer.body, answer.fields["content-type"]) == (200, content, ["image/png"])
    assert "x-sendfile" not in answer.fields
    assert answer.fields["cache-control"][0].startswith("private, ")
    part = ask(server, Range="bytes=0-0")
    assert (part.status, part.body) == (206, content[:1])


@pytest.mark.parametrize(
    "path",
    [
        "{folder}/../secret.txt",
        "{folder}/docs/../../secret.txt",
        "{folder}x/small.txt",
        "{folder}",
        "{folder}/",
        "{folder}/docs",
        "{folder}/missing",
        "{folder}/.hidden",
        "{folder}/out",
        "small.txt",
        "/etc/passwd",
        "//etc/passwd",
        "",
    ],
)
def test_no_other_file_is_sent_and_its_path_stays_here(
    server: Server, application: Application, folder: Path, path: str
) -> None:
    application.field, application.to = "X-Sendfile", path.format(folder=folder)
    answer = ask(server)
    assert (answer.status, answer.body) == (404, b"There is nothing here.\n")
    lines = [line for line in server.logged().splitlines() if "X-Sendfile: " in line]
    assert [line.startswith("X-Sendfile: " + application.to) for line in lines] == [True]
    assert str(folder) not in repr(answer)


def test_without_a_directory_the_field_is_for_somebody_in_front(folder: Path, application: Application) -> None:
    application.field, application.to = "X-Sendfile", f"{folder}/small.txt"
    with serving(application, service={"mounts": {"/files": f"internal:static:{folder}"}}) as server:
        answer = ask(server)
        assert (answer.body, answer.fields["x-sendfile"]) == (b"dropped", [f"{folder}/small.txt"])
    application.field = "X-Accel-Redirect"
    with serving(application, sendfile_root=(str(folder),)) as server:
        assert ask(server).fields["x-accel-redirect"] == [f"{folder}/small.txt"]
    with serving(application) as server:
        assert server.service._gateway.guard is None  # nothing is looked for


def test_a_resource_in_a_tree_of_twisteds_passes_nothing_on(application: Application, folder: Path) -> None:
    application.field, application.to = "X-Sendfile", f"{folder}/small.txt"
    with web_serving(application, validated=False, sendfile_root=(str(folder),)) as server:
        answer = one(server.ask(request("/")))
        assert (answer.body, answer.fields["x-sendfile"]) == (b"dropped", [f"{folder}/small.txt"])


# ---- How an application may answer -----------------------------------------------------------------------------


def late(application: Application) -> Callable[..., Iterator[bytes]]:
    def generator(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        try:
            start_response("200 OK", [("X-Accel-Redirect", application.to)])
            yield b"dropped"
        finally:
            application.events.append("closed")

    return generator


def test_a_generator_may_say_it_with_its_first_block(application: Application, folder: Path) -> None:
    with serving(late(application), service={"mounts": {"/files": f"internal:static:{folder}"}}) as server:
        assert ask(server).body == b"small"
        assert application.events == ["closed"]


def test_other_generators_are_as_they_were(folder: Path) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        if environ["PATH_INFO"] == "/fails":
            raise ZeroDivisionError
        start_response("200 OK", [*TEXT])
        if environ["PATH_INFO"] != "/empty":
            yield b"one"
            yield b"two"

    for settings in ({}, {"suspend_streams": True}, {"request_interrupt": True, "request_timeout": 9.0}):
        with serving(app, service={"mounts": {"/files": f"internal:static:{folder}"}}, **settings) as server:
            assert ask(server).body == b"onetwo"
            assert ask(server, target="/empty").body == b""
            assert ask(server, target="/fails").status == 500
            assert "ZeroDivisionError" in server.logged()


@pytest.mark.parametrize("settings", [{"suspend_streams": True}, {"request_interrupt": True, "request_timeout": 9.0}])
def test_other_ways_to_run_an_application_pass_on_too(
    application: Application, folder: Path, settings: dict[str, Any]
) -> None:
    with serving(application, service={"mounts": {"/files": f"internal:static:{folder}"}}, **settings) as server:
        assert ask(server).body == b"small"
        assert len(application.events) == 1


@pytest.mark.parametrize("body", [[], [b"x"], (b"x",), b""])
def test_whatever_the_body_is_it_is_dropped(server: Server, application: Application, body: Any) -> None:
    application.body = body
    assert ask(server).body == b"small"


def test_an_async_body_is_dropped(folder: Path) -> None:
    async def blocks() -> Any:
        yield b"dropped"

    def app(environ: dict[str, Any], start_response: Any) -> AsyncBody:
        start_response("200 OK", [("X-Accel-Redirect", "/files/small.txt")])
        return AsyncBody(blocks())

    with serving(app, service={"mounts": {"/files": f"internal:static:{folder}"}}) as server:
        assert ask(server).body == b"small"


def test_what_is_written_is_dropped(folder: Path) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("X-Accel-Redirect", "/files/small.txt")])(b"dropped")
        return [b"dropped"]

    with serving(app, service={"mounts": {"/files": f"internal:static:{folder}"}}) as server:
        assert ask(server).body == b"small"


def test_an_error_page_takes_the_order_back(folder: Path) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("X-Accel-Redirect", "/files/small.txt")])
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            import sys

            start_response("500 Oops", [*TEXT], sys.exc_info())
        return [b"oops"]

    with serving(app, service={"mounts": {"/files": f"internal:static:{folder}"}}) as server:
        answer = ask(server)
        assert (answer.status, answer.body) == (500, b"oops")


def test_a_close_that_fails_is_logged_and_the_file_sent(server: Server, application: Application) -> None:
    class Failing(Body):
        def close(self) -> None:
            raise ZeroDivisionError("in close")

    application.body = Failing([])
    assert ask(server).body == b"small"
    assert "in close" in server.logged()


def test_whoever_passes_on_may_be_validated(folder: Path, application: Application) -> None:
    application.headers = [*TEXT]
    with validating(application, service={"mounts": {"/files": f"internal:static:{folder}"}}, validate=True) as server:
        assert ask(server).body == b"small"
        application.body = []
        assert ask(server).body == b"small"


def test_an_exception_after_start_response_is_a_500(folder: Path) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("X-Accel-Redirect", "/files/small.txt")])
        raise ZeroDivisionError

    with serving(app, service={"mounts": {"/files": f"internal:static:{folder}"}}) as server:
        assert ask(server).status == 500


@pytest.mark.parametrize("headers", [[("A", "b", "c")], [("X-Accel-Redirect",)], [("X-Accel-Redirect", 5)], "ab", None])
def test_headers_that_are_none_are_told_as_ever(folder: Path, headers: Any) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", headers)
        return []

    with serving(app, service={"mounts": {"/files": f"internal:static:{folder}"}}) as server:
        assert ask(server).status == 500
        assert "TypeError" in server.logged()


# ---- Other targets ---------------------------------------------------------------------------------------------


def test_a_second_application_answers_what_was_passed_on(folder: Path) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ["REMOTE_USER"] = "someone"
        start_response("200 OK", [("X-Accel-Redirect", "/inner/a%20b?c=d&e"), ("Set-Cookie", "outer=1")])
        return []

    with serving(app, service={"mounts": {"/inner": InternalMount(inner)}}) as server:
        client = server.ask(request("/x?y", body=b"body", method="POST"))
        answer = one(client, "POST")
        assert answer.body == b"GET|/inner|/a b|c=d&e|/inner/a%20b?c=d&e|someone||"
        assert answer.status == 201
        assert answer.fields["set-cookie"] == ["inner=1", "outer=1"]
        (record,) = server.records
        assert (record.user, record.request_line, record.size) == ("someone", "POST /x?y HTTP/1.1", len(answer.body))


def test_a_circle_ends(server: Server, application: Application) -> None:
    application.to = "/again"
    assert ask(server).status == 500
    assert "the request was passed on more than 10 times" in server.logged()
    assert len(application.events) == 11


def test_a_redirection_may_be_internal(server: Server, application: Application) -> None:
    application.to = "/old/x"
    assert (ask(server).status, ask(server).fields["location"]) == (307, ["https://example.com/new/x"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_resource_goes_on_without_a_thread(
    server: Server, application: Application, stream: Stream, kind: str
) -> None:
    application.to = "/stream/a%2Fb?c"
    application.headers = [("Content-Type", "text/event-stream")]
    client = server.ask(request("/", body=b"body", method="POST") + request("/plain"), kind)
    assert client.received.endswith(b"\r\nGET /stream/a/b?c \r\n") or b"GET /stream/a" in client.received
    assert b"Content-Type: text/event-stream" in client.received
    assert server.pool.running() == []
    server.advance(200)
    stream.requests[0].write(b"more")
    stream.requests[0].finish()
    server.settle()
    first, second = client.answers("POST", "GET")
    assert first.body.endswith(b"more")
    assert second.body == b"plain"


@pytest.mark.parametrize("kind", KINDS)
def test_a_connection_may_change_hands_behind_it(application: Application, kind: str) -> None:
    class Echo(Protocol):
        def dataReceived(self, data: bytes) -> None:
            assert self.transport is not None
            self.transport.write(data.upper())

    class Takes(Resource):
        isLeaf = True

        def render(self, request: Any) -> int:
            transport = request.channel.transport
            transport.protocol = echo = Echo()
            echo.makeConnection(transport)
            transport.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
            return NOT_DONE_YET

    application.to = "/ws"
    with serving(application, service={"mounts": {"/ws": InternalMount(Takes())}}) as server:
        client = server.ask(request("/", fields="Upgrade: echo\nConnection: Upgrade"), kind)
        assert client.received.startswith(b"HTTP/1.1 101 ")
        client.send(b"hello")
        server.settle()
        assert client.received.endswith(b"\r\n\r\nHELLO")
        assert server.pool.running() == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_that_leaves_is_told_to_the_resource(
    server: Server, application: Application, stream: Stream, kind: str
) -> None:
    application.to = "/stream"
    client = server.ask(request("/"), kind)
    client.leave()
    server.advance(4)
    assert len(stream.gone) == 1
    assert len(server.records) == 1
    assert server.service.connections == 0


def test_a_client_that_leaves_while_the_worker_lets_go_gets_nothing(
    server: Server, application: Application, stream: Stream
) -> None:
    application.to = "/stream"
    client = server.connect("string").send(request("/"))
    server.settle(work=False)
    server.pool.step()
    client.leave()
    server.settle()
    assert not stream.requests
    assert len(server.records) == 1
    assert server.service.connections == 0


def test_a_client_that_reads_slowly_gets_all_of_a_file(server: Server, application: Application) -> None:
    application.to = "/files/large.bin"
    client = server.connect("socket", buffer=4096)
    client.reading = False
    client.send(request("/") + request("/plain"))
    server.settle()
    assert server.pool.running() == []
    server.advance(30)
    client.reading = True
    server.settle()
    first, second = client.answers()
    assert (first.body, second.body) == (LARGE, b"plain")


def test_a_client_that_takes_nothing_is_cut_off(server: Server, application: Application) -> None:
    application.to = "/files/large.bin"
    client = server.connect("socket", buffer=4096)
    client.reading = False
    client.send(request("/"))
    server.advance(70)
    assert client.aborted
    assert server.service.connections == 0


def test_an_unread_upload_closes_the_connection(application: Application, folder: Path) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("X-Accel-Redirect", "/files/small.txt")])
        return []

    mounts = {"/files": f"internal:static:{folder}"}
    with serving(app, service={"mounts": mounts}, stream_input=True) as server:
        client = server.ask(request("/", fields="Content-Length: 1000000", method="POST") + b"some")
        answer = one(client, "POST")
        assert (answer.status, answer.body, answer.fields["connection"]) == (200, b"small", ["close"])


def test_old_clients_are_served(server: Server) -> None:
    client = server.ask(request("/", minor=0))
    assert (one(client).body, client.ended) == (b"small", True)
    client = server.ask(request("/", fields="Connection: keep-alive", minor=0))
    assert (one(client).body, client.ended) == (b"small", False)


def test_a_stop_waits_for_it(server: Server, application: Application, stream: Stream) -> None:
    application.to = "/stream"
    client = server.ask(request("/"))
    stopped = server.service.stopService()
    server.advance(5)
    assert not stopped.called
    stream.requests[0].finish()
    server.settle()
    assert one(client).status == 200
    server.advance(3)
    assert client.ended
    assert stopped.called


def test_a_proxy_s_word_holds_for_what_is_passed_on(folder: Path) -> None:
    told: list[str] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        told.append(environ["REMOTE_ADDR"])
        start_response("200 OK", [*TEXT] if environ["SCRIPT_NAME"] else [("X-Accel-Redirect", "/inner")])
        return [b"x"]

    with serving(app, service={"mounts": {"/inner": InternalMount(app)}}, trusted_proxy=("*",)) as server:
        assert ask(server, X_Forwarded_For="192.0.2.7").body == b"x"
    assert told == ["192.0.2.7"] * 2


def test_a_resource_that_takes_too_long_is_given_up(application: Application) -> None:
    class Silent(Resource):
        isLeaf = True
        gone: list[Any] = []

        def render(self, request: Any) -> int:
            request.notifyFinish().addErrback(self.gone.append)
            return NOT_DONE_YET

    application.to = "/silent"
    mounts = {"/silent": InternalMount(Silent())}
    with serving(application, service={"mounts": mounts}, request_timeout=5.0) as server:
        client = server.ask(request("/"))
        server.advance(8)
        assert (one(client).status, client.ended) == (504, True)
        assert len(Silent.gone) == 1
        assert [record.status for record in server.records] == [504]


@pytest.mark.parametrize("trusted", [(), ("*",)])
def test_the_id_of_a_request_stays_its_own(trusted: tuple[str, ...]) -> None:
    told: list[tuple[str, str]] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        told.append((environ["HTTP_X_REQUEST_ID"], environ["HTTP_TRACEPARENT"][3:35]))
        assert environ["twisted_wsgiref.request_id"] == environ["HTTP_X_REQUEST_ID"] == current_request_id()
        start_response("200 OK", [*TEXT] if environ["SCRIPT_NAME"] else [("X-Accel-Redirect", "/inner")])
        return [b"x"]

    mounts = {"/inner": InternalMount(app)}
    trace = "0af7651916cd43dd8448eb211c80319c"
    with serving(app, service={"mounts": mounts}, request_id=True, trusted_proxy=trusted) as server:
        for fields in ({}, {"X_Request_ID": "mine", "Traceparent": f"00-{trace}-b7ad6b7169203331-01"}):
            answer = ask(server, **fields)
            (first, second), told[:] = told, []
            assert first == second
            assert answer.fields["x-request-id"] == [first[0]]
            assert server.records.pop().request_id == first[0]
            if fields:
                assert (first == ("mine", trace)) is bool(trusted)


def test_a_script_name_may_be_in_the_path_or_not(application: Application, folder: Path) -> None:
    mounts = {"/files": f"internal:static:{folder}"}
    with serving(application, service={"mounts": mounts}, script_name="/app") as server:
        for application.to in ("/app/files/small.txt", "/files/small.txt"):
            assert ask(server, target="/app/").body == b"small"


def test_what_is_served_later_passes_on_too(application: Application, folder: Path) -> None:
    with serving(hello) as server:
        assert ask(server).body == b"hello"
        server.service.serve(application, {"/files": f"internal:static:{folder}"})
        assert ask(server).body == b"small"
        assert ask(server, target="/files/small.txt").status == 404
        server.service.serve(application, {})
        assert ask(server).fields["x-accel-redirect"] == ["/files/small.txt"]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"mounts": {"/a": "internal:static:/no/such"}}, "mounts: .* there is no directory /no/such"),
        ({"mounts": {"/a": "internal:wsgi:mod:app"}}, r"import it, and give InternalMount\(the object itself\)"),
        ({"mounts": {"/a": InternalMount(InternalMount(hello))}}, "an InternalMount in another one"),
        ({"mounts": {"/a": InternalMount("internal:redirect:/a")}}, "internal: is there twice"),
        ({"mounts": {"/a": InternalMount(5)}}, "what is mounted at /a is 5: it has to be"),
    ],
)
def test_what_can_not_be_internal_is_refused(given: dict[str, Any], line: str) -> None:
    with pytest.raises(SettingError, match=line):
        WSGIService(hello, [], **given)


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    from twisted_wsgiref import Settings

    with pytest.raises(SettingError, match=r"^sendfile_root is '/no/such': there is no directory /no/such$"):
        WSGIService(hello, [], Settings(sendfile_root=("/no/such",)))
