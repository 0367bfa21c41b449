"""Our BaseHandler beside the standard library's: same subclass, same application, same calls and bytes.

A subclass that records every override point is made once on each base. What must differ, and why, is in
test_handlers.py.
"""

from __future__ import annotations

import io
import re
import sys
import wsgiref.handlers
from typing import Any

import pytest

import twisted_wsgiref.handlers

OVERRIDE_POINTS = [
    "setup_environ",
    "add_cgi_vars",
    "get_stdin",
    "get_stderr",
    "get_scheme",
    "start_response",
    "write",
    "send_headers",
    "cleanup_headers",
    "set_content_length",
    "send_preamble",
    "client_is_modern",
    "_write",
    "_flush",
    "result_is_file",
    "sendfile",
    "finish_response",
    "finish_content",
    "handle_error",
    "log_exception",
    "error_output",
    "close",
]
BASES = [wsgiref.handlers.BaseHandler, twisted_wsgiref.handlers.BaseHandler]
SIMPLE = [wsgiref.handlers.SimpleHandler, twisted_wsgiref.handlers.SimpleHandler]
TEXT = [("Content-Type", "text/plain")]


def plain(argument: object) -> object:
    """What of an argument both sides must agree on."""
    if isinstance(argument, bytes):
        return re.sub(rb"Date: [^\r]+", b"Date: -", argument)
    if isinstance(argument, tuple):
        return getattr(argument[0], "__name__", None)  # exc_info
    if isinstance(argument, (str, int, list, type(None))):
        return repr(argument)
    return "something"


class Closing:
    """An iterable that counts its close()."""

    def __init__(self, blocks: Any) -> None:
        self.blocks = blocks
        self.closed = 0

    def __iter__(self) -> Any:
        return iter(self.blocks)

    def close(self) -> None:
        self.closed += 1


def recorder(base: Any, **overrides: Any) -> Any:
    """A subclass of *base*, written as for the standard library, that keeps a diary."""

    class Streams(base):
        def __init__(self, variables: dict[str, Any]) -> None:
            self.variables = variables
            self.calls: list[tuple[object, ...]] = []
            self.sent = io.BytesIO()
            self.errors = io.StringIO()

        def _write(self, data: bytes) -> None:
            self.sent.write(data)

        def _flush(self) -> None:
            pass

        def get_stdin(self) -> Any:
            return io.BytesIO(b"")

        def get_stderr(self) -> Any:
            return self.errors

        def add_cgi_vars(self) -> None:
            self.environ.update(self.variables)

    def recording(name: str) -> Any:
        def method(self: Any, *arguments: object) -> object:
            state = (self.status, self.headers_sent, self.bytes_sent)
            self.calls.append((name, *map(plain, arguments), state))
            return getattr(super(Recorder, self), name)(*arguments)

        return method

    changed = type("Changed", (Streams,), overrides)
    Recorder = type("Recorder", (changed,), {name: recording(name) for name in OVERRIDE_POINTS})
    return Recorder


def outcome(base: Any, make_app: Any, variables: dict[str, str], **overrides: Any) -> list[Any]:
    """All that can be seen of one request: the diary, the bytes, the closings and the errors."""
    handler = recorder(base, **overrides)({"SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_METHOD": "GET", **variables})
    app, closing = make_app()
    raised = None
    try:
        handler.run(app)
    except BaseException as error:
        raised = type(error).__name__
    logged = re.findall(r"^(\w+(?:Error|Exit|Interrupt|Fault))\b", handler.errors.getvalue(), re.M)
    sent = plain(handler.sent.getvalue())
    return [handler.calls, sent, closing and closing.closed, logged, raised]


def returning(blocks: Any, status: str = "200 OK", headers: Any = None) -> Any:
    def make() -> Any:
        result = Closing(blocks() if callable(blocks) else blocks)

        def app(environ: Any, start_response: Any) -> Any:
            start_response(status, headers[:] if headers is not None else TEXT[:])
            return result

        return app, result

    return make


def bare(blocks: Any, status: str = "200 OK") -> Any:
    """An application whose result is a list or the like, so that len() is known."""

    def make() -> Any:
        def app(environ: Any, start_response: Any) -> Any:
            start_response(status, TEXT[:])
            return blocks

        return app, None

    return make


def calling(body: Any) -> Any:
    def make() -> Any:
        return body, None

    return make


class Fault(Exception): ...


def fails_after(*blocks: bytes) -> Any:
    def make() -> Any:
        yield from blocks
        raise Fault("mid-body")

    return make


def uses_write(environ: Any, start_response: Any) -> Any:
    write = start_response("200 OK", TEXT[:])
    write(b"one")
    write(b"")
    return [b"two"]


def generator(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", TEXT[:])
    yield b""
    yield b"lazy"


def replaced(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", TEXT[:])
    try:
        raise Fault("before")
    except Fault:
        start_response("503 Later", TEXT[:], sys.exc_info())
    return [b"sorry"]


def too_late(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", TEXT[:])
    yield b"first"
    try:
        raise Fault("after")
    except Fault:
        start_response("503 Later", TEXT[:], sys.exc_info())
    yield b"never"


def twice(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", TEXT[:])
    start_response("200 OK", TEXT[:])
    return [b""]


def early(environ: Any, start_response: Any) -> Any:
    raise Fault("early")


def raises(error: BaseException) -> Any:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", TEXT[:])
        raise error

    return calling(app)


def a_file(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", TEXT[:])
    return environ["wsgi.file_wrapper"](io.BytesIO(b"file " * 10), 16)


def without_start(environ: Any, start_response: Any) -> Any:
    return [b"x"]


class Sized:
    """Of a length that is not to be had."""

    def __len__(self) -> int:
        raise NotImplementedError

    def __iter__(self) -> Any:
        return iter([b"sized"])


APPLICATIONS = {
    "list of one": bare([b"hello"]),
    "list of two": bare([b"hel", b"lo"]),
    "tuple of one": bare((b"hello",)),
    "empty list": bare([]),
    "list of an empty block": bare([b""]),
    "length not to be had": bare(Sized()),
    "iterable": returning([b"hel", b"lo"]),
    "empty iterable": returning([]),
    "generator": calling(generator),
    "write()": calling(uses_write),
    "file": calling(a_file),
    "Content-Length given": returning([b"hel", b"lo"], headers=[("content-length", "5")]),
    "too little for its Content-Length": returning([b"x"], headers=[("Content-Length", "5")]),
    "Date and Server given": returning([b"x"], headers=[("date", "now"), ("SERVER", "mine")]),
    "repeated field": returning([b"x"], headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]),
    "204": returning([], "204 No Content", []),
    "304": returning([], "304 Not Modified", [("ETag", '"x"')]),
    "304 with a body": returning([b"body"], "304 Not Modified", [("ETag", '"x"')]),
    "204 with a body": returning([b"bo", b"dy"], "204 No Content", []),
    "204 in a list": bare([b""], "204 No Content"),
    "latin-1 in the head": returning([b"x"], "200 d\xe9j\xe0", [("X-Name", "caf\xe9")]),
    "exc_info before the head": calling(replaced),
    "exc_info after the head": calling(too_late),
    "start_response twice": calling(twice),
    "error before start_response": calling(early),
    "error after start_response": raises(Fault()),
    "SystemExit": raises(SystemExit(3)),
    "KeyboardInterrupt": raises(KeyboardInterrupt()),
    "error before the first block": returning(fails_after()),
    "error after the first block": returning(fails_after(b"one")),
    "str blocks": returning(["text"]),
    "str after bytes": returning([b"x", "text"]),
    "no start_response": calling(without_start),
}
# Refused calls of start_response. The standard library keeps what it refuses in its attributes, ours does not: the
# state beside each call is not compared.
REFUSED = {
    "status not str": returning([b"x"], b"200 OK"),  # type: ignore[arg-type]
    "status of three": returning([b"x"], "200"),
    "status without space": returning([b"x"], "200OK"),
    "status without code": returning([b"x"], "20X OK"),
    "headers a tuple": returning([b"x"], headers=tuple(TEXT)),
    "header value an int": returning([b"x"], headers=[("Content-Length", 5)]),
    "header name bytes": returning([b"x"], headers=[(b"Content-Length", "5")]),
    "hop-by-hop": returning([b"x"], headers=[("Connection", "close")]),
}


def file_sent(self: Any) -> bool:
    self.send_headers()
    self._write(b"by the system")
    return True


def file_not_sent(self: Any) -> bool:
    return False


def broken_page(self: Any, environ: Any, start_response: Any) -> Any:
    raise Fault("the error page itself")


def environ_page(self: Any, environ: Any, start_response: Any) -> Any:
    start_response("418 Teapot", [("X-Path", environ["PATH_INFO"])], sys.exc_info())
    return [b"short ", b"stout"]


def closes_the_connection(self: Any) -> None:
    if "Content-Length" not in self.headers:
        self.set_content_length()
    self.headers["Connection"] = "close"


SETTINGS: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "plain": ({}, {}),
    "HEAD": ({"REQUEST_METHOD": "HEAD"}, {}),
    "HTTP/0.9": ({"SERVER_PROTOCOL": "http/0.9"}, {}),
    "with Server": ({}, {"server_software": "here/1", "http_version": "1.1"}),
    "gateway": ({}, {"origin_server": False, "server_software": "here/1"}),
    "gateway for 0.9": ({"SERVER_PROTOCOL": "HTTP/0.9"}, {"origin_server": False}),
    "sendfile did it": ({}, {"sendfile": file_sent}),
    "sendfile did not": ({}, {"sendfile": file_not_sent}),
    "the server closes": ({}, {"cleanup_headers": closes_the_connection}),
    "no file wrapper": ({}, {"wsgi_file_wrapper": None}),
    "own error page": ({"PATH_INFO": "/tea"}, {"error_output": environ_page}),
    "own error texts": (
        {},
        {"error_status": "599 Ours", "error_headers": [("X-Fault", "1")], "error_body": b"oops"},
    ),
}


# Where ours is better on purpose: an answer that has no content by RFC 9110, section 6.4.1, is sent without, and no
# Content-Length: 0 is made up for it (section 8.6). So these are compared but for that.
WITHOUT_CONTENT = {"204", "204 with a body", "204 in a list", "304", "304 with a body"}
OF_THE_CONTENT = {"_write", "set_content_length"}


def without_content(found: list[Any]) -> list[Any]:
    """What of an outcome must be the same for an answer without content."""
    calls, sent, *rest = found
    head, end, _ = sent.partition(b"\r\n\r\n")
    steps = [(*call[:-1], call[-1][:2]) for call in calls if call[0] not in OF_THE_CONTENT]
    lines = [line for line in head.split(b"\r\n") if line != b"Content-Length: 0"]
    return [steps, b"\r\n".join(lines) + end if end else b"", *rest]


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", APPLICATIONS)
@pytest.mark.skipif(not __debug__, reason="the standard library's own checks are asserts")
def test_a_subclass_sees_the_same_calls_and_sends_the_same_bytes(name: str, setting: str) -> None:
    variables, overrides = SETTINGS[setting]
    theirs, ours = (outcome(base, APPLICATIONS[name], variables, **overrides) for base in BASES)
    if setting == "HEAD" or name in WITHOUT_CONTENT:
        if setting != "sendfile did it":  # there the subclass sends what it likes
            assert without_content(ours)[1] == ours[1]
        theirs, ours = without_content(theirs), without_content(ours)
    assert ours == theirs


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.skipif(not __debug__, reason="the standard library's own checks are asserts")
def test_a_refused_start_response_is_answered_and_logged_the_same(name: str) -> None:
    theirs, ours = (outcome(base, REFUSED[name], {}) for base in BASES)
    assert [call[:-1] for call in ours.pop(0)] == [call[:-1] for call in theirs.pop(0)]
    assert ours == theirs


@pytest.mark.parametrize("name", ["error before start_response", "error before the first block"])
def test_an_error_page_that_fails_is_raised_to_the_caller(name: str) -> None:
    theirs, ours = (outcome(base, APPLICATIONS[name], {}, error_output=broken_page) for base in BASES)
    assert ours[4] == theirs[4] == "Fault"
    assert ours[0] == theirs[0]


@pytest.mark.parametrize("error", [ConnectionResetError, BrokenPipeError, ConnectionAbortedError])
@pytest.mark.parametrize("method", ["_write", "_flush"])
@pytest.mark.parametrize("name", ["list of one", "iterable", "write()", "generator", "empty list"])
def test_a_client_that_left_is_met_with_the_same_silence(name: str, method: str, error: type[OSError]) -> None:
    def gone(self: Any, *data: bytes) -> None:
        raise error

    theirs, ours = (outcome(base, APPLICATIONS[name], {}, **{method: gone}) for base in BASES)
    assert ours == theirs
    assert ours[3] == []


@pytest.mark.parametrize("name", [*APPLICATIONS, *REFUSED])
@pytest.mark.skipif(not __debug__, reason="the standard library's own checks are asserts")
def test_simple_handler_sends_the_same_bytes_over_streams(name: str) -> None:
    sent = []
    for base in SIMPLE:
        out, errors = io.BytesIO(), io.StringIO()
        variables = {"SERVER_PROTOCOL": "HTTP/1.0", "REQUEST_METHOD": "GET"}
        app, _ = {**APPLICATIONS, **REFUSED}[name]()
        base(io.BytesIO(), out, errors, variables).run(app)
        sent.append(plain(out.getvalue()))
    if name in WITHOUT_CONTENT:
        sent[0] = without_content([[], sent[0]])[1]
    assert sent[1] == sent[0]


@pytest.mark.parametrize("variables", [{}, {"HTTPS": "on"}, {"SERVER_SOFTWARE": "given"}])
@pytest.mark.parametrize("software", [None, "here/1"])
def test_the_environ_has_the_same_keys_and_values(variables: Any, software: str | None) -> None:
    seen: list[dict[str, Any]] = []

    def app(environ: Any, start_response: Any) -> Any:
        seen.append({k: v for k, v in environ.items() if k not in STREAMS})
        start_response("200 OK", [])
        return []

    STREAMS = {"wsgi.input", "wsgi.errors", "wsgi.file_wrapper"}
    for base in BASES:
        outcome(base, lambda: (app, None), variables, server_software=software)
    assert seen[0] == seen[1]


def test_class_attributes_have_the_documented_defaults() -> None:
    names = [n for n in vars(wsgiref.handlers.BaseHandler) if not n.startswith("_")]
    plain_values = [
        n
        for n in names
        if isinstance(vars(wsgiref.handlers.BaseHandler)[n], (str, bytes, bool, int, list, tuple))
        or vars(wsgiref.handlers.BaseHandler)[n] is None
    ]
    assert len(plain_values) > 10
    for kind in ["BaseHandler", "SimpleHandler", "BaseCGIHandler", "CGIHandler", "IISCGIHandler"]:
        ours, theirs = getattr(twisted_wsgiref.handlers, kind), getattr(wsgiref.handlers, kind)
        assert {n: getattr(ours, n) for n in plain_values} == {n: getattr(theirs, n) for n in plain_values}
        assert (ours.os_environ == {}) == (theirs.os_environ == {})
        assert not [n for n in names if not hasattr(ours, n)]
