"""The environ of PEP 3333: what a service, a connection and a head each add to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from twisted_wsgiref._http.forwarded import Client
from twisted_wsgiref._http.head import RequestHead
from twisted_wsgiref._http.request_framing import CHUNKED

if TYPE_CHECKING:
    # The rooms above have its type from here, too.
    from twisted_wsgiref.types import WSGIEnvironment as WSGIEnvironment  # noqa: PLC0414

WSGI_VERSION = (1, 0)
# What each request has of its own: with a place from the start, a dictionary does not grow while it is filled.
_PLACES: Final = dict.fromkeys(
    (
        "REQUEST_METHOD",
        "PATH_INFO",
        "QUERY_STRING",
        "REQUEST_URI",
        "RAW_URI",
        "SERVER_PROTOCOL",
        "wsgi.input",
        "wsgi.early_hints",
        "twisted_wsgiref.client_disconnected",
    )
)


def service_environ(
    *,
    software: str,
    script_name: str,
    multiprocess: bool,
    errors: object,
    file_wrapper: object,
    stopping: Callable[[], bool] = bool,
) -> WSGIEnvironment:
    """Return what is the same for every request of a service, with places for the rest."""
    return {
        **_PLACES,
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SCRIPT_NAME": script_name,
        "SERVER_SOFTWARE": software,
        "wsgi.version": WSGI_VERSION,
        "wsgi.multithread": True,
        "wsgi.multiprocess": multiprocess,
        "wsgi.run_once": False,
        "wsgi.errors": errors,
        "wsgi.file_wrapper": file_wrapper,
        "twisted_wsgiref.stopping": stopping,
        # The end of the input is the end of the body: nobody needs CONTENT_LENGTH to know it.
        "wsgi.input_terminated": True,
    }


class ConnectionEnviron:
    """Makes the environs of one connection's requests, from what a service says and what the transport knows.

    `peer` and `server` are addresses, None if the transport has none. `facts` are other variables about the other end.
    `offer` is called with each environ of a request that has Upgrade, and its head. Called in the reactor's thread.
    """

    __slots__ = ("_common", "_fields", "_head", "_last", "_offer", "_template", "peer")

    def __init__(
        self,
        service: WSGIEnvironment,
        scheme: str,
        server: tuple[str, int] | None,
        peer: tuple[str, int] | None,
        facts: dict[str, str] | None = None,
        offer: Callable[[WSGIEnvironment, RequestHead], None] | None = None,
    ) -> None:
        self._common = common = service.copy()
        if facts:
            common.update(facts)
        common["wsgi.url_scheme"] = scheme
        if scheme == "https":
            common["HTTPS"] = "on"
        if server is not None:
            # RFC 3875, section 4.1.14.
            common["SERVER_NAME"] = f"[{server[0]}]" if ":" in server[0] else server[0]
            common["SERVER_PORT"] = str(server[1])
        if peer is not None:
            common["REMOTE_ADDR"] = peer[0]
            common["REMOTE_PORT"] = str(peer[1])
        #: The address of the sender; None if the transport does not know it.
        self.peer = None if peer is None else peer[0]
        self._offer = offer
        self._template = common  # the common part, and those fields of a request that came again
        self._fields: dict[str, str] = {}  # which ones
        self._last: RequestHead | None = None  # the head of the last request with these fields
        self._head: RequestHead | None = None  # the head that the template has all of, if one came again

    def make(self, head: RequestHead, size: int | None) -> WSGIEnvironment:
        """Return a new environ for the request of `head`.

        The body, of `size` bytes (None: nobody knows yet), is added by the worker that opens it. PEP 3333 and RFC
        3875; REQUEST_URI, as Apache and uWSGI have it, and RAW_URI, as gunicorn has it, are the target as sent.
        """
        if head is self._head:
            return self._template.copy()
        fields = head.fields
        if fields is self._fields:
            environ = self._template.copy()
        else:
            environ = self._common.copy()
            environ.update(fields)
            if "HTTP_UPGRADE" in fields:  # asked here, since most requests of a connection do not come by
                if self._offer is not None:
                    self._offer(environ, head)
            elif head.recurs:
                self._template, self._fields = environ.copy(), fields
                self._head = None
        environ["REQUEST_METHOD"] = head.method
        environ["PATH_INFO"] = head.path
        environ["QUERY_STRING"] = head.query
        environ["REQUEST_URI"] = environ["RAW_URI"] = head.target
        environ["SERVER_PROTOCOL"] = "HTTP/1.1" if head.minor else "HTTP/1.0"
        if head.length == CHUNKED:
            _undo_chunks(environ, size)
        if "SERVER_NAME" not in environ:
            _name_server_after_host(environ)
        script_name = environ["SCRIPT_NAME"]
        if script_name:
            _mount(environ, script_name)
        if fields is self._fields and head.length != CHUNKED:
            if head is self._last:
                self._template, self._head = environ.copy(), head
            else:
                self._last = head
        return environ


def believe(environ: WSGIEnvironment, client: Client) -> None:
    """Have `environ` say what a trusted proxy says of the client, and nothing that it does not."""
    for name in client.remove:
        del environ[name]
    for name, value in client.rewrite:
        environ[name] = value
    if client.address is not None:
        environ.pop("REMOTE_PORT", None)
        environ.pop("REMOTE_ADDR", None)
        if client.address:
            environ["REMOTE_ADDR"] = client.address
        if client.port is not None:
            environ["REMOTE_PORT"] = str(client.port)
    if client.scheme is not None:
        environ["wsgi.url_scheme"] = client.scheme
        environ["HTTPS"] = "on" if client.scheme == "https" else "off"
        environ["SERVER_PORT"] = "443" if client.scheme == "https" else "80"
    if client.host is not None:
        environ["HTTP_HOST"] = client.host
        _name_server_after_host(environ)
    if client.server_port is not None:
        environ["SERVER_PORT"] = str(client.server_port)
    if client.prefix is not None:
        environ["SCRIPT_NAME"] = client.prefix + environ["SCRIPT_NAME"]


def enter(environ: WSGIEnvironment, prefix: str) -> None:
    """Have `environ` say that the application is below `prefix`, with which its PATH_INFO begins. PEP 3333."""
    environ["SCRIPT_NAME"] += prefix
    environ["PATH_INFO"] = environ["PATH_INFO"][len(prefix) :]


def _undo_chunks(environ: WSGIEnvironment, size: int | None) -> None:
    # The coding is undone: whoever is told of it undoes it once more.
    del environ["HTTP_TRANSFER_ENCODING"]
    if size is not None:
        environ["CONTENT_LENGTH"] = str(size)


def _name_server_after_host(environ: WSGIEnvironment) -> None:
    # A UNIX socket has no name and no port, but PEP 3333 requires both: the client's own idea of them is the best.
    host: str = environ.get("HTTP_HOST", "")
    name, colon, port = host.rpartition(":")
    if not colon or port.endswith("]"):
        name, port = host, ""
    environ["SERVER_NAME"] = name or "localhost"
    environ["SERVER_PORT"] = port or ("443" if environ["wsgi.url_scheme"] == "https" else "80")


def _mount(environ: WSGIEnvironment, script_name: str) -> None:
    # With the prefix in the path it goes to SCRIPT_NAME; without (a proxy has cut it off), the path is all PATH_INFO.
    path: str = environ["PATH_INFO"]
    if path == script_name or path.startswith(script_name + "/"):
        environ["PATH_INFO"] = path[len(script_name) :]
