"""The handler that runs an application for one request: our own `SimpleHandler`, on a worker's thread.

It knows no bytes of HTTP: how an answer looks on the wire is the `Answer`'s business. Every documented override point
of `BaseHandler` is there for subclasses; those that fill the environ cost nothing until one is overridden.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final

from twisted_wsgiref._http.response import Fields
from twisted_wsgiref._wsgiref.tracebacks import traceback_text
from twisted_wsgiref.handlers import SimpleHandler
from twisted_wsgiref.util import FileWrapper

from .async_body import AsyncBody
from .client_gone import ClientGone
from .error_stream import ErrorStream
from .fields import check_status, format_fields, known_statuses
from .file_span import FileSpan, real_file

if TYPE_CHECKING:
    from types import TracebackType

    from twisted_wsgiref._wsgiref.base_handler import OptExcInfo
    from twisted_wsgiref.types import ErrorStream as TextStream
    from twisted_wsgiref.types import InputStream, WSGIApplication, WSGIEnvironment

    from .answer import Answer
    from .wsgi_exchange import WSGIExchange

# Up to here a file is read and leaves in one send with its head; beyond, a copy would cost more than the call.
_SMALL_FILE: Final = 32 * 1024

# What `BaseHandler.setup_environ` asks: where a subclass answers differently, the prepared environ is not enough.
_ENVIRON_HOOKS: Final = (
    "setup_environ",
    "get_stdin",
    "get_stderr",
    "get_scheme",
    "add_cgi_vars",
    "os_environ",
    "server_software",
    "origin_server",
    "wsgi_file_wrapper",
    "wsgi_version",
    "wsgi_run_once",
)


class WSGIHandler(SimpleHandler):
    """Runs one application for one request, on a worker's thread.

    ``exchange`` is the request and its answer. Subclasses override what `BaseHandler` documents: the environ's hooks,
    `error_output` and its attributes, `log_exception`, `sendfile`.
    """

    __module__ = "twisted_wsgiref"

    # All that a request sets. Most of them are class attributes of `BaseHandler`, too, and from 3.12 on CPython finds
    # what an object has under a name of its class six times as slowly; but not in a slot.
    __slots__ = (
        "_fields",
        "base_env",
        "bytes_sent",
        "environ",
        "exchange",
        "headers_sent",
        "result",
        "status",
        "stderr",
        "stdin",
        "stdout",
        "wsgi_multiprocess",
        "wsgi_multithread",
    )

    http_version = "1.1"
    os_environ: dict[str, str] = {}
    error_headers: list[tuple[str, str]] = [("Content-Type", "text/plain; charset=utf-8")]
    exchange: WSGIExchange
    stdout: Answer  # type: ignore[assignment]

    _has_environ_hooks: ClassVar[bool] = False
    _fields: Fields  # what the application gave, once there is a status

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._has_environ_hooks = any(getattr(cls, hook) is not getattr(WSGIHandler, hook) for hook in _ENVIRON_HOOKS)

    def __init__(
        self,
        stdin: InputStream,
        stdout: Answer,
        stderr: TextStream,
        environ: WSGIEnvironment,
        multithread: bool = True,
        multiprocess: bool = False,
    ) -> None:
        # All that `SimpleHandler` does, without a call for each request.
        self.environ = self.base_env = environ
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr
        self.wsgi_multithread, self.wsgi_multiprocess = multithread, multiprocess
        self.headers_sent = False
        self.status = self.result = None
        self.bytes_sent = 0

    def run(self, application: WSGIApplication) -> None:
        """Answer the request by `application`, whatever it does. Raises nothing."""
        exchange = self.exchange
        try:
            try:
                if type(self)._has_environ_hooks:  # of the class: on an object it is looked up in vain first
                    self.setup_environ()
                self.result = application(self.environ, self.start_response)
                self.finish_response()
            except BaseException as error:
                self.meet(error)
        finally:
            if not exchange.ended:
                exchange.close()
            self.close()

    def meet(self, error: BaseException) -> None:
        """Do what follows from `error`, which the application has raised, or the client by leaving."""
        exchange = self.exchange
        if not self._is_end(error):
            self._fail()
        elif not exchange.begun and not exchange.cut:
            exchange.status = exchange.size = self.bytes_sent = 0

    def setup_environ(self) -> None:
        """Set ``environ``: the one that was prepared for the request, or what the overridden hooks make of it."""
        if self._has_environ_hooks:
            # The prepared environ has what these say where no subclass says otherwise.
            if self.wsgi_file_wrapper is None:
                self.base_env.pop("wsgi.file_wrapper", None)
            if self.server_software:
                self.base_env["SERVER_SOFTWARE"] = self.server_software
            super().setup_environ()
        else:
            self.environ = self.base_env

    # ---- Called by the application -----------------------------------------------------------------------------

    def start_response(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: OptExcInfo | None = None,
    ) -> Callable[[bytes], None]:
        """Set status and headers, to be sent before the first byte of the body; return `write`. PEP 3333.

        Raises `TypeError` or `ValueError`, naming the culprit, for what can not be sent, `AssertionError` for a second
        call without `exc_info`, and the exception in `exc_info` where the head is out. A refused call changes nothing.
        """
        if exc_info:
            try:
                if self.headers_sent:
                    if exc_info[1] is None:
                        raise AssertionError("start_response() called with an exc_info without an exception")
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # the traceback holds this frame: a cycle
        elif self.status is not None:
            raise AssertionError("start_response() called twice without exc_info")
        if status not in known_statuses:  # asked here, since most are
            check_status(status)
        self._fields = format_fields(headers)
        self.status = status
        return self.write

    def write(self, data: bytes) -> None:
        """Send one block. Raises `TypeError`, `AssertionError` before start_response, `ValueError` past the length.

        For an empty block, too, and for one that is dropped because the answer has no body, it raises `ClientGone` once
        nobody waits: an application may give nothing else.
        """
        if type(data) is not bytes:
            raise _wrong_block(data)
        if not self.headers_sent:
            if self.status is None:
                raise AssertionError("a block of the body came before start_response() was called")
            if data:  # PEP 3333: the head waits for the first byte
                self.stdout.begin(self.status, self._given())
                self.headers_sent = True
        if data:
            self._write(data)
            if not self.stdout.is_bodyless:
                return
        if not self.exchange.is_waited_for():
            self.exchange.break_off()
            raise ClientGone

    def _write(self, data: bytes) -> None:
        try:
            self.stdout.block(data)
        finally:
            self.bytes_sent = self.stdout.size

    # ---- The answer --------------------------------------------------------------------------------------------

    def finish_response(self) -> None:
        """Send what the application returned."""
        result = self.result
        if (type(result) is list or type(result) is tuple) and not self.headers_sent:
            self._send_whole(result)
        elif isinstance(result, AsyncBody):
            self._leave_to_reactor(result, result.close)
        elif self.result_is_file() and not self.headers_sent and self._send_file():
            pass
        else:
            if result is None:
                raise TypeError("the application returned None: it has to return an iterable of bytes")
            if self.exchange.suspends:
                self.exchange.iterate(self, result)
                return
            for block in result:
                self.write(block)
            self.finish_content()

    def _leave_to_reactor(self, body: AsyncBody, close: Callable[[], object]) -> None:
        """Have the reactor go on with `body`, the result or in it, and call `close` then: this thread is through."""
        if self.status is None:
            raise AssertionError("the application returned an AsyncBody without calling start_response()")
        if not self.headers_sent:
            self.stdout.begin(self.status, self._given())
        self.exchange.gateway.overseer.go_on(self.exchange, body, close)
        self.result = None  # who goes on closes it

    def _send_whole(self, blocks: Sequence[bytes]) -> None:
        """Send an answer that is all there."""
        if self.status is None:
            raise AssertionError("the application returned without calling start_response()")
        if len(blocks) == 1:  # as most are
            body = blocks[0]
            if type(body) is not bytes:
                raise _wrong_block(body)
        else:
            for block in blocks:
                if type(block) is not bytes:
                    raise _wrong_block(block)
            body = b"".join(blocks)
        answer = self.stdout
        answer.whole(self.status, self._given() if self.server_software else self._fields, body)
        self.headers_sent = True
        self.bytes_sent = answer.size

    def finish_content(self) -> None:
        """Send what ends the body. Raises `ValueError` where it is shorter than its Content-Length."""
        if self.headers_sent:
            self.stdout.end()
        else:
            self._send_whole(())

    def _send_file(self) -> bool:
        """Do as `sendfile`, or leave to the reactor what only looks like a file to a framework."""
        body = getattr(self.result, "filelike", None)
        if isinstance(body, AsyncBody):
            self._leave_to_reactor(body, getattr(self.result, "close", body.close))
            return True
        return self.sendfile()

    def sendfile(self) -> bool:
        """Send a real file from the kernel's hands; return False if there is none, so that it is iterated.

        From the file's position, as far as the Content-Length goes, or to its end. The thread is free at once. A file
        is iterated, too, if its size says nothing (0 in /proc, a whole page in /sys), or if no descriptor is left.
        """
        file = real_file(getattr(self.result, "filelike", None))
        if file is None:
            return False
        descriptor = file.fileno()
        status = os.fstat(descriptor)
        if not (stat.S_ISREG(status.st_mode) and status.st_size):
            return False
        position = file.tell()
        size = max(0, status.st_size - position)
        if self.status is None:
            raise AssertionError("the application returned a file without calling start_response()")
        left = self.result.remaining if isinstance(self.result, FileWrapper) else None
        for most in (self._fields.length, left):
            if most is not None and most < size:
                size = most
        small = size <= _SMALL_FILE
        span = None
        try:
            if not small:
                # With its duplicate of the descriptor, before the head is out: what is promised is at hand.
                span = FileSpan(descriptor, position, size)
            body = os.pread(descriptor, size, position) if small and size else b""
        except OSError:
            return False  # whoever reads the file next meets the error, if it is one of the file's
        if span is None:
            if len(body) < size:
                return False
            self._send_whole([body])
            return True
        answer = self.stdout
        try:
            answer.file(self.status, self._given(), span)
        finally:
            self.headers_sent = answer.begun
            self.bytes_sent = answer.size
        return True

    def _given(self) -> Fields:
        """Return the fields that the application gave, and the name of a server that a subclass gives itself."""
        fields = self._fields
        if self.server_software and not fields.has_server:
            lines = f"{fields.lines}Server: {self.server_software}\r\n"
            return replace(fields, lines=lines, has_server=True)
        return fields

    # ---- Errors and the end ------------------------------------------------------------------------------------

    def _fail(self) -> None:
        try:
            self.handle_error()
        except BaseException as error:
            if not self._is_end(error):
                self.exchange.break_off()
                self._log()

    def _is_end(self, error: BaseException) -> bool:
        """Return whether `error` says that this client is gone.

        An application may call what it has kept of another request: that one's client is no reason to leave this one
        without an answer.
        """
        return issubclass(type(error), ClientGone) and self.exchange.is_given_up()

    def handle_error(self) -> None:
        """Log the current exception; send the error page if no head is out, else have the connection cut."""
        self._log()
        if self.headers_sent:
            self.exchange.break_off()
            return
        WSGIHandler.close(self)
        self.status = None
        self.result = self.error_output(self.environ, self.start_response)
        self.finish_response()

    def log_exception(self, exc_info: OptExcInfo) -> None:
        """Log the exception and the request line, as one message.

        The log gets a `Failure`, with the line as ``request``, its parts as ``method`` and ``path``, the client's
        address as ``client``, and ``request_id``; where `get_stderr` is overridden, that stream gets the text.
        """
        kind, value, trace = exc_info
        try:
            trace = _below(trace, __file__)
            text = traceback_text(kind, value, trace, self.traceback_limit)
            stream = self.get_stderr()
            request = self.exchange.head.request_line
            if type(stream) is ErrorStream and value is not None:
                stream.log_exception("{request} failed", value, trace, text, **self.exchange.facts())
            else:
                stream.write(f"{request} failed\n{text.rstrip()}\n")
                stream.flush()
        finally:
            del exc_info, value, trace

    def close(self) -> None:
        """Close the iterable, once. What its ``close`` raises is logged: the answer is out."""
        result, self.result = self.result, None
        if type(result) is list:  # as most are; and a name that is not there is looked for long
            return
        close = getattr(result, "close", None)
        if close is not None:
            try:
                close()
            except BaseException as error:
                if not self._is_end(error):
                    self._log()

    def _log(self) -> None:
        """Log the current exception; if a subclass's `log_exception` raises, that one, and this as its context."""
        try:
            self.log_exception(sys.exc_info())
        except BaseException:
            self.exchange.gateway.log_raised("log_exception() failed")


def _wrong_block(block: object) -> TypeError:
    return TypeError(f"the application gave a block of type {type(block).__name__}: it has to be bytes")


def _below(trace: TracebackType | None, file: str) -> TracebackType | None:
    """Return `trace` from where it leaves `file`: an application's author need not read our frames."""
    first = trace
    while trace is not None and trace.tb_frame.f_code.co_filename == file:
        trace = trace.tb_next
    return trace or first
