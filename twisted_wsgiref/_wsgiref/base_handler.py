"""``BaseHandler``: one WSGI application run for one request, whatever the transport.

Here lives the server's half of PEP 3333: environ, start_response, write, the order of head and body,
the error page. Nothing here opens a socket, parses a request or knows of Twisted. Bytes leave by the
subclass's ``_write`` and ``_flush``. An answer that has no content by RFC 9110 is sent without. Other parts of
HTTP (chunked coding, keep-alive) belong to the production handler. The public name is
``twisted_wsgiref.handlers.BaseHandler``.

Checks never rest on ``assert``: they hold under ``python -O`` too. An instance serves one request, and every
method is called by the one thread that called ``run``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from email.utils import formatdate
from traceback import walk_tb
from typing import TYPE_CHECKING, cast

from twisted_wsgiref.headers import Headers
from twisted_wsgiref.util import FileWrapper, guess_scheme

from .cgi_environ import read_environ
from .head_checks import check_fields, check_lines, check_status
from .tracebacks import traceback_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sized
    from types import TracebackType
    from typing import TypeAlias

    from twisted_wsgiref.types import ErrorStream, InputStream, StartResponse, WSGIApplication, WSGIEnvironment

    ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType]
    OptExcInfo: TypeAlias = ExcInfo | tuple[None, None, None]

# The errors that a transport raises when the client has left, and the methods in which the transport raises them.
CLIENT_LEFT = (ConnectionAbortedError, BrokenPipeError, ConnectionResetError)
TRANSPORT_METHODS = frozenset({"_write", "_flush", "write", "send_headers", "send_preamble", "sendfile"})


def format_date_time(timestamp: float) -> str:
    """The IMF-fixdate of RFC 9110 section 5.6.7 for *timestamp*, seconds since the epoch."""
    return formatdate(timestamp, usegmt=True)


def _has_no_content(status: str) -> bool:
    """True if no answer with *status* has content, whatever the request: RFC 9110 section 6.4.1."""
    return status.startswith(("1", "204", "304"))


class BaseHandler:
    """Runs one application for one request; a subclass says where the bytes come from and go to.

    A subclass has to override ``_write``, ``_flush``, ``get_stdin``, ``get_stderr`` and ``add_cgi_vars``, which raise
    NotImplementedError here, and may override anything else. ``run`` walks these steps, in this order::

        setup_environ        get_stdin, get_stderr, get_scheme, add_cgi_vars
        the application      start_response
        finish_response      result_is_file, sendfile, write per block, finish_content
            write            send_headers before the first byte, then _write and _flush
            send_headers     cleanup_headers, send_preamble, _write
        close
        handle_error         only after an exception: log_exception, then error_output as the application

    If the transport, that is, one of ``TRANSPORT_METHODS``, raises a connection error (``CLIENT_LEFT``), the request
    ends silently, since nobody is there to read an answer. If the *application* raises it, say by its database, it is
    an error like any other: it is logged and answered. ``client_left`` tells the two apart by the frames that the
    exception came through, so it also recognizes a ``write`` that a subclass overrides.
    """

    wsgi_version = (1, 0)
    wsgi_multithread = True
    wsgi_multiprocess = True
    wsgi_run_once = False

    origin_server = True  # we speak to the client, not to a gateway that wants "Status:"
    http_version = "1.0"
    server_software: str | None = None

    # As it was at import, as the documentation promises. A server sets it to {}.
    os_environ: dict[str, str] = read_environ()

    wsgi_file_wrapper: type[Iterable[bytes]] | None = FileWrapper
    headers_class: Callable[[list[tuple[str, str]]], Headers] = Headers

    traceback_limit: int | None = None
    error_status = "500 Internal Server Error"
    error_headers: list[tuple[str, str]] = [("Content-Type", "text/plain")]
    error_body = b"A server error occurred.  Please contact the administrator."

    # The state of the one request; on the class so that a new instance costs nothing.
    environ: WSGIEnvironment
    status: str | None = None
    result: Iterable[bytes] | None = None
    headers: Headers | None = None
    headers_sent = False
    bytes_sent = 0
    _closed: Iterable[bytes] | None = None
    _is_head = False  # as the request came: the application may change its environ

    def run(self, application: WSGIApplication) -> None:
        """The request has been answered by *application*, by the error page, or the client has left.

        Raises only what ``handle_error`` itself raises.
        """
        try:
            self.setup_environ()
            self._is_head = self.environ.get("REQUEST_METHOD") == "HEAD"
            body = application(self.environ, self.start_response)
            self.result = body
            self.finish_response()
        except BaseException as error:
            # BaseException: SystemExit of an application must not end the server's thread unanswered.
            if self.client_left(error):
                return
            try:
                self.handle_error()
            except BaseException as second:
                self.close()
                if not self.client_left(second):
                    raise

    def client_left(self, error: BaseException) -> bool:
        """True if *error* came out of our own transport and says that nobody listens any more."""
        if not issubclass(type(error), CLIENT_LEFT):  # isinstance would ask the error itself, too
            return False
        for frame, _ in walk_tb(error.__traceback__):
            code = frame.f_code
            # The name alone could be the application's; the object that it is called on cannot.
            if (
                code.co_name in TRANSPORT_METHODS
                and code.co_argcount
                and frame.f_locals.get(code.co_varnames[0]) is self
            ):
                return True
        return False

    # -- environ ---------------------------------------------------------------------------------

    def setup_environ(self) -> None:
        """``environ`` is complete: the keys that PEP 3333 wants from the server, and the CGI variables."""
        environ = self.environ = dict(self.os_environ)
        self.add_cgi_vars()
        environ = self.environ  # a subclass may have put another dictionary there
        environ["wsgi.input"] = self.get_stdin()
        environ["wsgi.errors"] = self.get_stderr()
        environ["wsgi.version"] = self.wsgi_version
        environ["wsgi.run_once"] = self.wsgi_run_once
        environ["wsgi.url_scheme"] = self.get_scheme()
        environ["wsgi.multithread"] = self.wsgi_multithread
        environ["wsgi.multiprocess"] = self.wsgi_multiprocess
        if self.wsgi_file_wrapper is not None:
            environ["wsgi.file_wrapper"] = self.wsgi_file_wrapper
        if self.origin_server and self.server_software:
            environ.setdefault("SERVER_SOFTWARE", self.server_software)

    def get_scheme(self) -> str:
        """``"http"`` or ``"https"``, as ``guess_scheme`` reads it from the environ."""
        return guess_scheme(self.environ)

    # -- called by the application ---------------------------------------------------------------

    def start_response(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: OptExcInfo | None = None,
    ) -> Callable[[bytes], None]:
        """Status and headers are set, to be sent before the first byte of the body (PEP 3333).

        Returns ``write``. With *exc_info* it replaces an earlier status and headers, or raises that exception again if
        the head has gone out. Raises AssertionError for a second call without *exc_info* and for wrong types, shapes
        and hop-by-hop headers, TypeError if *headers* is not a list, ValueError for control characters. A refused call
        changes nothing.
        """
        if exc_info:
            try:
                if self.headers_sent and exc_info[1] is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # the traceback holds this frame: a cycle
        elif self.headers is not None:
            raise AssertionError("start_response() called twice without exc_info")
        check_status(status)
        if type(headers) is not list:
            raise TypeError(f"the headers have to be a built-in list of pairs, not {type(headers).__name__}")
        check_fields(headers)
        self.headers = self.headers_class(headers)
        self.status = status
        return self.write

    def write(self, data: bytes) -> None:
        """*data* is with the transport, the head before it if it had not gone out.

        Only the head is sent if the answer has no content: to HEAD, and with the status 1xx, 204 and 304
        (RFC 9110 section 6.4.1). Raises AssertionError if *data* is not bytes or start_response() was not called.
        """
        if type(data) is not bytes:
            raise AssertionError(f"write() takes bytes, not {type(data).__name__}")
        if not self.status:
            raise AssertionError("write() was called with no status set: start_response() comes first")
        without_content = self._is_head or _has_no_content(self.status)
        if not self.headers_sent:
            self.bytes_sent = len(data)  # set_content_length() wants it before the head
            self.send_headers()
            if without_content:
                self.bytes_sent = 0
        elif not without_content:
            self.bytes_sent += len(data)
        if not without_content:
            self._write(data)
        self._flush()

    # -- the answer ------------------------------------------------------------------------------

    def finish_response(self) -> None:
        """All of ``result`` has been sent, and it is closed."""
        try:
            if not self.result_is_file() or not self.sendfile():
                if self.result is None:
                    raise AssertionError("the application returned None, not an iterable of bytes")
                for data in self.result:
                    self.write(data)
                self.finish_content()
        except BaseException:
            self._close_result()
            raise
        self.close()

    def finish_content(self) -> None:
        """The head has gone out, also when there was no body to carry it."""
        if not self.headers_sent:
            headers = self._require_headers()
            # Nobody knows the length of GET's answer to HEAD; the others have no length at all (RFC 9110 section 8.6).
            if not self._is_head and not _has_no_content(self.status or ""):
                headers.setdefault("Content-Length", "0")
            self.send_headers()

    def set_content_length(self) -> None:
        """Content-Length is set if the whole body is known to be the one block at hand."""
        try:
            blocks = len(cast("Sized", self.result))
        except (TypeError, NotImplementedError, AttributeError):
            return
        if blocks == 1 and not _has_no_content(self.status or "") and (self.bytes_sent or not self._is_head):
            self._require_headers()["Content-Length"] = str(self.bytes_sent)

    def cleanup_headers(self) -> None:
        """Headers are as they shall go out; here a Content-Length is added if it is known."""
        if "Content-Length" not in self._require_headers():
            self.set_content_length()

    def send_headers(self) -> None:
        """Status line and headers are with the transport. Raises ValueError for control characters."""
        # Again, since Headers wraps the application's own list, which may have changed since.
        check_fields(self._require_headers().items())
        self.cleanup_headers()
        # A server's own class may add fields about the connection.
        check_lines(self._require_headers().items())
        self.headers_sent = True
        if not self.origin_server or self.client_is_modern():
            self.send_preamble()
            self._write(bytes(self._require_headers()))

    def send_preamble(self) -> None:
        """The status is with the transport; from an origin server also Date and Server, if unset."""
        headers = self._require_headers()
        if not self.origin_server:
            self._write(f"Status: {self.status}\r\n".encode("latin-1"))
        elif self.client_is_modern():
            self._write(f"HTTP/{self.http_version} {self.status}\r\n".encode("latin-1"))
            if "Date" not in headers:
                self._write(f"Date: {format_date_time(time.time())}\r\n".encode("latin-1"))
            if self.server_software and "Server" not in headers:
                self._write(f"Server: {self.server_software}\r\n".encode("latin-1"))

    def result_is_file(self) -> bool:
        """True if ``result`` is an instance of ``wsgi_file_wrapper``, so that sendfile() may take it."""
        wrapper = self.wsgi_file_wrapper
        if wrapper is None:
            return False
        return isinstance(self.result, wrapper)

    def client_is_modern(self) -> bool:
        """True if the client knows status lines and headers, which HTTP/0.9 does not."""
        return bool(self.environ["SERVER_PROTOCOL"].upper() != "HTTP/0.9")

    def sendfile(self) -> bool:
        """True if ``result`` was transmitted here, head included; the default transmits nothing."""
        return False

    def _require_headers(self) -> Headers:
        if self.headers is None:
            raise AssertionError("start_response() was not called before the body")
        return self.headers

    # -- errors and the end ----------------------------------------------------------------------

    def handle_error(self) -> None:
        """The current exception is logged and, if no head has gone out, the error page is sent."""
        self.log_exception(sys.exc_info())
        if self.headers_sent:
            return  # too late for a page; the client sees the answer end early
        self.result = self.error_output(self.environ, self.start_response)
        self.finish_response()

    def log_exception(self, exc_info: OptExcInfo) -> None:
        """*exc_info* stands in the log: by default as a traceback in ``wsgi.errors``, flushed."""
        kind, value, trace = exc_info
        try:
            stream = self.get_stderr()
            stream.write(traceback_text(kind, value, trace, self.traceback_limit))
            stream.flush()
        finally:
            del exc_info, value, trace  # a traceback held by one of its own frames is a cycle

    def error_output(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """A WSGI application: the error page, which by default says nothing of the error."""
        start_response(self.error_status, self.error_headers[:], sys.exc_info())
        return [self.error_body]

    def _close_result(self) -> None:
        """``result.close()`` was called, if there is one, and will not be called again."""
        result = self.result
        close = getattr(result, "close", None)
        if close is not None and result is not self._closed:
            self._closed = result  # ``result`` itself stays, for subclasses that look at it afterwards
            close()

    def close(self) -> None:
        """The iterable is closed and the state of the request is gone.

        An exception of the iterable's ``close()`` is logged: the answer is out, and an error page after
        it would be read as part of the next.
        """
        try:
            self._close_result()
        except BaseException:
            self.log_exception(sys.exc_info())
        finally:
            self.result = self._closed = None
            self.headers = self.status = None
            self.environ = cast("WSGIEnvironment", None)
            self.bytes_sent = 0
            self.headers_sent = False

    # -- what a subclass has to override ---------------------------------------------------------

    def add_cgi_vars(self) -> None:
        """The CGI variables of the request are in ``environ``."""
        raise NotImplementedError

    def get_stderr(self) -> ErrorStream:
        """The stream to be ``wsgi.errors``."""
        raise NotImplementedError

    def get_stdin(self) -> InputStream:
        """The stream to be ``wsgi.input``."""
        raise NotImplementedError

    def _write(self, data: bytes) -> None:
        """*data* is buffered for the client, or sent."""
        raise NotImplementedError

    def _flush(self) -> None:
        """The buffered bytes are on their way."""
        raise NotImplementedError
