"""The fields of an answer that another one takes the place of: those that it keeps, and those that it can not.

An application that passes its request on (`_gateway.passing`) has said who may have the answer, what it is called and
for how long it may be kept; what it said of its own body is void. nginx keeps six fields (Content-Type,
Content-Disposition, Accept-Ranges, Set-Cookie, Cache-Control, Expires) and has ``add_header`` for the rest; here there
is nobody else to add what protects a file from being run as a page, so all is kept that does not describe the body.
docs/decisions/0029-a-request-that-is-passed-on.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

Headers = Sequence[tuple[str, str]]

# Of the body, the status, or the way of an answer that is never sent.
_VOID: Final = frozenset(
    (
        *("content-length", "content-encoding", "content-range", "content-md5", "content-digest", "repr-digest"),
        *("digest", "etag", "last-modified", "date", "server", "location", "retry-after", "www-authenticate", "allow"),
        *("x-sendfile", "x-accel-redirect", "x-accel-limit-rate", "x-accel-buffering", "x-accel-charset"),
        "x-accel-expires",
    )
)
# What a file is: it is not that of an error, which is an answer in plain text.
_OF_CONTENT: Final = frozenset(
    ("content-type", "content-disposition", "content-language", "content-location", "accept-ranges")
)
# Of these an answer may have several: both sides' are sent.
_ADDED: Final = frozenset(("set-cookie", "vary", "link"))


def kept_of(headers: Headers) -> tuple[tuple[str, str], ...]:
    """Return those of `headers` that go with the answer that takes the place of theirs."""
    return tuple((name, value) for name, value in headers if name.lower() not in _VOID)


def media_type_of(kept: Headers) -> str | None:
    """Return the media type that `kept` say; None if they say none."""
    return next((value for name, value in kept if name.lower() == "content-type"), None)


def allows_ranges(kept: Headers) -> bool:
    """Return whether a client may be sent a part. RFC 9110, section 14.3."""
    return all(value.strip().lower() != "none" for name, value in kept if name.lower() == "accept-ranges")


def merge(status: str, headers: Headers, kept: Headers) -> list[tuple[str, str]]:
    """Return `headers`, those of an answer with `status`, and `kept`, which win.

    Content-Type and its like win only if the answer is the content that was meant (2xx). The type of a body of several
    parts stays: it has the line between them.
    """
    code = status[:3]
    taken = kept if code.startswith("2") else [each for each in kept if each[0].lower() not in _OF_CONTENT]
    if code == "206" and any(
        name.lower() == "content-type" and value.startswith("multipart/byteranges") for name, value in headers
    ):
        taken = [each for each in taken if each[0].lower() != "content-type"]
    names = {name.lower() for name, _ in taken}
    if "expires" in names:
        names.add("cache-control")  # which would win with clients (RFC 9111, section 5.3)
    return [each for each in headers if each[0].lower() not in names - _ADDED] + [*taken]
