"""Who has an answer at once: files and redirections. Called in the reactor's thread, by a `ReactorTarget` each.

What lives here: how a decision becomes an answer. What may not: the decision, which is `static_files`' or
`redirection`'s. A body is never read: a client that sends one is answered, and its connection closes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from http import HTTPStatus
from typing import Final

from twisted_wsgiref._gateway.client_gone import ClientGone
from twisted_wsgiref._gateway.fields import format_fields
from twisted_wsgiref._gateway.file_span import FileSpan
from twisted_wsgiref._http.passed_fields import media_type_of
from twisted_wsgiref._http.ranges import Part

from .reactor_exchange import ReactorAnswer, ReactorExchange
from .redirection import location
from .specs import RedirectSpec
from .static_files import FileAnswer, StaticFiles

# What is read at a time of a file whose parts are sent, in bytes: as much as one send takes.
_PIECE: Final = 64 * 1024


class FileAnswers:
    """Answers with `files` below `prefix`; `note` is told which could not be read.

    `hold` is called before each answer that can wait for others of this turn, to leave with them.
    """

    def __init__(
        self, files: StaticFiles, prefix: str, note: Callable[[str, OSError], None], hold: Callable[[], None]
    ) -> None:
        self._hold = hold
        self._files = files
        self._prefix = prefix
        self._note = note

    def __call__(self, exchange: ReactorExchange, way_out: ReactorAnswer) -> None:
        """Answer with a file, or with the status that says why not."""
        head, environ = exchange.head, exchange.environ
        # Not the head's: what was passed on is asked for by GET, whatever the client's method was.
        method, kind = environ["REQUEST_METHOD"], media_type_of(getattr(head, "kept", ()))
        answer = self._files.answer(method, environ["PATH_INFO"], self._prefix, head.query, head.fields, kind)
        if answer.trouble is not None:
            self._note("a static file can not be read", answer.trouble)
        if answer.descriptor is None:
            self._hold()
        send(way_out, answer)


class Redirections:
    """Sends whoever asks below `prefix` to the URL of `spec`."""

    def __init__(self, spec: RedirectSpec, prefix: str) -> None:
        self._url = spec.url
        self._status = f"{spec.status} {HTTPStatus(spec.status).phrase}"
        self._prefix = prefix

    def __call__(self, exchange: ReactorExchange, way_out: ReactorAnswer) -> None:
        """Answer with the URL."""
        head = exchange.head
        rest = exchange.environ["PATH_INFO"][len(self._prefix) :]
        body = b"The page is at another address.\n"
        fields = (
            ("Location", location(self._url, rest, head.query)),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
        )
        send(way_out, FileAnswer(self._status, fields, b"" if head.method == "HEAD" else body))


def send(way_out: ReactorAnswer, answer: FileAnswer) -> None:
    """Send `answer`: at once, or as the client takes the parts of a large file."""
    pieces = answer.pieces
    try:
        fields = format_fields(list(answer.headers))
        if answer.descriptor is None:
            way_out.whole(answer.status, fields, answer.body)
        elif len(pieces) == 1 and isinstance(pieces[0], Part):
            way_out.file(answer.status, fields, FileSpan(answer.descriptor, *pieces[0]))
        else:
            blocks = _blocks(os.dup(answer.descriptor), pieces)
            way_out.begin(answer.status, fields)
            _go_on(way_out, blocks)
    except ClientGone:
        pass
    except OSError:  # no descriptor is left, or the disk fails
        if not way_out.is_over:
            way_out.cut()
    finally:
        if answer.descriptor is not None:
            os.close(answer.descriptor)


def _blocks(descriptor: int, pieces: tuple[bytes | Part, ...]) -> Generator[bytes, None, None]:
    """Yield `pieces`, each part of the file in blocks; close `descriptor`. Raises `OSError`."""
    try:
        for piece in pieces:
            if isinstance(piece, bytes):
                yield piece
                continue
            position, end = piece.start, piece.start + piece.length
            while position < end:
                block = os.pread(descriptor, min(_PIECE, end - position), position)
                if not block:
                    raise OSError("the file is shorter than it was")
                position += len(block)
                yield block
    finally:
        os.close(descriptor)


def _go_on(way_out: ReactorAnswer, blocks: Generator[bytes, None, None]) -> None:
    """Send what there is room for, and come back when there is room again."""
    try:
        for block in blocks:
            if not way_out.block(block):
                way_out.when_room(lambda: _go_on(way_out, blocks))
                return
        way_out.end()
    except ClientGone:
        blocks.close()
    except OSError:
        way_out.cut()
