"""A plain HTTP server for one WSGI application, on ``http.server``: for trying out, teaching, tests.

Here lives the server that ``wsgiref.simple_server`` documents: one request a connection, HTTP/1.0 answers, one request
at a time unless mixed with ``ThreadingMixIn``, as the demonstration of this module is. It uses nothing of Twisted, of
the production server or of ``settings``. For an application that faces the Internet, one call takes the place of
``make_server`` and ``serve_forever``: ``twisted_wsgiref.serve(app, 8000)``; or use ``twistd wsgiref`` from a shell.

The thread in ``serve_forever`` or ``handle_request`` calls the server's methods. A request handler lives and dies in
the one call that serves its connection.
"""

from __future__ import annotations

import io
import re
import socket
import socketserver
import sys
import time
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, HTTPServer
from platform import python_implementation
from typing import TYPE_CHECKING, TypeVar, cast, overload
from urllib.parse import unquote

from .handlers import SimpleHandler

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from .types import ErrorStream, StartResponse, WSGIApplication, WSGIEnvironment


__all__ = ["WSGIRequestHandler", "WSGIServer", "demo_app", "make_server"]

__version__ = "0.2"  # of the interface, which programs and their tests see in "Server:"

# As in the running Python's own module: without a version from 3.15 on.
server_version = "WSGIServer" if sys.version_info >= (3, 15) else "WSGIServer/" + __version__
sys_version = python_implementation() + "/" + sys.version.split()[0]
software_version = server_version + " " + sys_version

# The longest request line that is looked at, its line end included: http.server's own figure.
_REQUEST_LINE_BYTES = 65536

# The most of an unread body that is read after its answer, in bytes, and the longest time for it, in seconds: a larger
# upload to this server is rare, and it serves nobody else meanwhile.
_UNREAD_BYTES = 64 * 1024 * 1024
_UNREAD_SECONDS = 5.0

# A line of a field, or one that continues it (RFC 9112 section 5); CR alone and NUL are in neither.
_FIELD_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\r\0]*\r?\n")
_FOLDED_LINE = re.compile(rb"[ \t][^\r\0]*\r?\n")
_FOLD = re.compile(r"[ \t]*\r?\n[ \t]+")

_ServerT = TypeVar("_ServerT", bound="WSGIServer")


class ServerHandler(SimpleHandler):
    """Runs the application for one request and logs it through ``request_handler`` at the end."""

    server_software = software_version
    request_handler: BaseHTTPRequestHandler

    def handle_error(self) -> None:
        """The error is logged and answered; Ctrl-C ends the server instead, also in the middle of a request."""
        error = sys.exc_info()[1]
        if isinstance(error, KeyboardInterrupt):
            raise error
        super().handle_error()

    def close(self) -> None:
        """The request is logged, with its status and the bytes of its body, and then closed."""
        try:
            # No status if even the error page could not be made.
            code = self.status.split(" ", 1)[0] if self.status else "-"
            self.request_handler.log_request(code, self.bytes_sent)
        finally:
            super().close()


class WSGIServer(HTTPServer):
    """An ``HTTPServer`` that knows its application, and the environ that all requests share."""

    application: WSGIApplication | None = None
    base_environ: dict[str, str]

    def __init__(
        self,
        server_address: tuple[str, int],
        RequestHandlerClass: type[BaseHTTPRequestHandler],
        bind_and_activate: bool = True,
    ) -> None:
        if self.address_family == socket.AF_INET and _has_ipv6_only(server_address):
            self.address_family = socket.AF_INET6
        super().__init__(server_address, RequestHandlerClass, bind_and_activate)

    def server_bind(self) -> None:
        """The socket is bound, and ``base_environ`` names it."""
        super().server_bind()
        self.setup_environ()

    def setup_environ(self) -> None:
        """``base_environ`` holds the CGI variables of the server itself (RFC 3875 section 4.1)."""
        name = self.server_name or "localhost"  # PEP 3333: never empty
        self.base_environ = {
            "SERVER_NAME": f"[{name}]" if ":" in name else name,  # RFC 3875 section 4.1.14
            "GATEWAY_INTERFACE": "CGI/1.1",
            "SERVER_PORT": str(self.server_port),
            "REMOTE_HOST": "",
            "CONTENT_LENGTH": "",
            "SCRIPT_NAME": "",
        }

    def get_app(self) -> WSGIApplication | None:
        """The application that requests go to, None before ``set_app``."""
        return self.application

    def set_app(self, application: WSGIApplication | None) -> None:
        """Requests from now on go to *application*."""
        self.application = application


def _has_ipv6_only(address: tuple[str, int]) -> bool:
    """True if the host of *address* has IPv6 addresses and no other; False too if it can not be looked up."""
    try:
        host = address[0]
        found = {each[0] for each in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)} if host else set()
    except (OSError, ValueError, TypeError, LookupError):
        return False  # binding will fail, and say why
    return found == {socket.AF_INET6}


class _HeadLines:
    """A stream that keeps its lines, so that one can check whether ``http.server`` understood them all."""

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self._stream = stream
        self.kept: list[bytes] = []

    def readline(self, limit: int = -1) -> bytes:
        line = self._stream.readline(limit)
        self.kept.append(line)
        return line

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def _wrong_line(lines: list[bytes]) -> bytes | None:
    """The first of a head's *lines* that is no field (RFC 9112 section 5), None if all are.

    ``http.server`` takes it for the end of the head, and the fields after it for nothing.
    """
    for number, line in enumerate(lines):
        if line in (b"\r\n", b"\n", b""):
            return None
        if not _FIELD_LINE.fullmatch(line) and not (number and _FOLDED_LINE.fullmatch(line)):
            return line
    return None


class _BodyOnly(io.RawIOBase):
    """The next *length* bytes of *stream*, then the end of file.

    Without it, an application that reads to the end waits for a client that waits for its answer.
    """

    def __init__(self, stream: io.BufferedIOBase, length: int) -> None:
        self._stream = stream
        self._left = length

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        room = memoryview(buffer)
        wanted = min(len(room), self._left)
        if wanted == 0:
            return 0
        # The bytes that have come are enough; read() would wait for all.
        data = self._stream.read1(wanted)
        room[: len(data)] = data
        self._left -= len(data)
        return len(data)


class WSGIRequestHandler(BaseHTTPRequestHandler):
    """One connection: its request is parsed by ``http.server`` and answered by the application."""

    server_version = server_version
    server: WSGIServer

    def get_environ(self) -> WSGIEnvironment:
        """A new dictionary: ``base_environ`` and the CGI variables of this request."""
        path, _, query = self.path.partition("?")
        environ: WSGIEnvironment = dict(self.server.base_environ)
        environ["SERVER_PROTOCOL"] = self.request_version
        environ["SERVER_SOFTWARE"] = self.server_version
        environ["REQUEST_METHOD"] = self.command
        # PEP 3333, "Unicode Issues": one character for each byte.
        environ["PATH_INFO"] = unquote(path, "latin-1")
        environ["QUERY_STRING"] = query
        environ["REMOTE_ADDR"] = self.client_address[0]
        name = self.address_string()
        if name != self.client_address[0]:
            environ["REMOTE_HOST"] = name
        content_type = self.headers.get("content-type")
        if content_type is None:
            # HTTP/0.9 has no fields, and from 3.14 on http.server leaves it a dict without methods of a message.
            content_type = (self.headers or self.MessageClass()).get_content_type()
        environ["CONTENT_TYPE"] = content_type
        length = self.headers.get("content-length")
        if length:
            environ["CONTENT_LENGTH"] = length
        self._add_fields(environ)
        return environ

    def _add_fields(self, environ: WSGIEnvironment) -> None:
        for name, value in self.headers.items():
            value = _FOLD.sub(" ", value)  # RFC 9112 section 5.2
            variable = name.replace("-", "_").upper()
            if variable in environ:
                continue  # CONTENT_TYPE and CONTENT_LENGTH, which have no HTTP_
            key = "HTTP_" + variable
            if key in environ:
                environ[key] += "," + value.strip()  # RFC 9110 section 5.2
            else:
                environ[key] = value.strip()

    def parse_request(self) -> bool:
        """True if request line and fields are understood; if not, the error has been sent.

        The error is 400 for a line that is no field, such as one whose name is not ASCII: ``http.server`` would
        overlook the fields after it (RFC 9112 sections 2.2 and 5).
        """
        stream = self.rfile
        lines = _HeadLines(stream)
        self.rfile = cast("io.BufferedIOBase", lines)
        try:
            understood = super().parse_request()
        finally:
            self.rfile = stream
        wrong = _wrong_line(lines.kept) if understood else None
        if wrong is None:
            return understood
        self.send_error(400, f"Bad header field ({wrong[:80].decode('latin-1').strip()!r})")
        return False

    def get_stderr(self) -> ErrorStream:
        """The stream to be ``wsgi.errors``: standard error."""
        return sys.stderr

    def _body(self) -> io.BufferedIOBase:
        """The stream to be ``wsgi.input``: it ends where the request's body ends."""
        if "transfer-encoding" in self.headers:
            return self.rfile  # http.server decodes nothing; an application may
        length = self.headers.get("content-length", "").strip()
        size = int(length) if length.isascii() and length.isdigit() else 0
        return io.BufferedReader(_BodyOnly(self.rfile, size))

    def handle(self) -> None:
        """The one request of this connection has been answered, with 414 if its line is too long."""
        self.raw_requestline = self.rfile.readline(_REQUEST_LINE_BYTES + 1)
        if len(self.raw_requestline) > _REQUEST_LINE_BYTES:
            self.requestline = self.request_version = self.command = ""
            self.send_error(414)
        elif self.parse_request():  # if not, the error has been sent
            self._run_application()

    def _run_application(self) -> None:
        body = self._body()
        handler = ServerHandler(
            body,
            self.wfile,
            self.get_stderr(),
            self.get_environ(),
            multithread=isinstance(self.server, socketserver.ThreadingMixIn),
            multiprocess=isinstance(self.server, getattr(socketserver, "ForkingMixIn", ())),
        )
        handler.request_handler = self
        application = self.server.get_app()
        if application is None:
            raise RuntimeError("the server has no application: call set_app() first")
        handler.run(application)
        if body is not self.rfile:
            self._read_rest(body)

    def _read_rest(self, body: io.BufferedIOBase) -> None:
        """The rest of *body*, which the application has not read, has come, if it comes soon.

        If a socket is closed with unread bytes, its connection is reset, and the client may lose the answer
        (RFC 9112 section 9.6).
        """
        end = time.monotonic() + _UNREAD_SECONDS
        left = _UNREAD_BYTES
        before = self.connection.gettimeout()
        try:
            while left > 0 and (seconds := end - time.monotonic()) > 0:
                self.connection.settimeout(seconds)
                data = body.read1(65536)
                if not data:
                    break
                left -= len(data)
        except (OSError, ValueError):
            pass  # the client has left, or the application has closed the stream
        finally:
            self.connection.settimeout(before)


def demo_app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """A WSGI application: a text page that says hello and lists the environ, sorted by key."""
    lines = ["Hello world!", "", *(f"{key} = {environ[key]!r}" for key in sorted(environ)), ""]
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return ["\n".join(lines).encode("utf-8")]


@overload
def make_server(
    host: str,
    port: int,
    app: WSGIApplication,
    *,
    handler_class: type[BaseHTTPRequestHandler] = ...,
) -> WSGIServer: ...


@overload
def make_server(
    host: str,
    port: int,
    app: WSGIApplication,
    server_class: type[_ServerT],
    handler_class: type[BaseHTTPRequestHandler] = ...,
) -> _ServerT: ...


def make_server(
    host: str,
    port: int,
    app: WSGIApplication,
    server_class: type[WSGIServer] = WSGIServer,
    handler_class: type[BaseHTTPRequestHandler] = WSGIRequestHandler,
) -> WSGIServer:
    """A *server_class* that listens on *host* and *port* and serves *app*; port 0 takes a free one.

    If *host* has only IPv6 addresses, as ``"::1"`` has, the server listens on IPv6. The server is a context manager
    that closes its socket. Raises OSError if it can not listen on the port.
    """
    server = server_class((host, port), handler_class)
    server.set_app(app)
    return server


class _DemoServer(socketserver.ThreadingMixIn, WSGIServer):
    """A thread for each connection: browsers open a spare one, which would keep all others waiting."""

    daemon_threads = True


def _main(arguments: list[str] | None = None) -> int:
    """Serves ``demo_app`` until interrupted; the exit status."""
    import argparse

    parser = argparse.ArgumentParser(
        prog="python -m twisted_wsgiref.simple_server", description="Serve the demo application."
    )
    parser.add_argument("port", nargs="?", type=int, default=8000, help="default: 8000; 0: a free one")
    parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1; '': every address")
    options = parser.parse_args(arguments)
    try:
        server = make_server(options.host, options.port, demo_app, _DemoServer)
    except (OSError, OverflowError) as error:
        print(f"cannot listen on port {options.port} of {options.host!r}: {error}", file=sys.stderr)
        return 1
    with server:
        host = options.host or "localhost"
        host = f"[{host}]" if ":" in host else host
        print(f"Serving demo_app on http://{host}:{server.server_port}/", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass
    return 0


if __name__ == "__main__":
    sys.exit(_main())
