"""Does one client that reads as fast as an application makes blocks leave the reactor to the others?"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from twisted_wsgiref._connection.answer_queue import AnswerQueue
from twisted_wsgiref._connection.sender import ExitSender, Sender, make_sender
from twisted_wsgiref._gateway.file_span import FileSpan
from twisted_wsgiref._http.coder import HTTP1Coder
from twisted_wsgiref._threads.answer_batch import AnswerBatch

MEGABYTE = 1024 * 1024
CODER = HTTP1Coder("tests")


class GreedyExit:
    """Takes all that it is given."""

    def __init__(self) -> None:
        self.taken = 0

    def send(self, octets: bytes) -> int:
        self.taken += len(octets)
        return len(octets)


class GreedyTransport:
    """Takes all that it is given, and never asks for a pause."""

    def __init__(self) -> None:
        self.taken = 0

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """Know the producer."""

    def write(self, octets: bytes) -> None:
        self.taken += len(octets)


class EndlessOutlet(AnswerQueue):
    """Always has another block: the application keeps up with the client."""

    def take(self, most: int = 0) -> Any:
        return b"x" * (most or 128 * 1024)


@pytest.fixture(params=["exit", "transport"])
def drain(request: pytest.FixtureRequest) -> tuple[Sender, Any, list[str]]:
    said: list[str] = []
    exit: Any = GreedyExit() if request.param == "exit" else None
    transport: Any = GreedyTransport()
    queue = EndlessOutlet(CODER, exit, lambda: said.append("wake"), 1, AnswerBatch(print))
    made = make_sender(
        transport,
        exit,
        queue,
        lambda: said.append("over"),
        lambda _: said.append("fail"),
        lambda: said.append("again"),
    )
    return made, exit or transport, said


def test_an_answer_without_an_end_gives_the_reactor_back(drain: tuple[Sender, Any, list[str]]) -> None:
    pumped, taker, said = drain
    pumped.pump()
    assert 0 < taker.taken <= 2 * MEGABYTE
    assert said == ["again"]
    pumped.pump()
    assert said == ["again", "again"]
    assert pumped.sent == taker.taken


@pytest.fixture
def span() -> Iterator[FileSpan]:
    with tempfile.TemporaryFile() as file:
        file.truncate(64 * MEGABYTE)
        yield FileSpan(file.fileno(), 0, 64 * MEGABYTE)


def test_a_large_file_gives_the_reactor_back(span: FileSpan, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def sendfile(to: int, of: int, position: int, octets: int) -> int:
        asked.append(octets)
        return octets

    monkeypatch.setattr("os.sendfile", sendfile)
    said: list[str] = []

    class Socket:
        def fileno(self) -> int:
            return -1

    sock: Any = Socket()
    exit: Any = SimpleNamespace(send_file=lambda span: span.send_piece(sock))
    queue = AnswerQueue(CODER, None, lambda: said.append("wake"), 1, AnswerBatch(print))
    queue.put_back(span)
    pumped = ExitSender(None, exit, queue, lambda: None, lambda _: None, lambda: said.append("again"))
    turns = 0
    while span.remaining:
        pumped.pump()
        turns += 1
    assert turns == 8
    assert said == ["again"] * 8
    assert set(asked) == {MEGABYTE}
    assert pumped.sent == 64 * MEGABYTE
