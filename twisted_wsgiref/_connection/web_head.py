"""A request of `twisted.web`, read as one of our own: the same checks, the same environ.

`twisted.web` has parsed the request, and is more lenient than we are. So its line and its fields are put together
again, and judged by our own grammar. Called in the reactor's thread.
"""

from __future__ import annotations

from io import BytesIO
from typing import IO, TYPE_CHECKING, Final

from twisted_wsgiref._gateway.environ import ConnectionEnviron, believe
from twisted_wsgiref._http.errors import ProtocolError
from twisted_wsgiref._http.forwarded import apply as read_forwarded
from twisted_wsgiref._http.head import HeadParser, RequestHead
from twisted_wsgiref._http.request_framing import CHUNKED
from twisted_wsgiref._twisted.web_private import is_made_secure

from .peer import tls_facts
from .rules import Rules
from .transports import host_and_port

if TYPE_CHECKING:
    from twisted.web.server import Request

    from twisted_wsgiref._gateway.environ import WSGIEnvironment

# The versions that `twisted.web` speaks; the line of a request of HTTP/2 is judged as one of HTTP/1.1.
_VERSIONS: Final = {b"HTTP/1.0": b"HTTP/1.0", b"HTTP/1.1": b"HTTP/1.1", b"HTTP/2": b"HTTP/1.1"}


class WebBody:
    """The body that `twisted.web` has collected: the worker's from `open` on."""

    __slots__ = ("_file", "size")

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        #: Its length in bytes.
        self.size = size

    def open(self) -> IO[bytes]:
        """Return the body from its start. Raises `OSError`. Called in a worker's thread."""
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        """Give everything back. Raises nothing."""
        try:
            self._file.close()
        except (OSError, ValueError):
            pass


def take_body(request: Request) -> WebBody | None:
    """Return the body of `request`, which from now on has an empty one: None for none.

    `twisted.web` closes a body with its request, in the reactor's thread, while a worker may be reading it.
    """
    content = request.content
    if content is None or content.closed:
        return None
    size = content.seek(0, 2)
    if not size:
        return None
    request.content = BytesIO()
    return WebBody(content, size)


class WebReader:
    """Reads the requests of one channel, one after the other; of HTTP/2 there is one on each.

    `service` is what the environs of all requests share. The channel's requests are alike in most things, and those are
    judged once.
    """

    __slots__ = ("_connection", "_ends", "_limits", "_parser", "_rules", "_service")

    def __init__(self, service: WSGIEnvironment, rules: Rules) -> None:
        self._service = service
        self._rules = rules
        self._limits = rules.limits
        self._parser = HeadParser(rules.limits)
        self._ends: tuple[object, object, bool] | None = None  # what the environ of the connection was made of
        self._connection: ConnectionEnviron

    def read_head(self, request: Request) -> RequestHead:
        """Return the head of `request`, judged as our own parser judges one. Raises `ProtocolError`."""
        version = _VERSIONS.get(request.clientproto)
        if version is None:
            raise ProtocolError(505, "neither HTTP/1.0 nor HTTP/1.1 nor HTTP/2")
        parts = [b"%b %b %b" % (request.method, request.uri, version)]
        for name, values in request.requestHeaders.getAllRawHeaders():
            for value in values:
                parts.append(b"%b: %b" % (name, value))
        sent = b"\r\n".join(parts)
        if len(sent) > self._limits.head:
            raise ProtocolError(431, "the head is too long")
        head = self._parser.parse(sent)
        if version != request.clientproto:
            head.request_line = f"{head.method} {head.target} {request.clientproto.decode('latin-1')}"
        return head

    def make_environ(self, request: Request, head: RequestHead, body: WebBody | None) -> WSGIEnvironment:
        """Return the environ of `request`. Raises `ProtocolError`."""
        ends = request.getHost(), request.getClientAddress(), is_made_secure(request)
        if ends != self._ends:
            self._connection = self._describe(request, *ends[:2])
            self._ends = ends
        size = 0 if body is None else body.size
        environ = self._connection.make(head, size)
        script_name, environ["PATH_INFO"] = split_path(request, head)
        environ["SCRIPT_NAME"] = self._service["SCRIPT_NAME"] + script_name
        if head.minor and request.clientproto != b"HTTP/1.1":
            environ["SERVER_PROTOCOL"] = request.clientproto.decode("latin-1")
        if body is not None and head.length != CHUNKED:
            environ["CONTENT_LENGTH"] = str(size)  # HTTP/2 has bodies without one
        trusted = self._rules.trusted
        if trusted is not None:
            believe(environ, read_forwarded(head.fields, self._connection.peer, trusted))
        return environ

    @property
    def peer(self) -> str | None:
        """The address of the sender of the last request."""
        return self._connection.peer

    def _describe(self, request: Request, host: object, peer: object) -> ConnectionEnviron:
        secure = request.isSecure()
        facts = _facts(request) if secure else {}
        return ConnectionEnviron(
            self._service, "https" if secure else "http", host_and_port(host), host_and_port(peer), facts
        )


def split_path(request: Request, head: RequestHead) -> tuple[str, str]:
    """Return SCRIPT_NAME and PATH_INFO: the segments that the resources above have used, and the rest. PEP 3333.

    Together they are the decoded path. Empty segments at the end of the first belong to the second: a SCRIPT_NAME ends
    with no slash.
    """
    if not head.target.startswith("/"):
        return "", head.path  # an absolute target: `twisted.web` takes scheme and authority for segments
    used = request.prepath or []
    rest = request.postpath or []
    if used and not used[-1]:
        used, rest = list(used), list(rest)
        while used and not used[-1]:
            rest.insert(0, used.pop())
    return _path(used) if used else "", _path(rest) if rest else ""


def _path(segments: list[bytes]) -> str:
    return "/" + b"/".join(segments).decode("latin-1")


def _facts(request: Request) -> dict[str, str]:
    """Return what TLS proves of the client; nothing in HTTP/2, where requests have no transport."""
    try:
        return tls_facts(request.transport) if request.transport is not None else {}
    except AttributeError:  # one that only says that it is secure, as `Request.setHost` may make it
        return {}
