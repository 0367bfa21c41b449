"""Can a client always tell a whole answer from one that broke, and does the log say why it broke?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.answers import SurplusError
from tests.support import GET, KINDS, TEXT, request, serving

kinds = pytest.mark.parametrize("kind", KINDS)
RAISED = [
    RuntimeError("on purpose"),
    ConnectionResetError("the application's own database"),
    BrokenPipeError("the application's own pipe"),
    SystemExit(3),
    KeyboardInterrupt(),
    MemoryError(),
    RecursionError("too deep"),
    GeneratorExit(),
    StopIteration(),
]
raised = pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)


class Body:
    """Blocks that may raise; counts its `close`, which may raise too."""

    def __init__(self, blocks: Iterator[bytes], closing: BaseException | None = None) -> None:
        self.blocks = blocks
        self.closed = 0
        self.closing = closing

    def __iter__(self) -> Body:
        return self

    def __next__(self) -> bytes:
        return next(self.blocks)

    def close(self) -> None:
        self.closed += 1
        if self.closing is not None:
            raise self.closing


class _Blocks:
    def __init__(self, blocks: list[bytes], error: BaseException | None) -> None:
        self._blocks = iter(blocks)
        self._error = error

    def __iter__(self) -> _Blocks:
        return self

    def __next__(self) -> bytes:
        for block in self._blocks:
            return block
        if self._error is not None:
            raise self._error
        raise StopIteration


def app_of(body: Body, headers: list[tuple[str, str]] | None = None) -> Callable[..., Any]:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [*TEXT, *(headers or [])])
        return body

    return app


@kinds
@raised
def test_an_error_of_the_application_is_500_and_logged(kind: str, error: BaseException) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        raise error

    with serving(app) as server:
        client = server.ask(request("/secret?q=1"), kind)
        (answer,) = client.answers()
        assert answer.status == 500
        assert b"Traceback" not in client.received
        assert b"purpose" not in client.received
        assert "GET /secret?q=1 HTTP/1.1" in server.logged()
        assert type(error).__name__ in server.logged()
        assert "Traceback" in server.logged()
        assert [record.status for record in server.records] == [500]
        assert server.pool.failures == []
        client.send(GET)  # the connection lives on
        server.settle()
        assert [each.status for each in client.answers()] == [500, 500]


@kinds
@raised
def test_an_error_before_the_first_block_is_500(kind: str, error: BaseException) -> None:
    if isinstance(error, StopIteration):
        pytest.skip("that is no error there")
    body = Body(iter(_Blocks([b"", b""], error)))
    with serving(app_of(body)) as server:
        (answer,) = server.ask(GET, kind).answers()
        assert answer.status == 500
        assert body.closed == 1
        assert type(error).__name__ in server.logged()


@kinds
@raised
@pytest.mark.parametrize("headers", [[], [("Content-Length", "10")]])
@pytest.mark.parametrize("minor", [0, 1])
def test_an_error_after_the_first_block_can_be_seen(
    kind: str, error: BaseException, headers: list[tuple[str, str]], minor: int
) -> None:
    if isinstance(error, StopIteration):
        error = ValueError("instead")
    body = Body(iter(_Blocks([b"12345"], error)))
    with serving(app_of(body, headers)) as server:
        client = server.ask(request(minor=minor, fields="Connection: keep-alive") + GET, kind)
        if headers or minor:
            assert client.received.endswith(b"12345" if headers else b"5\r\n12345\r\n")
            with pytest.raises(SurplusError):
                client.answers()
        else:
            assert client.aborted  # else this would be a whole answer
        assert client.ended
        assert body.closed == 1
        assert type(error).__name__ in server.logged()
        assert server.factory.connections == set() or client.transport.half_closed
        assert [record.status for record in server.records] == [200]


@kinds
@pytest.mark.parametrize("blocks", [[b"1234"], [b"12", b"3"], []])
@pytest.mark.parametrize("length", ["5", "10"])
def test_fewer_octets_than_content_length_are_never_taken_for_a_whole_answer(
    kind: str, blocks: list[bytes], length: str
) -> None:
    body = Body(iter(blocks))
    with serving(app_of(body, [("Content-Length", length)])) as server:
        client = server.ask(GET + GET, kind)
        if blocks:
            with pytest.raises(SurplusError):
                client.answers()
            assert client.ended
        else:
            assert client.answers()[0].status == 500
        assert "Content-Length" in server.logged()
        assert body.closed >= 1


@kinds
@pytest.mark.parametrize("blocks", [[b"123456"], [b"123", b"456"], [b"12345", b"6"], [b"12345", b"", b"6"]])
def test_no_octet_more_than_content_length_is_sent(kind: str, blocks: list[bytes]) -> None:
    body = Body(iter(blocks))
    with serving(app_of(body, [("Content-Length", "5")])) as server:
        client = server.ask(GET + GET, kind)
        (answer,) = client.answers()
        assert answer.status == 500 or answer.body == b"12345"
        assert client.ended
        assert "Content-Length" in server.logged()
        assert body.closed == 1


@kinds
@pytest.mark.parametrize("given", ["4", "6"])
def test_a_list_that_is_not_what_its_content_length_says_is_500(kind: str, given: str) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [*TEXT, ("Content-Length", given)])
        return [b"12", b"345"]

    with serving(app) as server:
        client = server.ask(GET + GET, kind)
        assert [each.status for each in client.answers()] == [500, 500]


@kinds
@raised
def test_a_close_that_raises_is_logged_and_the_answer_is_whole(kind: str, error: BaseException) -> None:
    body = Body(iter([b"12345"]), closing=error)
    with serving(app_of(body)) as server:
        client = server.ask(GET, kind)
        (answer,) = client.answers()
        assert (answer.status, answer.body) == (200, b"12345")
        assert body.closed == 1
        assert not client.ended
        assert type(error).__name__ in server.logged()


@kinds
@pytest.mark.parametrize(
    "headers",
    [
        [("X", "a\r\nEvil: 1")],
        [("X", "a\nEvil: 1")],
        [("X", "a\0")],
        [("X\r\nEvil", "1")],
        [("X y", "1")],
        [("X:", "1")],
        [("", "1")],
        [("X", "\u20ac")],
        [("Connection", "keep-alive")],
        [("Transfer-Encoding", "chunked")],
        [("Keep-Alive", "1")],
        [("Content-Length", "1"), ("content-length", "1")],
        [("Content-Length", "-1")],
        [("Content-Length", "+5")],
        [("Content-Length", "5, 5")],
        [("Content-Length", "\u0665")],
        [("X", b"bytes")],
        [("X", 1)],
        [("X",)],
        [("Content-Type", "text/plain"), "ab"],
        None,
        (("X", "1"),),
    ],
    ids=repr,
)
def test_a_head_that_can_not_be_sent_is_500_and_injects_nothing(kind: str, headers: Any) -> None:
    caught: list[BaseException] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        try:
            start_response("200 OK", headers)
        except Exception as error:
            caught.append(error)
            raise
        return [b"hello"]

    with serving(app, validated=False) as server:
        client = server.ask(GET, kind)
        (answer,) = client.answers()
        assert answer.status == 500
        assert b"Evil" not in client.received
        assert len(caught) == 1  # where the mistake was made


@kinds
@pytest.mark.parametrize(
    "status",
    [
        "200 OK\r\nEvil: 1",
        "200 OK\n",
        "200",
        "20 OK",
        "abc OK",
        "\u0662\u0660\u0660 OK",
        "100 Continue",
        b"200 OK",
        200,
    ],
    ids=repr,
)
def test_a_status_that_can_not_be_sent_is_500(kind: str, status: Any) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(status, [*TEXT])
        return [b"hello"]

    with serving(app, validated=False) as server:
        client = server.ask(GET, kind)
        assert client.answers()[0].status == 500
        assert b"Evil" not in client.received


@kinds
def test_headers_changed_after_start_response_change_nothing(kind: str) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        headers = [*TEXT]
        start_response("200 OK", headers)
        headers.append(("X", "a\r\nEvil: 1"))
        yield b"hello"

    with serving(app) as server:
        client = server.ask(GET, kind)
        assert client.answers()[0].body == b"hello"
        assert b"Evil" not in client.received


@pytest.mark.parametrize("kind", ["socket", "ours", "opaque"])
def test_a_file_that_is_cut_short_while_it_is_sent_is_seen_and_logged(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 3_000_000)

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [*TEXT])
        return environ["wsgi.file_wrapper"](path.open("rb"))

    with serving(application) as server:
        client = server.connect(kind)
        client.reading = False
        client.send(GET)
        server.settle()
        with path.open("r+b") as file:
            file.truncate(2_000_000)
        client.reading = True
        server.settle()
        assert client.aborted
        assert client.ended
        with pytest.raises(SurplusError):
            client.answers()
        assert "the file is 1000000 bytes shorter than it was" in server.logged()
        assert server.factory.connections == set()
