"""The answer to one request: how the end of its body is told, and whether bytes may still be put.

All that an application may send through belongs to one answer, and none of it outlives that: an answer is closed before
its last bytes go, and whatever is put, from whichever thread, is checked and framed while the outlet's lock is held. So
neither a late `write` nor a late 103 (Early Hints) can reach the next answer on the connection, and no answer is longer
than it says.
"""

from __future__ import annotations

from collections.abc import Callable
from time import time
from typing import TYPE_CHECKING, NoReturn

from .client_gone import ClientGone
from .file_span import FileSpan
from .interfaces import GoOn, Outlet

if TYPE_CHECKING:
    from twisted_wsgiref._http.head import RequestHead
    from twisted_wsgiref._http.response import Fields, Framing, Piece

    from .input_pipe import InputPipe


class Answer:
    """What goes out for the request of `head`, by `outlet`, as its coder writes it.

    `upload` is the request's body, if that is still arriving: an answer without reading it refuses the rest.

    ``persistent`` says whether the connection may live on; it is final once the answer has ``begun``. ``last`` says, to
    a head that is still to be made, that no other request will be served. ``cut`` says that the answer can not be
    completed, and that the client has to see it; ``ends_by_close`` that only the connection's end would end it.
    ``status`` is 0 while there is none, ``size`` counts the bytes of the body, ``fields`` are those that were given.
    Once ``ended``, nothing more is taken.
    """

    __slots__ = (
        "_bodyless",
        "_chunked",
        "_head",
        "_remaining",
        "begun",
        "cut",
        "ended",
        "ends_by_close",
        "fields",
        "head",
        "last",
        "outlet",
        "persistent",
        "size",
        "status",
        "upload",
    )

    def __init__(self, head: RequestHead, outlet: Outlet, upload: InputPipe | None = None) -> None:
        self.head = head
        self.outlet = outlet
        self.upload = upload
        self.persistent = head.persistent
        self.begun = False
        self.ended = False
        self.cut = False
        self.ends_by_close = False
        self.last = False
        self.status = 0
        self.size = 0
        self.fields: Fields | None = None
        self._head: Piece = b""  # what goes before the first block
        self._chunked = False
        self._bodyless = False  # the answer ends with its head
        self._remaining: int | None = None  # bytes that the Content-Length still promises

    # ---- In any thread -----------------------------------------------------------------------------------------

    @property
    def is_bodyless(self) -> bool:
        """Whether an answer whose head is set ends with that."""
        return self._bodyless

    @property
    def has_length(self) -> bool:
        """Whether the head that is set says how long the body is."""
        return self._remaining is not None

    def begin(self, status: str, fields: Fields) -> None:
        """Set the head, which leaves with the first block; until then another may take its place."""
        head, framing = self._code_head(status, fields, None)
        with self.outlet.lock:
            if not self.begun and not self.ended and not self.outlet.gone:
                self._head = head
                self.fields = fields
                self._settle(framing)

    def block(self, data: bytes, *, wait: bool = True) -> None:
        """Send a block of the body; the first is what a client waits for, and goes straight.

        With later ones the reactor goes on while the application makes the next (PEP 3333, "Buffering and Streaming"
        allows it). With `wait`, comes back once no more than the high-water mark is queued. Raises `ClientGone`;
        `RuntimeError` before `begin` and after the end; `ValueError` for bytes beyond the Content-Length, after sending
        those within.
        """
        outlet = self.outlet
        if outlet.kept:
            self._proceed(outlet.send_kept)
        out: Piece | tuple[Piece, bytes]
        excess = first = False
        with outlet.lock:
            self._check_open()
            if not self._head:
                raise RuntimeError("a block of the body came before begin()")
            size = len(data)
            if self._bodyless:
                size, data = 0, b""
            elif self._remaining is not None:
                excess = size > self._remaining
                data = data[: self._remaining]
                size = len(data)
                self._remaining -= size
            elif self._chunked and data:
                data = outlet.coder.block(data)
            out = data
            if not self.begun:
                first = self.begun = True
                out = outlet.coder.join(self._head, data) if data else self._head
            if out:
                go_on = outlet.admit(out, first, first)
                self.size += size
            elif outlet.gone:
                raise ClientGone
        if out:
            self._proceed(go_on, out)
            if wait:
                self._proceed(outlet.wait_for_room)
        if excess:
            raise ValueError("the application gives more bytes than its Content-Length says")

    def interim(self, status: int, lines: str = "") -> None:
        """Send an interim answer (100, 103) with field `lines`, unless the answer itself has begun.

        Raises `ClientGone`.
        """
        outlet = self.outlet
        data = outlet.coder.interim(status, lines)
        with outlet.lock:
            if self.begun or self.ended:
                return
            go_on = outlet.admit(data, True)
        go_on(data)

    # ---- In the thread that runs the request -------------------------------------------------------------------

    def whole(self, status: str, fields: Fields, body: bytes) -> None:
        """Send an answer that is all there: its length is known, and a slow reader holds no thread.

        Raises `ClientGone`, and `ValueError` if the body is not as long as its Content-Length says.
        """
        outlet = self.outlet
        keep = self.persistent
        if keep and (self.last or self.upload is not None):
            keep = self._may_keep()
        block, framing = outlet.coder.whole(self.head, status, fields, body, keep, time())
        outlet.lock.acquire()  # twice as fast as a `with`, and most answers come by here
        try:
            if self.ended or outlet.gone:
                self._refuse()
            if self.begun:
                block, go_on = body, self._go_behind
            else:
                # Of the framing, only what others ask for: nothing of this answer is framed after this.
                self.status = framing.code
                self.fields = fields
                self.persistent = framing.persistent
                go_on = outlet.admit(block, True, True)
                self.begun = self.ended = True
                self.size = 0 if framing.bodyless else len(body)
        finally:
            outlet.lock.release()
        try:
            go_on(block, True)
        except ClientGone:
            self.begun = outlet.under_way  # if nothing of it has left, no answer has begun
            raise

    def _go_behind(self, body: object, alone: bool) -> None:
        """Send `body`, and the end, behind a block that another thread of the application has just put."""
        if body and isinstance(body, bytes):
            self.block(body, wait=False)
        self.end()

    def file(self, status: str, fields: Fields, span: FileSpan) -> None:
        """Send a part of a file behind its head; the rest is sent by the reactor, and the thread is free at once.

        Closes `span`. Raises as `whole` does, and `OSError` if the file can not be read.
        """
        outlet = self.outlet
        try:
            head, framing = self._code_head(status, fields, span.remaining)
            with outlet.lock:
                self._check_open()
                if self.begun:
                    raise RuntimeError("another thread has written since the application returned a file")
                if framing.bodyless:
                    go_on = outlet.admit(head, True)
                else:
                    go_on = outlet.admit_file(head, span)
                    self.size = span.remaining
                self.begun = self.ended = True
                self.fields = fields
                self._settle(framing)
        except BaseException:
            span.close()
            raise
        if framing.bodyless:
            span.close()
        self._proceed(go_on, head)

    def end(self) -> None:
        """Send the end of a body that was given in blocks.

        Raises `ClientGone`, and `ValueError` if it is shorter than its Content-Length.
        """
        outlet = self.outlet
        go_on: GoOn | None = None
        with outlet.lock:
            self._check_open()
            self.ended = True
            short = self._remaining
            last = outlet.coder.last_block if self._chunked else b""
            out: Piece | tuple[Piece, bytes] = last
            if not self.begun:  # another thread has set the head, and its block would come too late
                self.begun = True
                out = outlet.coder.join(self._head, last)
            if outlet.kept:
                outlet.kept += last
            elif out:
                go_on = outlet.admit(out, True)
        if go_on is not None:
            go_on(out, True)
        if short:
            raise ValueError(f"the application gave {short} bytes fewer than its Content-Length says")

    def break_off(self) -> None:
        """Take nothing more, and have the connection cut, so that nobody takes what is out for a whole answer."""
        with self.outlet.lock:
            self.ended = True
            self.cut = True
            self.ends_by_close = not self._chunked and self._remaining is None

    def give_way(self) -> bool:
        """Take nothing more, since others use the connection; what is put meets `ClientGone`. Return whether they may.

        They may not once the answer has begun.
        """
        with self.outlet.lock:
            if self.begun or self.ended or self.outlet.gone:
                return False
            self.ended = self.cut = True
        return True

    def close(self) -> None:
        """Take nothing more: the client left, or a whole answer is out."""
        with self.outlet.lock:
            self.ended = True

    def flush(self) -> None:
        """Do nothing: what was put is on its way."""

    # ---- In the reactor's thread -------------------------------------------------------------------------------

    def seize(self) -> bool:
        """Have every further block raise `ClientGone`; return whether the reactor may answer, since nothing is out."""
        outlet = self.outlet
        with outlet.lock:
            unanswered = not self.begun and outlet.may_be_seized()
            outlet.gone = True
        outlet.lose()
        return unanswered

    # ---- In between --------------------------------------------------------------------------------------------

    def _code_head(self, status: str, fields: Fields, known: int | None) -> tuple[Piece, Framing]:
        """Return the head, and how the body's end is told; `known` is the body's size, if it is known.

        Raises `ValueError` if the body is known not to be what its Content-Length says.
        """
        keep = self.persistent and self._may_keep()
        return self.outlet.coder.head(self.head, status, fields, known, keep, time())

    def _may_keep(self) -> bool:
        """Return whether the connection may live on, if the client would have it so."""
        return not self.last and (self.upload is None or self.upload.complete)

    def _settle(self, framing: Framing) -> None:
        self.status = framing.code
        self.persistent = framing.persistent
        self._chunked = framing.chunked
        self._bodyless = framing.bodyless
        self._remaining = framing.length

    def _check_open(self) -> None:
        """Raise if nothing may be put any more. The lock is held."""
        if self.ended or self.outlet.gone:
            self._refuse()

    def _refuse(self) -> NoReturn:
        if self.outlet.gone or (self.cut and not self.begun):
            raise ClientGone
        raise RuntimeError("write() was called after the answer had ended: call it before the iterable ends")

    def _proceed(self, call: Callable[..., None], *block: Piece | tuple[Piece, bytes]) -> None:
        """Have the outlet go on. Raises `ClientGone`."""
        try:
            call(*block)
        except ClientGone:
            self.begun = self.outlet.under_way  # if nothing of it has left, no answer has begun
            raise
