"""A request that an application passes on: by an answer with X-Accel-Redirect, to a mount, or X-Sendfile, to a file.

As nginx has it for the one, and Apache and lighttpd for the other, so that an application need not know us. What lives
here: the look for these fields, and what they ask for. What may not: where that is, and who answers then, which is
known a room above (`_targets.passed_on`). Nothing of it is on the way of a service without such mounts or directories.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import quote, unquote_to_bytes

from twisted_wsgiref._http.head import RequestHead
from twisted_wsgiref._http.passed_fields import allows_ranges, kept_of, merge

from .async_body import AsyncBody

if TYPE_CHECKING:
    from twisted_wsgiref._wsgiref.base_handler import OptExcInfo
    from twisted_wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from .wsgi_exchange import WSGIExchange

    Headers = list[tuple[str, str]]

#: Makes an application of another one, for one exchange.
Guard = Callable[["WSGIExchange", "WSGIApplication"], "WSGIApplication"]

_REDIRECT: Final = "x-accel-redirect"
_FILE: Final = "x-sendfile"
_NOT_IN_A_PATH: Final = re.compile(r"[\0-\x1f\x7f]")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")
# As a path and a query may have them: RFC 3986, sections 3.3 and 3.4.
_IN_PATH: Final = "/!$&'()*+,;=:@-._~"
_IN_QUERY: Final = _IN_PATH + "?%"
# They are about the target that the client named, and not about what another method asks for instead.
_OF_GET: Final = frozenset(
    (
        *("HTTP_RANGE", "HTTP_IF_RANGE", "HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE"),
        "HTTP_IF_UNMODIFIED_SINCE",
    )
)
_OF_BODY: Final = frozenset(("CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_TRANSFER_ENCODING", "HTTP_EXPECT", "HTTP_TRAILER"))


class InternalMount:
    """What is mounted for answers of the application alone: a client that asks for it gets 404.

    `mounted`: whatever a mount may be: a resource of `twisted.web`, a WSGI application, or text as ``"static:DIR"``. No
    default. As text, ``"internal:static:DIR"`` says the same.

    An answer with ``X-Accel-Redirect: /prefix/path`` leads there. See docs/mounts.md.
    """

    __module__ = "twisted_wsgiref"

    def __init__(self, mounted: object) -> None:
        self.mounted = mounted

    def __repr__(self) -> str:
        return f"InternalMount({self.mounted!r:.100})"


class PassedHead(RequestHead):
    """The head of a request that was passed on: as the client sent it, but for `target`, and without a body.

    ``order`` is what the last answer has asked for, ``kept`` are its fields, ``steps`` is how often that was done. The
    request line and the method stay: they are for the log.
    """

    __slots__ = ("kept", "order", "steps")

    def __init__(self, head: RequestHead, order: Order) -> None:
        for name in RequestHead.__slots__:
            setattr(self, name, getattr(head, name))
        dropped = _OF_BODY
        if head.method not in ("GET", "HEAD"):
            dropped |= _OF_GET
        elif not allows_ranges(order.kept):
            dropped |= {"HTTP_RANGE"}
        self.fields = {name: value for name, value in head.fields.items() if name not in dropped}
        self.length = 0
        self.expects_continue = self.recurs = False
        self.order = order
        self.kept = order.kept
        self.steps: int = head.steps + 1 if isinstance(head, PassedHead) else 1
        if order.file is None:
            self.target, self.path, self.query = order.target, order.path, order.query


class Order:
    """What an answer asks for: the mount at `path`, with `query`, or the file at ``file``. ``kept`` are its fields.

    Paths are decoded, as PATH_INFO; ``file`` is the bytes of one.
    """

    def __init__(self, kept: Headers, path: str = "", query: str = "", file: bytes | None = None) -> None:
        self.kept = kept_of(kept)
        self.path = path
        self.query = query
        self.file = file

    @property
    def target(self) -> str:
        """The path and the query as a client would have sent them."""
        return quote(self.path.encode("latin-1"), safe=_IN_PATH) + (f"?{self.query}" if self.query else "")

    def __repr__(self) -> str:
        if self.file is None:
            return f"X-Accel-Redirect: {self.target:.200}"
        return f"X-Sendfile: {ascii(self.file.decode('utf-8', 'backslashreplace'))[1:-1]:.200}"


class PassedOn(AsyncBody):
    """What the handler gets instead of the application's body: somebody else answers, as `order` says."""

    def __init__(self, order: Order, environ: WSGIEnvironment) -> None:
        super().__init__(_nothing)
        self.order = order
        user = environ.get("REMOTE_USER")
        #: Whom the application has found it to be; None: it has not said.
        self.user = user if type(user) is str else None


class Receiver(Protocol):
    """What there is to be passed on to."""

    #: Whether there is an internal mount.
    has_mounts: bool
    #: Whether there are directories whose files may be sent.
    has_files: bool


def watch(receiver: Receiver, below: Guard | None) -> Guard:
    """Return what looks for fields of `receiver` in the answers of an application, around what `below` makes of it."""

    def guard(exchange: WSGIExchange, application: WSGIApplication) -> WSGIApplication:
        return _Watched(exchange, application if below is None else below(exchange, application), receiver)

    return guard


class _Watched:
    """An application whose answer may be an order. Called once, in a worker's thread."""

    def __init__(self, exchange: WSGIExchange, application: WSGIApplication, receiver: Receiver) -> None:
        self._exchange = exchange
        self._application = application
        self._receiver = receiver
        head = exchange.head
        self._kept = head.kept if isinstance(head, PassedHead) else ()
        self._order: Order | None = None
        self._begun = False
        self._returned = False
        self._start: StartResponse

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self._start = start_response
        result = self._application(environ, self.start_response)
        if not self._begun and result is not None and not isinstance(result, list | tuple | AsyncBody):
            # A generator calls start_response with its first block (PEP 3333), and nothing may leave before.
            result = _Peeked(result)
        self._returned = True
        if self._order is None:
            return result
        self._close(result)
        return PassedOn(self._order, environ)

    def start_response(
        self, status: str, headers: Headers, exc_info: OptExcInfo | None = None
    ) -> Callable[[bytes], object]:
        """Do as the server's own, and look for the fields. Raises `ValueError` for what they can not say."""
        order = None
        if type(headers) is list:
            names = [each[0].lower() for each in headers if _is_pair(each)]
            if len(names) == len(headers):
                if self._kept:
                    headers = merge(status, headers, self._kept)
                if self._receiver.has_mounts and _REDIRECT in names:
                    order = _read_redirect(_only(_REDIRECT, headers), headers)
                elif self._receiver.has_files and _FILE in names:
                    order = Order(headers, file=_read_file(_only(_FILE, headers)))
        if order is not None:
            if self._returned:
                raise ValueError(f"{order} comes too late: a block of the body was given before")
            headers = [*order.kept]
        write = self._start(status, headers, exc_info) if exc_info else self._start(status, headers)
        self._order = order
        self._begun = True
        return write if order is None else _drop

    def _close(self, result: object) -> None:
        """Close what the application returned, here, in its thread. What that raises is logged, as the handler does."""
        close = getattr(result, "close", None)
        if close is None:
            return
        try:
            close()
        except BaseException as error:
            exchange = self._exchange
            exchange.gateway.errors.log_exception(
                "{request} failed",
                *(error, error.__traceback__),
                request=exchange.head.request_line,
                client=exchange.environ.get("REMOTE_ADDR"),
            )


class _Peeked:
    """`blocks`, of which the first was asked for already. Raises what that raises, and closes them then."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self.close: Callable[[], object] = getattr(blocks, "close", _nothing)
        try:
            rest = iter(blocks)
            try:
                self._blocks: Iterator[bytes] = chain([next(rest)], rest)
            except StopIteration:
                self._blocks = iter(())
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        return self._blocks


def _is_pair(header: object) -> bool:
    return isinstance(header, tuple | list) and len(header) == 2 and all(type(part) is str for part in header)


def _only(name: str, headers: Headers) -> str:
    """Return the value of the field `name`. Raises `ValueError` if it is there twice, or has control characters."""
    values = [value for each, value in headers if each.lower() == name]
    if len(values) > 1:
        raise ValueError(f"the header {name.title()} is there more than once")
    if _NOT_IN_A_PATH.search(values[0]):
        raise ValueError(f"the header {name.title()} is {values[0]!r}: no path has such characters")
    return values[0]


def _read_redirect(value: str, headers: Headers) -> Order:
    """Return where `value` leads. Raises `ValueError` unless it is a path, encoded, and perhaps a query."""
    if not value.startswith("/"):
        raise ValueError(f"the header X-Accel-Redirect is {value!r}: it has to be a path of this server, as /files/a")
    path, _, query = value.partition("?")
    if _BAD_ESCAPE.search(path):
        raise ValueError(
            f"the header X-Accel-Redirect is {value!r}: a % in a name has to be written as %25; use urllib.parse.quote"
        )
    return Order(headers, unquote_to_bytes(_bytes_of(path)).decode("latin-1"), quote(_bytes_of(query), safe=_IN_QUERY))


def _read_file(value: str) -> bytes:
    """Return the path that `value` is, as it is: nothing in it is decoded."""
    return _bytes_of(value)


def _bytes_of(text: str) -> bytes:
    """Return the bytes that `text` stands for: as PEP 3333 has it, latin-1 of UTF-8, or else plain text."""
    try:
        data = text.encode("latin-1")
        data.decode("utf-8")
    except UnicodeError:
        return text.encode("utf-8", "surrogateescape")
    return data


def _drop(data: bytes) -> None:
    """Stand for ``write``: the body is not sent."""


def _nothing(*_: object) -> None:
    """Do nothing."""
