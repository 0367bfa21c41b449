"""Is every hook that `BaseHandler` documents honoured by the handler that serves?"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.exchanges import Body, Run, app_of, file_app
from tests.support import TEXT, hello
from twisted_wsgiref._gateway.handler import WSGIHandler
from twisted_wsgiref.util import FileWrapper


def failing(environ: dict[str, Any], start_response: Any) -> Any:
    raise ValueError("on purpose")


def seen_by(handler: type[WSGIHandler], **how: Any) -> dict[str, Any]:
    seen: list[dict[str, Any]] = []

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        seen.append({**environ})
        return hello(environ, start_response)

    run = Run(app, handler_class=handler, **how)
    assert run.answer.status == 200
    return seen[0]


def test_error_status_headers_and_body_are_honoured() -> None:
    class Handler(WSGIHandler):
        error_status = "503 On Purpose"
        error_headers = [("Content-Type", "text/x"), ("X", "y")]
        error_body = b"mine"

    answer = Run(failing, handler_class=Handler).answer
    assert (answer.status, answer.reason, answer.body, answer.field("X")) == (503, "On Purpose", b"mine", "y")


def test_error_output_is_honoured() -> None:
    class Handler(WSGIHandler):
        def error_output(self, environ: Any, start_response: Any) -> Any:

            start_response("500 Mine", [*TEXT], sys.exc_info())
            return iter([type(sys.exc_info()[1]).__name__.encode(), environ["PATH_INFO"].encode()])

    answer = Run(failing, handler_class=Handler).answer
    assert (answer.reason, answer.body) == ("Mine", b"ValueError/path")


def test_an_error_output_that_raises_cuts_the_connection_and_is_logged() -> None:
    class Handler(WSGIHandler):
        def error_output(self, environ: Any, start_response: Any) -> Any:
            raise KeyError("the page itself")

    run = Run(failing, handler_class=Handler)
    assert run.octets == b""
    assert run.exchange.cut
    assert "on purpose" in run.logged
    assert "the page itself" in run.logged
    assert run.ended == 1


def test_log_exception_is_honoured() -> None:
    logged: list[Any] = []

    class Handler(WSGIHandler):
        def log_exception(self, exc_info: Any) -> None:
            logged.append(exc_info[0])

    run = Run(failing, handler_class=Handler)
    assert run.answer.status == 500
    assert (logged, run.log) == ([ValueError], [])


@pytest.mark.parametrize("application", [failing, app_of(Body(b"x", closing=ValueError()))])
def test_a_log_exception_that_raises_holds_up_nobody(application: Any) -> None:
    class Handler(WSGIHandler):
        def log_exception(self, exc_info: Any) -> None:
            raise KeyError("the log itself")

    run = Run(application, handler_class=Handler)
    assert run.answer.status == (500 if application is failing else 200)
    assert (run.ended, run.exchange.cut) == (1, False)
    assert len(run.log) == 1
    assert "ValueError" in run.log[0]  # the context of what log_exception raised
    assert "the log itself" in run.log[0]


def test_a_handler_that_can_not_be_made_holds_up_nobody() -> None:
    class Handler(WSGIHandler):
        def __init__(self) -> None:
            pass

    runs: list[Run] = []

    class Kept(Run):
        def exchange_ended(self) -> None:
            runs.append(self)

    with pytest.raises(TypeError):
        Kept(hello, handler_class=Handler)
    assert runs[0].exchange.cut


def test_traceback_limit_is_honoured() -> None:
    def deep(number: int) -> None:
        if number:
            deep(number - 1)
        raise ValueError("on purpose")

    class Handler(WSGIHandler):
        traceback_limit = 2

    long = Run(lambda *args: deep(5)).logged
    short = Run(lambda *args: deep(5), handler_class=Handler).logged
    assert long.count("File ") > short.count("File ") == 2


def test_get_scheme_is_honoured() -> None:
    class Handler(WSGIHandler):
        def get_scheme(self) -> str:
            return "https"

    assert seen_by(Handler)["wsgi.url_scheme"] == "https"
    assert seen_by(WSGIHandler)["wsgi.url_scheme"] == "http"


def test_add_cgi_vars_is_honoured() -> None:
    class Handler(WSGIHandler):
        def add_cgi_vars(self) -> None:
            super().add_cgi_vars()
            self.environ["MINE"] = "yes"

    environ = seen_by(Handler)
    assert environ["MINE"] == "yes"
    assert environ["PATH_INFO"] == "/path"


def test_get_stdin_and_get_stderr_are_honoured() -> None:
    stdin, stderr = io.BytesIO(b"mine"), io.StringIO()

    class Handler(WSGIHandler):
        def get_stdin(self) -> Any:
            return stdin

        def get_stderr(self) -> Any:
            return stderr

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        environ["wsgi.errors"].write(environ["wsgi.input"].read(10).decode())
        raise ValueError("on purpose")

    run = Run(app, handler_class=Handler)
    assert run.log == []
    assert stderr.getvalue().startswith("mine")
    assert "on purpose" in stderr.getvalue()


def test_sendfile_is_honoured() -> None:
    class Handler(WSGIHandler):
        def sendfile(self) -> bool:
            self.write(b"sent by me")
            self.finish_content()
            return True

    assert Run(file_app(io.BytesIO(b"x")), handler_class=Handler).answer.body == b"sent by me"


def test_a_file_wrapper_of_somebody_s_own_is_honoured(path: Path) -> None:
    class Mine(FileWrapper):
        pass

    class Handler(WSGIHandler):
        wsgi_file_wrapper = Mine

    assert seen_by(Handler)["wsgi.file_wrapper"] is Mine
    assert Run(file_app(path.open("rb")), handler_class=Handler).answer.body == path.read_bytes()


def test_no_file_wrapper_is_honoured() -> None:
    class Handler(WSGIHandler):
        wsgi_file_wrapper = None

    assert "wsgi.file_wrapper" not in seen_by(Handler)


def test_server_software_is_honoured() -> None:
    class Handler(WSGIHandler):
        server_software = "mine/1.0"

    assert seen_by(Handler)["SERVER_SOFTWARE"] == "mine/1.0"
    assert Run(hello, handler_class=Handler).answer.fields["server"] == ["mine/1.0"]
    own = app_of([b"x"], ("Server", "the application's"))
    assert Run(own, handler_class=Handler).answer.fields["server"] == ["the application's"]


def test_os_environ_is_honoured_and_empty_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    class Handler(WSGIHandler):
        os_environ = {"OF_THE_SYSTEM": "yes", "PATH_INFO": "hidden by the request's"}

    environ = seen_by(Handler)
    assert (environ["OF_THE_SYSTEM"], environ["PATH_INFO"]) == ("yes", "/path")
    monkeypatch.setenv("OF_THE_SYSTEM", "yes")
    assert "OF_THE_SYSTEM" not in seen_by(WSGIHandler)


def test_setup_environ_is_honoured_and_may_fail() -> None:
    class Handler(WSGIHandler):
        def setup_environ(self) -> None:
            super().setup_environ()
            self.environ["MINE"] = "yes"

    class Failing(WSGIHandler):
        def setup_environ(self) -> None:
            raise ValueError("on purpose")

    assert seen_by(Handler)["MINE"] == "yes"
    assert Run(hello, handler_class=Failing).answer.status == 500


def test_hooks_of_a_mixin_are_honoured() -> None:
    class Mixin:
        def get_scheme(self) -> str:
            return "https"

    class Handler(Mixin, WSGIHandler):
        pass

    class Below(Handler):
        pass

    assert seen_by(Below)["wsgi.url_scheme"] == "https"


def test_an_inherited_handler_sees_all_that_the_server_prepared() -> None:
    class Handler(WSGIHandler):
        def setup_environ(self) -> None:
            super().setup_environ()

    plain, inherited = seen_by(WSGIHandler), seen_by(Handler)
    assert plain.keys() == inherited.keys()


def test_a_run_of_somebody_s_own_is_honoured() -> None:
    class Handler(WSGIHandler):
        def run(self, application: Any) -> None:
            before.append((self.status, self.result, self.headers_sent, self.bytes_sent))
            self.setup_environ()
            self.result = application(self.environ, self.start_response)
            self.finish_response()
            self.close()

    before: list[object] = []
    assert Run(hello, handler_class=Handler).answer.status == 200
    assert before == [(None, None, False, 0)]


def test_what_a_request_sets_hides_no_attribute_of_a_class() -> None:
    # From 3.12 on CPython looks for such a one six times as long.
    class Handler(WSGIHandler):
        def close(self) -> None:
            super().close()
            left.append(vars(self))

    left: list[object] = []
    assert Run(hello, handler_class=Handler).answer.status == 200
    assert left == [{}]
