"""Is an application in a tree of `twisted.web` what it is in our own server?"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.python.threadpool import ThreadPool
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request
from zope.interface.verify import verifyObject

from tests.support import TEXT, echo, hello, request
from tests.web_tree import WebServer, web_serving
from twisted_wsgiref import ClientGone
from twisted_wsgiref._threads.borrowed_pool import BorrowedPool
from twisted_wsgiref.resource import WSGIResource


def environ_of(octets: bytes, **how: Any) -> dict[str, Any]:
    seen: list[dict[str, Any]] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(dict(environ))
        return hello(environ, start_response)

    with web_serving(application, **how) as server:
        client = server.ask(octets)
        assert seen, client.received
    return seen[0]


def test_it_is_a_resource() -> None:
    assert verifyObject(IResource, WSGIResource(hello))


def test_a_hello_with_its_length_and_our_name() -> None:
    with web_serving() as server:
        (answer,) = server.ask(request()).answers()
        assert (answer.status, answer.body) == (200, b"hello")
        assert answer.fields["content-length"] == ["5"]
        assert answer.fields["server"] == ["twisted_wsgiref"]
        assert "date" in answer.fields
        assert "transfer-encoding" not in answer.fields


def test_answers_of_one_connection_come_in_order() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [*TEXT])
        return [environ["PATH_INFO"].encode()]

    with web_serving(application) as server:
        client = server.ask(b"".join(request(f"/{number}") for number in range(20)))
        assert [answer.body for answer in client.answers()] == [b"/%d" % number for number in range(20)]
        assert server.service.connections == 0


def test_blocks_are_chunked_by_twisted_web_and_whole() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [*TEXT])
        yield b"one"
        yield b""
        yield b"two"

    with web_serving(application) as server:
        (answer,) = server.ask(request()).answers()
        assert answer.body == b"onetwo"
        assert answer.fields["transfer-encoding"] == ["chunked"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_head_has_the_length_and_no_body(method: str) -> None:
    with web_serving() as server:
        (answer,) = server.ask(request(method=method)).answers(method)
        assert answer.fields["content-length"] == ["5"]
        assert answer.body == (b"hello" if method == "GET" else b"")


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_answers_without_a_body(status: str) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(status, [])
        return []

    with web_serving(application) as server:
        client = server.ask(request() + request())
        assert [answer.status for answer in client.answers()] == [int(status[:3])] * 2


def test_write_and_the_blocks_after_it() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [*TEXT])
        write(b"written ")
        return [b"returned"]

    with web_serving(application) as server:
        (answer,) = server.ask(request()).answers()
        assert answer.body == b"written returned"


def test_the_body_of_a_request_is_read_by_the_application() -> None:
    with web_serving(echo) as server:
        body = bytes(range(256)) * 1000
        (answer,) = server.ask(request(method="POST", body=body)).answers()
        assert answer.body == body


def test_a_chunked_body_has_a_length() -> None:
    environ = environ_of(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    assert environ["CONTENT_LENGTH"] == "3"
    assert "HTTP_TRANSFER_ENCODING" not in environ


def test_a_form_that_twisted_web_has_read_is_still_there() -> None:
    with web_serving(echo) as server:
        octets = request(method="POST", body=b"a=1", fields="Content-Type: application/x-www-form-urlencoded")
        (answer,) = server.ask(octets).answers()
        assert answer.body == b"a=1"


def test_the_environ_is_ours() -> None:
    environ = environ_of(
        request("/a%20b/c?d=%20", fields="X-A: 1\nX-A: 2\nX_B: 3\nProxy: evil\nCookie: a=1\nCookie: b=2")
    )
    assert environ["SCRIPT_NAME"] == ""
    assert environ["PATH_INFO"] == "/a b/c"
    assert environ["QUERY_STRING"] == "d=%20"
    assert environ["REQUEST_URI"] == "/a%20b/c?d=%20"
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("127.0.0.1", "8080")
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("127.0.0.2", "50000")
    assert environ["HTTP_X_A"] == "1, 2"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"
    assert "HTTP_X_B" not in environ
    assert "HTTP_PROXY" not in environ
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["wsgi.multithread"] is True


def test_a_trusted_proxy_is_believed() -> None:
    environ = environ_of(
        request(fields="X-Forwarded-For: 192.0.2.9\nX-Forwarded-Proto: https"), trusted_proxy=("127.0.0.2",)
    )
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]) == ("192.0.2.9", "https")


def test_the_next_request_of_a_connection_has_an_environ_of_its_own() -> None:
    seen: list[dict[str, Any]] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ["left.behind"] = 1
        seen.append(environ)
        return hello(environ, start_response)

    with web_serving(application, below=True) as server:
        client = server.ask(request("/app/a", fields="X-A: 1"))
        client.send(request("/app/b", fields="X-A: 1"))
        server.settle()
        client.send(request("/app/b?c", fields="X-A: 2"))
        server.settle()
    assert [each["PATH_INFO"] for each in seen] == ["/a", "/b", "/b"]
    assert [each["HTTP_X_A"] for each in seen] == ["1", "1", "2"]
    assert [each["SCRIPT_NAME"] for each in seen] == ["/app"] * 3
    assert all("left.behind" not in each for each in ({**each} for each in seen[:0]))
    assert len({id(each) for each in seen}) == 3


@pytest.mark.parametrize(
    ("target", "script_name", "path_info"),
    [
        ("/app", "/app", ""),
        ("/app/", "/app", "/"),
        ("/app/a/b", "/app", "/a/b"),
        ("/app//", "/app", "//"),
        ("/app//a", "/app", "//a"),
        ("/app/a%2Fb/c", "/app", "/a/b/c"),
        ("/app/%C3%A9", "/app", "/Ã©"),
        ("/a%70p/x", "/app", "/x"),
        ("/app/..%2f", "/app", "/../"),
        ("/app/%25", "/app", "/%"),
    ],
)
def test_script_name_and_path_info_below_a_segment(target: str, script_name: str, path_info: str) -> None:
    environ = environ_of(request(target), below=True)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == (script_name, path_info)


@pytest.mark.parametrize(
    ("target", "path_info"),
    [("/", "/"), ("//", "//"), ("/a", "/a"), ("//a/", "//a/"), ("http://h:1/a?b", "/a"), ("http://h", "/")],
)
def test_path_info_at_the_root(target: str, path_info: str) -> None:
    environ = environ_of(request(target))
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("", path_info)


def test_an_empty_child_leaves_no_slash_at_the_end_of_script_name() -> None:
    """Twisted's own says "/", which PEP 3333's own validator forbids."""
    with web_serving() as server:
        root = Resource()
        root.putChild(b"", server.resource)
        server.factory.resource = root
        (answer,) = server.ask(request("/")).answers()
        assert answer.status == 200  # the application is validated


def test_script_name_of_the_settings_is_before_the_segments() -> None:
    environ = environ_of(request("/app/x"), below=True, script_name="/outer")
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/outer/app", "/x")


# ---- Children --------------------------------------------------------------------------------------------------


class Static(Resource):
    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        return b"child " + b"/".join(request.postpath)


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/", b" /"),
        ("/other/x", b" /other/x"),
        ("/static/a/b", b"child a/b"),
        ("/static", b"child "),
        ("//static", b" //static"),
        ("/a%2Fb//", b" /a/b//"),
    ],
)
def test_children_come_before_the_application(target: str, body: bytes) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [*TEXT])
        return [f"{environ['SCRIPT_NAME']} {environ['PATH_INFO']}".encode()]

    with web_serving(application) as server:
        server.resource.putChild(b"static", Static())
        assert not server.resource.isLeaf
        (answer,) = server.ask(request(target)).answers()
        assert answer.body == body


def test_children_below_a_segment() -> None:
    with web_serving(below=True) as server:
        server.resource.putChild(b"static", Static())
        client = server.ask(request("/app/static/x") + request("/app/y") + request("/app"))
        assert [answer.body for answer in client.answers()] == [b"child x", b"hello", b"hello"]


def test_a_child_of_more_than_a_segment_is_an_error() -> None:
    resource = WSGIResource(hello)
    with pytest.raises(ValueError, match="one segment"):
        resource.putChild(b"a/b", Static())
    with pytest.raises(TypeError, match="bytes"):
        resource.putChild("a", Static())  # type: ignore[arg-type]


# ---- The arguments of Twisted's own ----------------------------------------------------------------------------


def test_other_numbers_of_arguments_are_an_error() -> None:
    given: Any = WSGIResource
    for arguments in ((), (None, hello), (None, None, hello, None)):
        with pytest.raises(TypeError, match=f"got {len(arguments)} arguments"):
            given(*arguments)
    with pytest.raises(TypeError, match="callable"):
        given(None)
    with pytest.raises(TypeError):
        given(hello, colour="red")


class Lender:
    """A thread pool of the test's: what it is given is run by `step`."""

    max = 2

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def callInThread(self, call: Any) -> None:
        self.calls.append(call)

    def step(self) -> None:
        self.calls.pop(0)()


def test_a_thread_pool_that_is_given_runs_the_application_and_is_left_alone() -> None:
    lender = Lender()
    with web_serving(resource={"threadpool": lender}) as server:
        assert type(server.service._pool) is BorrowedPool
        client = server.ask(request())
        assert client.received == b""
        lender.step()
        server.settle()
        assert client.answers()[0].body == b"hello"


def test_the_arguments_in_twisteds_order() -> None:
    lender = Lender()
    with web_serving() as server:
        resource = WSGIResource(server.reactor, lender, hello)
        server.factory.resource = resource
        client = server.ask(request())
        lender.step()
        server.settle()
        assert client.answers()[0].body == b"hello"
        resource.stop()
        server.settle()


def test_a_real_thread_pool_of_twisteds_does_it() -> None:
    seen: list[str] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(threading.current_thread().name)
        return hello(environ, start_response)

    threads = ThreadPool(1, 1, name="lent")
    threads.start()
    try:
        with web_serving() as server:
            resource = WSGIResource(server.reactor, threads, application)
            server.factory.resource = resource
            client = server.ask(request())
            server.wait_until(lambda: b"hello" in client.received)
            resource.stop()
            server.settle()
    finally:
        threads.stop()
    assert seen[0] != threading.current_thread().name


def test_a_lent_pool_refuses_what_is_beyond_the_queue() -> None:
    lender = Lender()
    with web_serving(resource={"threadpool": lender}, queue=1) as server:
        clients = [server.connect().send(request()) for _ in range(5)]
        server.settle()
        statuses = [client.answers()[0].status for client in clients if client.received]
        assert statuses == [503] * 2  # two threads, and one that waits
        while lender.calls:
            lender.step()
        server.settle()
        assert all(client.received for client in clients)


# ---- Refusals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "400 Bad Request"),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400 Bad Request"),
        (request("/%00"), "400 Bad Request"),
        (request("/%zz"), "400 Bad Request"),
        (request(fields="Content-Type: a\nContent-Type: b"), "400 Bad Request"),
        (request(fields="Expect: 200-maybe"), "417 Expectation Failed"),
        (request(method="CONNECT", target="h:1"), "501 Not Implemented"),
    ],
)
def test_what_our_server_refuses_never_reaches_the_application(octets: bytes, status: str) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        raise AssertionError("called")

    with web_serving(application) as server:
        client = server.ask(octets)
        assert client.received.startswith(f"HTTP/1.1 {status}\r\n".encode()), client.received
        assert server.service.connections == 0


def test_a_body_beyond_the_limit_never_reaches_the_application() -> None:
    with web_serving(echo, max_body=10) as server:
        client = server.ask(request(method="POST", body=b"x" * 11))
        assert client.received.startswith(b"HTTP/1.1 413 ")


def test_no_room_in_the_queue_is_a_503_and_the_connection_goes_on() -> None:
    with web_serving(queue=1, threads=1) as server:
        server.held = True
        clients = [server.connect().send(request()) for _ in range(4)]
        server.settle()
        refused = [client for client in clients if client.received]
        assert len(refused) == 2
        assert refused[0].answers()[0].fields["retry-after"] == ["1"]
        server.held = False
        server.settle()
        refused[0].send(request())
        server.settle()
        assert refused[0].answers()[1].body == b"hello"


def test_more_requests_than_max_connections_are_refused() -> None:
    with web_serving(max_connections=1) as server:
        server.held = True
        first = server.ask(request())
        second = server.ask(request())
        assert first.received == b""
        assert second.received.startswith(b"HTTP/1.1 503 ")
        server.held = False


# ---- Errors ----------------------------------------------------------------------------------------------------


def test_an_exception_before_the_head_is_a_500_and_is_logged_once() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        raise ZeroDivisionError("mine")

    with web_serving(application) as server:
        client = server.ask(request() + request("/2"))
        assert [answer.status for answer in client.answers()] == [500] * 2
        assert b"mine" not in client.received
        failures = [event["log_failure"] for event in server.log if "log_failure" in event]
        assert [failure.type for failure in failures] == [ZeroDivisionError] * 2


@pytest.mark.parametrize("minor", [0, 1])
def test_an_exception_after_the_head_is_seen_by_the_client(minor: int) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [*TEXT])
        yield b"half"
        raise ZeroDivisionError("mine")

    with web_serving(application) as server:
        client = server.ask(request(minor=minor))
        assert client.ended
        assert not client.received.endswith(b"0\r\n\r\n")
        assert client.aborted == (minor == 0)  # the close would be the end of the body
        assert server.service.connections == 0


def test_fewer_bytes_than_promised_are_seen_by_the_client() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", "10")])
        yield b"half"

    with web_serving(application, validated=False) as server:
        client = server.ask(request())
        assert client.ended
        assert client.received.endswith(b"half")


def test_more_bytes_than_promised_are_dropped() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", "2")])
        yield b"four"

    with web_serving(application, validated=False) as server:
        assert server.ask(request()).received.endswith(b"\r\n\r\nfo")


def test_a_request_class_that_raises_is_logged_and_its_connection_ends() -> None:
    class Failing(Request):
        def finish(self) -> None:
            raise ZeroDivisionError("theirs")

    with web_serving() as server:
        server.factory.requestFactory = Failing
        client = server.ask(request())
        assert client.ended
        assert "did not take its answer" in server.logged()
        assert server.service.connections == 0


def test_close_is_called_once_whatever_happens() -> None:
    closed: list[str] = []

    class Result:
        def __init__(self, name: str) -> None:
            self.name = name

        def __iter__(self) -> Iterator[bytes]:
            yield b"a"
            if self.name == "fails":
                raise ZeroDivisionError

        def close(self) -> None:
            closed.append(self.name)

    def application(environ: dict[str, Any], start_response: Any) -> Result:
        start_response("200 OK", [*TEXT])
        return Result(environ["PATH_INFO"][1:])

    with web_serving(application, validated=False) as server:
        server.ask(request("/works") + request("/fails"))
    assert closed == ["works", "fails"]


# ---- Clients that leave, and slow ones -------------------------------------------------------------------------


def test_a_client_that_left_is_dropped_before_the_application() -> None:
    called: list[int] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        called.append(1)
        return hello(environ, start_response)

    with web_serving(application) as server:
        server.held = True
        client = server.ask(request())
        client.leave()
        server.settle()
        server.held = False
        server.settle()
        assert called == []
        assert server.service.connections == 0
        assert len(server.records) == 1


def test_a_generator_meets_client_gone() -> None:
    met: list[BaseException] = []

    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        write = start_response("200 OK", [*TEXT])
        write(b"first")
        client.leave()
        for _ in range(3):
            server.turn()
        assert environ["twisted_wsgiref.client_disconnected"]()
        try:
            write(b"second")
        except BaseException as error:
            met.append(error)
            raise
        yield b""

    with web_serving(application, validated=False) as server:
        client = server.connect().send(request())
        server.settle()
        assert [type(error) for error in met] == [ClientGone]
        assert server.service.connections == 0


def test_a_slow_reader_holds_the_generator_back_and_gets_all_of_it() -> None:
    made: list[int] = []

    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [*TEXT])
        for number in range(200):
            made.append(number)
            yield b"x" * 16384

    with web_serving(application, high_water=65536) as server:
        client = server.connect(buffer=8192)
        client.reading = False
        client.send(request())
        server.settle(work=False)
        thread = server.step_in_thread()
        server.wait_until(lambda: len(made) > 4)
        before = -1
        while before != len(made):
            before = len(made)
            for _ in range(50):
                server.turn()
        assert len(made) < 50
        client.reading = True
        server.settle_while(thread)
        assert client.answers()[0].body == b"x" * 16384 * 200


@pytest.mark.parametrize("leaves", [False, True])
def test_a_slow_reader_of_a_suspended_generator_holds_no_thread(leaves: bool) -> None:
    closed: list[object] = []

    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [*TEXT])
        try:
            for _ in range(200):
                yield b"x" * 16384
        finally:
            closed.append(server.pool.now)

    with web_serving(application, high_water=65536, suspend_streams=True) as server:
        client = server.connect(buffer=8192)
        client.reading = False
        client.send(request())
        server.settle()
        assert not server.service.threads_at_work()
        assert closed == []
        if leaves:
            client.leave()
        client.reading = True
        server.settle()
        assert len(closed) == 1
        assert closed[0] is not None  # by a job
        assert leaves or client.answers()[0].body == b"x" * 16384 * 200


def test_a_large_list_holds_no_thread_and_waits_for_its_reader() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [*TEXT])
        return [b"x" * 3_000_000]

    with web_serving(application) as server:
        client = server.connect(buffer=8192)
        client.reading = False
        client.send(request())
        server.settle()
        assert server.pool.done == 1
        assert len(client.transport.dataBuffer) + client.transport._tempDataLen < 300_000
        client.reading = True
        server.settle()
        assert len(client.answers()[0].body) == 3_000_000


def test_a_file_is_read_as_it_is_taken(tmp_path: Any) -> None:
    (tmp_path / "f").write_bytes(b"0123456789" * 100_000)

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [*TEXT])
        return environ["wsgi.file_wrapper"](open(tmp_path / "f", "rb"))

    with web_serving(application) as server:
        client = server.connect(buffer=8192)
        client.reading = False
        client.send(request())
        server.settle()
        assert server.pool.done == 1
        client.reading = True
        server.settle()
        answer = client.answers()[0]
        assert answer.fields["content-length"] == ["1000000"]
        assert answer.body == b"0123456789" * 100_000


def test_a_client_that_leaves_in_the_middle_of_a_file_gives_its_descriptor_back(tmp_path: Any) -> None:
    (tmp_path / "f").write_bytes(b"x" * 3_000_000)

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [*TEXT])
        return environ["wsgi.file_wrapper"](open(tmp_path / "f", "rb"))

    with web_serving(application) as server:
        client = server.connect(buffer=8192)
        client.reading = False
        client.send(request())
        server.settle()
        client.leave()
        server.settle()
        assert server.service.connections == 0


# ---- Deadlines -------------------------------------------------------------------------------------------------


def test_a_request_that_waited_too_long_is_a_503() -> None:
    with web_serving(queue_age=5.0) as server:
        server.held = True
        client = server.ask(request())
        server.advance(7)
        assert client.received.startswith(b"HTTP/1.1 503 ")
        server.held = False
        server.settle()
        assert client.received.count(b"HTTP/1.1") == 1


def test_a_reader_that_takes_nothing_is_cut_off() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [*TEXT])
        return [b"x" * 3_000_000]

    with web_serving(application, send_timeout=5.0) as server:
        client = server.connect(buffer=8192)
        client.reading = False
        client.send(request())
        server.settle()
        server.advance(8)
        assert client.aborted
        assert server.service.connections == 0


def test_an_application_that_takes_too_long_is_answered_for() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        server.advance(7, work=False)
        return hello(environ, start_response)

    with web_serving(application, request_timeout=5.0) as server:
        client = server.ask(request())
        assert client.received.startswith(b"HTTP/1.1 504 ")
        assert client.received.count(b"HTTP/1.1") == 1
        client.send(request())
        server.settle(work=False)
        assert server.service.connections == 1


# ---- What else twisted.web has ---------------------------------------------------------------------------------


def test_early_hints_go_before_the_answer() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ["wsgi.early_hints"]([("Link", "</a.css>; rel=preload")])
        return hello(environ, start_response)

    with web_serving(application) as server:
        received = server.ask(request()).received
        assert received.startswith(
            b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\n"
        )


def test_fields_that_a_resource_above_has_set_stay() -> None:
    class Above(Resource):
        def getChild(self, path: bytes, request: Any) -> Any:
            request.setHeader(b"X-Above", b"1")
            request.addCookie(b"a", b"b")
            return server.resource

    with web_serving() as server:
        server.factory.resource = Above()
        (answer,) = server.ask(request("/x")).answers()
        assert answer.fields["x-above"] == ["1"]
        assert answer.fields["set-cookie"] == ["a=b"]


def test_an_application_may_have_a_date_and_a_server_of_its_own() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [*TEXT, ("Server", "mine"), ("Date", "today")])
        return [b"hello"]

    with web_serving(application) as server:
        received = server.ask(request()).received
        assert received.count(b"Server:") == 1
        assert b"Server: mine\r\n" in received
        assert b"Date: today\r\n" in received


def test_without_a_server_header_there_is_none() -> None:
    with web_serving(server_header="") as server:
        assert b"server:" not in server.ask(request()).received.lower()


def test_http_10_gets_its_answer_and_the_end() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [*TEXT])
        yield b"one"
        yield b"two"

    with web_serving(application) as server:
        client = server.ask(request(minor=0))
        assert client.received.endswith(b"\r\n\r\nonetwo")
        assert client.ended


def test_observers_are_told() -> None:
    with web_serving() as server:
        server.ask(request("/a?b"))
        (record,) = server.records
        assert (record.status, record.request_line, record.peer) == (200, "GET /a?b HTTP/1.1", "127.0.0.2")


def test_requests_of_a_resource_are_identified_too() -> None:
    with web_serving(request_id=True) as server:
        for _ in range(2):
            client = server.ask(request())
            line = f"X-Request-ID: {server.records[-1].request_id}\r\n".encode()
            assert client.received.lower().count(line.lower()) == 1
        assert server.records[0].request_id != server.records[1].request_id


def test_what_an_application_writes_to_errors_is_in_the_log() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ["wsgi.errors"].write("a line\n")
        return hello(environ, start_response)

    with web_serving(application) as server:
        server.ask(request())
        assert [event["log_namespace"] for event in server.log if event.get("text") == "a line"] == ["wsgi.errors"]


# ---- The beginning and the end ---------------------------------------------------------------------------------


def test_nothing_is_left_with_the_reactor_between_requests() -> None:
    with web_serving() as server:
        assert not server.service.running
        server.held = True
        server.ask(request())
        assert server.delayed()
        server.held = False
        server.settle()
        assert server.delayed() == []


def test_nothing_is_left_of_a_connection_that_has_ended() -> None:
    with web_serving() as server:
        client = server.ask(request(), "string")
        assert len(server.resource._channels) == 1
        client.leave()
        server.settle()
        server.clients.clear()
        del client
        gc.collect()
        assert len(server.resource._channels) == 0


def test_the_reactors_stop_waits_for_answers_and_says_that_connections_end() -> None:
    with web_serving() as server:
        server.held = True
        client = server.ask(request())
        done: list[object] = []
        server.service._reactor_stops().addCallback(done.append)
        server.settle()
        assert done == []
        server.held = False
        server.pool.step()
        server.reactor.turn()
        assert done == []  # what the transport still has would be lost with the reactor
        server.settle()
        server.advance(0.1)
        assert len(done) == 1
        (answer,) = client.answers()
        assert answer.fields["connection"] == ["close"]
        assert client.ended


def test_a_stop_ends_after_the_grace_whatever_an_application_does() -> None:
    with web_serving(grace=3.0) as server:
        server.held = True
        client = server.ask(request())
        done: list[object] = []
        server.resource.stop().addCallback(done.append)
        server.advance(5)
        assert len(done) == 1
        assert client.ended
        server.held = False


def test_a_stop_before_the_first_request_is_over_at_once() -> None:
    done: list[object] = []
    WSGIResource(hello).stop().addCallback(done.append)
    assert done == [None]


def test_a_request_after_the_stop_starts_the_threads_again() -> None:
    with web_serving() as server:
        server.ask(request())
        server.resource.stop()
        server.settle()
        assert server.ask(request()).answers()[0].body == b"hello"


def test_it_tells_what_it_is() -> None:
    assert "hello" in repr(WSGIResource(hello))


# ---- HTTP/2 ----------------------------------------------------------------------------------------------------


class Two:
    """A client of HTTP/2 over memory, and Twisted's own server for it."""

    def __init__(self, server: WebServer) -> None:
        connection = pytest.importorskip("h2.connection")
        config = pytest.importorskip("h2.config")
        pytest.importorskip("priority")
        from twisted.internet.testing import StringTransport
        from twisted.web._http2 import H2Connection  # type: ignore[attr-defined]

        self.server = server
        self.protocol: Any = H2Connection(reactor=server.reactor)
        self.protocol.site = self.protocol.factory = server.factory
        self.protocol.requestFactory = server.factory.requestFactory
        self.protocol.callLater = server.reactor.callLater
        self.transport = StringTransport()
        self.protocol.makeConnection(self.transport)
        self.client = connection.H2Connection(config.H2Configuration(header_encoding="utf-8"))
        self.client.initiate_connection()
        self.heads: dict[int, list[Any]] = {}
        self.bodies: dict[int, bytes] = {}
        self.ended: dict[int, str] = {}
        self.acknowledging = True

    def ask(self, path: str = "/", method: str = "GET", body: bytes = b"") -> int:
        stream: int = self.client.get_next_available_stream_id()
        fields = [(":method", method), (":path", path), (":scheme", "https"), (":authority", "h")]
        self.client.send_headers(stream, fields, end_stream=not body)
        if body:
            self.client.send_data(stream, body, end_stream=True)
        return stream

    def settle(self) -> None:
        for _ in range(6):
            self.move()
            self.server.settle()

    def move(self) -> None:
        data = self.client.data_to_send()
        if data:
            self.protocol.dataReceived(data)
        received, _ = self.transport.value(), self.transport.clear()
        for event in self.client.receive_data(received) if received else ():
            kind, stream = type(event).__name__, getattr(event, "stream_id", 0)
            if kind == "ResponseReceived":
                self.heads[stream] = event.headers
            elif kind == "DataReceived":
                self.bodies[stream] = self.bodies.get(stream, b"") + event.data
                if self.acknowledging:
                    self.client.acknowledge_received_data(event.flow_controlled_length, stream)
            elif kind in ("StreamEnded", "StreamReset"):
                self.ended[stream] = kind


def test_two_streams_are_answered_over_one_connection() -> None:
    seen: list[dict[str, Any]] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(dict(environ))
        body = environ["wsgi.input"].read()
        start_response("200 OK", [*TEXT])
        return [environ["PATH_INFO"].encode() + body]

    with web_serving(application) as server:
        two = Two(server)
        first, second = two.ask("/1"), two.ask("/2", "POST", b"body")
        two.settle()
        assert (two.bodies[first], two.bodies[second]) == (b"/1", b"/2body")
        assert two.ended == {first: "StreamEnded", second: "StreamEnded"}
        assert [each["SERVER_PROTOCOL"] for each in seen] == ["HTTP/2"] * 2
        assert seen[1]["CONTENT_LENGTH"] == "4"
        assert seen[0]["HTTP_HOST"] == "h"
        assert server.service.connections == 0
        assert "connection" not in dict(two.heads[first])


def test_a_window_that_is_full_holds_an_answer_back() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [*TEXT])
        return [b"x" * 1_000_000]

    with web_serving(application) as server:
        two = Two(server)
        two.acknowledging = False
        stream = two.ask()
        two.settle()
        assert len(two.bodies[stream]) == 65535
        assert server.service.connections == 1
        two.client.increment_flow_control_window(2_000_000)
        two.client.increment_flow_control_window(2_000_000, stream)
        for _ in range(20):
            two.settle()
        assert len(two.bodies[stream]) == 1_000_000
        assert two.ended[stream] == "StreamEnded"


def test_a_stream_that_is_reset_is_a_client_that_left() -> None:
    with web_serving() as server:
        two = Two(server)
        server.held = True
        stream = two.ask()
        two.settle()
        assert server.service.connections == 1
        two.client.reset_stream(stream)
        two.settle()
        assert server.service.connections == 0
        server.held = False


def test_an_answer_that_is_cut_short_resets_its_stream() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [*TEXT])
        yield b"half"
        raise ZeroDivisionError("mine")

    with web_serving(application) as server:
        two = Two(server)
        stream = two.ask()
        two.settle()
        assert two.ended[stream] == "StreamReset"
