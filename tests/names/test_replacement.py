"""Can ours stand where the standard library's modules stood, for a program that knows only ``wsgiref``?

Each program is a text that imports ``wsgiref`` and nothing of ours. It runs twice, word for word except for that one
name, and has to say the same both times. A program that imports in other ways than ``from wsgiref...`` is run with our
modules put into ``sys.modules`` instead, which is what a program does that cannot be edited.
"""

from __future__ import annotations

import importlib
import io
import os
import re
import sys
from typing import Any

import pytest

CGI = """
import sys
from wsgiref.handlers import CGIHandler, read_environ
from wsgiref.headers import Headers
from wsgiref.util import request_uri, shift_path_info

def app(environ, start_response):
    first = shift_path_info(environ)
    headers = Headers([("Content-Type", "text/plain")])
    headers.add_header("Content-Disposition", "attachment", filename='a "b".txt')
    headers["X-First"] = first
    write = start_response("200 OK", headers.items())
    write(("%s %s\\n" % (environ["REQUEST_METHOD"], request_uri(environ))).encode())
    return [environ["wsgi.input"].read(3), b"!\\n"]

class Quiet(CGIHandler):
    error_status = "500 Sorry"
    error_body = b"sorry"

    def log_exception(self, exc_info):
        sys.stderr.write("log: %s\\n" % exc_info[0].__name__)

def broken(environ, start_response):
    raise ValueError("before any head")

CGIHandler().run(app)
Quiet().run(broken)
result = sorted(name for name in read_environ() if name.startswith(("HTTP_", "SERVER_")))
"""

OWN_HANDLER = """
import io
from wsgiref import handlers, util, validate

class Recording(handlers.SimpleHandler):
    server_software = "Mine/1"
    wsgi_file_wrapper = util.FileWrapper
    http_version = "1.1"
    os_environ = {}

    def __init__(self, environ):
        self.steps = []
        base = {}
        util.setup_testing_defaults(base)
        base.update(environ, QUERY_STRING="")
        handlers.SimpleHandler.__init__(self, io.BytesIO(b"in"), io.BytesIO(), io.StringIO(), base, False)

    def cleanup_headers(self):
        self.steps.append("cleanup")
        super().cleanup_headers()
        self.headers["Date"] = "today"

    def sendfile(self):
        self.steps.append("sendfile")
        return False

    def close(self):
        self.steps.append((self.status, self.bytes_sent))
        handlers.SimpleHandler.close(self)

def app(environ, start_response):
    if environ["PATH_INFO"] == "/file":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return environ["wsgi.file_wrapper"](io.BytesIO(b"x" * 20), 8)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
    return [environ["wsgi.input"].read(2), b"k!"]

result = []
for path, wrap in [("/", False), ("/", True), ("/file", False)]:
    handler = Recording({"PATH_INFO": path, "SCRIPT_NAME": ""})
    handler.run(validate.validator(app) if wrap else app)
    result.append((handler.steps, handler.stdout.getvalue(), handler.stderr.getvalue(), handler.wsgi_multithread))
"""

CHECKED = """
import warnings
from wsgiref.validate import WSGIWarning, validator
from wsgiref.util import setup_testing_defaults

def verdict(app, **environ):
    setup_testing_defaults(environ)
    environ = {name: value for name, value in environ.items() if value is not None}
    answer = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            answer = validator(app)(environ, lambda status, headers, exc_info=None: lambda data: None)
            said = list(answer)
        except AssertionError:
            said = "AssertionError"
        finally:
            if answer is not None:
                answer.close()
    return said, [each.category is WSGIWarning for each in caught]

def answers(status="200 OK", headers=[("Content-Type", "text/plain")], body=[b"x"]):
    def app(environ, start_response):
        start_response(status, headers)
        return body
    return app

result = [
    verdict(answers(), QUERY_STRING=""),
    verdict(answers()),
    verdict(answers(), QUERY_STRING="", REQUEST_METHOD="BREW"),
    verdict(answers(status="20 OK"), QUERY_STRING=""),
    verdict(answers(headers=[]), QUERY_STRING=""),
    verdict(answers(headers=()), QUERY_STRING=""),
    verdict(answers(body="text"), QUERY_STRING=""),
    verdict(answers(body=["text"]), QUERY_STRING=""),
    verdict(answers(), QUERY_STRING="", SCRIPT_NAME="/", PATH_INFO="/x"),
    verdict(lambda environ, start_response: [b"too early"], QUERY_STRING=""),
]
"""

SERVED = """
import threading
from http.client import HTTPConnection
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer, make_server

class Server(WSGIServer):
    timeout = 10

    def setup_environ(self):
        super().setup_environ()
        self.base_environ["mine.answer"] = 42

class Handler(WSGIRequestHandler):
    server_version = "Mine/1"
    lines = []

    def get_environ(self):
        environ = super().get_environ()
        environ["mine.path"] = self.path
        return environ

    def log_message(self, format, *args):
        self.lines.append(format % args)

def app(environ, start_response):
    size = int(environ["CONTENT_LENGTH"] or 0)
    body = "%s %s %r" % (environ["mine.answer"], environ["mine.path"], environ["wsgi.input"].read(size))
    start_response("201 Made", [("Content-Type", "text/plain"), ("X-Scheme", environ["wsgi.url_scheme"])])
    return [body.encode()]

def ask(port):
    client = HTTPConnection("127.0.0.1", port, timeout=10)
    client.request("POST", "/a%20b?c", b"body")
    answer = client.getresponse()
    result.append((answer.version, answer.status, answer.reason, answer.getheader("X-Scheme"), answer.read()))
    client.close()

result = []
with make_server("127.0.0.1", 0, app, Server, handler_class=Handler) as server:
    thread = threading.Thread(target=ask, args=[server.server_port])
    thread.start()
    server.handle_request()
    thread.join(10)
    result += [Handler.lines, server.get_app() is app, issubclass(ServerHandler, object)]
"""

PLAIN_IMPORTS = """
import wsgiref.headers, wsgiref.util
import wsgiref.handlers as h

headers = wsgiref.headers.Headers()
headers.setdefault("A", "1")
result = [str(headers), wsgiref.util.guess_scheme({"HTTPS": "on"}), h.format_date_time(0)]
"""

MODULES = ["headers", "util", "handlers", "validate", "simple_server"]
if sys.version_info >= (3, 11):
    MODULES.append("types")


class Streams:
    """What a CGI process is given: bytes in, bytes out, text for the log."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stdout, self.stderr = io.BytesIO(), io.StringIO()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"body")))
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(self.stdout, write_through=True))
        monkeypatch.setattr(sys, "stderr", self.stderr)


def run(program: str, package: str) -> Any:
    """Return what the program leaves in `result`, with every ``wsgiref`` in its text being `package`."""
    namespace: dict[str, Any] = {"__name__": "program"}
    exec(compile(re.sub(r"\bwsgiref\b", package, program), f"<{package}>", "exec"), namespace)
    return namespace["result"]


@pytest.mark.parametrize("program", [OWN_HANDLER, CHECKED, SERVED, PLAIN_IMPORTS])
def test_does_the_program_say_the_same_on_ours(program: str) -> None:
    assert run(program, "twisted_wsgiref") == run(program, "wsgiref")


def test_does_a_cgi_script_answer_the_same_on_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    request = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "/cgi-bin/x",
        "PATH_INFO": "/first/second",
        "QUERY_STRING": "a=b",
        "SERVER_NAME": "example.com",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": "4",
        "HTTP_HOST": "example.com",
    }
    for name in [each for each in os.environ if each.startswith(("HTTP", "SERVER_"))]:
        monkeypatch.delenv(name)
    for name, value in request.items():
        monkeypatch.setenv(name, value)
    said = []
    for package in ("wsgiref", "twisted_wsgiref"):
        with monkeypatch.context() as patched:
            streams = Streams(patched)
            left = run(CGI, package)
            said.append((left, streams.stdout.getvalue(), streams.stderr.getvalue()))
    assert said[0] == said[1]
    left, out, log = said[1]
    assert left == ["HTTP_HOST", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL"]
    assert out.startswith(b"Status: 200 OK\r\n")
    assert (
        b"X-First: first\r\n\r\nPOST http://example.com/cgi-bin/x/first/second?a=b\nbod!\nStatus: 500 Sorry\r\n" in out
    )
    assert out.endswith(b"sorry")
    assert log == "log: ValueError\n"


@pytest.mark.parametrize("program", [OWN_HANDLER, CHECKED, SERVED, PLAIN_IMPORTS])
def test_does_an_unedited_program_run_on_ours_in_the_place_of_theirs(
    monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    expected = run(program, "wsgiref")
    monkeypatch.setitem(sys.modules, "wsgiref", importlib.import_module("twisted_wsgiref"))
    for name in MODULES:
        monkeypatch.setitem(sys.modules, f"wsgiref.{name}", importlib.import_module(f"twisted_wsgiref.{name}"))
    assert run(program, "wsgiref") == expected
    assert sys.modules["wsgiref.headers"].__name__ == "twisted_wsgiref.headers"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="wsgiref.types came with Python 3.11")
def test_do_annotations_of_a_program_resolve_to_the_same_shapes() -> None:
    program = """
from typing import get_type_hints
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

def app(environ: WSGIEnvironment, start_response: StartResponse) -> "list[bytes]": ...
def wrap(app: WSGIApplication) -> WSGIApplication: ...
result = [repr(hint) for function in (app, wrap) for hint in get_type_hints(function).values()]
"""
    ours = [hint.replace("twisted_wsgiref", "wsgiref") for hint in run(program, "twisted_wsgiref")]
    assert ours == run(program, "wsgiref")
