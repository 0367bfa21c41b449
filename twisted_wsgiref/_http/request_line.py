"""One request line, without its line end: checked, and split into method, target and version.

Clients ask for popular pages again and again: such a line is judged once, and then remembered for a while. A line with
a query never is: a query may hold a secret, and seldom comes twice.
"""

from __future__ import annotations

import re
from typing import Final, NoReturn

from .errors import ProtocolError
from .field_line import TOKEN
from .remembered import Remembered
from .target import split_target

# RFC 9110, section 2.5: a client that speaks a later HTTP/1 is served by the latest version that is known here, 1.1.
# RFC 9112, section 3: single spaces, no white space at either end. Bytes over 0x7F have no place in a target.
_REQUEST_LINE: Final = re.compile(rf"({TOKEN}) ([\x21-\x7e]+) HTTP/1\.([0-9])")
# A byte: with bytes on the left, `in` costs twenty times as much.
_QUESTION_MARK: Final = 0x3F
_ANY_VERSION: Final = re.compile(rf"{TOKEN} [\x21-\x7e]+ HTTP/[0-9]\.[0-9]")


class RequestLine:
    """A request line, checked.

    ``text`` is the line as it was sent, printable ASCII by grammar. ``method``, ``target`` and ``query`` are as sent.
    ``path`` is decoded by PEP 3333's latin-1 rule. ``minor`` is the minor version that is served (0 or 1).
    ``authority`` is the host of an absolute target, which counts instead of Host; None for other targets.
    """

    __slots__ = ("authority", "method", "minor", "path", "query", "target", "text")

    def __init__(self, text: str, method: str, target: str, minor: int) -> None:
        self.text = text
        self.method = method
        self.target = target
        self.minor = minor
        self.authority, self.path, self.query = split_target(method, target)


def _read(line: bytes) -> RequestLine:
    text = line.decode("latin-1")
    found = _REQUEST_LINE.fullmatch(text)
    if found is None:
        refuse_request_line(line)
    method, target, minor = found.groups()
    return RequestLine(text, method, target, 0 if minor == "0" else 1)


def refuse_request_line(line: bytes) -> NoReturn:
    """Raise the `ProtocolError` that says why this server does not serve `line`. RFC 9112, section 3; RFC 9110, 2.5."""
    if _ANY_VERSION.fullmatch(line.decode("latin-1")):
        raise ProtocolError(505, "neither HTTP/1.0 nor HTTP/1.1")
    raise ProtocolError(400, "the request line is malformed")


def is_request_line(line: bytes) -> bool:
    """Return whether `line` starts a request that this server could serve."""
    return _REQUEST_LINE.fullmatch(line.decode("latin-1")) is not None


def make_lines() -> Remembered[bytes, RequestLine]:
    """Return a mapping of request lines to `RequestLine`. A lookup raises `ProtocolError` (400, 501 or 505)."""
    # A few hundred KiB; a longer line is seldom one that many clients send.
    return Remembered(_read, lambda line, _: _QUESTION_MARK not in line, most=1024, longest=200)


#: Return the `RequestLine` of a line. Raises `ProtocolError`. Called in the reactor's thread alone.
read_request_line: Final = make_lines().__getitem__
