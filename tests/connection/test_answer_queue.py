"""Do all bytes arrive once and in order, whichever thread sends them, and does nobody wait in vain?"""

from __future__ import annotations

import errno
import gc
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.exchanges import LIMITS, exit_by
from tests.support import PATIENCE
from twisted_wsgiref._connection.answer_queue import PIECE, AnswerQueue
from twisted_wsgiref._connection.blocks import END
from twisted_wsgiref._gateway.answer import Answer
from twisted_wsgiref._gateway.client_gone import ClientGone
from twisted_wsgiref._gateway.fields import Fields
from twisted_wsgiref._gateway.file_span import FileSpan
from twisted_wsgiref._http.coder import HTTP1Coder
from twisted_wsgiref._http.head import HeadParser
from twisted_wsgiref._http.response import Framing
from twisted_wsgiref._threads.answer_batch import AnswerBatch

HEAD = HeadParser(LIMITS).parse(b"GET / HTTP/1.1\r\nHost: h")
NO_FIELDS = Fields("", None, True, True)


class _NoHead(bytes):
    """The head of an answer that has one, of no bytes."""

    def __bool__(self) -> bool:
        return True


NO_HEAD = _NoHead()


class PlainCoder(HTTP1Coder):
    """Writes the status alone for a head, and every body as it is."""

    def head(self, request: object, status: str, *rest: Any) -> tuple[bytes, Framing]:
        return status.encode(), Framing(200, "", False, False, None, True)

    def whole(self, request: Any, status: str, fields: Any, body: bytes, *rest: Any) -> Any:
        head, framing = self.head(request, status)
        return self.join(head, body), framing


CODER = PlainCoder("")


class Line(AnswerQueue):
    """An outlet, and the answer that is under way by it."""

    answer: Answer

    def begin(self) -> None:
        super().begin()
        self.answer = Answer(HEAD, self)
        self.answer._head = NO_HEAD

    @property
    def begun(self) -> bool:
        return self.answer.begun

    def write(self, octets: bytes, *, wait: bool = True) -> None:
        self.answer.block(octets, wait=wait)

    def write_whole(self, head: bytes, body: bytes) -> None:
        self.answer.whole(head.decode(), NO_FIELDS, body)

    def file(self, head: bytes, descriptor: int, position: int, octets: int) -> None:
        self.answer.file(head.decode(), NO_FIELDS, FileSpan(descriptor, position, octets))

    def finish(self) -> bool:
        self.answer.close()
        return super().finish()


class Reactor:
    """What takes from an outlet: `turn` takes all that is there, as a transport that never is full."""

    def __init__(self) -> None:
        self.batch = AnswerBatch(print)
        self.woken = threading.Semaphore(0)
        self.wakes = 0
        self.octets = bytearray()
        self.ends = 0

    def wake(self) -> None:
        self.wakes += 1
        self.woken.release()

    def turn(self, outlet: Line, most: int = 1 << 30) -> None:
        for _ in range(most):
            block = outlet.take()
            if block is None:
                return
            if block is END:
                self.ends += 1
                return
            if isinstance(block, FileSpan):
                self.octets += block.read(100)
                if block.remaining:
                    outlet.put_back(block)
            else:
                self.octets += block  # type: ignore[operator]


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def begun(sock: socket.socket | None, high_water: int = 65536) -> tuple[Line, Reactor]:
    reactor = Reactor()
    outlet = Line(CODER, exit_by(sock), reactor.wake, high_water, reactor.batch)
    outlet.begin()
    return outlet, reactor


def fill(sock: socket.socket) -> int:
    sent = 0
    try:
        while True:
            sent += sock.send(b"-" * 65536)
    except BlockingIOError:
        return sent


def receive(sock: socket.socket, size: int) -> bytes:
    octets = b""
    while len(octets) < size:
        more = sock.recv(size - len(octets))
        if not more:
            raise EOFError("the other end is closed")
        octets += more
    return octets


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError("it never came about")


# ---- With a socket -------------------------------------------------------------------------------------------------


def test_the_first_block_goes_straight_and_the_reactor_sleeps(pair: Any) -> None:
    outlet, reactor = begun(pair[0])
    outlet.write(b"hello")
    assert outlet.finish() is True
    assert pair[1].recv(100) == b"hello"
    assert reactor.wakes == 0


def test_later_blocks_are_queued_with_one_wake(pair: Any) -> None:
    outlet, reactor = begun(pair[0])
    for block in (b"one", b"two", b"three", b"four"):
        outlet.write(block)
    assert outlet.finish() is False
    assert pair[1].recv(100) == b"one"
    assert reactor.wakes == 1
    assert outlet.take() == b"twothreefour"
    assert outlet.take() is END
    assert outlet.take() is None or outlet.take() is END


def test_what_the_kernel_does_not_take_goes_to_the_reactor(pair: Any) -> None:
    outlet, reactor = begun(pair[0])
    octets = os.urandom(1_000_000)
    outlet.write(octets, wait=False)
    assert outlet.finish() is False
    received = receive(pair[1], 100)
    while not reactor.ends:
        reactor.turn(outlet, 1)
    while True:
        try:
            received += pair[1].recv(1 << 20)
        except BlockingIOError:
            break
    assert received + bytes(reactor.octets) == octets


def test_a_full_socket_takes_nothing(pair: Any) -> None:
    outlet, reactor = begun(pair[0])
    fill(pair[0])
    outlet.write(b"later")
    assert outlet.finish() is False
    reactor.turn(outlet)
    assert (reactor.octets, reactor.ends) == (b"later", 1)


def test_the_reactor_alone_sends_once_it_has_something(pair: Any) -> None:
    outlet, reactor = begun(pair[0])
    sent = fill(pair[0])
    outlet.write(b"one")
    receive(pair[1], sent)
    outlet.write(b"two")
    outlet.write(b"three")
    outlet.finish()
    with pytest.raises(BlockingIOError):
        pair[1].recv(1)
    reactor.turn(outlet)
    assert reactor.octets == b"onetwothree"


def test_the_next_exchange_starts_anew(pair: Any) -> None:
    outlet, reactor = begun(pair[0])
    for number in range(3):
        outlet.write(b"first")
        outlet.write(b"second")
        outlet.finish()
        reactor.turn(outlet)
        assert reactor.ends == number + 1
        outlet.begin()
    assert receive(pair[1], 15) == b"first" * 3
    assert reactor.octets == b"second" * 3


def test_a_client_that_closed_is_gone(pair: Any) -> None:
    outlet, _ = begun(pair[0])
    pair[1].close()
    with pytest.raises(ClientGone):
        outlet.write(b"x")
    assert outlet.gone
    with pytest.raises(ClientGone):
        outlet.write(b"y")


def test_gone_is_no_exception_that_an_application_handles() -> None:
    assert not issubclass(ClientGone, Exception)


# ---- Without -------------------------------------------------------------------------------------------------------


def test_without_a_socket_all_is_queued_with_one_wake() -> None:
    outlet, reactor = begun(None)
    outlet.write(b"one")
    outlet.write(b"two")
    assert reactor.wakes == 1
    reactor.turn(outlet)
    assert reactor.octets == b"onetwo"
    assert reactor.ends == 0
    outlet.write(b"three")
    assert reactor.wakes == 2
    assert outlet.finish() is False
    reactor.turn(outlet)
    assert (reactor.octets, reactor.ends) == (b"onetwothree", 1)


def test_an_end_after_all_was_taken_wakes_again() -> None:
    outlet, reactor = begun(None)
    outlet.write(b"x")
    reactor.turn(outlet)
    outlet.finish()
    assert reactor.wakes == 2
    reactor.turn(outlet)
    assert reactor.ends == 1


def test_a_large_block_is_taken_in_pieces() -> None:
    outlet, _ = begun(None)
    octets = os.urandom(3 * PIECE + 17)
    outlet.write(octets, wait=False)
    outlet.write(b"tail", wait=False)
    outlet.finish()
    taken = []
    while (block := outlet.take()) is not END:
        taken.append(bytes(block))  # type: ignore[arg-type]
    assert b"".join(taken) == octets + b"tail"
    assert max(map(len, taken)) <= PIECE
    assert outlet.pending == 0


def test_many_small_blocks_are_taken_together() -> None:
    outlet, _ = begun(None, high_water=1 << 30)
    for _ in range(1000):
        outlet.write(b"x" * 100)
    assert len(bytes(outlet.take())) == 100_000  # type: ignore[arg-type]
    assert outlet.pending == 0


def test_blocks_after_the_connection_is_lost_raise() -> None:
    outlet, _ = begun(None)
    outlet.write(b"x")
    outlet.lose()
    for call in (outlet.write, lambda octets: outlet.write_whole(b"", octets)):
        with pytest.raises(ClientGone):
            call(b"y")
    assert outlet.pending == 0
    assert outlet.take() is None


# ---- The high-water mark -------------------------------------------------------------------------------------------


class Worker(threading.Thread):
    """A thread that runs `work`, and what that raised."""

    def __init__(self, work: Any) -> None:
        super().__init__(daemon=True)
        self._work = work
        self.raised: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self.raised = error

    def is_stopped(self) -> bool:
        """Whether it waits; it is given time to show that it does not."""
        self.join(0.05)
        return self.is_alive()

    def end(self) -> None:
        self.join(PATIENCE)
        if self.is_alive():
            raise RuntimeError("the worker never went on")


def test_above_the_high_water_mark_a_worker_waits_until_half_is_taken() -> None:
    outlet, _ = begun(None, high_water=100_000)
    worker = Worker(lambda: [outlet.write(b"x" * 1000) for _ in range(150)])
    until(lambda: outlet.pending > 100_000)
    assert worker.is_stopped()
    taken = len(bytes(outlet.take()))  # type: ignore[arg-type]
    assert taken > 50_000
    worker.end()
    assert worker.raised is None
    assert taken + len(bytes(outlet.take())) == 150_000  # type: ignore[arg-type]


def test_the_reactor_never_waits_for_room_that_only_it_can_make() -> None:
    outlet, reactor = begun(None, 1000)
    outlet.write(b"x" * 5000)  # in this thread, which has made the outlet, as the reactor does
    reactor.turn(outlet)
    assert len(reactor.octets) == 5000


def test_losing_the_connection_frees_a_worker_that_waits() -> None:
    outlet, _ = begun(None, high_water=1000)
    worker = Worker(lambda: outlet.write(b"x" * 10_000))
    until(lambda: outlet.pending > 0)
    assert worker.is_stopped()
    outlet.lose()
    worker.end()
    assert type(worker.raised) is ClientGone


def test_single_octets_stop_a_worker_too() -> None:
    outlet, _ = begun(None, high_water=65536)
    count: list[int] = []

    def work() -> None:
        for number in range(1 << 20):
            outlet.write(b"x")
            count.append(number)

    worker = Worker(work)
    until(lambda: outlet.pending > 65536)
    assert worker.is_stopped()
    assert len(count) < 2000
    outlet.lose()
    worker.end()


def test_what_is_in_memory_anyway_does_not_wait() -> None:
    outlet, _ = begun(None, high_water=1000)
    outlet.write(b"x" * 1_000_000, wait=False)
    assert outlet.pending > 1_000_000


def test_seizing_an_answer_lets_one_side_alone_begin() -> None:
    outlet, _ = begun(None)
    assert outlet.answer.seize() is True
    with pytest.raises(ClientGone):
        outlet.write(b"x")
    outlet, _ = begun(None)
    outlet.write(b"x")
    assert outlet.answer.seize() is False


@pytest.mark.parametrize("straight", [True, False])
@pytest.mark.parametrize("seed", range(10))
def test_the_order_is_exact_however_threads_interleave(pair: Any, straight: bool, seed: int) -> None:
    chance = random.Random(seed)
    ours, theirs = pair
    outlet, reactor = begun(ours if straight else None, high_water=chance.choice([100, 5000, 100_000]))
    received = bytearray()
    expected = bytearray()
    for _ in range(20):  # exchanges
        blocks = [chance.randbytes(chance.choice([1, 10, 1000, 70_000])) for _ in range(chance.randrange(1, 20))]
        waits = [chance.random() < 0.8 for _ in blocks]
        finished: list[bool] = []

        def work(blocks: Any = blocks, waits: Any = waits, finished: Any = finished) -> None:
            for block, wait in zip(blocks, waits, strict=True):
                outlet.write(block, wait=wait)
            finished.append(outlet.finish())

        outlet.begin()
        ends = reactor.ends
        straight_before = len(received)
        worker = Worker(work)
        exchange = bytearray()
        late = time.monotonic() + PATIENCE
        while time.monotonic() < late:
            if straight:
                exchange += drained(theirs)
            if reactor.woken.acquire(timeout=0.0005) or chance.random() < 0.3:
                _move(outlet, reactor, exchange, theirs if straight else None)
            if finished == [True] or reactor.ends > ends:
                break
        worker.end()
        assert worker.raised is None
        if straight:
            exchange += drained(theirs)
        received += exchange
        expected += b"".join(blocks)
        assert len(received) - straight_before == sum(map(len, blocks))
    assert received == expected


def drained(sock: socket.socket) -> bytes:
    octets = b""
    while True:
        try:
            octets += sock.recv(1 << 20)
        except BlockingIOError:
            return octets


def _move(outlet: Line, reactor: Reactor, exchange: bytearray, theirs: socket.socket | None) -> None:
    """Take as a reactor does, and put what was taken behind all that went straight before it."""
    while True:
        block = outlet.take()
        if block is None:
            return
        if theirs is not None:
            exchange += drained(theirs)
        if block is END:
            reactor.ends += 1
            return
        exchange += block  # type: ignore[operator]


# ---- Files ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Any]:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(250)) * 4)
    with path.open("rb") as file:
        yield file


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def test_a_file_goes_straight_behind_its_head(pair: Any, file: Any) -> None:
    before = descriptors()
    outlet, reactor = begun(pair[0])
    outlet.file(b"head", file.fileno(), 10, 500)
    assert outlet.finish() is True
    assert pair[1].recv(10_000) == b"head" + (bytes(range(250)) * 4)[10:510]
    assert reactor.wakes == 0
    assert descriptors() == before


def test_a_file_is_the_reactor_s_where_the_socket_is_full(pair: Any, file: Any) -> None:
    before = descriptors()
    outlet, reactor = begun(pair[0])
    fill(pair[0])
    outlet.file(b"head", file.fileno(), 0, 1000)
    file.close()
    outlet.finish()
    reactor.turn(outlet)
    assert reactor.octets == b"head" + bytes(range(250)) * 4
    assert reactor.ends == 1
    assert outlet.pending == 0
    assert descriptors() == before - 1


def test_a_file_that_the_kernel_does_not_send_is_read(
    pair: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sendfile(*_: int) -> int:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr("os.sendfile", sendfile)
    content = bytes(range(250)) * 400
    (tmp_path / "file").write_bytes(content)
    before = descriptors()
    received = b""
    with (tmp_path / "file").open("rb") as file:
        span = FileSpan(file.fileno(), 10, len(content) - 10)
        for _ in range(1000):
            span.send_piece(pair[0])
            received += pair[1].recv(1_000_000)
            if not span.remaining:
                break
    assert received == content[10:]
    assert descriptors() == before


def test_a_file_that_is_cut_short_meanwhile_is_an_error(pair: Any, file: Any) -> None:
    before = descriptors()
    span = FileSpan(file.fileno(), 0, 2000)
    assert span.send_piece(pair[0]) is False
    with pytest.raises(OSError, match="1000 bytes shorter"):
        span.send_piece(pair[0])
    assert descriptors() == before


def test_a_file_that_is_cut_short_meanwhile_is_an_error_of_its_reader_too(file: Any) -> None:
    before = descriptors()
    span = FileSpan(file.fileno(), 0, 2000)
    assert len(span.read(4000)) == 1000
    with pytest.raises(OSError, match="1000 bytes shorter"):
        span.read(4000)
    assert descriptors() == before


def test_a_file_is_not_tried_again_where_the_socket_has_just_been_filled(
    pair: Any, file: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def sendfile(to: int, of: int, position: int, octets: int) -> int:
        tried.append(octets)
        return octets // 2

    monkeypatch.setattr("os.sendfile", sendfile)
    outlet, reactor = begun(pair[0])
    outlet.file(b"head", file.fileno(), 0, 1000)
    assert tried == [1000]
    assert reactor.wakes == 1
    span = outlet.take()
    assert isinstance(span, FileSpan)
    assert span.remaining == 500
    span.close()


@pytest.mark.parametrize("when", ["queued", "before"])
def test_no_descriptor_is_left_when_the_client_is_gone(pair: Any, file: Any, when: str) -> None:
    before = descriptors()
    outlet, _ = begun(None)
    if when == "queued":
        outlet.file(b"head", file.fileno(), 0, 1000)
        outlet.lose()
    else:
        outlet.lose()
        with pytest.raises(ClientGone):
            outlet.file(b"head", file.fileno(), 0, 1000)
    assert descriptors() == before


def test_a_span_that_is_put_back_after_the_connection_is_lost_is_closed(file: Any) -> None:
    before = descriptors()
    outlet, _ = begun(None)
    outlet.file(b"", file.fileno(), 0, 1000)
    while not isinstance(span := outlet.take(), FileSpan):
        pass
    outlet.lose()
    outlet.put_back(span)  # type: ignore[arg-type]
    assert descriptors() == before


# ---- While answers wait for each other -----------------------------------------------------------------------------


def held(sock: socket.socket | None) -> tuple[Line, Reactor]:
    outlet, reactor = begun(sock)
    reactor.batch.held = True
    return outlet, reactor


def nothing_came(sock: socket.socket) -> bool:
    try:
        return not sock.recv(1)
    except BlockingIOError:
        return True


def test_a_first_block_is_kept_and_leaves_once(pair: Any) -> None:
    outlet, reactor = held(pair[0])
    outlet.write(b"answer")
    assert outlet.begun
    assert nothing_came(pair[1])
    outlet.send_kept()
    outlet.send_kept()
    assert outlet.finish() is True
    assert pair[1].recv(100) == b"answer"
    assert reactor.wakes == 0


def test_a_second_block_sends_the_first(pair: Any) -> None:
    outlet, reactor = held(pair[0])
    outlet.write(b"one")
    outlet.write(b"two")
    assert pair[1].recv(100) == b"one"
    reactor.turn(outlet)
    assert reactor.octets == b"two"


@pytest.mark.parametrize("more", [False, True])
def test_the_reactor_takes_what_an_application_keeps_for_too_long(pair: Any, more: bool) -> None:
    outlet, reactor = held(pair[0])
    outlet.write(b"one")
    outlet.take_over()
    outlet.take_over()
    assert reactor.wakes == 1
    if more:
        outlet.write(b"two")
    outlet.send_kept()
    assert outlet.finish() is False
    reactor.turn(outlet)
    assert reactor.octets == (b"onetwo" if more else b"one")
    assert reactor.ends == 1
    assert nothing_came(pair[1])


def test_a_worker_that_ends_after_the_reactor_took_over_does_not_think_that_all_is_sent(pair: Any) -> None:
    outlet, reactor = held(pair[0])
    outlet.write(b"answer")
    outlet.take_over()
    outlet.send_kept()
    assert outlet.finish() is False
    reactor.turn(outlet)
    assert (reactor.octets, reactor.ends) == (b"answer", 1)


def test_a_hold_that_ends_just_then_keeps_nothing(pair: Any) -> None:
    outlet, _ = begun(pair[0])

    class EndsAtOnce(AnswerBatch):
        asked = 0

        @property
        def held(self) -> bool:  # type: ignore[override]
            self.asked += 1
            return self.asked == 1

        @held.setter
        def held(self, value: bool) -> None:
            """It ends by itself."""

    outlet._batch = EndsAtOnce(print)
    outlet.write(b"answer")
    assert pair[1].recv(100) == b"answer"
    assert not outlet.kept


def test_a_large_block_and_a_head_before_a_file_are_not_kept(pair: Any, file: Any) -> None:
    outlet, _ = held(pair[0])
    outlet.write(b"x" * 20_000)
    assert not outlet.kept
    outlet, _ = held(pair[0])
    outlet.file(b"head", file.fileno(), 0, 1000)
    assert not outlet.kept


def test_what_is_kept_stays_behind_what_waits_for_the_reactor(pair: Any) -> None:
    outlet, reactor = begun(pair[0])
    fill(pair[0])
    outlet.answer.interim(103)
    reactor.batch.held = True
    outlet.write(b"answer")
    assert not outlet.kept
    reactor.turn(outlet)
    assert reactor.octets == CODER.interim(103) + b"answer"


def test_what_is_kept_for_a_client_that_left_is_no_answer(pair: Any) -> None:
    outlet, reactor = held(pair[0])
    outlet.write(b"answer")
    outlet.lose()
    outlet.take_over()
    with pytest.raises(ClientGone):
        outlet.send_kept()
    assert not outlet.under_way
    assert reactor.wakes == 0


def test_a_worker_and_a_reactor_that_takes_what_is_kept_lose_nothing(pair: Any) -> None:
    outlet, reactor = begun(pair[0], 1 << 30)
    over = threading.Event()

    def take_over() -> None:
        while not over.is_set():
            outlet.take_over()

    taker = threading.Thread(target=take_over)
    taker.start()
    expected = received = b""
    try:
        for number in range(2000):
            reactor.batch.held = True
            first, second = b"<%d:" % number, b"%d>" % number
            outlet.write(first)
            if number % 2:
                outlet.write(second)
                expected += first + second
            else:
                expected += first
            outlet.send_kept()
            whole = outlet.finish()
            try:
                received += pair[1].recv(1000)
            except BlockingIOError:
                pass
            if not whole:
                while not reactor.ends:
                    reactor.turn(outlet, 1)
                received += bytes(reactor.octets)
                reactor.octets.clear()
                reactor.ends = 0
            outlet.begin()
    finally:
        over.set()
        taker.join()
    assert received == expected


# ---- An answer in two parts ----------------------------------------------------------------------------------------


def test_a_head_and_a_large_body_leave_straight(pair: Any) -> None:
    outlet, reactor = begun(pair[0])
    outlet.write_whole(b"head", b"body" * 1000)
    assert outlet.begun
    assert outlet.finish() is True
    assert reactor.wakes == 0
    assert pair[1].recv(10_000) == b"head" + b"body" * 1000


@pytest.mark.parametrize("straight", [True, False])
def test_what_the_socket_does_not_take_of_both_is_the_reactor_s(pair: Any, straight: bool) -> None:
    outlet, reactor = begun(pair[0] if straight else None, high_water=10)
    body = bytes(range(250)) * 20_000
    outlet.write_whole(b"head", body)  # comes back, however much is queued
    assert outlet.finish() is False
    come = bytearray(pair[1].recv(1 << 24)) if straight else bytearray()
    reactor.turn(outlet)
    assert come + reactor.octets == b"head" + body
    assert reactor.ends == 1
    assert outlet.pending == 0


def test_not_even_the_head_is_taken_where_the_socket_is_full(pair: Any) -> None:
    outlet, reactor = begun(pair[0])
    fill(pair[0])
    outlet.write_whole(b"head", b"body")
    reactor.turn(outlet)
    assert reactor.octets == b"headbody"


@pytest.mark.parametrize("how", ["gone", "seized", "closed"])
def test_both_parts_meet_a_client_that_has_left(pair: Any, how: str) -> None:
    outlet, _ = begun(pair[0])
    if how == "gone":
        outlet.lose()
    elif how == "seized":
        assert outlet.answer.seize()
    else:
        pair[1].close()
    with pytest.raises(ClientGone):
        outlet.write_whole(b"head", b"body")
    assert outlet.gone
    assert not outlet.begun


def test_a_head_that_is_out_has_begun_an_answer_also_when_the_client_leaves_then() -> None:
    outlet: Line

    class Leaving:
        """Takes the head, and is gone."""

        def sendmsg(self, parts: tuple[bytes, bytes]) -> int:
            outlet.lose()
            return len(parts[0])

    sock: Any = Leaving()
    outlet, _ = begun(sock)
    with pytest.raises(ClientGone):
        outlet.write_whole(b"head", b"body" * 10_000)
    assert outlet.begun


# ---- A client that leaves while the first block is sent ------------------------------------------------------------


def lose_while_a_worker_waits(outlet: Line, reactor: Reactor, *, pieces: int = 0) -> None:
    """Have a first block written that is larger than the mark, and the client leave after so many `pieces` of it."""
    worker = Worker(lambda: outlet.write(b"x" * 1_000_000))
    until(lambda: outlet._room)
    reactor.turn(outlet, pieces)
    outlet.lose()
    worker.end()
    assert type(worker.raised) is ClientGone


def test_a_first_block_of_which_a_part_went_straight_has_begun_an_answer(pair: Any) -> None:
    outlet, reactor = begun(pair[0])
    lose_while_a_worker_waits(outlet, reactor)
    assert outlet.begun


@pytest.mark.parametrize("pieces", [0, 1])
@pytest.mark.parametrize("straight", [True, False])
def test_a_first_block_that_is_queued_begins_an_answer_once_the_reactor_takes_of_it(
    pair: Any, straight: bool, pieces: int
) -> None:
    outlet, reactor = begun(pair[0] if straight else None)
    fill(pair[0])
    lose_while_a_worker_waits(outlet, reactor, pieces=pieces)
    assert outlet.begun is bool(pieces)


@pytest.mark.parametrize("sent", [0, 3])
def test_a_block_that_was_kept_has_begun_an_answer_where_a_part_of_it_is_out(sent: int) -> None:
    outlet: Line

    class Leaving:
        """Takes a part of what was kept, and is gone."""

        def send(self, octets: bytes) -> int:
            outlet.lose()
            return sent

    sock: Any = Leaving()
    outlet, _ = held(sock)
    outlet.write(b"answer")
    with pytest.raises(ClientGone):
        outlet.send_kept()
    assert outlet.under_way is bool(sent)


def test_the_next_answer_has_not_begun_because_the_one_before_had(pair: Any) -> None:
    outlet, reactor = begun(pair[0])
    outlet.write(b"x" * 1_000_000, wait=False)
    outlet.finish()
    while not reactor.ends:
        reactor.turn(outlet, 1)
    outlet.begin()
    pair[1].close()
    with pytest.raises(ClientGone):
        outlet.write(b"x")
    assert not outlet.begun
