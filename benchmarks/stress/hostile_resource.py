"""The application of `hostile_app` as a resource of Twisted's, for ``hostile --mount``: what rows of clients ask of it.

What it tells, it tells as the application does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from benchmarks.conformance.application import note
from benchmarks.stress.hostile_app import BLOCK, NUMBERED_OCTETS, SLEEP_SECONDS

_reactor: Any = reactor


class Root(Resource):
    """Does what the path asks."""

    isLeaf = True

    def render(self, request: Any) -> Any:
        """Answer now, or later."""
        path = b"/" + b"/".join(request.postpath)
        return PATHS.get(path, _hello)(request)  # type: ignore[no-untyped-call]


def _hello(request: Any) -> bytes:
    return b"hello"


def _sleep(request: Any) -> int:
    def wake() -> None:
        request.write(b"slept")
        request.finish()

    call = _reactor.callLater(SLEEP_SECONDS, wake)

    def gone(_: Any) -> None:
        if call.active():
            call.cancel()

    request.notifyFinish().addErrback(gone)
    return NOT_DONE_YET


def _numbered(request: Any) -> bytes:
    query: bytes = request.uri.partition(b"?")[2]
    note("numbered", number=int(query), most=1)
    return query.rjust(NUMBERED_OCTETS)


class _Endless:
    """A pull producer of 1 GiB, block by block; notes its end."""

    def __init__(self, request: Any) -> None:
        self._request = request
        self._left = 2**30 // BLOCK
        request.notifyFinish().addBoth(lambda _: note("closed"))

    def resumeProducing(self) -> None:
        """Write one more block, or the end."""
        if self._left:
            self._left -= 1
            self._request.write(b"%065536d" % self._left)
        else:
            self._request.unregisterProducer()
            self._request.finish()

    def stopProducing(self) -> None:
        """Write no more."""


def _endless(request: Any) -> int:
    request.registerProducer(_Endless(request), False)
    return NOT_DONE_YET


def _upload(request: Any) -> bytes:
    digest, length = hashlib.sha256(), 0
    while block := request.content.read(BLOCK):
        digest.update(block)
        length += len(block)
    return f"{length} {digest.hexdigest()}".encode()


PATHS: dict[bytes, Callable[[Any], Any]] = {
    b"/sleep": _sleep,
    b"/numbered": _numbered,
    b"/endless": _endless,
    b"/upload": _upload,
}
