"""Every example of the documentation runs here, with the module name changed and nothing else of its code.

What is replaced around it: the address (a free port of the loopback) and ``serve_forever``, which answers as
many requests as the test makes and then returns.
"""

from __future__ import annotations

import http.client
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from twisted_wsgiref.headers import Headers
from twisted_wsgiref.simple_server import WSGIServer

SECONDS = 10  # far more than a loopback request takes; only a fault waits for it

TESTING_DEFAULTS = """
from wsgiref.util import setup_testing_defaults
from wsgiref.simple_server import make_server

def simple_app(environ, start_response):
    setup_testing_defaults(environ)

    status = '200 OK'
    headers = [('Content-type', 'text/plain; charset=utf-8')]

    start_response(status, headers)

    ret = [("%s: %s\\n" % (key, value)).encode("utf-8")
           for key, value in environ.items()]
    return ret

with make_server('', 8000, simple_app) as httpd:
    print("Serving on port 8000...")
    httpd.serve_forever()
"""

FILE_WRAPPER = """
from io import StringIO
from wsgiref.util import FileWrapper

filelike = StringIO("This is an example file-like object"*10)
wrapper = FileWrapper(filelike, blksize=5)

for chunk in wrapper:
    print(chunk)
"""

ADD_HEADER = """
h.add_header('content-disposition', 'attachment', filename='bud.gif')
"""

DEMO = """
from wsgiref.simple_server import make_server, demo_app

with make_server('', 8000, demo_app) as httpd:
    print("Serving HTTP on port 8000...")
    httpd.serve_forever()
    httpd.handle_request()
"""

VALIDATED = """
from wsgiref.validate import validator
from wsgiref.simple_server import make_server

def simple_app(environ, start_response):
    status = '200 OK'
    headers = [('Content-type', 'text/plain')]
    start_response(status, headers)
    return b"Hello World"

validator_app = validator(simple_app)

with make_server('', 8000, validator_app) as httpd:
    print("Listening on port 8000....")
    httpd.serve_forever()
"""

HELLO = """
from wsgiref.simple_server import make_server

def hello_world_app(environ, start_response):
    status = '200 OK'
    headers = [('Content-type', 'text/plain; charset=utf-8')]
    start_response(status, headers)
    return [b"Hello World"]

with make_server('', 8000, hello_world_app) as httpd:
    print("Serving on port 8000...")
    httpd.serve_forever()
"""

FILE_SERVER = """
import sys
import os
import mimetypes
from wsgiref import simple_server, util

def app(environ, respond):
    fn = os.path.join(path, environ['PATH_INFO'][1:])
    if '.' not in fn.split(os.path.sep)[-1]:
        fn = os.path.join(fn, 'index.html')
    type = mimetypes.guess_type(fn)[0]

    if os.path.exists(fn):
        respond('200 OK', [('Content-Type', type)])
        return util.FileWrapper(open(fn, "rb"))
    else:
        respond('404 Not Found', [('Content-Type', 'text/plain')])
        return [b'not found']

if __name__ == '__main__':
    path = sys.argv[1] if len(sys.argv) > 1 else os.getcwd()
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 8000
    httpd = simple_server.make_server('', port, app)
    print("Serving {} on port {}, control-C to stop".format(path, port))
    try:
        httpd.serve_forever()
    except KeyboardInterrupt:
        print("Shutting down.")
        httpd.server_close()
"""


def run(example: str, **names: Any) -> dict[str, Any]:
    """The names that *example* leaves behind, run as a program."""
    source = example.replace("from wsgiref", "from twisted_wsgiref")
    source = source.replace("make_server('', 8000,", "make_server('127.0.0.1', 0,")
    source = source.replace("make_server('', port,", "make_server('127.0.0.1', port,")
    namespace = {"__name__": "__main__", **names}
    exec(compile(source, "<example>", "exec"), namespace)
    return namespace


class Client:
    """Asks the paths, one after the other, while ``serve_forever`` of the example runs."""

    def __init__(self) -> None:
        self.paths = ["/"]
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.interrupt = False

    def ask(self, port: int) -> None:
        for path in self.paths:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                head = {name.lower(): value for name, value in answer.getheaders()}
                self.answers.append((answer.status, head, answer.read()))
            finally:
                connection.close()

    def serve(self, server: WSGIServer) -> None:
        """Stands in for serve_forever."""
        server.timeout = SECONDS
        thread = threading.Thread(target=self.ask, args=[server.server_port])
        thread.start()
        for _ in self.paths:
            server.handle_request()
        thread.join(SECONDS)
        server.timeout = 0  # for an example that serves one more, which nobody asks for
        if self.interrupt:
            raise KeyboardInterrupt


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    client = Client()

    def serve(server: WSGIServer) -> None:  # a function, to become a method of the server
        client.serve(server)

    monkeypatch.setattr(WSGIServer, "serve_forever", serve)
    return client


def test_the_testing_defaults_example_shows_its_environ(client: Client) -> None:
    client.paths = ["/somewhere?a=1"]
    run(TESTING_DEFAULTS)
    status, head, body = client.answers[0]
    assert status == 200
    assert head["content-type"] == "text/plain; charset=utf-8"
    assert b"PATH_INFO: /somewhere\n" in body
    assert b"QUERY_STRING: a=1\n" in body
    assert b"wsgi.url_scheme: http\n" in body


def test_the_file_wrapper_example_prints_blocks_of_five(capsys: pytest.CaptureFixture[str]) -> None:
    run(FILE_WRAPPER)
    lines = capsys.readouterr().out.splitlines()
    assert [len(line) for line in lines] == [5] * 70
    assert "".join(lines) == "This is an example file-like object" * 10


def test_the_add_header_example_makes_the_documented_field() -> None:
    h = Headers([])
    run(ADD_HEADER, h=h)
    assert h.items() == [("content-disposition", 'attachment; filename="bud.gif"')]


def test_the_demo_example_says_hello_and_lists_the_environ(client: Client) -> None:
    client.paths = ["/", "/again"]
    run(DEMO)
    assert [status for status, _, _ in client.answers] == [200, 200]
    assert client.answers[0][2].startswith(b"Hello world!\n\n")
    assert b"\nPATH_INFO = '/again'\n" in client.answers[1][2]


def test_the_validator_example_breaks_as_it_is_meant_to(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    run(VALIDATED)
    assert client.answers[0][0] == 500
    assert b"server error" in client.answers[0][2]
    assert "AssertionError" in capsys.readouterr().err


def test_the_hello_world_example_says_it(client: Client) -> None:
    run(HELLO)
    status, head, body = client.answers[0]
    assert (status, body) == (200, b"Hello World")
    assert head["content-length"] == "11"


@pytest.mark.parametrize("interrupt", [False, True])
def test_the_file_server_example_serves_a_directory(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupt: bool
) -> None:
    (tmp_path / "index.html").write_bytes(b"<p>front</p>")
    (tmp_path / "note.txt").write_bytes(b"n" * 20_000)
    monkeypatch.setattr(sys, "argv", ["serve.py", str(tmp_path), "0"])
    client.paths = ["/", "/note.txt", "/absent.txt"]
    client.interrupt = interrupt
    httpd = run(FILE_SERVER)["httpd"]
    httpd.server_close()  # the example leaves it open unless it is interrupted
    front, note, absent = client.answers
    assert (front[0], front[1]["content-type"], front[2]) == (200, "text/html", b"<p>front</p>")
    assert (note[0], note[1]["content-type"], note[2]) == (200, "text/plain", b"n" * 20_000)
    assert (absent[0], absent[2]) == (404, b"not found")
