"""Does an application's failure cost nothing but its own answer, and is every hook of a handler honoured?"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from tests.gateway.exchanges import Body, Run, app_of
from tests.support import TEXT, hello
from twisted_wsgiref._gateway.client_gone import ClientGone

RAISED = [
    RuntimeError("on purpose"),
    ConnectionResetError("the application's own"),
    BrokenPipeError("the application's own"),
    SystemExit(3),
    KeyboardInterrupt(),
    MemoryError(),
    GeneratorExit(),
    ClientGone(),  # by what it has kept of another request, whose client has left
]
raised = pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)


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


@raised
def test_an_error_whose_traceback_can_not_be_formatted_is_a_500_and_is_logged(error: BaseException) -> None:
    class Unspeakable(Exception):
        @property
        def __notes__(self) -> list[str]:
            raise error

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        raise Unspeakable("the text")

    run = Run(app)
    assert run.answer.status == 500
    assert not run.exchange.cut
    assert len(run.log) == 1
    assert "in app\n" in run.log[0]
    assert "Unspeakable: the text" in run.log[0]


def test_a_traceback_that_imports_what_failed_to_be_imported_is_a_500(monkeypatch: pytest.MonkeyPatch) -> None:
    # As CPython 3.15 does, to suggest another name.
    def format_exception(*given: Any, **also: Any) -> list[str]:
        raise ModuleNotFoundError("No module named 'pk.wsgi'")

    monkeypatch.setattr("traceback.format_exception", format_exception)

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        raise ModuleNotFoundError("No module named 'pk.wsgi'", name="pk.wsgi")

    run = Run(app, validated=False)
    assert run.answer.status == 500
    assert "No module named 'pk.wsgi'" in run.logged


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
