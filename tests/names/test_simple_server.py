"""The server on http.server: its environ, its input, its log and its command, over the loopback or in memory."""

from __future__ import annotations

import io
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import wsgiref.simple_server
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from socketserver import ThreadingMixIn
from typing import Any

import pytest

import twisted_wsgiref.simple_server
from twisted_wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer, demo_app, make_server
from twisted_wsgiref.validate import validator

SECONDS = 10  # far more than the loopback needs; only a fault waits for it
MODULES = [wsgiref.simple_server, twisted_wsgiref.simple_server]


class Memory:
    """A connection whose request is given and whose answer is kept."""

    def __init__(self, request: bytes) -> None:
        self.request = io.BytesIO(request)
        self.answer = io.BytesIO()

    def makefile(self, mode: str, size: int) -> io.BufferedReader:
        return io.BufferedReader(self.request)  # type: ignore[arg-type]

    def sendall(self, data: bytes) -> None:
        self.answer.write(data)

    def gettimeout(self) -> None:
        return None

    def settimeout(self, seconds: float | None) -> None:
        pass


def serve(module: Any, app: Any, request: bytes, **attributes: Any) -> tuple[bytes, list[str]]:
    """What *module*'s handler answers to *request*, and its log."""
    log: list[str] = []

    class Handler(module.WSGIRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            log.append(format % arguments)

        def get_stderr(self) -> Any:
            return errors

        def parse_request(self) -> bool:
            understood: bool = super().parse_request()
            # From 3.14 on http.server leaves HTTP/0.9 a dict, on which the standard library's own handler fails.
            if module is wsgiref.simple_server and understood and not self.headers:
                self.headers = self.MessageClass()
            return understood

    errors = io.StringIO()
    server = module.WSGIServer(("127.0.0.1", 8000), Handler, bind_and_activate=False)
    server.server_name, server.server_port = "here", 8000
    server.setup_environ()
    server.set_app(app)
    connection = Memory(request)
    try:
        Handler(connection, ("10.0.0.1", 5555), server)
    finally:
        server.server_close()
    return connection.answer.getvalue(), [*log, errors.getvalue()]


def environ_of(module: Any, request: bytes) -> dict[str, Any]:
    seen: dict[str, Any] = {}

    def app(environ: Any, start_response: Any) -> Any:
        seen.update(environ)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    serve(module, app, request)
    return seen


def undated(answer: bytes) -> bytes:
    answer = re.sub(rb"Date: [^\r]+", b"Date: -", answer)
    return re.sub(rb" object at 0x[0-9a-f]+| name=\d+", b"", answer)


REQUESTS = {
    "plain": b"GET / HTTP/1.0\r\n\r\n",
    "1.1": b"GET /a/b?c=d&e HTTP/1.1\r\nHost: there:1\r\nAccept: */*\r\n\r\n",
    "no query but a mark": b"GET /a? HTTP/1.1\r\nHost: x\r\n\r\n",
    "two marks": b"GET /a?b?c HTTP/1.1\r\nHost: x\r\n\r\n",
    "percent": b"GET /caf%C3%A9%2F%20x HTTP/1.1\r\nHost: x\r\n\r\n",
    "raw 8-bit": b"GET /\x80\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "repeated": b"GET / HTTP/1.1\r\nX-A: 1\r\nX-B:  2 \r\nx-a: 3\r\n\r\n",
    "body": b"POST / HTTP/1.1\r\nContent-Type: text/x; a=b\r\nContent-Length: 3\r\n\r\nabc",
    "own names": b"GET / HTTP/1.1\r\nRemote-Addr: 1\r\nScript-Name: x\r\nHTTP-Host: y\r\n\r\n",
    "0.9": b"GET /\r\n",
}


@pytest.mark.parametrize("name", REQUESTS)
def test_the_environ_is_that_of_the_standard_library(name: str) -> None:
    theirs, ours = (environ_of(module, REQUESTS[name]) for module in MODULES)
    objects = {"wsgi.input", "wsgi.errors", "wsgi.file_wrapper"}
    assert ours.keys() == theirs.keys() >= objects
    assert {k: v for k, v in ours.items() if k not in objects} == {k: v for k, v in theirs.items() if k not in objects}


@pytest.mark.parametrize(
    "request_",
    [
        *REQUESTS.values(),
        b"GET /" + b"a" * 65536 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"",
    ],
    ids=[*REQUESTS, "too long", "version", "nonsense", "nothing"],
)
def test_answer_and_log_are_those_of_the_standard_library(request_: bytes) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"not", b"here"]

    theirs, ours = (serve(module, app, request_) for module in MODULES)
    assert undated(ours[0]) == undated(theirs[0])
    assert ours[1] == theirs[1]


def test_http_0_9_is_answered_by_a_body() -> None:
    assert environ_of(twisted_wsgiref.simple_server, b"GET /a\r\n")["SERVER_PROTOCOL"] == "HTTP/0.9"
    answer, _ = serve(twisted_wsgiref.simple_server, demo_app, b"GET /a\r\n")
    assert answer.startswith(b"Hello world!\n")


def test_demo_app_says_what_the_standard_library_says() -> None:
    pages = []
    for module in MODULES:
        heads: list[Any] = []
        body = module.demo_app({"b": 1, "a": "\xe9"}, lambda *head, heads=heads: heads.append(head))
        pages.append((heads, b"".join(body)))
    assert pages[0] == pages[1]


@pytest.mark.parametrize("read", ["read", "read -1", "read 5", "read 99", "lines", "readline"])
def test_an_application_cannot_read_past_the_body(read: str) -> None:
    # The client sends its body and then waits with the connection open, as clients do.
    ours, client = socket.socketpair()
    ours.settimeout(SECONDS)
    got: list[bytes] = []

    def app(environ: Any, start_response: Any) -> Any:
        stream = environ["wsgi.input"]
        how = {
            "read": stream.read,
            "read -1": lambda: stream.read(-1),
            "read 5": lambda: stream.read(5),
            "read 99": lambda: stream.read(99),
            "lines": lambda: b"".join(stream),
            "readline": lambda: stream.readline() + stream.readline() + stream.readline(),
        }
        got.extend([how[read](), stream.read(1)])
        start_response("200 OK", [])
        return []

    class Handler(WSGIRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ours, client, make_server("127.0.0.1", 0, app) as server:
        client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab\nc\nNOT OF THE BODY")
        Handler(ours, ("10.0.0.1", 1), server)
    assert got == [b"ab\nc\n", b""]


@pytest.mark.parametrize("field", [b"", b"Content-Length: x\r\n", b"Content-Length: -1\r\n"])
def test_a_request_without_a_length_has_an_empty_body(field: bytes) -> None:
    got: list[bytes] = []

    def app(environ: Any, start_response: Any) -> Any:
        got.append(environ["wsgi.input"].read())
        start_response("200 OK", [])
        return []

    serve(twisted_wsgiref.simple_server, app, b"POST / HTTP/1.1\r\n" + field + b"\r\nleft over")
    assert got == [b""]


def test_a_chunked_body_is_left_to_an_application_that_can() -> None:
    got: list[bytes] = []

    def app(environ: Any, start_response: Any) -> Any:
        got.append(environ["wsgi.input"].read())
        start_response("200 OK", [])
        return []

    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    serve(twisted_wsgiref.simple_server, app, head + b"1\r\na\r\n0\r\n\r\n")
    assert got == [b"1\r\na\r\n0\r\n\r\n"]


def test_the_log_has_a_dash_when_even_the_error_page_failed() -> None:
    codes: list[Any] = []

    class Handler(ServerHandler):
        def error_output(self, environ: Any, start_response: Any) -> Any:
            raise LookupError("no page")

    class Log:
        def log_request(self, code: object, size: object) -> None:
            codes.append((code, size))

    def app(environ: Any, start_response: Any) -> Any:
        raise ValueError

    handler = Handler(io.BytesIO(), io.BytesIO(), io.StringIO(), {"SERVER_PROTOCOL": "HTTP/1.0"})
    handler.request_handler = Log()  # type: ignore[assignment]
    with pytest.raises(LookupError):
        handler.run(app)
    assert codes == [("-", 0)]


@contextmanager
def serving(server: WSGIServer) -> Iterator[int]:
    """The port of *server*, which serves in a thread until the end."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join(SECONDS)


class Threaded(ThreadingMixIn, WSGIServer):
    daemon_threads = True


@pytest.mark.parametrize("server_class", [WSGIServer, Threaded])
def test_real_requests_pass_the_validator(server_class: type[WSGIServer]) -> None:
    class Quiet(WSGIRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            pass

    def echo(environ: Any, start_response: Any) -> Any:
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"] or 0))
        start_response("201 Made", [("Content-Type", "text/plain"), ("X-Path", environ["PATH_INFO"])])
        return [body]

    made = make_server("127.0.0.1", 0, validator(echo), server_class, Quiet)
    assert type(made) is server_class
    with serving(made) as port:
        for size in (0, 1, 100_000):
            connection = HTTPConnection("127.0.0.1", port, timeout=SECONDS)
            connection.request("POST", "/here", body=b"x" * size)
            answer = connection.getresponse()
            assert (answer.status, answer.reason) == (201, "Made")
            assert answer.getheader("X-Path") == "/here"
            assert answer.getheader("Server") == wsgiref.simple_server.software_version
            assert answer.read() == b"x" * size
            connection.close()


def test_the_application_can_be_exchanged() -> None:
    with make_server("127.0.0.1", 0, demo_app) as server:
        assert server.get_app() is demo_app
        server.set_app(test_the_application_can_be_exchanged)  # type: ignore[arg-type]
        assert server.get_app() is test_the_application_can_be_exchanged
    assert server.socket.fileno() == -1


COMMAND = [sys.executable, "-m", "twisted_wsgiref.simple_server"]


@pytest.mark.skipif(os.name == "nt", reason="SIGINT to a child")
def test_the_module_serves_the_demo_until_interrupted() -> None:
    with subprocess.Popen([*COMMAND, "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        watchdog = threading.Timer(SECONDS * 3, child.kill)
        watchdog.start()
        try:
            assert child.stdout is not None
            found = re.search(r"http://127\.0\.0\.1:(\d+)/", child.stdout.readline())
            if found is None:
                pytest.fail("no address on the first line")
            for _ in range(2):
                connection = HTTPConnection("127.0.0.1", int(found[1]), timeout=SECONDS)
                connection.request("GET", "/")
                assert connection.getresponse().read().startswith(b"Hello world!\n")
                connection.close()
            child.send_signal(signal.SIGINT)
            _, errors = child.communicate()
        finally:
            watchdog.cancel()
            child.kill()  # if it has not ended by itself, nobody waits for it
    assert child.returncode == 0
    assert "Traceback" not in errors


def test_a_port_in_use_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run([*COMMAND, str(port)], capture_output=True, text=True, timeout=SECONDS * 3, check=False)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1
    assert str(port) in ended.stderr


def test_ctrl_c_in_the_middle_of_a_request_ends_the_server() -> None:
    # The standard library answers it as an error of the application and serves on: the signal is lost.
    def app(environ: Any, start_response: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        serve(twisted_wsgiref.simple_server, app, b"GET / HTTP/1.0\r\n\r\n")


def status_of(answer: bytes) -> bytes:
    return answer.split(b"\r\n", 1)[0].partition(b" ")[2]


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("blocks", [[b"one"], [b"one", b"two"], iter([b"one", b"two"])])
def test_no_body_is_sent_to_head(blocks: Any) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        environ["REQUEST_METHOD"] = "GET"  # as middleware does that knows no HEAD
        start_response("200 OK", [("Content-Type", "text/plain")])
        return blocks

    answer, log = serve(twisted_wsgiref.simple_server, app, b"HEAD / HTTP/1.1\r\n\r\n")
    assert (status_of(answer), body_of(answer)) == (b"200 OK", b"")
    assert (b"Content-Length: 3\r\n" in answer) == (blocks == [b"one"])
    assert log[0] == '"HEAD / HTTP/1.1" 200 0'


@pytest.mark.parametrize("blocks", [[], [b""], iter(())])
def test_no_length_is_made_up_for_head(blocks: Any) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return blocks

    answer, _ = serve(twisted_wsgiref.simple_server, app, b"HEAD / HTTP/1.1\r\n\r\n")
    assert b"Content-Length" not in answer


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified", "103 Early Hints"])
@pytest.mark.parametrize("blocks", [[], [b""], [b"body"], [b"bo", b"dy"]])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_answer_without_content_has_no_body_and_no_length(status: str, blocks: Any, method: str) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response(status, [])
        return blocks

    answer, _ = serve(twisted_wsgiref.simple_server, app, f"{method} / HTTP/1.1\r\n\r\n".encode())
    assert (status_of(answer), body_of(answer)) == (status.encode(), b"")
    assert b"Content-Length" not in answer


def test_a_length_that_the_application_gives_is_sent_to_head() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", "500")])
        return []

    answer, _ = serve(twisted_wsgiref.simple_server, app, b"HEAD / HTTP/1.1\r\n\r\n")
    assert b"Content-Length: 500\r\n" in answer


WRONG_LINES = [
    b"X-\xc3\x84: 1",
    b"X-\xc4: 1",
    b"no colon",
    b"X Y: 1",
    b"X : 1",
    b": 1",
    b" folded at once",
    b"From someone",
    b"X: a\rY: b",
    b"X: a\0b",
    b"X(Y): 1",
]


@pytest.mark.parametrize("line", WRONG_LINES)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_line_that_is_no_field_hides_none_after_it(line: bytes, method: str) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        raise RuntimeError("the request has a length that is not seen")

    request = b"%b / HTTP/1.1\r\n%b\r\nContent-Length: 2\r\nCookie: a=b\r\n\r\nab" % (method.encode(), line)
    answer, _ = serve(twisted_wsgiref.simple_server, app, request)
    assert status_of(answer).startswith(b"400 Bad header field (")
    if method == "HEAD":
        assert body_of(answer) == b""


def test_what_comes_after_the_head_is_no_field() -> None:
    request = b"POST / HTTP/1.1\r\nContent-Length: 8\r\n\r\nno field"
    assert environ_of(twisted_wsgiref.simple_server, request)["CONTENT_LENGTH"] == "8"


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_a_folded_value_is_one_line(end: bytes) -> None:
    lines = [b"GET / HTTP/1.1", b"X-A: one  ", b"\t two", b"  three", b"X-B: \xe4", b"", b""]
    environ = environ_of(twisted_wsgiref.simple_server, end.join(lines))
    assert (environ["HTTP_X_A"], environ["HTTP_X_B"]) == ("one two three", "\xe4")


def answered(port: int, host: str = "127.0.0.1") -> bytes:
    connection = HTTPConnection(host, port, timeout=SECONDS)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read()
    finally:
        connection.close()


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


class Silent(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
@pytest.mark.parametrize("server_class", [WSGIServer, Threaded])
def test_an_ipv6_address_can_be_listened_on(server_class: type[WSGIServer]) -> None:
    environs: list[dict[str, Any]] = []

    def app(environ: Any, start_response: Any) -> Any:
        environs.append(environ)
        return demo_app(environ, start_response)

    server = make_server("::1", 0, validator(app), server_class, Silent)
    assert type(server) is server_class
    with serving(server) as port:
        assert answered(port, "::1").startswith(b"Hello world!")
    assert environs[0]["REMOTE_ADDR"] == "::1"
    assert ":" not in environs[0]["SERVER_NAME"].strip("[]") or environs[0]["SERVER_NAME"] == "[::1]"


def test_an_address_without_a_name_is_in_brackets() -> None:
    server = WSGIServer(("127.0.0.1", 0), Silent, bind_and_activate=False)
    server.server_name, server.server_port = "2001:db8::1", 80
    server.setup_environ()
    server.server_close()
    assert server.base_environ["SERVER_NAME"] == "[2001:db8::1]"


@pytest.mark.parametrize("host", ["", "127.0.0.1", "localhost"])
def test_ipv4_is_still_the_family_of_all_other_addresses(host: str) -> None:
    with make_server(host, 0, demo_app) as server:
        assert server.socket.family == socket.AF_INET


def test_a_host_that_is_not_known_is_an_oserror() -> None:
    with pytest.raises(OSError, match=r".+"):
        make_server("no such host.invalid", 0, demo_app)


@pytest.mark.parametrize("server_class", [WSGIServer, Threaded])
def test_the_environ_says_whether_there_are_threads(server_class: type[WSGIServer]) -> None:
    environs: list[dict[str, Any]] = []

    def app(environ: Any, start_response: Any) -> Any:
        environs.append(environ)
        return demo_app(environ, start_response)

    with serving(make_server("127.0.0.1", 0, app, server_class, Silent)) as port:
        answered(port)
    assert environs[0]["wsgi.multithread"] is (server_class is Threaded)
    assert environs[0]["wsgi.multiprocess"] is False


def test_the_version_is_that_of_the_running_python() -> None:
    theirs, ours = MODULES
    for name in ("server_version", "sys_version", "software_version"):
        assert getattr(ours, name) == getattr(theirs, name)


@pytest.mark.skipif(os.name == "nt", reason="SIGINT to a child")
def test_a_browsers_spare_connection_keeps_nobody_waiting() -> None:
    with subprocess.Popen([*COMMAND, "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        watchdog = threading.Timer(SECONDS * 3, child.kill)
        watchdog.start()
        try:
            assert child.stdout is not None
            port = int(child.stdout.readline().rstrip("/\n").rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port), timeout=SECONDS):  # and nothing is ever sent
                assert b"wsgi.multithread = True" in answered(port)
                child.send_signal(signal.SIGINT)
                _, errors = child.communicate()
        finally:
            watchdog.cancel()
            child.kill()  # if it has not ended by itself, nobody waits for it
    assert child.returncode == 0
    assert "Traceback" not in errors


@pytest.mark.parametrize(("length", "closing"), [(10, False), (8_000_000, False), (10, True)])
def test_an_answer_is_not_lost_with_an_upload_that_nobody_reads(length: int, closing: bool) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        environ["wsgi.input"].read(length // 2)
        start_response("413 Too Large", [("Content-Type", "text/plain")])
        if closing:
            environ["wsgi.input"].close()
        return [b"too large"]

    with serving(make_server("127.0.0.1", 0, app, WSGIServer, Silent)) as port:
        connection = HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        connection.request("POST", "/", body=b"x" * length)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (413, b"too large")
        connection.close()


def test_a_client_that_sends_no_more_holds_up_the_next_for_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twisted_wsgiref.simple_server, "_UNREAD_SECONDS", 0.1)
    with (
        serving(make_server("127.0.0.1", 0, demo_app, WSGIServer, Silent)) as port,
        socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as client,
    ):
        client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\nx")
        assert answered(port).startswith(b"Hello world!\n")


class Counted(io.BytesIO):
    """Bytes, and how many of them were read."""

    count = 0

    def readinto(self, buffer: Any, /) -> int:
        read = super().readinto(buffer)
        self.count += read
        return read


def test_of_an_upload_that_nobody_reads_a_bounded_part_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twisted_wsgiref.simple_server, "_UNREAD_BYTES", 100_000)
    connection = Memory(b"")
    upload = connection.request = Counted(b"POST / HTTP/1.1\r\nContent-Length: 999999\r\n\r\n" + b"x" * 999_999)
    with make_server("127.0.0.1", 0, demo_app) as server:
        Silent(connection, ("10.0.0.1", 5555), server)
    assert 100_000 < upload.count < 200_000
