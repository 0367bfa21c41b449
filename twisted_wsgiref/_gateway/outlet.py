"""What an application sends on its way to the client: a worker puts, the reactor takes.

The rule that keeps two threads from writing at once: a worker sends straight on the socket until the kernel does not
take all of a block, or until it queues one for later; from then on, for the rest of the exchange, the reactor alone
sends. An exchange is over in the thread that sent its last octet.

One of the rooms with a lock. It guards the queue, never a system call.
"""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from .departures import Departures
from .file_span import FileSpan
from .token import Token, take

# What a block costs beside its octets (object, queue entry, chunk framing): without it, an application that yields
# single octets would fill the memory below any high-water mark.
_BLOCK_COST: Final = 64
# A block that is larger is sent at once: its copy into the kernel costs more than all that is saved by waiting.
_MOST_KEPT: Final = 16 * 1024
# The most that the reactor takes at a time: what one send usually takes, and what one connection may copy at once.
PIECE: Final = 128 * 1024


class ClientGone(BaseException):
    """The client left: what an application's blocks meet instead of it.

    Not an `Exception`, so that no application takes it for an error of its own on the way through `write`.
    """

    __module__ = "twisted_wsgiref"


class RequestExpired(ClientGone):
    """The time for a request is over, and its client was answered: what is set in the thread that still runs it.

    A `ClientGone`, since nobody waits for the answer; with words, for it may come where an application logs it.
    """

    __module__ = "twisted_wsgiref"

    def __str__(self) -> str:
        return "the request took longer than request_timeout allows: its client was answered, and is gone"


class End:
    """What the reactor takes after the last block of an exchange."""


END: Final = End()
Block = bytes | memoryview | FileSpan


class Outlet:
    """The way out of one connection, for one exchange after the other.

    `sock` is the socket to send on straight, or None where the transport changes octets (TLS) or has none. `wake`
    has the reactor come and take. A worker waits while more than `high_water` octets are queued. While `departures` are
    held, the first block is kept: until it is clear whether it is the whole answer, or until the hold ends.
    """

    __slots__ = (
        "_begun",
        "_blocks",
        "_departures",
        "_ended",
        "_handed",
        "_high_water",
        "_lock",
        "_pending",
        "_room",
        "_scheduled",
        "_sock",
        "_token",
        "_under_way",
        "_wake",
        "gone",
        "kept",
    )

    def __init__(
        self, sock: socket.socket | None, wake: Callable[[], None], high_water: int, departures: Departures
    ) -> None:
        self._sock = sock
        self._wake = wake
        self._high_water = high_water
        self._departures = departures
        #: The first block, which may be the whole answer, for whoever takes it out: its worker, or the reactor.
        self.kept: list[bytes] = []
        self._lock = threading.Lock()
        self._blocks: deque[Block] = deque()
        self._pending = 0  # octets in the queue, and the blocks' own cost
        self._room: threading.Lock | None = None  # what a worker waits for
        self._begun = False  # the first block is out: later ones are queued
        self._under_way = False  # a part of what this exchange gave is sent, or the reactor is at it
        self._token: Token = [None]  # whose answer it is: taken once, by the worker or by `seize`
        self._handed = False  # the reactor alone sends
        self._scheduled = False  # the reactor knows that there is something to take
        self._ended = False  # the worker has put its last
        self.gone = False  # the connection is lost

    @property
    def begun(self) -> bool:
        """Whether the answer has begun. Read in any thread."""
        return self._begun

    @property
    def pending(self) -> int:
        """How much waits to be taken, in octets or a little more. Read in any thread."""
        return self._pending

    # ---- In a worker's thread ----------------------------------------------------------------------------------

    def write(self, octets: bytes, flags: int = 0, *, wait: bool = True) -> None:
        """Send `octets` if they are the first of the answer, else queue them. Raises `ClientGone`.

        The first block is what a client waits for. With later ones the reactor goes on while the application makes
        the next (PEP 3333, "Buffering and Streaming" allows it), and many small ones leave in one send.
        """
        if self._begun:
            if self.kept:
                self.send_kept()
            self.queue(octets, wait=wait)
        elif not take(self._token):
            raise ClientGone
        else:
            self._begun = True
            held = self._departures.held
            if held and not flags and len(octets) <= _MOST_KEPT and self._sock is not None and not self._handed:
                self.kept.append(octets)
                if not self._departures.held:
                    self.send_kept()
                return
            try:
                self.send(octets, flags, wait=wait)
            except ClientGone:
                self._begun = self._under_way  # where nothing of it has left, no answer has begun
                raise

    def write_whole(self, head: bytes, body: bytes) -> None:
        """Send an answer that is all there, as `write` does, but without joining the two; never waits.

        Raises `ClientGone`.
        """
        if not take(self._token):
            raise ClientGone
        self._begun = True
        sent = 0
        sock = self._sock
        try:
            if sock is not None and not self._handed:
                if self.gone:
                    raise ClientGone
                try:
                    sent = sock.sendmsg((head, body))
                except BlockingIOError:
                    pass
                except OSError as error:
                    self.gone = True
                    raise ClientGone from error
                if sent == len(head) + len(body):
                    return
            if sent < len(head):
                self.queue(memoryview(head)[sent:], wait=False)
            self.queue(memoryview(body)[max(0, sent - len(head)) :], wait=False)
        except ClientGone:
            self._begun = sent > 0 or self._under_way
            raise

    def send_kept(self) -> None:
        """Send what was kept, if the reactor has not taken it. Raises `ClientGone`."""
        try:
            octets = self.kept.pop()
        except IndexError:
            return
        try:
            self.send(octets, wait=False)
        except ClientGone:
            self._begun = self._under_way
            raise

    def flush(self) -> None:
        """Do nothing: what was written is on its way."""

    def send(self, octets: bytes, flags: int = 0, *, wait: bool = True) -> None:
        """Send `octets` at once if nothing is before them, else queue them. Raises `ClientGone`.

        For what is before the answer (100, 103) and what ends it. `flags` are the socket's, `socket.MSG_MORE` where a
        file follows.
        """
        if self.kept:
            self.send_kept()
        block: bytes | memoryview = octets
        sock = self._sock
        if sock is not None and not self._handed:
            if self.gone:
                raise ClientGone
            try:
                sent = sock.send(octets, flags)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                self.gone = True
                raise ClientGone from error
            if sent == len(octets):
                return
            self._under_way = sent > 0
            block = memoryview(octets)[sent:]
        self.queue(block, wait=wait)

    def queue(self, block: bytes | memoryview, *, wait: bool = True) -> None:
        """Put `block` behind what is queued; the reactor sends it while the caller goes on. Raises `ClientGone`.

        With `wait`, comes back once no more than the high-water mark is queued, or raises. Without, at once: for what
        is in memory anyway.
        """
        self._put(block, len(block) + _BLOCK_COST)
        if wait and self._pending > self._high_water:
            self._wait_for_room()

    def send_file(self, span: FileSpan) -> None:
        """Send a part of a file, the rest from the reactor; comes back at once. Raises `ClientGone`, `OSError`."""
        sock = self._sock
        if sock is not None and not self._handed:
            try:
                while span.send_piece(sock):
                    if not span.remaining:
                        return
            except OSError as error:
                if not self.gone and not isinstance(error, ConnectionError):
                    raise
                self.gone = True
                raise ClientGone from error
        self._put(span, _BLOCK_COST)

    def finish(self) -> bool:
        """Say that all is put. Return whether all is sent, so that the exchange is over here and now."""
        if not self._handed:
            return True
        with self._lock:
            self._ended = True
            wake = not self._scheduled
            self._scheduled = True
        if wake:
            self._wake()
        return False

    def _put(self, block: Block, cost: int) -> None:
        with self._lock:
            if self.gone:
                if isinstance(block, FileSpan):
                    block.close()
                raise ClientGone
            self._blocks.append(block)
            self._pending += cost
            self._handed = True
            wake = not self._scheduled
            self._scheduled = True
        if wake:
            self._wake()

    def _wait_for_room(self) -> None:
        with self._lock:
            if self.gone:
                raise ClientGone
            if self._pending <= self._high_water:
                return
            room = threading.Lock()
            room.acquire()
            self._room = room
        # The stalled reader's deadline ends this wait: the reactor cuts the connection, which calls `lose`.
        room.acquire()
        if self.gone:
            raise ClientGone

    # ---- In the reactor's thread -------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start the next exchange. Only when none is under way."""
        if self._begun:
            self._token.append(None)
            self._begun = False
        self._under_way = False
        self._handed = False
        self._ended = False

    def hand_over(self) -> None:
        """Take what is kept: the application may be long in making the next block."""
        with self._lock:  # the worker queues nothing before this is queued
            if self.gone or not self.kept:
                return
            # First the mark: a worker that finds nothing kept must not take the answer for sent.
            self._handed = self._scheduled = True
            try:
                octets = self.kept.pop()
            except IndexError:
                pass  # its worker was faster, and sends it
            else:
                self._blocks.append(octets)
                self._pending += len(octets) + _BLOCK_COST
        self._wake()

    def seize(self) -> bool:
        """Have every further block raise `ClientGone`; return whether the reactor may answer, since no answer began."""
        unanswered = take(self._token)
        self.lose()
        return unanswered

    def take(self, most: int = PIECE) -> Block | End | None:
        """Return what is to be sent next, at most so many octets of it, or a file.

        `END` after the last of an exchange, None when the worker has not put more yet.
        """
        with self._lock:
            blocks = self._blocks
            if not blocks:
                self._scheduled = False
                return END if self._ended else None
            self._under_way = True
            block = blocks.popleft()
            if isinstance(block, FileSpan):
                self._pending -= _BLOCK_COST
            elif len(block) > most:
                view = memoryview(block)
                blocks.appendleft(view[most:])
                block = view[:most]
                self._pending -= most
            else:
                block = self._gather(block, most)
            if self._room is not None and self._pending <= self._high_water // 2:
                self._room.release()
                self._room = None
            return block

    def put_back(self, span: FileSpan) -> None:
        """Have `span`, of which a part is sent, taken again next."""
        with self._lock:
            if self.gone:
                span.close()
            else:
                self._blocks.appendleft(span)
                self._pending += _BLOCK_COST

    def _gather(self, first: bytes | memoryview, most: int) -> bytes | memoryview:
        blocks = self._blocks
        pieces = [first]
        size = len(first)
        while blocks and not isinstance(blocks[0], FileSpan) and size + len(blocks[0]) <= most:
            piece = blocks.popleft()
            size += len(piece)  # type: ignore[arg-type]
            pieces.append(piece)  # type: ignore[arg-type]
        self._pending -= size + _BLOCK_COST * len(pieces)
        return first if len(pieces) == 1 else b"".join(pieces)

    def lose(self) -> None:
        """Have every further block raise `ClientGone`: the connection is lost. A waiting worker is woken."""
        with self._lock:
            self.gone = True
            for block in self._blocks:
                if isinstance(block, FileSpan):
                    block.close()
            self._blocks.clear()
            self._pending = 0
            self._scheduled = False
            if self._room is not None:
                self._room.release()
                self._room = None

    # ---- In the child of a fork --------------------------------------------------------------------------------

    def forget(self) -> None:
        """Be lost. The lock may have been held by a thread that is not here, so another takes its place."""
        self._lock = threading.Lock()
        self._room = None
        self.lose()
