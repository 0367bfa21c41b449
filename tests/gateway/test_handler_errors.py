"""Does an application's failure cost nothing but its own answer, and is every hook of a handler honoured?"""

from __future__ import annotations

import gc
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.exchanges import Run
from tests.support import TEXT, hello
from twisted_wsgiref._gateway.handler import WSGIHandler
from twisted_wsgiref.util import FileWrapper

RAISED = [
    RuntimeError("on purpose"),
    ConnectionResetError("the application's own"),
    BrokenPipeError("the application's own"),
    SystemExit(3),
    KeyboardInterrupt(),
    MemoryError(),
    GeneratorExit(),
]
raised = pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)


class Body:
    """Blocks; an exception among them is raised."""

    def __init__(self, *blocks: bytes | BaseException, closing: BaseException | None = None) -> None:
        self._blocks = iter(blocks)
        self._closing = closing
        self.closed = 0

    def __iter__(self) -> Body:
        return self

    def __next__(self) -> bytes:
        block = next(self._blocks)
        if isinstance(block, BaseException):
            raise block
        return block

    def close(self) -> None:
        self.closed += 1
        if self._closing is not None:
            raise self._closing


def app_of(body: Any, *headers: tuple[str, str]) -> Any:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [*TEXT, *headers])
        return body

    return app


@raised
def test_an_error_of_the_application_is_logged_with_its_request(error: BaseException) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        raise error

    run = Run(app)
    assert run.answer.status == 500
    assert run.exchange.status == 500
    assert len(run.log) == 1  # one message, whatever its lines
    assert run.log[0].startswith("GET /path?query HTTP/1.1 failed\nTraceback")
    assert type(error).__name__ in run.log[0]
    assert "/_gateway/" not in run.log[0]
    assert run.ended == 1
    assert run.exchange.persistent


def test_endless_recursion_costs_one_answer() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        return app(environ, start_response)

    run = Run(app, validated=False)
    assert run.answer.status == 500
    assert "RecursionError" in run.logged


@raised
def test_an_error_before_the_first_block_is_500_and_closes_once(error: BaseException) -> None:
    body = Body(b"", error)
    run = Run(app_of(body, ("X", "of the answer that failed")))
    assert run.answer.status == 500
    assert "x" not in run.answer.fields
    assert body.closed == 1


@raised
def test_an_error_after_the_first_block_cuts_and_closes_once(error: BaseException) -> None:
    body = Body(b"one", error)
    run = Run(app_of(body))
    assert run.exchange.cut
    assert not run.octets.endswith(b"0\r\n\r\n")
    assert body.closed == 1
    assert type(error).__name__ in run.logged


def test_without_any_sign_of_its_end_a_cut_answer_is_known_to_need_a_reset() -> None:
    run = Run(app_of(Body(b"one", ValueError())), minor=0)
    assert run.exchange.cut
    assert run.exchange.ends_by_close


@raised
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_close_that_raises_is_logged(error: BaseException, method: str) -> None:
    body = Body(b"one", closing=error)
    run = Run(app_of(body), method=method)
    assert run.answer.status == 200
    assert body.closed == 1
    assert type(error).__name__ in run.logged
    assert not run.exchange.cut


def test_an_error_and_a_close_that_raises_are_both_logged() -> None:
    body = Body(ValueError("first"), closing=KeyError("second"))
    run = Run(app_of(body))
    assert run.answer.status == 500
    assert "first" in run.logged
    assert "second" in run.logged
    assert body.closed == 1


@pytest.mark.parametrize("result", ["list", "generator", "body", "write"])
@pytest.mark.parametrize("leaves", [0, 1, 2])
def test_a_client_that_left_closes_once_and_logs_nothing(result: str, leaves: int) -> None:
    closed: list[str] = []
    seen: list[BaseException] = []

    class Closing(list[bytes]):
        def close(self) -> None:
            closed.append("list")

    def generate() -> Iterator[bytes]:
        try:
            for _ in range(10):
                yield b"x"
        finally:
            closed.append("generator")

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        write = start_response("200 OK", [*TEXT])
        if result == "list":
            return Closing([b"x"])
        if result == "generator":
            return generate()
        if result == "body":
            return body
        try:
            for _ in range(10):
                write(b"x")
        except BaseException as error:
            seen.append(error)
            raise
        return []

    body = Body(*[b"x"] * 10)
    run = Run(app, leaves=leaves)
    assert run.log == []
    assert len(closed) + body.closed == (result != "write")
    assert (len(seen) == 1) is (result == "write")
    assert not any(isinstance(error, Exception) for error in seen)
    assert run.ended == 1


def test_an_application_that_swallows_the_client_s_leaving_stops_all_the_same() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        write = start_response("200 OK", [*TEXT])
        for _ in range(3):
            try:
                write(b"x")
            except BaseException:
                pass
        return [b"more"]

    run = Run(app, leaves=1)
    assert len(run.outlet.blocks) == 1
    assert run.ended == 1


def test_an_exchange_leaves_no_cycle_behind() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [*TEXT])
        return [b"x"]

    Run(app, validated=False)
    gc.collect()
    gc.disable()
    try:
        run = Run(app, validated=False)
        del run.exchange  # the test's own knot
        del run
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_what_is_written_to_errors_without_a_line_end_is_not_mixed_with_the_next_request() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        environ["wsgi.errors"].write("begun")
        return hello(environ, start_response)

    assert Run(app).log == ["begun"]


# ---- Files ---------------------------------------------------------------------------------------------------------


def file_app(file: Any, *headers: tuple[str, str], block: int = 8192) -> Any:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [*TEXT, *headers])
        return environ["wsgi.file_wrapper"](file, block)

    return app


@pytest.fixture(params=[100, 100_000])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(100)) * (request.param // 100))
    return path


@pytest.mark.parametrize("buffering", [-1, 0])
@pytest.mark.parametrize("position", [0, 42])
def test_a_file_is_sent_from_its_position_and_closed(path: Path, position: int, buffering: int) -> None:
    content = path.read_bytes()
    with path.open("rb", buffering=buffering) as file:
        file.read(position)
        run = Run(file_app(file))
        assert run.answer.body == content[position:]
        assert run.answer.framing == "length"
        assert file.closed
        assert run.exchange.octets == len(content) - position
        assert True not in run.outlet.waits
        assert len(run.outlet.files) == (len(content) > 32768)


@pytest.mark.parametrize("length", [0, 1, 50])
def test_a_file_is_sent_as_far_as_its_content_length(path: Path, length: int) -> None:
    with path.open("rb") as file:
        run = Run(file_app(file, ("Content-Length", str(length))))
        assert run.answer.body == path.read_bytes()[:length]


def test_a_file_shorter_than_its_content_length_is_500(path: Path) -> None:
    with path.open("rb") as file:
        assert Run(file_app(file, ("Content-Length", "1000000"))).answer.status == 500
        assert file.closed


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_file_at_its_end_is_an_empty_answer(path: Path, method: str) -> None:
    with path.open("rb") as file:
        file.seek(0, 2)
        run = Run(file_app(file), method=method)
        assert run.answer.body == b""


def test_head_of_a_file_tells_its_length(path: Path) -> None:
    with path.open("rb") as file:
        run = Run(file_app(file), method="HEAD")
        assert run.answer.field("Content-Length") == str(path.stat().st_size)
        assert run.outlet.files == []
        assert file.closed


def test_what_was_written_to_a_file_and_not_flushed_is_sent() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * 100)
        file.seek(50)
        assert Run(file_app(file)).answer.body == b"x" * 50
    with tempfile.NamedTemporaryFile() as named:
        named.write(b"y" * 100)
        named.seek(0)
        assert Run(file_app(named)).answer.body == b"y" * 100


class GzipLike:
    """A file whose descriptor gives something else than its read."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._blocks = [b"unpacked", b""]

    def fileno(self) -> int:
        number: int = self._file.fileno()
        return number

    def read(self, size: int) -> bytes:
        return self._blocks.pop(0)


def test_what_is_no_plain_file_is_read(path: Path) -> None:
    with path.open("rb") as file:
        assert Run(file_app(GzipLike(file))).answer.body == b"unpacked"
    run = Run(file_app(io.BytesIO(b"x" * 100), block=30))
    assert run.answer.body == b"x" * 100
    assert run.answer.chunks == [b"x" * 30] * 3 + [b"x" * 10]


def test_a_pipe_is_read() -> None:
    import os

    reading, writing = os.pipe()
    os.write(writing, b"through a pipe")
    os.close(writing)
    with open(reading, "rb", buffering=0) as file:
        assert Run(file_app(file)).answer.body == b"through a pipe"


def test_a_closed_file_is_500(path: Path) -> None:
    with path.open("rb") as file:
        pass
    assert Run(file_app(file)).answer.status == 500


def test_a_file_after_write_is_iterated(path: Path) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [*TEXT])(b"first")
        return environ["wsgi.file_wrapper"](path.open("rb"))

    assert Run(app).answer.body == b"first" + path.read_bytes()


# ---- The hooks of BaseHandler --------------------------------------------------------------------------------------


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
            import sys

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

    runs: list[Run] = []

    class Kept(Run):
        def exchange_ended(self) -> None:
            super().exchange_ended()
            runs.append(self)

    with pytest.raises(KeyError):  # the pool's matter
        Kept(application, handler_class=Handler)
    assert runs[0].ended == 1
    assert runs[0].exchange.cut


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
