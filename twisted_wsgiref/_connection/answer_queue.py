"""The bytes of one connection on their way to the client: a worker sends straight or puts, the reactor takes.

The rule that keeps two threads from writing at once: at any moment one of them owns the way out, and ``_owner`` says
which. Nobody owns it at first. A thread that finds it free sends straight on the socket; what the kernel does not take,
and what others put meanwhile, it hands over to the reactor, which owns the way until the queue is empty. Later blocks
are queued anyway, so that many of them leave in one send.

Nothing here knows requests: whether bytes may still be put is the business of the `Answer` whose bytes they are, which
decides it while it holds ``lock``. One of the rooms with a lock; it is never held during a system call.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NoReturn

from twisted_wsgiref._gateway.client_gone import ClientGone
from twisted_wsgiref._gateway.file_span import FileSpan
from twisted_wsgiref._gateway.interfaces import Coder, GoOn
from twisted_wsgiref._http.response import Piece, UncodedHead
from twisted_wsgiref._threads.answer_batch import AnswerBatch

from .blocks import END, Block, End, behind, close_files, join
from .exits import Exit
from .room import Room

#: What a block costs beside its bytes (object, queue entry, chunk framing): without it, an application that yields
# single bytes would fill the memory below any high-water mark.
BLOCK_COST: Final = 64
# The most that the reactor takes at a time: what one send usually takes, and what one connection may copy at once.
PIECE: Final = 128 * 1024

# Who owns the way out: a thread that sends straight at this moment, or the reactor. None: nobody.
_STRAIGHT: Final = 1
_REACTOR: Final = 2


class AnswerQueue:
    """The way out of one connection, for one answer after the other: an `Outlet`.

    `coder` writes them. A thread sends straight by `exit`; if that is None, only the reactor sends. `wake` has it come
    and take. A thread of an application waits while more than `high_water` bytes are queued. While `batch` is held, a
    first block is kept: until it is clear whether it is the whole answer, or until the hold ends.
    """

    __slots__ = (
        "_batch",
        "_blocks",
        "_ended",
        "_exit",
        "_has_exit",
        "_high_water",
        "_owner",
        "_pending",
        "_reactor",
        "_room",
        "_scheduled",
        "_wake",
        "coder",
        "gone",
        "kept",
        "lock",
        "under_way",
    )

    def __init__(
        self, coder: Coder, exit: Exit | None, wake: Callable[[], None], high_water: int, batch: AnswerBatch
    ) -> None:
        self.coder = coder
        self._has_exit = exit is not None
        if exit is not None:
            self._exit = exit  # without one nothing is admitted that would ask for it
        self._wake = wake
        self._high_water = high_water
        self._batch = batch
        #: Guards all that follows, and whatever an answer decides by it.
        self.lock = threading.RLock()
        #: A first block, which may be the whole answer, for whoever takes it: its worker, or the reactor.
        self.kept = b""
        self._blocks: deque[Block] = deque()
        self._pending = 0  # bytes in the queue, and the blocks' own cost
        self._room: Room | None = None  # made for the first who waits
        self._reactor = threading.get_ident()  # connections are made there
        self._owner: int | None = None
        self._scheduled = False  # the reactor knows that there is something to take
        self._ended = False  # the worker is through
        #: The connection is lost. Read in any thread.
        self.gone = False
        #: A part of this answer has left, or the reactor is at it.
        self.under_way = False

    @property
    def pending(self) -> int:
        """How much waits to be taken, in bytes or a little more. Read in any thread."""
        return self._pending

    @property
    def has_more(self) -> bool:
        """Whether something has to leave: a block, the end, or what is kept though no answers are held any more."""
        return self._ended or bool(self._blocks) or (bool(self.kept) and not self._batch.held)

    # ---- In any thread, with the lock held ---------------------------------------------------------------------

    def admit(self, block: Piece | tuple[Piece, bytes], straight: bool, keep: bool = False) -> GoOn:
        """Take `block` in, and return what to call with it. Raises `ClientGone`.

        It may go `straight` if nothing is before it, and with `keep` wait for other answers.
        """
        if self.gone:
            raise ClientGone
        if straight and self._owner is None and self._has_exit:
            if keep and self._batch.held and type(block) is bytes:  # a large one is sent: to keep it gains nothing
                self.kept = block
                return self._send_unless_held
            self._owner = _STRAIGHT
            return self._send
        if self.kept:  # put just now by another thread of the application: it goes first
            self._append(self.kept)
            self.kept = b""
        if isinstance(block, bytes):  # as most are: without a call
            self._blocks.append(block)
            self._pending += len(block) + BLOCK_COST
        else:
            for part in block if isinstance(block, tuple) else (block,):
                self._append(part)
        return self._wake_reactor if self._hand_over() else _do_nothing

    def admit_file(self, head: Piece, span: FileSpan) -> GoOn:
        """Take `head`, and `span` behind it, to close it; as `admit`, and `OSError` if the file can not be read."""
        go_on = self.admit(head, True)
        if self._owner == _STRAIGHT and go_on != _do_nothing:
            return partial(self._send, alone=False, span=span)
        self._blocks.append(span)
        self._pending += BLOCK_COST
        return go_on

    def may_be_seized(self) -> bool:
        """Return whether nothing is between the reactor and the client: no thread sends, and nothing is queued."""
        return self._owner is None or (not self._has_exit and not self._blocks)

    def _append(self, block: Piece) -> None:
        self._blocks.append(block)
        self._pending += len(block) + BLOCK_COST

    def _hand_over(self) -> bool:
        """Give the way to the reactor, unless a thread sends straight now; return whether to wake the reactor."""
        if self._owner != _STRAIGHT:
            self._owner = _REACTOR
            if not self._scheduled:
                self._scheduled = True
                return True
        return False

    # ---- In any thread -----------------------------------------------------------------------------------------

    def _wake_reactor(self, block: object, alone: bool = False) -> None:
        self._wake()

    def _send_unless_held(self, block: object, alone: bool = False) -> None:
        if not self._batch.held:
            self.send_kept(alone)

    def send_kept(self, alone: bool = False) -> None:
        """Send what was kept, if nobody else has taken it; `alone` as for `GoOn`. Raises `ClientGone`."""
        self.lock.acquire()  # twice as fast as a `with`, and many answers come by here
        try:
            block, self.kept = self.kept, b""
            if not block:
                return
            if self.gone:
                raise ClientGone
            self._owner = _STRAIGHT  # while something is kept, nobody owns the way
        finally:
            self.lock.release()
        self._send(block, alone)

    def wait_for_room(self) -> None:
        """Wait while more than the high-water mark is queued. Raises `ClientGone`.

        In the reactor's thread, where an application may have its `write` called, nothing is waited for: nobody else
        would make room.
        """
        if self._pending <= self._high_water or threading.get_ident() == self._reactor:
            return
        with self.lock:
            if self.gone:
                raise ClientGone
            if self._pending <= self._high_water:
                return
            room = self._room = self._room or Room()
            wait = room.make_wait()
        # The stalled reader's deadline ends this wait: the reactor cuts the connection, which calls `lose`.
        wait()
        if self.gone:
            raise ClientGone

    @property
    def is_full(self) -> bool:
        """Whether more than the high-water mark is queued."""
        return self._pending > self._high_water

    def when_room(self, call: Callable[[], None]) -> None:
        """Call `call` once half of the mark is free, or the client left; at once, if that is so now."""
        with self.lock:
            if not self.gone and self._pending > self._high_water // 2:
                room = self._room = self._room or Room()
                room.add(call)
                return
        call()

    def _send(self, block: bytes | tuple[bytes, bytes], alone: bool = False, span: FileSpan | None = None) -> None:
        """Send by the exit, since this thread owns the way; then give that back. Raises `ClientGone`."""
        exit = self._exit
        sent = 0
        try:
            if isinstance(block, bytes):
                size = len(block)
                sent = exit.send(block) if span is None else exit.send_before_file(block)
            else:
                size = len(block[0]) + len(block[1])
                sent = exit.send_parts(block)
        except BlockingIOError:
            pass
        except OSError as error:
            if span is not None:
                span.close()
            self._fail(error)
        if sent == size and alone:
            self._owner = None
            return
        self.under_way = sent > 0 or self.under_way
        if sent < size:
            left = behind(block, sent)
            if span is not None:
                left.append(span)
            self._leave(left)
        elif span is not None:
            self._send_span(exit, span)
        else:
            self._leave([])

    def _send_span(self, exit: Exit, span: FileSpan) -> None:
        """Send what the kernel takes of `span`, and leave the rest. Raises `ClientGone`, `OSError`."""
        try:
            while exit.send_file(span):
                if not span.remaining:
                    self._leave([])
                    return
        except OSError as error:
            if self.gone or isinstance(error, ConnectionError):
                self._fail(error)
            self._leave([])
            raise
        self._leave([span])

    def _fail(self, error: OSError) -> NoReturn:
        """Note that the connection is lost, of which the reactor does not know yet."""
        self.gone = True
        self._leave([])
        raise ClientGone from error

    def _leave(self, left: list[Block]) -> None:
        """Give the way out back, and to the reactor what is `left` of a block and what others put meanwhile.

        Raises `ClientGone` if the connection was lost and something is left.
        """
        wake = False
        lost: list[Block] = []
        with self.lock:
            if self.gone:
                lost = left
            else:
                for block in reversed(left):
                    self._blocks.appendleft(block)
                    self._pending += BLOCK_COST + (0 if isinstance(block, FileSpan) else len(block))
            # In one step: `finish` looks at it without the lock, and takes None for the end of it all.
            self._owner = _REACTOR if self._blocks or self._ended else None
            if self._owner is not None:
                wake = self._hand_over()
        if wake:
            self._wake()
        if lost:
            close_files(lost)
            raise ClientGone

    def finish(self) -> bool:
        """Say that nothing more will be put. Return whether all is sent, so that the exchange is over here and now.

        Without an exit it never is: the reactor sends all, and the end is the reactor's.
        """
        if self._owner is None and self._has_exit:
            self.under_way = False
            return True
        with self.lock:
            if self._owner is None and self._has_exit:
                self.under_way = False
                return True
            self._ended = True
            wake = self._hand_over()
        if wake:
            self._wake()
        return False

    # ---- In the reactor's thread -------------------------------------------------------------------------------

    def begin(self) -> None:
        """Be ready for the next answer, after one whose end was the reactor's."""
        self.under_way = self._ended = False
        self._owner = None

    def take_over(self) -> None:
        """Take what is kept: the application may be long in making the next block."""
        with self.lock:
            if self.gone or not self.kept:
                return
            self._append(self.kept)
            self.kept = b""
            wake = self._hand_over()
        if wake:
            self._wake()

    def take(self, most: int = PIECE) -> Block | End | None:
        """Return what is to be sent next, at most so many bytes of it, or a file.

        `END` after the last of an exchange, None if the worker has not put more yet.
        """
        with self.lock:
            blocks = self._blocks
            if self._owner == _STRAIGHT:
                self._scheduled = False  # a thread sends at this moment, and has us come once it is through
                return None
            if not blocks:
                self._scheduled = False
                if self._ended:
                    return END
                if self._has_exit and self._owner == _REACTOR:
                    self._owner = None  # all is sent: the next block may go straight
                return None
            self.under_way = True
            block = blocks.popleft()
            if isinstance(block, FileSpan):
                self._pending -= BLOCK_COST
            elif isinstance(block, UncodedHead):
                self._pending -= BLOCK_COST + len(block)
            elif len(block) > most:
                view = memoryview(block)
                blocks.appendleft(view[most:])
                block = view[:most]
                self._pending -= most
            else:
                block, count = join(block, blocks, most)
                self._pending -= len(block) + BLOCK_COST * count
            calls = self._open_room() if self._room is not None and self._pending <= self._high_water // 2 else ()
        for call in calls:
            call()
        return block

    def _open_room(self) -> Sequence[Callable[[], None]]:
        room, self._room = self._room, None
        return () if room is None else room.open()

    def put_back(self, span: FileSpan) -> None:
        """Have `span`, of which a part is sent, taken again next."""
        with self.lock:
            gone = self.gone
            if not gone:
                self._blocks.appendleft(span)
                self._pending += BLOCK_COST
        if gone:
            span.close()

    def lose(self) -> None:
        """Have every further block raise `ClientGone`: the connection is lost. Each worker that waits is woken."""
        with self.lock:
            self.gone, self._pending, self._scheduled = True, 0, False
            lost = list(self._blocks)
            self._blocks.clear()
            calls = self._open_room()
        close_files(lost)
        for call in calls:
            call()

    def let_go(self) -> None:
        """Have nobody woken any more: the connection is lost, and its last answer over."""
        self._wake = _do_nothing

    # ---- In the child of a fork --------------------------------------------------------------------------------

    def forget(self) -> None:
        """Be lost. The lock may have been held by a thread that is not here, so another takes its place."""
        self.lock = threading.RLock()
        self._room = None
        self.lose()


def _do_nothing(block: object = None, alone: bool = False) -> None:
    """The reactor knows already, or a thread that sends now will tell it; or the connection is over."""
