"""Is a suspended answer whole, closed once and in one thread at a time, at whichever line threads change?"""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests.answers import read_answers
from tests.connection.interleaving import Run, Switches, try_all
from tests.gateway.exchanges import LIMITS, gateway_of
from twisted_wsgiref._connection import answer_queue, room
from twisted_wsgiref._connection.answer_queue import END, AnswerQueue
from twisted_wsgiref._gateway import suspended
from twisted_wsgiref._gateway.error_stream import ErrorStream
from twisted_wsgiref._gateway.handler import WSGIHandler
from twisted_wsgiref._gateway.suspended import SuspendedExchange
from twisted_wsgiref._http.coder import HTTP1Coder
from twisted_wsgiref._http.head import HeadParser
from twisted_wsgiref._threads.answer_batch import AnswerBatch

GET = HeadParser(LIMITS).parse(b"GET / HTTP/1.1\r\nHost: h")
FILES = [module.__file__ or "" for module in (suspended, answer_queue, room)]
BLOCKS = [b"one", b"two", b"three"]

_mine: contextvars.ContextVar[str] = contextvars.ContextVar("mine")


class Line:
    """An exchange, two workers and a reactor that sends what is queued, or loses the connection at some time."""

    def __init__(self, switches: Switches, monkeypatch: pytest.MonkeyPatch, leaves: bool) -> None:
        self.run = run = Run(FILES, switches)
        locks = SimpleNamespace(Lock=run.lock, RLock=run.lock, get_ident=threading.get_ident)
        monkeypatch.setattr(answer_queue, "threading", locks)
        monkeypatch.setattr(room, "threading", locks)
        self.leaves = leaves
        self.jobs: deque[Any] = deque()
        self.due: deque[Callable[[], None]] = deque()
        self.sent = b""
        self.over = self.begun = self.closed = self.inside = self.ended = 0
        self.faults: list[str] = []
        self.kept: set[Any] = set()
        outlet: Any = AnswerQueue(HTTP1Coder(""), None, lambda: self.due.append(self.pump), 1, AnswerBatch(print))
        self.outlet = outlet
        gateway = gateway_of(
            application=self.application,
            handler_class=WSGIHandler,
            errors=ErrorStream(self.faults.append),
            overseer=self,
            isolated=True,
            suspends=True,
        )
        connection: Any = self
        exchange = SuspendedExchange(gateway, GET, {}, None, outlet, connection)
        outlet.begin()
        self.jobs.append(exchange)
        run([self.work, self.work, self.react])
        self.faults += map(repr, run.errors)

    # ---- An overseer, and a connection -------------------------------------------------------------------------

    def note_suspended(self, exchange: Any) -> None:
        self.kept.add(exchange)

    def note_going_on(self, exchange: Any) -> None:
        self.kept.discard(exchange)

    def resume(self, exchange: Any) -> None:
        self.kept.discard(exchange)
        self.jobs.append(exchange)

    def exchange_ended(self) -> None:
        self.ended += 1
        self.outlet.finish()

    # ---- The actors --------------------------------------------------------------------------------------------

    def application(self, environ: Any, start_response: Any) -> Iterator[bytes]:
        _mine.set("kept")
        start_response("200 OK", [])
        return self.blocks()

    def blocks(self) -> Iterator[bytes]:
        self.begun += 1
        try:
            for block in BLOCKS:
                self.inside += 1
                if self.inside != 1 or _mine.get("") != "kept":
                    self.faults.append("two threads are in it, or its context is another")
                self.run.step()
                self.inside -= 1
                yield block
        finally:
            self.closed += 1

    def work(self) -> None:
        while True:
            self.run.wait(lambda: bool(self.jobs))
            self.jobs.popleft().run()

    def pump(self) -> None:
        while (block := self.outlet.take()) is not None:
            if block is END:
                self.over += 1
                return
            self.sent += bytes(block)

    def react(self) -> None:
        while True:
            self.run.wait(lambda: bool(self.due or self.leaves))
            if self.due:
                self.due.popleft()()
            else:
                self.leaves = False
                self.outlet.lose()


@pytest.mark.parametrize("leaves", [False, True])
def test_nothing_is_lost_or_done_twice_wherever_threads_change(leaves: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, Switches] = {}

    def once(switches: Switches) -> Run:
        line = Line(switches, monkeypatch, leaves)
        faults = list(line.faults)
        if not line.over or line.closed != line.begun or line.ended != 1 or line.kept or line.jobs:
            faults.append(f"over {line.over}, closed {line.closed} of {line.begun}, ended {line.ended}; {line.kept}")
        if not line.outlet.gone and [each.body for each in read_answers(line.sent)] != [b"".join(BLOCKS)]:
            faults.append(f"sent {line.sent!r}")
        for fault in faults:
            found.setdefault(fault, switches)
        return line.run

    try_all(1, once)
    assert not found
