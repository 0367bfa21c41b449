"""Requests that an application has passed on: to an internal mount, or to a file of a directory that it may send from.

What lives here: who answers such a request, from its worker's end on, and what follows if nobody does. What may not:
the words of an application that ask for it (`_gateway.passing`). Called in the reactor's thread, but for what says
otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from twisted_wsgiref._gateway.client_gone import ClientGone
from twisted_wsgiref._gateway.fields import format_fields
from twisted_wsgiref._gateway.passing import Guard, InternalMount, PassedHead, PassedOn, watch
from twisted_wsgiref._http.errors import ProtocolError
from twisted_wsgiref._http.passed_fields import media_type_of, merge

from .immediate import send
from .reactor_exchange import ReactorAnswer, ReactorExchange, ReactorTarget
from .static_files import FileAnswer, StaticFiles

if TYPE_CHECKING:
    from twisted_wsgiref._gateway.async_body import AsyncBody
    from twisted_wsgiref._gateway.exchange import Common
    from twisted_wsgiref._gateway.file_span import FileSpan
    from twisted_wsgiref._gateway.interfaces import PassingConnection, Target
    from twisted_wsgiref._gateway.wsgi_exchange import WSGIExchange
    from twisted_wsgiref._http.response import Fields

    from .mounted import MountedTargets
    from .workers import Workers

# As nginx: an application behind an internal mount may pass on in turn, and two of them for ever to each other.
_MOST_STEPS: Final = 10
_TEXTS: Final = {404: b"There is nothing here.\n", 500: b"The application failed.\n"}


class InternalTarget(ReactorTarget):
    """What a client finds at an internal mount: nothing. ``inner`` answers what the application passes on."""

    def __init__(self, common: Common, inner: Target) -> None:
        super().__init__(common, lambda exchange, way_out: _refuse(way_out, 404, exchange.head.method))
        self.inner = inner


class PassedAnswer(ReactorAnswer):
    """The way out of a request that was passed on: its head has the fields that the application has kept."""

    __slots__ = ()

    def begin(self, status: str, fields: Fields) -> None:
        """Set the head, as for any other request."""
        super().begin(status, self._merged(status, fields))

    def whole(self, status: str, fields: Fields, body: bytes) -> None:
        """Send an answer that is all there. Raises as for any other request."""
        super().whole(status, self._merged(status, fields), body)

    def file(self, status: str, fields: Fields, span: FileSpan) -> None:
        """Send a part of a file, and close `span`. Raises as for any other request."""
        super().file(status, self._merged(status, fields), span)

    def _merged(self, status: str, fields: Fields) -> Fields:
        head = self._exchange.head
        if not isinstance(head, PassedHead) or not head.kept:
            return fields
        pairs = [line.partition(": ") for line in fields.lines.split("\r\n")[:-1]]
        return format_fields(merge(status, [(name, value) for name, _, value in pairs], head.kept))


class SendableFiles:
    """The files that an application may name by X-Sendfile: those below `roots`. Called by a `ReactorTarget`.

    `make` returns the files of a directory. `note` is told what could not be sent.
    """

    def __init__(self, roots: Sequence[str], make: Callable[[str], StaticFiles], note: Callable[[str], object]) -> None:
        #: As it was given, and as it is when links are followed: an application may say either.
        self._roots: list[tuple[bytes, StaticFiles]] = []
        self._note = note
        for root in roots:
            files = make(root)
            for name in dict.fromkeys((os.path.abspath(root), os.path.realpath(root))):
                self._roots.append((os.fsencode(name).rstrip(b"/") + b"/", files))

    def __call__(self, exchange: ReactorExchange, way_out: ReactorAnswer) -> None:
        """Answer with the file that the head names, or with 404 and a line in the log."""
        head = cast("PassedHead", exchange.head)
        answer, why = self._find(head)
        if why:
            self._note(f"{head.order!r} was answered 404: {why}")
        if answer is None:
            _refuse(way_out, 404, head.method)
        else:
            send(way_out, answer)

    def _find(self, head: PassedHead) -> tuple[FileAnswer | None, str]:
        """Return the answer, None for 404, and what the log has to say."""
        path = head.order.file or b""
        if not path.startswith(b"/"):
            return None, "it has to be a path from / on"
        # Its own dots are resolved first: what is below a directory then is below it.
        path = b"/" + os.path.normpath(path).lstrip(b"/")
        found = [(root, files) for root, files in self._roots if path.startswith(root)]
        if not found:
            return None, "no --sendfile-root has it"
        root, files = max(found, key=lambda pair: len(pair[0]))
        rest = "/" + path[len(root) :].decode("latin-1")
        method = "HEAD" if head.method == "HEAD" else "GET"
        answer = files.answer(method, rest, "", "", head.fields, media_type_of(head.kept))
        if answer.status[:3] in ("301", "404"):
            return None, "there is no such file, or its name begins with a dot"
        if answer.trouble is not None:
            return answer, f"it can not be read: {answer.trouble.strerror}"
        return answer, ""


class Places(NamedTuple):
    """Where requests may be passed on to: mounts, and the target that sends files; None for neither."""

    mounts: MountedTargets | None
    files: Target | None


class Passage:
    """Passes the requests of a service on; `workers` run its applications. `note` writes a line into the log.

    `roots` are the directories of X-Sendfile, `below` is what else is made of each application.
    """

    def __init__(
        self, workers: Workers, roots: Sequence[str], note: Callable[[str], object], below: Guard | None
    ) -> None:
        self._workers = workers
        self._others = workers.go_on
        self._wake = workers.streams.wake
        self.note = note
        self._below = below
        self._places = Places(None, None)
        self.has_mounts = False
        self.has_files = bool(roots)

    def guard(self, mounts: Mapping[str, object]) -> Guard | None:
        """Return what is made of each application beside `mounts`: nothing, if there is nothing to be passed on to."""
        self.has_mounts = any(map(_is_internal, mounts.values()))
        if not self.has_mounts and not self.has_files:
            return self._below
        self._workers.go_on = self.go_on
        return watch(self, self._below)

    def open(self, places: Places) -> None:
        """Pass on to `places` from now on."""
        self._places = places

    def go_on(self, exchange: WSGIExchange, body: AsyncBody, close: Callable[[], object]) -> None:
        """Have the reactor answer `exchange` as `body` says; as an `Overseer`. Called in a worker's thread."""
        if not isinstance(body, PassedOn):
            self._others(exchange, body, close)
            return
        exchange.stream = passing = _Passing(self, exchange, body)
        exchange.detach(self._wake, passing.start)

    def find(self, head: PassedHead) -> Target | int:
        """Return who answers the request of `head`; if nobody does, the status that says so, with a line in the log."""
        if head.steps > _MOST_STEPS:
            self.note(f"{head.order!r} was answered 500: the request was passed on more than {_MOST_STEPS} times")
            return 500
        mounts, files = self._places
        if head.order.file is not None:
            return 404 if files is None else files
        why = "no internal: mount is there"
        try:
            target = None if mounts is None else mounts.find(head)
        except ProtocolError as error:
            target, why = None, error.reason
        if isinstance(target, InternalTarget):
            return target.inner
        self.note(f"{head.order!r} was answered 404: {why}")
        return 404


class _Passing:
    """A request on its way from the worker that has passed it on: a `Stream` of its exchange until it is there."""

    is_free = True

    def __init__(self, passage: Passage, exchange: WSGIExchange, passed: PassedOn) -> None:
        self._passage = passage
        self._exchange = exchange
        self._passed = passed
        self._way_out = ReactorAnswer(exchange)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self._way_out.is_over

    def lose(self) -> None:
        """Do nothing: the worker is still at it, and `start` comes."""

    def start(self) -> None:
        """Have it answered, now that the worker is through."""
        exchange = self._exchange
        if exchange.is_given_up():
            self._way_out.lose()
            return
        head = PassedHead(exchange.head, self._passed.order)
        target = self._passage.find(head)
        if isinstance(target, int):
            _refuse(self._way_out, target, head.method)
        else:
            connection = cast("PassingConnection", exchange.connection)  # only such have internal mounts
            connection.pass_on(exchange, target, head, self._passed.user)


def _is_internal(mounted: object) -> bool:
    return isinstance(mounted, InternalMount) or (isinstance(mounted, str) and mounted.startswith("internal:"))


def _refuse(way_out: ReactorAnswer, status: int, method: str) -> None:
    body = _TEXTS[status]
    fields = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    fields.append(("Cache-Control", "no-store"))  # with another answer of the application it is there
    try:
        way_out.whole(f"{status} {HTTPStatus(status).phrase}", format_fields(fields), b"" if method == "HEAD" else body)
    except ClientGone:
        pass
