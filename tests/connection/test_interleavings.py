"""Is each answer whole, alone and over, at whichever line one thread stops and another goes on?

What runs here is the server's own: answers, a queue, a batch, a sender, and what a connection does at the end of an
exchange. A socket, a transport and a reactor stand around it, and all takes turns as `Run` says.
"""

from __future__ import annotations

import errno
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from tests.answers import SurplusError, read_answers
from tests.connection.interleaving import Run, Switches, try_all
from tests.gateway.exchanges import LIMITS, exit_by
from twisted_wsgiref._connection import answer_queue, protocol, room, sender
from twisted_wsgiref._connection.answer_queue import AnswerQueue
from twisted_wsgiref._connection.protocol import WSGIProtocol
from twisted_wsgiref._connection.sender import make_sender
from twisted_wsgiref._gateway import answer
from twisted_wsgiref._gateway.answer import Answer
from twisted_wsgiref._gateway.client_gone import ClientGone
from twisted_wsgiref._gateway.fields import format_fields
from twisted_wsgiref._http.coder import HTTP1Coder
from twisted_wsgiref._http.head import HeadParser
from twisted_wsgiref._threads import answer_batch
from twisted_wsgiref._threads.answer_batch import AnswerBatch

GET = HeadParser(LIMITS).parse(b"GET / HTTP/1.1\r\nHost: h")
CODER = HTTP1Coder("")
HINT = CODER.interim(103)
FILES = [module.__file__ or "" for module in (answer, answer_queue, answer_batch, sender, protocol)]

#: What a thread does with an answer.
Act = Callable[[Answer], None]


def whole(body: bytes) -> Act:
    return lambda answer: answer.whole("200 OK", format_fields([]), body)


def blocks(*parts: bytes, length: int | None = None) -> Act:
    def act(answer: Answer) -> None:
        answer.begin("200 OK", format_fields([] if length is None else [("Content-Length", str(length))]))
        for part in parts:
            answer.block(part)
        answer.end()

    return act


def begin(answer: Answer) -> None:
    answer.begin("200 OK", format_fields([]))
    answer.block(b"LATE")


def late(answer: Answer) -> None:
    answer.block(b"LATE")


def hint(answer: Answer) -> None:
    answer.interim(103)
    answer.outlet.wait_for_room()


class Socket:
    """A socket that takes so many bytes with each send as `sizes` say, then all; -1: the client has left."""

    def __init__(self, run: Run, sizes: Sequence[int]) -> None:
        self.octets = b""
        self.at_once = False
        self._run = run
        self._sizes = deque(sizes)
        self._busy = False

    def send(self, octets: bytes, flags: int = 0) -> int:
        self.at_once = self.at_once or self._busy
        self._busy = True
        self._run.step()
        size = min(self._sizes.popleft() if self._sizes else len(octets), len(octets))
        self.octets += bytes(octets[: max(size, 0)])
        self._run.step()
        self._busy = False
        if size < 0:
            raise ConnectionResetError(errno.ECONNRESET, "the client has left")
        if not size:
            raise BlockingIOError
        return size

    def sendmsg(self, parts: tuple[bytes, bytes]) -> int:
        return self.send(b"".join(parts))


class Transport:
    """A transport with room for all, which tells its producer only when it is asked."""

    def __init__(self) -> None:
        self.octets = b""
        self.producer: Any = None
        self.writes = False

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self.producer = producer
        if not streaming:
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        self.producer = None

    def startWriting(self) -> None:
        self.writes = True

    def write(self, octets: bytes) -> None:
        self.octets += octets


class Reported(Answer):
    """An answer as an exchange is one for its connection."""

    reports = 0

    def report(self) -> None:
        self.reports += 1


class Connection:
    """What `WSGIProtocol` is for a worker, and as much of the rest as there has to be."""

    _exchange: Reported | None = None
    _closing = False
    _lost = False
    _half_closed = False
    _pump = None

    exchange_ended = WSGIProtocol.exchange_ended
    depart = WSGIProtocol.depart
    _over = WSGIProtocol._over

    def __init__(self, line: Line) -> None:
        self._line = line
        self._exit = exit_by(line.sock)
        self._reading = SimpleNamespace(waits=0)
        self._reader = SimpleNamespace(buffer=b"another request")
        self.factory = self._factory = SimpleNamespace(wake=line.wake, batch=line.batch, draining=False)
        transport: Any = line.transport
        again = lambda: line.wake(self._sender.pump)  # noqa: E731
        self._queue = AnswerQueue(CODER, self._exit, again, line.case.high_water, line.batch)
        self._sender = make_sender(transport, self._exit, self._queue, self._over, self.cut_off, again)

    def _go_on(self) -> None:
        self._line.serve()

    def _let_go(self) -> None:
        """Nothing is held here."""

    def _linger(self) -> None:
        self._closing = True

    def cut_off(self, error: object = None) -> None:
        self._closing = True
        self._line.due.append(self.lose)

    def lose(self) -> None:
        if not self._lost:
            self._lost = True
            self._line.transport.writes = False
            self._queue.lose()
            self._sender.stop()
            if self._exchange is not None:
                self._sender.pump()


@dataclass(frozen=True)
class Case:
    """Two requests, and what `others` do meanwhile with the answer to the first, each in a thread of its own."""

    first: Act
    second: Act
    others: tuple[Act, ...] = ()
    sizes: tuple[int, ...] = ()
    held: bool = False  # answers wait for each other, until the reactor ends that
    straight: bool = True
    high_water: int = 1 << 20
    leaves: bool = False  # the connection is lost at some time


class Line:
    """A connection, a worker, the reactor and other threads, in one of the orders that they can have."""

    def __init__(self, case: Case, switches: Switches, monkeypatch: pytest.MonkeyPatch) -> None:
        self.case = case
        self.run = run = Run(FILES, switches)
        locks = SimpleNamespace(Lock=run.lock, RLock=run.lock, get_ident=threading.get_ident)
        monkeypatch.setattr(answer_queue, "threading", locks)
        monkeypatch.setattr(room, "threading", locks)
        self.sock = Socket(run, case.sizes) if case.straight else None
        self.transport = Transport()
        self.failures: list[BaseException] = []
        self.batch = AnswerBatch(self.failures.append)
        self.batch.held = case.held
        self.due: deque[Callable[[], None]] = deque()
        self.jobs: deque[tuple[Act, Reported]] = deque()
        self.answers: list[Reported] = []
        self._acts = deque([case.first, case.second])
        self._held = case.held
        self._leaves = case.leaves
        self.connection = Connection(self)
        self.serve()
        others = [self._other(act) for act in case.others]
        run([self._work, *others, self._react])

    def wake(self, function: Callable[[], None]) -> None:
        self.run.step()
        self.due.append(function)

    def serve(self) -> None:
        connection = self.connection
        if connection._exchange is None and not connection._closing and not connection._lost and self._acts:
            act = self._acts.popleft()
            if not self._acts:
                connection._reader.buffer = b""
            answer = Reported(GET, connection._queue)
            self.answers.append(answer)
            connection._queue.begin()
            connection._exchange = answer
            self.jobs.append((act, answer))

    def _work(self) -> None:
        while True:
            self.run.wait(lambda: bool(self.jobs))
            act, answer = self.jobs.popleft()
            try:
                act(answer)
            except ClientGone:
                pass
            except (ValueError, RuntimeError):
                answer.break_off()
            if not answer.ended:
                answer.close()
            self.connection.exchange_ended()  # type: ignore[call-arg, misc]

    def _other(self, act: Act) -> Callable[[], None]:
        def other() -> None:
            try:
                act(self.answers[0])
            except (ClientGone, RuntimeError, ValueError):
                pass

        return other

    def _react(self) -> None:
        while True:
            self.run.wait(lambda: bool(self.due or self.transport.writes or self._held or self._leaves))
            if self.due:
                self.due.popleft()()
            elif self.transport.writes:
                self.transport.writes = False
                if self.transport.producer is not None:
                    self.transport.producer.resumeProducing()
            elif self._held:
                self._held = False
                self.batch.release()
                self.connection._queue.take_over()
            else:
                self._leaves = False
                self.connection.lose()

    def faults(self) -> Iterator[str]:
        connection = self.connection
        yield from map(repr, [*self.run.errors, *self.failures])
        if self.sock is not None and self.sock.at_once:
            yield "two threads sent at once"
        if set(self.run.waiting) != {0, 1 + len(self.case.others)}:
            yield f"somebody waits in vain: {self.run.waiting}"
        if connection._exchange is not None:
            yield "an exchange is never over"
        if connection._queue.kept or connection._queue.pending or getattr(connection._sender, "_rest", None):
            yield "something is left lying"
        if any(answer.reports != 1 for answer in self.answers):
            yield f"told of an exchange: {[answer.reports for answer in self.answers]} times"
        if not connection._closing and not connection._lost:
            octets = self.transport.octets if self.sock is None else self.sock.octets
            try:
                bodies = [each.body for each in read_answers(octets) if each.status != 103]
            except (ValueError, SurplusError) as error:
                yield f"{error!r} in {octets!r}"
            else:
                if [body.replace(b"LATE", b"") for body in bodies] != [b"one", b"two"] or b"LATE" in bodies[1]:
                    yield f"the bodies are {bodies}"


CASES = {
    "a hint beside an answer": Case(whole(b"one"), whole(b"two"), (hint,)),
    "a hint that is half sent": Case(whole(b"one"), whole(b"two"), (hint,), sizes=(3, 0, 5)),
    "a hint where nobody reads": Case(whole(b"one"), whole(b"two"), (hint,), sizes=(0, 3), high_water=1),
    "a late block": Case(blocks(b"one"), whole(b"two"), (late,)),
    "a late block, half sent": Case(blocks(b"o", b"ne"), whole(b"two"), (late,), sizes=(3, 0, 1), high_water=1),
    "late blocks while answers wait": Case(blocks(b"one"), blocks(b"two"), (late, late), held=True),
    "a late block beyond the length": Case(blocks(b"o", b"ne", length=3), whole(b"two"), (late,)),
    "answers that wait": Case(whole(b"one"), blocks(b"tw", b"o"), held=True, sizes=(3, 0)),
    "a block that waits, late": Case(blocks(b"one"), whole(b"two"), (late,), held=True, sizes=(3, 0)),
    "under TLS": Case(blocks(b"o", b"ne"), whole(b"two"), (hint,), straight=False, high_water=1),
    "a client that leaves": Case(blocks(b"o", b"ne"), whole(b"two"), (late,), leaves=True, high_water=1),
    "a client that has left": Case(whole(b"one"), whole(b"two"), (hint,), sizes=(3, -1)),
    "a network that takes nothing": Case(whole(b"one"), whole(b"two"), sizes=(-1,)),
    "a whole answer beside a block": Case(whole(b"one"), whole(b"two"), (late,)),
    "a whole answer beside one in blocks": Case(whole(b"one"), whole(b"two"), (begin,)),
    "a client that leaves while answers wait": Case(blocks(b"one"), whole(b"two"), (late,), held=True, leaves=True),
}


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_lost_or_mixed_wherever_threads_change(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES[name]
    found: dict[str, Switches] = {}

    def once(switches: Switches) -> Run:
        line = Line(case, switches, monkeypatch)
        for fault in line.faults():
            found.setdefault(fault, switches)
        return line.run

    try_all(1, once)
    assert not found


def test_an_exchange_is_not_over_at_any_moment_while_something_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[Switches] = []

    def once(switches: Switches) -> Run:
        run = Run([answer_queue.__file__], switches)
        monkeypatch.setattr(
            answer_queue, "threading", SimpleNamespace(Lock=run.lock, RLock=run.lock, get_ident=threading.get_ident)
        )
        queued: list[bool] = []

        class Watched(Socket):
            def send(self, octets: bytes, flags: int = 0) -> int:
                run.wait(lambda: bool(queued))
                return super().send(octets, flags)

        sock = Watched(run, ())
        way = AnswerQueue(CODER, exit_by(sock), lambda: None, 1 << 20, AnswerBatch(print))
        answer = Answer(GET, way)
        way.begin()

        def worker() -> None:
            run.wait(lambda: way._owner is not None)  # the hint of the other is on its way
            whole(b"all")(answer)
            queued.append(True)
            run.wait(lambda: bool(sock.octets))
            if way.finish():
                left.append(switches)

        run([lambda: answer.interim(103), worker])
        return run

    try_all(1, once)
    assert not left
