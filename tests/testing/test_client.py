"""Does a client in memory ask the server that serves in earnest, and does nothing happen but what the test has done?"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseFailed
from twisted.web.error import SchemeNotSupported

import twisted_wsgiref.testing
from tests.real.children import ROOT, environment
from tests.support import TEXT, checked, echo, hello
from twisted_wsgiref import SettingError
from twisted_wsgiref.testing import client


@pytest.fixture
def web() -> Iterator[Any]:
    with client(checked(echo)) as made:
        yield made


def text(web: Any, asked: Any) -> str:
    response = web.result(asked)
    found: str = web.result(response.text())
    return found


def test_nothing_runs_before_the_test_says_so() -> None:
    calls: list[str] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        calls.append(environ["PATH_INFO"])
        return hello(environ, start_response)

    with client(application) as web:
        answered: list[int] = []
        for number in (1, 2):
            web.get(f"/{number}").addCallback(lambda _, number=number: answered.append(number))
        assert (web.waiting, calls) == (0, [])
        assert web.arrive() == 2
        assert calls == []
        web.step()
        assert (calls, answered) == (["/1"], [])
        web.arrive()
        assert (calls, answered) == (["/1"], [1])
        web.settle()
        assert (calls, answered) == (["/1", "/2"], [1, 2])


def test_the_application_runs_in_the_thread_of_the_test() -> None:
    threads: list[threading.Thread] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        threads.append(threading.current_thread())
        return hello(environ, start_response)

    before = threading.active_count()
    with client(application) as web:
        assert text(web, web.get("/")) == "hello"
        assert threads == [threading.current_thread()]
        assert threading.active_count() == before


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "head"])
def test_there_is_a_method_for_each_of_http(method: str) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [*TEXT, ("X-Method", environ["REQUEST_METHOD"])])
        return [b""]

    with client(application) as web:
        response = web.result(getattr(web, method)("/"))
        assert response.headers.getRawHeaders("X-Method") == [method.upper()]


def test_bodies_of_any_size_go_both_ways(web: Any) -> None:
    octets = bytes(range(256)) * 10_000
    response = web.result(web.post("/", octets))
    assert web.result(response.content()) == octets


def test_treq_s_arguments_are_its_own(web: Any) -> None:
    assert text(web, web.post("/", json={"a": 1})) == '{"a":1}'
    assert text(web, web.post("/", {"a": "b c"})) == "a=b+c"


def test_files_are_refused_with_the_other_way(web: Any) -> None:
    with pytest.raises(TypeError, match=r"can not upload files: use twisted_wsgiref\.testing\.serve"):
        web.post("/", files={"a": b"b"})


def test_an_answer_that_is_larger_than_all_buffers_comes_whole() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [*TEXT])
        return (b"x" * 65536 for _ in range(50))

    with client(application) as web:
        response = web.result(web.get("/"))
        assert len(web.result(response.content())) == 50 * 65536


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("/path?query", ("http", "localhost", "/path", "query")),
        ("http://shop.test/", ("http", "shop.test", "/", "")),
        ("https://shop.test:8443/a%20b", ("https", "shop.test:8443", "/a b", "")),
    ],
)
def test_the_environ_is_that_of_the_url(url: str, told: tuple[str, ...]) -> None:
    seen: list[tuple[str, ...]] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        keys = ("wsgi.url_scheme", "HTTP_HOST", "PATH_INFO", "QUERY_STRING")
        seen.append(tuple(environ[key] for key in keys))
        assert (environ.get("HTTPS") == "on") is (environ["wsgi.url_scheme"] == "https")
        return hello(environ, start_response)

    with client(checked(application)) as web:
        assert text(web, web.get(url)) == "hello"
    assert seen == [told]


def test_another_scheme_is_refused(web: Any) -> None:
    with pytest.raises(SchemeNotSupported, match="has to be http or https"):
        web.result(web.get("ftp://shop.test/"))


def test_a_coroutine_may_ask_more_than_once(web: Any) -> None:
    async def talk() -> list[str]:
        return [await (await web.post("/", word)).text() for word in (b"one", b"two")]

    assert web.result(talk()) == ["one", "two"]


def test_what_never_comes_is_an_error_and_no_standstill(web: Any) -> None:
    with pytest.raises(RuntimeError, match="no result"):
        web.result(Deferred())
    with pytest.raises(RuntimeError, match="no request waits"):
        web.step()


def test_deadlines_come_when_the_test_lets_time_pass() -> None:
    with client(hello, queue_age=5.0) as web:
        asked = web.get("/")
        web.advance(4.0, work=False)
        assert web.waiting == 1
        web.advance(3.0, work=False)
        assert web.result(asked).code == 503


def test_a_timeout_of_the_client_comes_when_the_test_lets_time_pass() -> None:
    with client(hello) as web:
        failed: list[Any] = []
        web.get("/", timeout=5).addErrback(failed.append)
        web.advance(4.0, work=False)
        assert failed == []
        web.advance(2.0, work=False)
        assert len(failed) == 1


def test_the_server_refuses_as_it_does_in_earnest() -> None:
    with client(hello, max_body=10) as web:
        assert web.result(web.post("/", b"x" * 11)).code == 413


def test_an_answer_that_is_cut_is_a_failure_to_the_client() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [*TEXT])
        yield b"begun"
        raise ValueError("on purpose")

    with client(application) as web:
        response = web.result(web.get("/"))
        with pytest.raises(ResponseFailed):
            web.result(response.content())


def test_settings_are_keywords_and_streamed_input_needs_threads() -> None:
    with client(hello, server_header="mine") as web:
        assert web.result(web.get("/")).headers.getRawHeaders("Server") == ["mine"]
    with pytest.raises(SettingError, match="stream_input is on"):
        client(hello, stream_input=True)


def test_mounts_answer_in_memory_too(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"x" * 300_000)
    with client(hello, mounts={"/static": f"static:{tmp_path}", "/echo": echo}) as web:
        assert web.result(web.result(web.get("/static/a.txt")).content()) == b"x" * 300_000
        assert text(web, web.post("/echo", b"said")) == "said"
        assert text(web, web.get("/")) == "hello"


def test_an_idle_connection_is_used_again_and_closed_in_time(web: Any) -> None:
    for _ in range(3):
        text(web, web.get("/"))
    assert web._service.connections == 1
    web.advance(70.0)
    assert web._service.connections == 0
    assert text(web, web.post("/", b"again")) == "again"


def test_it_may_be_closed_in_the_middle_and_twice() -> None:
    web = client(hello)
    failed: list[Any] = []
    web.get("/").addErrback(failed.append)
    web.arrive()
    web.close()
    web.close()
    assert len(failed) == 1
    assert not web._service.running


def test_no_reactor_and_no_descriptor_is_taken() -> None:
    code = (
        "import os, sys\nfrom twisted_wsgiref.testing import client\n"
        "from twisted_wsgiref.simple_server import demo_app\n"
        "count = lambda: len(os.listdir('/proc/self/fd')) if os.path.isdir('/proc/self/fd') else 0\n"
        "client(demo_app).close(); before = count(); web = client(demo_app); web.result(web.get('/'))\n"
        "sys.exit('twisted.internet.reactor' in sys.modules or count() != before)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(), check=False).returncode == 0


def test_without_treq_it_says_how_to_install_it() -> None:
    code = (
        "import sys; sys.modules['treq'] = None; from twisted_wsgiref.testing import client, serve\n"
        "try: client(print)\nexcept ImportError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    line = "twisted_wsgiref.testing.client() needs treq, which is not here: pip install 'twisted-wsgiref[testing]'\n"
    assert done.stdout + done.stderr == line


class Trial(SynchronousTestCase):
    def test_an_exception_of_the_application_is_a_failure(self) -> None:
        def failing(environ: dict[str, Any], start_response: Any) -> Any:
            raise ValueError("on purpose")

        web = client(failing)
        self.addCleanup(web.close)
        asked = web.get("/")
        web.settle()
        self.assertEqual(self.successResultOf(asked).code, 500)
        (failure,) = self.flushLoggedErrors(ValueError)
        self.assertIn("on purpose", failure.getErrorMessage())


def test_its_class_is_there_for_annotations() -> None:
    with client(hello) as web:
        assert type(web) is twisted_wsgiref.testing.Client
    with pytest.raises(AttributeError, match="'nonsense'"):
        twisted_wsgiref.testing.nonsense  # noqa: B018
