"""Does each answer go out whole and alone, whatever its application keeps, and whichever thread calls?"""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.answers import read_answers
from tests.gateway.exchanges import LIMITS, exit_by
from tests.support import PATIENCE
from twisted_wsgiref._connection.answer_queue import AnswerQueue
from twisted_wsgiref._connection.blocks import END
from twisted_wsgiref._connection.exits import SocketExit
from twisted_wsgiref._connection.room import Room
from twisted_wsgiref._gateway.answer import Answer
from twisted_wsgiref._gateway.client_gone import ClientGone
from twisted_wsgiref._gateway.fields import Fields, format_fields
from twisted_wsgiref._gateway.file_span import FileSpan
from twisted_wsgiref._http.coder import HTTP1Coder
from twisted_wsgiref._http.head import HeadParser
from twisted_wsgiref._threads.answer_batch import AnswerBatch

GET = HeadParser(LIMITS).parse(b"GET / HTTP/1.1\r\nHost: h")
HEAD = HeadParser(LIMITS).parse(b"HEAD / HTTP/1.1\r\nHost: h")
CODER = HTTP1Coder("tests")
LINKS = "Link: </style.css>; rel=preload\r\n"
HINT = CODER.interim(103, LINKS)


def fields(*given: tuple[str, str]) -> Fields:
    return format_fields([*given])


class Socket:
    """A socket that takes `most` bytes at a time; `meanwhile` happens during each send, as in another thread."""

    def __init__(self) -> None:
        self.octets = b""
        self.most: int | None = None
        self.meanwhile: Callable[[bytes], None] = lambda octets: None

    def send(self, octets: bytes, flags: int = 0) -> int:
        taken = bytes(octets[: self.most])
        self.octets += taken
        self.meanwhile(taken)
        return len(taken)

    def sendmsg(self, parts: tuple[bytes, bytes]) -> int:
        return self.send(b"".join(parts))


class Line:
    """One connection: its socket, its outlet, and a reactor that takes what is queued."""

    def __init__(self, sock: Any = None) -> None:
        self.sock = sock
        self.wakes = 0
        self.ends = 0
        self.batch = AnswerBatch(print)
        self.outlet = AnswerQueue(CODER, exit_by(sock), self._wake, 1 << 20, self.batch)

    def _wake(self) -> None:
        self.wakes += 1

    def answer(self, head: Any = GET) -> Answer:
        self.outlet.begin()
        return Answer(head, self.outlet)

    def turn(self) -> None:
        while (block := self.outlet.take()) is not None:
            if block is END:
                self.ends += 1
                return
            self.sock.octets += bytes(block)  # type: ignore[arg-type]


@pytest.fixture
def line() -> Line:
    return Line(Socket())


def called_late(call: Callable[[], object]) -> None:
    """Call as an application does that has kept what it was given: whatever it raises is its own business."""
    try:
        call()
    except (RuntimeError, ClientGone):
        pass


def whole(line: Line, body: bytes) -> None:
    answer = line.answer()
    answer.whole("200 OK", fields(), body)
    if not line.outlet.finish():
        line.turn()


# ---- Nothing that was kept reaches the next answer -----------------------------------------------------------------


@pytest.mark.parametrize("when", ["at the last chunk", "behind it", "in the next answer", "between two"])
@pytest.mark.parametrize("what", ["write", "hint", "end", "whole"])
def test_what_an_application_keeps_never_reaches_the_next_answer(line: Line, when: str, what: str) -> None:
    first = line.answer()
    first.begin("200 OK", fields())
    first.block(b"first")
    line.turn()
    late: dict[str, Callable[[], object]] = {
        "write": lambda: first.block(b"LATE"),
        "hint": lambda: first.interim(103, LINKS),
        "end": first.end,
        "whole": lambda: first.whole("200 OK", fields(), b"LATE"),
    }

    def meanwhile(octets: bytes) -> None:
        if (when == "at the last chunk") == octets.startswith(b"0\r\n"):
            called_late(late[what])

    if when == "at the last chunk":
        line.sock.meanwhile = meanwhile
    first.end()
    if when == "behind it":
        called_late(late[what])
    if not line.outlet.finish():
        line.turn()
    if when == "between two":
        called_late(late[what])
    if when == "in the next answer":
        line.sock.meanwhile = meanwhile
    whole(line, b"second")
    line.turn()
    answers = read_answers(line.sock.octets, ["GET", "GET"])
    assert [answer.body for answer in answers] == [b"first", b"second"]


def test_a_block_after_the_end_is_an_error_that_says_so(line: Line) -> None:
    answer = line.answer()
    answer.whole("200 OK", fields(), b"all")
    with pytest.raises(RuntimeError, match="after the answer had ended"):
        answer.block(b"more")


def test_a_block_before_the_head_is_an_error_and_not_sent(line: Line) -> None:
    answer = line.answer()
    with pytest.raises(RuntimeError, match="before begin"):
        answer.block(b"headless")
    assert line.sock.octets == b""


def test_a_worker_that_comes_too_late_does_not_change_the_status_that_the_reactor_gave(line: Line) -> None:
    answer = line.answer()
    assert answer.seize()
    answer.status = 504
    answer.begin("200 OK", fields())
    assert answer.status == 504


def test_an_answer_that_was_broken_off_takes_nothing_more(line: Line) -> None:
    answer = line.answer()
    answer.begin("200 OK", fields())
    answer.block(b"some")
    answer.break_off()
    with pytest.raises(RuntimeError, match="after the answer had ended"):
        answer.block(b"more")
    assert answer.cut


def test_a_seized_answer_takes_nothing_more(line: Line) -> None:
    answer = line.answer()
    assert answer.seize() is True
    for call in (lambda: answer.block(b"x"), lambda: answer.whole("200 OK", fields(), b"x")):
        with pytest.raises(ClientGone):
            call()
    assert line.sock.octets == b""


def test_an_answer_that_has_begun_can_not_be_seized(line: Line) -> None:
    answer = line.answer()
    answer.whole("200 OK", fields(), b"all")
    assert answer.seize() is False


def test_the_reactor_does_not_answer_into_a_hint_that_is_half_sent(line: Line) -> None:
    line.sock.most = 10
    answer = line.answer()
    answer.interim(103, LINKS)
    assert answer.seize() is False


def test_the_reactor_may_answer_after_a_hint_that_is_sent(line: Line) -> None:
    line.sock.most = 10
    answer = line.answer()
    answer.interim(103, LINKS)
    line.turn()
    assert answer.seize() is True
    assert line.sock.octets == HINT


# ---- One writer at a time ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [None, 3])
def test_a_block_of_another_thread_stays_behind_the_first_that_is_being_sent(line: Line, most: int | None) -> None:
    answer = line.answer()
    answer.begin("200 OK", fields())
    line.sock.most = most
    others = iter([b"second"])

    def meanwhile(octets: bytes) -> None:
        for other in others:
            answer.block(other)
            line.turn()  # a reactor that is woken now must find nothing

    line.sock.meanwhile = meanwhile
    answer.block(b"first")
    answer.end()
    assert line.outlet.finish() is False
    line.turn()
    (got,) = read_answers(line.sock.octets, ["GET"])
    assert got.body == b"firstsecond"
    assert line.ends == 1


@pytest.mark.parametrize("most", [None, 5])
def test_an_answer_that_comes_while_a_hint_is_sent_stays_behind_it(line: Line, most: int | None) -> None:
    answer = line.answer()
    line.sock.most = most
    finished: list[bool] = []

    def meanwhile(octets: bytes) -> None:
        line.sock.meanwhile = lambda octets: None
        answer.whole("200 OK", fields(), b"all")
        finished.append(line.outlet.finish())

    line.sock.meanwhile = meanwhile
    answer.interim(103, LINKS)
    assert finished == [False]
    line.turn()
    assert line.sock.octets.startswith(HINT + b"HTTP/1.1 200 OK\r\n")
    assert line.sock.octets.endswith(b"all")
    assert line.ends == 1


def test_an_exchange_is_not_over_while_another_thread_sends_for_it(line: Line) -> None:
    answer = line.answer()
    finished: list[bool] = []

    def meanwhile(octets: bytes) -> None:
        answer.break_off()
        finished.append(line.outlet.finish())

    line.sock.meanwhile = meanwhile
    answer.interim(103, LINKS)
    assert finished == [False]
    line.turn()
    assert line.ends == 1


def test_hints_are_dropped_once_the_answer_has_begun(line: Line) -> None:
    answer = line.answer()
    answer.begin("200 OK", fields())
    answer.interim(103, LINKS)
    answer.block(b"body")
    answer.interim(103, LINKS)
    answer.end()
    answer.interim(103, LINKS)
    line.turn()
    assert line.sock.octets.count(b"103") == 1


def test_what_the_reactor_has_sent_to_its_end_gives_the_way_back(line: Line) -> None:
    line.sock.most = 3
    answer = line.answer()
    answer.begin("200 OK", fields())
    answer.block(b"block")
    line.turn()
    line.sock.most = None
    answer.end()
    assert line.outlet.finish() is True  # the last chunk went straight
    (got,) = read_answers(line.sock.octets, ["GET"])
    assert got.body == b"block"


def test_the_end_of_a_body_that_was_kept_leaves_with_it(line: Line) -> None:
    line.batch.held = True
    answer = line.answer()
    answer.begin("200 OK", fields())
    answer.block(b"only")
    answer.end()
    assert line.sock.octets == b""
    sends: list[bytes] = []
    line.sock.meanwhile = sends.append
    line.outlet.send_kept(True)
    assert line.outlet.finish() is True
    assert len(sends) == 1
    (got,) = read_answers(line.sock.octets, ["GET"])
    assert got.body == b"only"


class Racing:
    """The lock of an outlet; `before` happens as in another thread, which was faster to take it."""

    def __init__(self, lock: Any, before: Callable[[], None]) -> None:
        self.lock = lock
        self.before = before

    def acquire(self) -> None:
        before, self.before = self.before, lambda: None
        before()
        self.lock.acquire()

    def release(self) -> None:
        self.lock.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


@pytest.mark.parametrize("held", [True, False])
def test_a_block_stays_behind_the_first_that_another_thread_has_just_put(line: Line, held: bool) -> None:
    line.batch.held = True
    answer = line.answer()
    answer.begin("200 OK", fields())

    def faster() -> None:
        answer.block(b"first, ")
        line.batch.held = held

    line.outlet.lock = Racing(line.outlet.lock, faster)  # type: ignore[assignment]
    answer.block(b"second")
    line.turn()
    answer.end()
    line.outlet.send_kept(alone=True)
    line.outlet.finish()
    line.turn()
    (got,) = read_answers(line.sock.octets, ["GET"])
    assert got.body == b"first, second"


def test_an_end_that_is_faster_than_the_first_block_has_a_head(line: Line) -> None:
    answer = line.answer()
    answer.begin("200 OK", fields())  # by another thread, which has not come further
    answer.end()
    with pytest.raises(RuntimeError, match="after the answer had ended"):
        answer.block(b"late")
    assert line.outlet.finish() is True
    (got,) = read_answers(line.sock.octets, ["GET"])
    assert (got.status, got.body) == (200, b"")


def test_an_end_that_is_faster_than_a_promised_body_is_cut_short(line: Line) -> None:
    answer = line.answer()
    answer.begin("200 OK", fields(("Content-Length", "4")))
    with pytest.raises(ValueError, match="4 bytes fewer"):
        answer.end()
    assert b"\r\nContent-Length: 4\r\n" in line.sock.octets


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("body", [b"second", b""])
def test_a_whole_body_stays_behind_a_block_that_another_thread_has_just_put(
    line: Line, body: bytes, held: bool
) -> None:
    if held:
        line.batch.held = True
    answer = line.answer()

    def faster() -> None:
        answer.begin("200 OK", fields())
        answer.block(b"first, ")

    line.outlet.lock = Racing(line.outlet.lock, faster)  # type: ignore[assignment]
    answer.whole("200 OK", fields(), body)
    line.outlet.send_kept(alone=True)
    line.outlet.finish()
    line.turn()
    (got,) = read_answers(line.sock.octets, ["GET"])
    assert got.body == b"first, " + body


def test_a_file_is_not_sent_behind_a_block_that_another_thread_has_just_put(line: Line, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"second")
    answer = line.answer()

    def faster() -> None:
        answer.begin("200 OK", fields())
        answer.block(b"first")

    line.outlet.lock = Racing(line.outlet.lock, faster)  # type: ignore[assignment]
    with (tmp_path / "file").open("rb") as file, pytest.raises(RuntimeError, match="another thread"):
        answer.file("200 OK", fields(), FileSpan(file.fileno(), 0, 6))
    assert line.sock.octets.count(b"HTTP/1.1") == 1
    assert b"second" not in line.sock.octets


# ---- No answer is longer than it says ------------------------------------------------------------------------------


def test_two_threads_together_give_no_more_than_the_content_length(line: Line) -> None:
    answer = line.answer()
    answer.begin("200 OK", fields(("Content-Length", "10")))
    errors: list[ValueError] = []

    def meanwhile(octets: bytes) -> None:
        line.sock.meanwhile = lambda octets: None
        answer.begin("200 OK", fields(("Content-Length", "10")))  # as a second first write does
        try:
            answer.block(b"7654321")
        except ValueError as error:
            errors.append(error)

    line.sock.meanwhile = meanwhile
    answer.block(b"1234567")
    answer.end()
    line.outlet.finish()
    line.turn()
    (got,) = read_answers(line.sock.octets, ["GET"])
    assert got.body == b"1234567765"
    assert len(errors) == 1


def test_a_body_that_is_not_asked_for_is_not_sent(line: Line) -> None:
    answer = line.answer(HEAD)
    answer.begin("200 OK", fields())
    answer.block(b"one")
    answer.block(b"two")
    answer.end()
    assert line.sock.octets.endswith(b"\r\n\r\n")
    assert answer.size == 0


def test_a_client_that_left_is_noticed_by_blocks_that_are_not_sent(line: Line) -> None:
    answer = line.answer(HEAD)
    answer.begin("200 OK", fields())
    answer.block(b"one")
    line.outlet.lose()
    with pytest.raises(ClientGone):
        answer.block(b"two")


# ---- Waiting -------------------------------------------------------------------------------------------------------


def test_each_thread_that_waits_for_room_goes_on() -> None:
    line = Line(None)
    line.outlet = AnswerQueue(CODER, None, line._wake, 1000, line.batch)
    answer = line.answer()
    answer.begin("200 OK", fields())
    answer.block(b"x" * 10_000, wait=False)
    threads = [threading.Thread(target=answer.block, args=(b"y" * 10,), daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    end = threading.Event()
    for _ in range(2000):
        if len((line.outlet._room or Room())._threads) == 3:
            break
        end.wait(0.005)
    assert len((line.outlet._room or Room())._threads) == 3
    while line.outlet.take() is not None:
        pass
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


# ---- All at once ---------------------------------------------------------------------------------------------------


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize("seed", range(6))
def test_late_threads_never_harm_the_next_answer(pair: Any, seed: int) -> None:
    chance = random.Random(seed)
    ours, theirs = pair
    woken = threading.Semaphore(0)
    outlet = AnswerQueue(CODER, SocketExit(ours), woken.release, 1 << 20, AnswerBatch(print))
    received = bytearray()

    def read() -> None:
        while more := theirs.recv(1 << 16):
            received.extend(more)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    kept: list[Answer] = []
    over = threading.Event()

    def misbehave() -> None:
        mine = random.Random(seed + 100)
        while not over.is_set():
            for answer in kept[-3:]:
                called_late(mine.choice([lambda a=answer: a.block(b"LATE"), lambda a=answer: a.interim(103, LINKS)]))

    late = threading.Thread(target=misbehave, daemon=True)
    late.start()
    count = 300
    for number in range(count):
        outlet.begin()
        answer = Answer(GET, outlet)
        kept.append(answer)
        body = b"<%d>" % number
        if chance.random() < 0.5:
            answer.whole("200 OK", fields(), body)
        else:
            answer.begin("200 OK", fields())
            answer.block(body)
            answer.end()
        if outlet.finish():
            continue
        for _ in range(1 << 20):
            block = outlet.take()
            if block is END:
                break
            if block is None:
                woken.acquire(timeout=0.01)
            else:
                ours.setblocking(True)
                ours.sendall(block)  # type: ignore[arg-type]
                ours.setblocking(False)
    over.set()
    late.join(PATIENCE)
    ours.shutdown(socket.SHUT_WR)
    reader.join(PATIENCE)
    answers = [answer for answer in read_answers(bytes(received), ["GET"] * count) if answer.status >= 200]
    assert len(answers) == count
    for number, got in enumerate(answers):
        assert got.body.replace(b"LATE", b"") == b"<%d>" % number


def test_a_finalizer_that_writes_in_the_middle_of_a_block_is_refused_and_hangs_nobody(line: Line) -> None:
    # A collection may run an application's finalizers at any step of ours, also while the lock is held.
    old = line.answer()
    old.whole("200 OK", fields(), b"first")
    refused: list[str] = []

    class Collecting(AnswerBatch):
        @property
        def held(self) -> bool:  # type: ignore[override]
            try:
                old.block(b"LATE")
            except RuntimeError as error:
                refused.append(str(error))
            return False

        @held.setter
        def held(self, value: bool) -> None:
            """It never is."""

    answer = line.answer()
    line.outlet._batch = Collecting(print)
    worker = threading.Thread(target=lambda: answer.whole("200 OK", fields(), b"second"), daemon=True)
    worker.start()
    worker.join(PATIENCE / 4)
    assert not worker.is_alive()
    assert len(refused) == 1
    assert [each.body for each in read_answers(line.sock.octets)] == [b"first", b"second"]
