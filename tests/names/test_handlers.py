"""What the handlers promise beyond, or otherwise than, the standard library's.

That the rest is the same is shown by test_handlers_compared.py.
"""

from __future__ import annotations

import io
from typing import Any

import pytest

from twisted_wsgiref.handlers import BaseHandler, SimpleHandler

GONE = [ConnectionResetError, BrokenPipeError, ConnectionAbortedError]
PAGE = b"A server error occurred.  Please contact the administrator."


class Kept(SimpleHandler):
    """A handler over memory."""

    os_environ: dict[str, str] = {}

    def __init__(self, **variables: Any) -> None:
        variables.setdefault("SERVER_PROTOCOL", "HTTP/1.1")
        super().__init__(io.BytesIO(), io.BytesIO(), io.StringIO(), variables)

    @property
    def sent(self) -> bytes:
        return self.stdout.getvalue()  # type: ignore[attr-defined, no-any-return]

    @property
    def log(self) -> str:
        return self.stderr.getvalue()  # type: ignore[attr-defined, no-any-return]


class Result:
    """An iterable that counts its close(), and may fail in it."""

    def __init__(self, blocks: Any, error: BaseException | None = None) -> None:
        self.blocks = blocks
        self.error = error
        self.closed = 0

    def __iter__(self) -> Any:
        for block in self.blocks:
            if isinstance(block, BaseException):
                raise block
            yield block

    def close(self) -> None:
        self.closed += 1
        if self.error is not None:
            raise self.error


def app_of(result: Any, status: str = "200 OK", headers: Any = ()) -> Any:
    def app(environ: Any, start_response: Any) -> Any:
        start_response(status, list(headers))
        return result

    return app


# -- what may stand in a head --------------------------------------------------------------------

CONTROLS = [chr(n) for n in [*range(9), *range(10, 32), 127]]


@pytest.mark.parametrize("character", [*CONTROLS, "\u20ac"], ids=ascii)
@pytest.mark.parametrize("place", ["status", "name", "value"])
def test_a_control_character_in_the_head_is_refused_where_it_was_made(character: str, place: str) -> None:
    text = {"status": "200 OK", "name": "X-A", "value": "b"}
    text[place] += character + "X-Injected: 1"
    refused: list[type] = []

    def app(environ: Any, start_response: Any) -> Any:
        try:
            start_response(text["status"], [(text["name"], text["value"])])
        except ValueError as error:
            refused.append(type(error))
            raise
        return [b"body"]

    handler = Kept()
    handler.run(app)
    assert len(refused) == 1
    assert handler.sent.startswith(b"HTTP/1.0 500 ")
    assert b"Injected" not in handler.sent


def test_a_tab_may_stand_in_a_value_and_not_in_a_name() -> None:
    handler = Kept()
    handler.run(app_of([b""], headers=[("X-A", "a\tb")]))
    assert b"X-A: a\tb\r\n" in handler.sent
    handler = Kept()
    handler.run(app_of([b""], headers=[("X-A\t", "b")]))
    assert b"500" in handler.sent.splitlines()[0]


def test_a_refused_call_leaves_nothing_that_a_stubborn_application_could_send() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        try:
            start_response("200 OK\r\nX-Injected: 1", [])
        except ValueError:
            pass
        return [b"body"]

    handler = Kept()
    handler.run(app)
    assert b"Injected" not in handler.sent
    assert PAGE in handler.sent


def test_a_list_changed_after_start_response_is_checked_again_before_it_is_sent() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        headers = [("X-A", "1")]
        start_response("200 OK", headers)
        headers.append(("X-B", "2\r\nX-Injected: 1"))
        return [b"body"]

    handler = Kept()
    handler.run(app)
    assert b"Injected" not in handler.sent
    assert handler.sent.startswith(b"HTTP/1.0 500 ")


@pytest.mark.parametrize(
    ("status", "headers", "error"),
    [
        (b"200 OK", [], AssertionError),
        ("200", [], AssertionError),
        ("2x0 OK", [], AssertionError),
        ("\u00b2\u00b20 OK", [], AssertionError),
        ("200OK", [], AssertionError),
        ("200 OK", [("Connection", "close")], AssertionError),
        ("200 OK", [("Transfer-Encoding", "chunked")], AssertionError),
        ("200 OK", [("X-A", 1)], AssertionError),
        ("200 OK", [(b"X-A", "1")], AssertionError),
        ("200 OK", (("X-A", "1"),), TypeError),
    ],
)
def test_wrong_heads_are_refused_under_O_too(status: Any, headers: Any, error: type) -> None:
    handler = Kept()
    handler.setup_environ()
    with pytest.raises(error):
        handler.start_response(status, headers)
    handler.start_response("200 OK", [])  # nothing was set by the refused call
    with pytest.raises(AssertionError):
        handler.start_response("200 OK", [])


@pytest.mark.parametrize("data", ["text", bytearray(b"x"), None, 5])
def test_only_bytes_can_be_written(data: Any) -> None:
    handler = Kept()
    handler.setup_environ()
    write = handler.start_response("200 OK", [])
    with pytest.raises(AssertionError):
        write(data)


@pytest.mark.parametrize("result", [[b"x"], [], None], ids=repr)
def test_an_application_that_never_called_start_response_gets_the_error_page(result: Any) -> None:
    handler = Kept()
    handler.run(lambda environ, start_response: result)
    assert handler.sent.endswith(PAGE)
    assert "AssertionError" in handler.log


# -- whose connection was it? --------------------------------------------------------------------


@pytest.mark.parametrize("error", GONE)
def test_a_connection_error_of_the_application_is_answered_and_logged(error: type[OSError]) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        raise error("the database hung up")

    handler = Kept()
    handler.run(app)
    assert handler.sent.startswith(b"HTTP/1.0 500 ")
    assert "the database hung up" in handler.log


@pytest.mark.parametrize("error", GONE)
@pytest.mark.parametrize("before", [[], [b"one"]], ids=["first block", "second block"])
def test_a_connection_error_while_iterating_is_logged(error: type[OSError], before: list[bytes]) -> None:
    result = Result([*before, error("the upstream hung up")])
    handler = Kept()
    handler.run(app_of(result))
    assert "the upstream hung up" in handler.log
    assert handler.sent.endswith(b"\r\n\r\none" if before else PAGE)
    assert result.closed == 1


class Leaves(Kept):
    """A transport that breaks at the given method."""

    at = "_write"
    error: type[OSError] = BrokenPipeError

    def _write(self, data: bytes) -> None:
        if self.at == "_write":
            raise self.error
        super()._write(data)

    def _flush(self) -> None:
        if self.at == "_flush":
            raise self.error

    def sendfile(self) -> bool:
        if self.at == "sendfile":
            raise self.error
        return False


class LeavesInItsOwnWrite(Leaves):
    """Overrides what BaseHandler.write does, as handlers with hot parts of their own do."""

    def write(self, data: bytes) -> None:
        self._write(data)
        self._flush()


@pytest.mark.parametrize("error", GONE)
@pytest.mark.parametrize("at", ["_write", "_flush", "sendfile"])
@pytest.mark.parametrize("kind", [Leaves, LeavesInItsOwnWrite])
def test_a_client_that_left_is_no_error_and_the_iterable_is_closed(
    kind: type[Leaves], at: str, error: type[OSError]
) -> None:
    handler = kind()
    handler.at, handler.error = at, error
    source = io.BytesIO(b"file")

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](source)

    handler.run(app)
    assert handler.log == ""
    assert source.closed


def test_a_client_that_left_before_the_error_page_is_no_second_error() -> None:
    handler = Leaves()

    def app(environ: Any, start_response: Any) -> Any:
        raise ValueError("first")

    handler.run(app)
    assert "ValueError: first" in handler.log
    assert "BrokenPipe" not in handler.log


def test_an_application_may_answer_a_lost_client_with_an_error_of_its_own() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", [])
        try:
            write(b"x")
        except BrokenPipeError:
            raise LookupError("wrapped") from None
        return []

    handler = Leaves()
    handler.run(app)
    assert "LookupError: wrapped" in handler.log


def test_another_handlers_lost_client_is_not_ours() -> None:
    # An application that drives a second handler, and asks it to write outside its run().
    def app(environ: Any, start_response: Any) -> Any:
        inner = Leaves()
        inner.setup_environ()
        inner.start_response("200 OK", [])
        inner.write(b"x")
        return []

    handler = Kept()
    handler.run(app)
    assert "BrokenPipeError" in handler.log
    assert handler.sent.endswith(PAGE)


# -- close() -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "blocks",
    [[], [b"x"], ["text"], [ValueError()], [b"x", ValueError()], [SystemExit()], [b"x", KeyboardInterrupt()]],
    ids=repr,
)
def test_the_iterable_is_closed_exactly_once(blocks: list[Any]) -> None:
    result = Result(blocks)
    Kept().run(app_of(result))
    assert result.closed == 1


def test_the_iterable_is_closed_once_when_the_error_page_fails_too() -> None:
    class NoPage(Kept):
        def error_output(self, environ: Any, start_response: Any) -> Any:
            raise LookupError("no page")

    result = Result([ValueError()])
    with pytest.raises(LookupError):
        NoPage().run(app_of(result))
    assert result.closed == 1


@pytest.mark.parametrize("origin", [True, False])
def test_an_error_of_close_is_logged_and_no_second_answer_follows(origin: bool) -> None:
    result = Result([b"body"], ValueError("in close"))
    handler = Kept()
    handler.origin_server = origin
    handler.run(app_of(result))
    assert handler.sent.endswith(b"\r\n\r\nbody")
    assert "ValueError: in close" in handler.log
    assert result.closed == 1
    assert (handler.status, handler.headers, handler.result, handler.bytes_sent) == (None, None, None, 0)


def test_one_instance_can_serve_a_second_request() -> None:
    handler = Kept()
    handler.run(app_of([b"one"]))
    handler.run(app_of([b"two"]))
    assert handler.sent.count(b"HTTP/1.0 200 OK") == 2


# -- streams -------------------------------------------------------------------------------------


class Slow(io.BytesIO):
    """Takes three bytes at a time."""

    def write(self, data: Any) -> int:
        return super().write(data[:3])


class Silent(io.BytesIO):
    """Takes all and does not count."""

    def write(self, data: Any) -> None:  # type: ignore[override]
        super().write(data)


def test_a_partial_write_is_completed_with_a_warning() -> None:
    handler = Kept()
    handler.stdout = Slow()
    with pytest.warns(DeprecationWarning, match="BufferedWriter"):
        handler.run(app_of([b"0123456789"]))
    assert handler.sent.startswith(b"HTTP/1.0 200 OK\r\n")
    assert handler.sent.endswith(b"\r\n\r\n0123456789")


def test_a_stream_that_does_not_count_is_believed() -> None:
    handler = Kept()
    handler.stdout = Silent()
    handler.run(app_of([b"0123456789"]))
    assert handler.sent.endswith(b"\r\n\r\n0123456789")


@pytest.mark.parametrize("name", ["_write", "_flush", "get_stdin", "get_stderr", "add_cgi_vars"])
def test_the_base_class_names_what_must_be_overridden(name: str) -> None:
    method = getattr(BaseHandler(), name)
    with pytest.raises(NotImplementedError):
        method(*[b""] * (name == "_write"))


def test_a_new_instance_carries_only_what_it_was_given() -> None:
    assert set(vars(Kept())) == {
        "stdin", "stdout", "stderr", "environ", "base_env", "wsgi_multithread", "wsgi_multiprocess",
    }  # fmt: skip


@pytest.mark.parametrize("limit", [None, 1])
def test_the_traceback_is_cut_at_its_limit(limit: int | None) -> None:
    def deep(n: int) -> None:
        if n == 0:
            raise ValueError("deep")
        deep(n - 1)

    handler = Kept()
    handler.traceback_limit = limit
    handler.run(lambda environ, start_response: deep(2))  # type: ignore[arg-type, return-value, func-returns-value]
    assert handler.log.count("in deep") == (3 if limit is None else 0)
    assert "ValueError: deep" in handler.log


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, MemoryError, ValueError])
def test_an_error_whose_traceback_can_not_be_formatted_is_answered_and_logged(kind: type[BaseException]) -> None:
    class Unspeakable(Exception):
        @property
        def __notes__(self) -> list[str]:
            raise kind

    handler = Kept()
    handler.run(app_of(Result([Unspeakable("the text")])))
    assert handler.sent.startswith(b"HTTP/1.0 500 ")
    assert handler.sent.endswith(PAGE)
    assert "Unspeakable: the text\n" in handler.log


def test_an_error_that_answers_for_its_class_is_answered() -> None:
    class Disguised(Exception):
        @property
        def __class__(self) -> type:  # type: ignore[override]
            raise SystemExit

    handler = Kept()
    handler.run(app_of(Result([Disguised("the text")])))
    assert handler.sent.startswith(b"HTTP/1.0 500 ")


def test_streams_and_environment_are_in_the_documented_attributes() -> None:
    environ: dict[str, Any] = {"SERVER_PROTOCOL": "HTTP/1.1"}
    streams: Any = (io.BytesIO(), io.BytesIO(), io.StringIO())
    handler = SimpleHandler(*streams, environ)
    assert (handler.stdin, handler.stdout, handler.stderr) == streams
    assert handler.environ is environ
    handler.setup_environ()
    assert handler.environ is not environ
    assert "wsgi.version" not in environ
