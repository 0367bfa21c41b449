"""A connection without a connection: octets in, messages out, the way that the protocol drives the HTTP room.

Nothing is asserted here, and nothing of a server is in it; what a message means is the tests' business.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from twisted_wsgiref._http.body import ChunkedBody, LengthBody, body_of
from twisted_wsgiref._http.errors import ProtocolError
from twisted_wsgiref._http.head import RequestHead
from twisted_wsgiref._http.limits import Limits
from twisted_wsgiref._http.reader import HeadReader


class Message(NamedTuple):
    """One whole request."""

    method: str
    target: str
    minor: int
    path: str
    query: str
    fields: dict[str, str]
    persistent: bool
    expects_continue: bool
    body: bytes


class Outcome(NamedTuple):
    """What became of some octets: whole messages, then a refusal, or octets that wait for more."""

    messages: tuple[Message, ...]
    status: int | None
    waiting: bool
    reason: str = ""


class Connection:
    """One connection's way in. After a refusal, or a message that ends the connection, octets are dropped."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.messages: list[Message] = []
        self.error: ProtocolError | None = None
        self.closed = False
        self.reader = HeadReader(limits)
        self._head: RequestHead | None = None
        self._framing: LengthBody | ChunkedBody | None = None
        self._content: list[bytes] = []

    @property
    def waiting(self) -> bool:
        return self._head is not None or len(self.reader.buffer) > 0

    def feed(self, octets: bytes) -> None:
        if self.closed:
            return
        self.reader.feed(octets)
        try:
            while not self.closed and self._take_one():
                pass
        except ProtocolError as error:
            self.error = error
            self.closed = True

    def _take_one(self) -> bool:
        """Return whether a whole message was taken, so that there may be one more."""
        if self._framing is None:
            head = self.reader.take_head()
            if head is None:
                return False
            self._head = head
            self._framing = body_of(head.length, self.limits)
        if not self._framing.complete:
            if not self.reader.buffer:
                return False
            self._content.append(self.reader.take_content(self._framing))
            if not self._framing.complete:
                return False
        self._end()
        return True

    def _end(self) -> None:
        head = self._head
        if head is None:
            raise RuntimeError("a body without a head")
        self.messages.append(
            Message(
                head.method,
                head.target,
                head.minor,
                head.path,
                head.query,
                dict(head.fields),
                head.persistent,
                head.expects_continue,
                b"".join(self._content),
            )
        )
        self.closed = not head.persistent
        self._head = self._framing = None
        self._content = []

    def outcome(self) -> Outcome:
        error = self.error
        return Outcome(
            tuple(self.messages),
            error.status if error is not None else None,
            self.waiting and not self.closed,
            error.reason if error is not None else "",
        )


def drive(pieces: Iterable[bytes], limits: Limits | None = None) -> Outcome:
    """Return what a fresh connection makes of `pieces`."""
    connection = Connection(limits or Limits())
    for piece in pieces:
        connection.feed(piece)
    return connection.outcome()


def whole(octets: bytes) -> list[bytes]:
    return [octets]


def bytewise(octets: bytes) -> Iterator[bytes]:
    return (octets[index : index + 1] for index in range(len(octets)))


def cut_at(octets: bytes, places: Iterable[int]) -> list[bytes]:
    """Return `octets` in pieces that end at `places`, which need no order and may be beyond the end."""
    ends = sorted({place for place in places if 0 < place < len(octets)})
    return [octets[start:end] for start, end in zip([0, *ends], [*ends, len(octets)], strict=True)]


def cut_at_random(octets: bytes, seed: int, most: int = 6) -> list[bytes]:
    chance = random.Random(seed)
    return cut_at(octets, [chance.randrange(len(octets) + 1) for _ in range(chance.randint(1, most))])


#: Every way of feeding that a test should try.
SPLITS = {"whole": whole, "bytewise": bytewise, "thirds": lambda octets: cut_at(octets, range(3, len(octets), 3))}
