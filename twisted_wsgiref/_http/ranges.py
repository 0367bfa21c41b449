"""Parts of a representation: the bytes that a Range asks for, and their form in the answer. RFC 9110, section 14.

Decided here, since the RFC leaves it open:

* A Range that is malformed, or of another unit than bytes, is ignored: everything is sent.
* So is one with more than `MOST_PARTS` ranges (Apache takes 200), with ranges that overlap, or with more bytes than the
  whole has (as nginx does): section 14.2 calls these the marks of a broken client or of an attack.
* An empty representation has no parts: it is sent as a whole, as Go's server does, and not 416, since some clients send
  ``bytes=0-`` with each request.
* Ranges that begin behind the end are left out; if only one is left, the answer is not in parts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

#: A reader of documents asks for some ten; each costs about 100 bytes beside its content.
MOST_PARTS: Final = 50

_UNIT: Final = re.compile("bytes=", re.IGNORECASE)  # section 14.1
_RANGE: Final = re.compile(r"[ \t]*(?:([0-9]+)-([0-9]*)|-([0-9]+))?[ \t]*(?:,|\Z)")
# Beyond all sizes: a number of more digits says no more, and would cost time to read.
_FAR: Final = 10**19


class Part(NamedTuple):
    """`length` bytes, of which there is at least one, from `start` on."""

    start: int
    length: int


def read_ranges(text: str, size: int) -> tuple[Part, ...] | None:
    """Return the parts, of `size` bytes, that a Range of `text` asks for.

    None: send everything. An empty tuple: none of the ranges exists, the answer is 416.
    """
    unit = _UNIT.match(text)
    if unit is None or size == 0:
        return None
    position = unit.end()
    count = 0
    parts: list[Part] = []
    while position < len(text):
        found = _RANGE.match(text, position)
        if found is None:
            return None
        position = found.end()
        first, last, suffix = found.groups()
        if first is None and suffix is None:
            continue  # section 5.6.1.2: an element of a list may be empty
        count += 1
        if count > MOST_PARTS:
            return None
        if suffix is not None:
            length = min(_number(suffix), size)
            start = size - length
        else:
            start = _number(first)
            end = _number(last) + 1 if last else size
            if end <= start and last:
                return None  # section 14.1.1: invalid
            length = min(end, size) - start
        if length > 0:
            parts.append(Part(start, length))
    if not count or _is_too_much(parts, size):
        return None
    return tuple(parts)


def _number(digits: str) -> int:
    return int(digits) if len(digits) < 20 else _FAR


def _is_too_much(parts: Sequence[Part], size: int) -> bool:
    if sum(part.length for part in parts) > size:
        return True
    ordered = sorted(parts)
    return any(one.start + one.length > other.start for one, other in pairwise(ordered))


def content_range(part: Part | None, size: int) -> str:
    """Return the value of Content-Range for `part` of `size` bytes; None: for a 416. RFC 9110, section 14.4."""
    return f"bytes */{size}" if part is None else f"bytes {part.start}-{part.start + part.length - 1}/{size}"


class Multipart(NamedTuple):
    """The body of an answer in several parts: each of `preambles` goes before its part, `end` behind the last.

    ``media_type`` is the value of the answer's Content-Type, ``length`` that of its Content-Length.
    """

    media_type: str
    preambles: tuple[bytes, ...]
    end: bytes
    length: int


def make_multipart(parts: Sequence[Part], size: int, media_type: str, boundary: str) -> Multipart:
    """Return how `parts`, of `size` bytes of `media_type`, are told. RFC 9110, section 14.6; RFC 2046, section 5.1.1.

    `boundary` is 1 to 70 letters and digits that are nowhere in the content: nobody may be able to guess it.
    """
    preambles = tuple(
        f"\r\n--{boundary}\r\nContent-Type: {media_type}\r\nContent-Range: {content_range(part, size)}\r\n\r\n".encode(
            "latin-1"
        )
        for part in parts
    )
    end = f"\r\n--{boundary}--\r\n".encode("latin-1")
    length = sum(map(len, preambles)) + sum(part.length for part in parts) + len(end)
    return Multipart(f"multipart/byteranges; boundary={boundary}", preambles, end, length)
