"""Does the handler send what PEP 3333 and HTTP say, whatever an application returns?"""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import Context, ContextVar
from typing import Any

import pytest

from tests.gateway.exchanges import Run
from tests.support import TEXT, hello, name_of

Blocks = list[bytes]


def answering(result: Any, headers: list[tuple[str, str]] | None = None, status: str = "200 OK") -> Any:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response(status, [*TEXT] if headers is None else headers)
        return result() if callable(result) else result

    return app


def lazily(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [*TEXT])
    yield b"one"
    yield b"two"


def writing(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    write = start_response("200 OK", [*TEXT])
    write(b"one")
    write(b"")
    write(b"two")
    return []


def writing_and_iterating(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    write = start_response("200 OK", [*TEXT])
    write(b"one")
    return [b"", b"two"]


class Sequence:
    """The old protocol of iteration."""

    def __getitem__(self, index: int) -> bytes:
        return [b"one", b"two"][index]


@pytest.mark.parametrize("minor", [0, 1])
@pytest.mark.parametrize(
    ("app", "whole"),
    [
        (answering([b"onetwo"]), True),
        (answering([b"one", b"two"]), True),
        (answering([b"", b"one", b"", b"two", b""]), True),
        (answering((b"one", b"two")), True),
        (answering(lambda: iter([b"one", b"two"])), False),
        (answering(lambda: iter([b"", b"one", b"", b"two", b""])), False),
        (answering(Sequence), False),
        (answering({b"onetwo": 1}), False),
        (lazily, False),
        (writing, False),
        (writing_and_iterating, False),
    ],
)
def test_every_kind_of_answer_arrives_whole(app: Any, whole: bool, minor: int) -> None:
    run = Run(app, minor=minor)
    assert run.answer.status == 200
    assert run.answer.body == b"onetwo"
    assert run.answer.framing == ("length" if whole else "chunked" if minor else "close")
    assert run.exchange.size == 6
    assert run.exchange.status == 200
    assert (run.ended, run.log, run.exchange.cut) == (1, [], False)
    assert run.exchange.persistent is (minor == 1)


@pytest.mark.parametrize(
    "app", [answering([]), answering([b""]), answering([b"", b""]), answering(()), answering(lambda: iter([b""]))]
)
@pytest.mark.parametrize("minor", [0, 1])
def test_an_empty_answer_has_the_length_zero(app: Any, minor: int) -> None:
    run = Run(app, minor=minor)
    assert run.answer.body == b""
    assert run.answer.field("Content-Length") == "0"


def test_head_and_first_block_leave_in_one_piece() -> None:
    assert len(Run(hello).outlet.blocks) == 1
    assert len(Run(lazily).outlet.blocks) == 3  # the last ends it


def test_a_large_body_is_not_copied() -> None:
    body = b"x" * 1_000_000
    run = Run(answering((body,)))
    _, block = run.outlet.blocks
    assert block is body
    assert run.answer.body == body
    (nothing,) = Run(answering((body,)), method="HEAD").outlet.blocks
    assert nothing.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("app", [hello, answering((b"x" * 1000000,))])
def test_a_list_never_waits_for_a_slow_reader(app: Any) -> None:
    assert not Run(app).outlet.waits


def test_a_generator_waits_for_a_slow_reader() -> None:
    assert Run(lazily).outlet.waits


def test_the_head_waits_for_the_first_octet() -> None:
    sent: list[int] = []
    runs: list[Any] = []

    class Watching(Run):
        def __init__(self, app: Any) -> None:
            runs.append(self)
            super().__init__(app)

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [*TEXT])
        for block in (b"", b"", b"one", b""):
            yield block
            sent.append(len(runs[0].outlet.blocks))

    Watching(app)
    assert sent == [0, 0, 1, 1]


def test_each_block_leaves_before_the_next_is_asked_for() -> None:
    sent: list[int] = []
    runs: list[Any] = []

    class Watching(Run):
        def __init__(self, app: Any) -> None:
            runs.append(self)
            super().__init__(app)

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [*TEXT])
        for _ in range(3):
            yield b"x"
            sent.append(len(runs[0].outlet.blocks))

    Watching(app)
    assert sent == [1, 2, 3]


# ---- Content-Length ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("minor", [0, 1])
@pytest.mark.parametrize("result", [[b"12345"], [b"12", b"345"], lambda: iter([b"12", b"345"])])
def test_a_content_length_that_is_right_is_kept(result: Any, minor: int) -> None:
    run = Run(answering(result, [*TEXT, ("Content-Length", "5")]), minor=minor)
    assert run.answer.body == b"12345"
    assert run.answer.framing == "length"
    assert run.log == []
    assert run.exchange.cut is False


@pytest.mark.parametrize("result", [[b"123456"], [b"1234"], [], [b"123", b"456"]])
def test_a_list_with_a_wrong_content_length_is_refused(result: Blocks) -> None:
    run = Run(answering(result, [*TEXT, ("Content-Length", "5")]))
    assert run.answer.status == 500
    assert "Content-Length" in run.logged


@pytest.mark.parametrize("blocks", [[b"1234567"], [b"123", b"4567"], [b"12345", b"67"]])
def test_a_generator_sends_no_more_than_its_content_length(blocks: Blocks) -> None:
    run = Run(answering(lambda: iter(blocks), [*TEXT, ("Content-Length", "5")]))
    assert run.answer.status == 500 or run.answer.body == b"12345"
    assert "Content-Length" in run.logged
    assert run.exchange.cut or run.answer.status == 500


def test_write_sends_no_more_than_the_content_length_and_says_so() -> None:
    caught: list[str] = []

    def app(environ: dict[str, Any], start_response: Any) -> Blocks:
        write = start_response("200 OK", [*TEXT, ("Content-Length", "5")])
        write(b"123")
        try:
            write(b"4567")
        except ValueError as error:
            caught.append(str(error))
        return []

    run = Run(app)
    assert run.answer.body == b"12345"
    assert len(caught) == 1


@pytest.mark.parametrize("blocks", [[b"1234"], [b"1", b"2"]])
def test_fewer_octets_than_the_content_length_cut_the_answer(blocks: Blocks) -> None:
    run = Run(answering(lambda: iter(blocks), [*TEXT, ("Content-Length", "5")]))
    assert run.exchange.cut
    assert run.octets.endswith(blocks[-1])
    assert "Content-Length" in run.logged


# ---- No body -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("minor", [0, 1])
@pytest.mark.parametrize(
    "result", [[b"12345"], [b"12", b"345"], [], lambda: iter([b"12", b"345"]), lambda: iter([])], ids=name_of
)
@pytest.mark.parametrize("length", [None, "5", "99"])
@pytest.mark.parametrize(
    ("method", "status"),
    [("HEAD", "200 OK"), ("HEAD", "404 Not Found"), ("GET", "204 No Content"), ("GET", "304 Not Modified")],
)
def test_an_answer_without_a_body_ends_with_its_head(
    method: str, status: str, length: str | None, result: Any, minor: int
) -> None:
    headers = [*TEXT] if method == "HEAD" else [("ETag", '"1"')]
    if length is not None:
        headers.append(("Content-Length", length))
    run = Run(answering(result, headers, status), method=method, minor=minor, fields="Connection: keep-alive")
    assert run.answer.body == b""
    assert run.octets.endswith(b"\r\n\r\n")
    assert run.answer.field("Transfer-Encoding") is None
    if status.startswith("204"):
        assert run.answer.field("Content-Length") is None
    elif length is not None:
        assert run.answer.field("Content-Length") == length
    assert run.exchange.persistent
    assert run.exchange.size == 0
    assert run.log == []


def test_head_tells_the_length_of_what_get_would_bring() -> None:
    assert Run(hello, method="HEAD").answer.field("Content-Length") == "5"


def test_the_length_of_a_204_is_cut_out_exactly() -> None:
    headers = [("X", "a\x85Content-Length: 1"), ("Content-Length", "0"), ("Y", "b")]
    run = Run(answering([], headers, "204 No Content"))
    assert run.answer.fields["x"] == ["a\x85Content-Length: 1"]
    assert run.answer.fields["y"] == ["b"]


# ---- What the server adds ------------------------------------------------------------------------------------------


def test_date_and_server_are_added_once() -> None:
    answer = Run(hello).answer
    assert len(answer.fields["date"]) == 1
    assert answer.fields["server"] == ["tests"]


def test_an_application_s_own_date_and_server_stand() -> None:
    headers = [*TEXT, ("date", "Thu, 01 Jan 1970 00:00:00 GMT"), ("SERVER", "mine")]
    answer = Run(answering([b"x"], headers)).answer
    assert answer.fields["date"] == ["Thu, 01 Jan 1970 00:00:00 GMT"]
    assert answer.fields["server"] == ["mine"]


def test_fields_go_out_in_their_order_and_as_they_are() -> None:
    headers = [*TEXT, ("Set-Cookie", "a=1"), ("X-Latin", "\xe9\x85"), ("Set-Cookie", "b=2"), ("x-CASE", "\tx ")]
    octets = Run(answering([b"x"], headers), validated=False).octets
    assert b"Set-Cookie: a=1\r\nX-Latin: \xe9\x85\r\nSet-Cookie: b=2\r\nx-CASE: \tx \r\n" in octets


@pytest.mark.parametrize("status", ["200 OK", "404 ", "599 Na\xefve", "226 IM Used"])
def test_the_status_goes_out_as_it_is(status: str) -> None:
    run = Run(answering([b"x"], status=status), validated=False)
    assert run.octets.startswith(f"HTTP/1.1 {status}\r\n".encode("latin-1"))
    assert run.exchange.status == int(status[:3])


# ---- start_response ------------------------------------------------------------------------------------------------


def test_start_response_may_be_called_again_with_exc_info_before_the_head() -> None:
    import sys

    def app(environ: dict[str, Any], start_response: Any) -> Blocks:
        start_response("200 OK", [*TEXT, ("X", "first"), ("Content-Length", "5")])
        try:
            raise ValueError("on purpose")
        except ValueError:
            start_response("400 Bad Request", [*TEXT], sys.exc_info())
        return [b"sorry indeed"]

    answer = Run(app).answer
    assert (answer.status, answer.body) == (400, b"sorry indeed")
    assert "x" not in answer.fields


def test_start_response_with_exc_info_after_the_head_raises_it_again() -> None:
    import sys

    caught: list[BaseException] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [*TEXT])
        yield b"begun"
        try:
            raise ValueError("on purpose")
        except ValueError:
            try:
                start_response("500 Oh", [*TEXT], sys.exc_info())
            except ValueError as error:
                caught.append(error)
                raise
        yield b"never"

    run = Run(app)
    assert len(caught) == 1
    assert run.exchange.cut
    assert b"never" not in run.octets
    assert "on purpose" in run.logged


def test_start_response_twice_without_exc_info_is_refused() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Blocks:
        start_response("200 OK", [*TEXT])
        start_response("200 OK", [*TEXT])
        return [b"never"]

    run = Run(app, validated=False)
    assert run.answer.status == 500
    assert "twice" in run.logged


def test_start_response_after_the_head_says_that_its_exc_info_has_no_exception() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [*TEXT])
        yield b"begun"
        start_response("500 Oh", [*TEXT], (None, None, None))
        yield b"never"

    run = Run(app, validated=False)
    assert run.exchange.cut
    assert b"never" not in run.octets
    assert "exc_info without an exception" in run.logged
    assert "AttributeError" not in run.logged


@pytest.mark.parametrize("result", [[], [b"x"], iter([b"x"]), iter([]), (), None, 5, "text", [b"x", "text"], [None]])
def test_an_answer_without_start_response_or_of_a_wrong_kind_is_500(result: Any) -> None:
    run = Run(lambda environ, start_response: result, validated=False)
    assert run.answer.status == 500
    assert "Traceback" in run.logged


@pytest.mark.parametrize(
    "result", [None, 5, "text", ["text"], [bytearray(b"x")], [b"x", None], iter(["x"])], ids=name_of
)
def test_blocks_have_to_be_bytes(result: Any) -> None:
    run = Run(answering(result), validated=False)
    assert run.answer.status == 500
    assert "Error" in run.logged


def test_a_refused_start_response_changes_nothing() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Blocks:
        for wrong in [("200 OK", [("X", "\n")]), ("nonsense", []), ("200 OK", [("Content-Length", "x")])]:
            with pytest.raises(ValueError, match=r"."):
                start_response(*wrong)
        start_response("201 Created", [*TEXT])
        return [b"x"]

    assert Run(app, validated=False).answer.status == 201


# ---- Contexts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("isolated", [False, True])
def test_a_context_variable_is_seen_by_later_requests_of_its_thread_unless_each_is_isolated(isolated: bool) -> None:
    variable: ContextVar[str] = ContextVar("variable", default="unset")
    seen: list[str] = []

    class Closing(list[bytes]):
        def close(self) -> None:
            seen.append(f"closing: {variable.get()}")

    def app(environ: dict[str, Any], start_response: Any) -> Closing:
        seen.append(variable.get())
        variable.set("set")
        start_response("200 OK", [*TEXT])
        return Closing([b"x"])

    def worker() -> None:
        for _ in range(2):
            Run(app, isolated=isolated)

    # As a thread of the pool does: in its own context, from beginning to end.
    Context().run(worker)
    assert seen == ["unset", "closing: set", "unset" if isolated else "set", "closing: set"]
    assert variable.get() == "unset"
