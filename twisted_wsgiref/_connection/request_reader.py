"""The way in of one connection: bytes until they are a request, with its head checked and its body collected.

Everything is called in the reactor's thread. Deadlines are not kept here, but ``phase`` and ``progress`` say what
there is to wait for.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted_wsgiref._gateway.input_pipe import InputPipe
from twisted_wsgiref._gateway.request_body import BodyAtOnce, RequestBody
from twisted_wsgiref._http.body import ChunkedBody, LengthBody, body_of
from twisted_wsgiref._http.errors import ProtocolError
from twisted_wsgiref._http.head import RequestHead
from twisted_wsgiref._http.limits import Limits
from twisted_wsgiref._http.reader import HeadReader

from .deadlines import Phase

#: What is ready to be answered; a body of None is empty.
Request = tuple[RequestHead, BodyAtOnce | RequestBody | InputPipe | None]


class RequestReader:
    """Makes requests of bytes, one at a time.

    A body of more than `max_body` bytes is refused; `memory` bytes of it are kept outside a file. If `open_pipe`
    returns a pipe, a request is ready at the end of its head, and its body follows through that pipe.
    """

    __slots__ = (
        "_framing",
        "_head",
        "_limits",
        "_max_body",
        "_memory",
        "body",
        "open_pipe",
        "pipe",
        "progress",
        "reader",
        "wants_continue",
    )

    def __init__(
        self,
        limits: Limits,
        max_body: int,
        memory: int,
        open_pipe: Callable[[RequestHead], InputPipe | None] | None = None,
    ) -> None:
        self._limits = limits
        self._max_body = max_body
        self._memory = memory
        #: Opens a pipe for the body of a head, or returns None; None: there are none.
        self.open_pipe = open_pipe
        #: The bytes behind the request at hand.
        self.reader = HeadReader(limits)
        self._head: RequestHead | None = None
        self._framing: LengthBody | ChunkedBody | None = None
        #: The body that is being collected.
        self.body: RequestBody | None = None
        #: The pipe that a body is going through.
        self.pipe: InputPipe | None = None
        #: Bytes of the body so far.
        self.progress = 0
        #: The client waits for 100 (Continue); whoever sends it sets this to False.
        self.wants_continue = False

    @property
    def phase(self) -> Phase:
        """What has to come next: a request, the rest of its head, the rest of its body."""
        if self._framing is not None:
            return Phase.BODY
        return Phase.HEAD if self.reader.buffer else Phase.IDLE

    def take(self) -> Request | None:
        """Return the next request, once it is ready. Raises `ProtocolError`; nothing may be asked after that."""
        if self._framing is None:
            head = self.reader.take_head()
            if head is None:
                return None
            if head.length == 0:
                return head, None
            return self._start_body(head)
        if self._framing.complete:
            return self._end_body()  # it was still being written to its file; what has come since is not part of it
        return self._take_body(self._framing) if self.reader.buffer else None

    def _start_body(self, head: RequestHead) -> Request | None:
        if head.length > self._max_body:
            raise ProtocolError(413, "the body is larger than max_body")
        pipe = None if self.open_pipe is None else self.open_pipe(head)
        begun = len(self.reader.buffer)
        if pipe is None and 0 < head.length <= begun:
            whole = BodyAtOnce(self.reader.take_whole(head))
            whole.size = head.length
            return head, whole
        self._framing = framing = body_of(head.length, self._limits)
        self._head = head
        self.progress = 0
        if pipe is not None:
            self.pipe = pipe
            if begun:
                self._take_body(framing)  # may be all of it: then the pipe is the application's alone
            return head, pipe
        self.body = RequestBody(self._memory)
        if not begun:
            self.wants_continue = head.expects_continue
            return None
        return self._take_body(framing)

    def _take_body(self, framing: LengthBody | ChunkedBody) -> Request | None:
        content = self.reader.take_content(framing)
        self.progress += len(content)
        if self.progress > self._max_body:
            raise ProtocolError(413, "the body is larger than max_body")
        if content:
            if self.pipe is not None:
                self.pipe.put(content)
            elif self.body is not None:
                self.body.write(content)
        return self._end_body() if framing.complete else None

    def _end_body(self) -> Request | None:
        head, body = self._head, self.body
        if body is not None and body.spilling:
            return None
        self._head = self._framing = self.body = None
        self.wants_continue = False
        if self.pipe is not None:
            self.pipe.finish()
            self.pipe = None
            return None
        return None if head is None else (head, body)

    def close(self) -> None:
        """Give up what was collected: the client left or went too far. Not while the body is spilling."""
        if self.pipe is not None:
            self.pipe.lose()
            self.pipe = None
        if self.body is not None:
            self.body.close()
        self._head = self._framing = self.body = None
