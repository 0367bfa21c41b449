"""What `twisted_wsgiref.validate` says of a body: its blocks, its beginning, and its close."""

from __future__ import annotations

import gc
import sys
from typing import Any

import pytest

from tests.names.conversation import HTML, OURS_AND_THEIRS, answering, environ, hello, serve
from twisted_wsgiref import validate


@pytest.mark.parametrize("module", OURS_AND_THEIRS)
@pytest.mark.parametrize("body", [b"Hello World", "Hello World", None, False])
def test_a_body_that_is_no_iterable_of_bytes_is_refused(module: Any, body: Any) -> None:
    with pytest.raises(AssertionError):
        serve(module, answering("200 OK", HTML, body))


def test_a_number_as_body_is_refused_with_words() -> None:
    with pytest.raises(AssertionError, match=r"iterable of bytes.*int: 7"):
        serve(validate, answering("200 OK", HTML, 7))


@pytest.mark.parametrize("module", OURS_AND_THEIRS)
@pytest.mark.parametrize("block", ["text", None, 7, bytearray(b"x"), memoryview(b"x")])
def test_blocks_are_bytes(module: Any, block: Any) -> None:
    with pytest.raises(AssertionError):
        serve(module, answering("200 OK", HTML, [b"right", block]))


def test_an_old_sequence_is_an_iterable() -> None:
    class Old:
        def __getitem__(self, index: int) -> bytes:
            return [b"a", b"b"][index]

    assert serve(validate, answering("200 OK", HTML, Old()))[1] == [b"a", b"b"]


@pytest.mark.parametrize("module", OURS_AND_THEIRS)
def test_start_response_comes_before_the_first_block(module: Any) -> None:
    def late(env: Any, start_response: Any) -> Any:
        yield b"early"
        start_response("200 OK", HTML)

    with pytest.raises(AssertionError):
        serve(module, late)
    with pytest.raises(AssertionError):
        serve(module, lambda env, start_response: [b"never"])


@pytest.mark.parametrize("module", OURS_AND_THEIRS)
def test_start_response_may_come_with_the_first_block(module: Any) -> None:
    def lazy(env: Any, start_response: Any) -> Any:
        start_response("200 OK", HTML)
        yield b"x"

    assert serve(module, lazy)[1] == [b"x"]


def test_an_empty_body_needs_a_status_as_well() -> None:
    with pytest.raises(AssertionError, match="start_response was not called"):
        serve(validate, lambda env, start_response: [])


@pytest.mark.parametrize("module", OURS_AND_THEIRS)
def test_nothing_is_read_after_close(module: Any) -> None:
    body = module.validator(hello)(environ(), lambda *args: print)
    assert next(body) == b"hello "
    body.close()
    with pytest.raises(AssertionError):
        next(body)


@pytest.mark.parametrize("module", OURS_AND_THEIRS)
def test_close_reaches_the_iterable_that_the_application_returned(module: Any) -> None:
    class Body:
        closed = 0

        def __iter__(self) -> Any:
            return iter([b"x"])

        def close(self) -> None:
            self.closed += 1

    body = Body()
    serve(module, answering("200 OK", HTML, body))
    assert body.closed == 1


@pytest.mark.parametrize("module", OURS_AND_THEIRS)
def test_a_forgotten_close_is_said_on_stderr_and_to_the_hook(module: Any, monkeypatch: Any, capsys: Any) -> None:
    heard: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: heard.append(args.exc_type))
    body = module.validator(hello)(environ(), lambda *args: print)
    assert list(body) == [b"hello ", b"world"]
    del body
    gc.collect()
    assert heard == [AssertionError]
    assert "close" in capsys.readouterr().err


def test_a_wrapper_whose_making_failed_says_nothing_when_collected(capsys: Any) -> None:
    with pytest.raises(TypeError):
        validate.IteratorWrapper(7, None)
    gc.collect()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("module", OURS_AND_THEIRS)
def test_a_partial_iterator_knows_nothing_of_start_response(module: Any) -> None:
    iterator = iter(module.PartialIteratorWrapper([b"x"]))
    assert list(iterator) == [b"x"]
    iterator.close()
