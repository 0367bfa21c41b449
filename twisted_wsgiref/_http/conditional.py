"""Conditional requests: whether a client already has the representation that it asks for. RFC 9110, section 13.

Decided here, since the RFC leaves it open:

* A malformed list of entity tags matches nothing: then If-Match fails, and If-None-Match does not.
* A date that can not be read, or comes twice, counts as absent (the RFC demands it).
* A date is a strong validator, as If-Range wants it, if it is exactly the one that is sent now: `Validators` are made
  without a date as long as the content may change once more within its second.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from .dates import read_date

# RFC 9110, section 8.8.3. An element may be empty, section 5.6.1.2.
_TAG: Final = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_ONE_TAG: Final = re.compile(_TAG)
_ELEMENT: Final = re.compile(rf"[ \t]*(?:({_TAG})[ \t]*)?(?:,|\Z)")

_CONDITIONS: Final = frozenset(
    {"HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_IF_UNMODIFIED_SINCE"}
)


class Validators(NamedTuple):
    """The marks that tell two versions of a representation apart, each None if there is none.

    ``tag`` is an entity tag as it is sent, ``"x"`` or ``W/"x"``; ``modified`` the date of Last-Modified, in seconds
    since the epoch.
    """

    tag: str | None = None
    modified: int | None = None


def is_entity_tag(text: str) -> bool:
    """Return whether `text` is one entity tag, strong or weak. RFC 9110, section 8.8.3."""
    return _ONE_TAG.fullmatch(text) is not None


def read_tags(text: str) -> tuple[str, ...] | None:
    """Return the entity tags of the list `text`, or None if that is malformed."""
    tags = []
    position = 0
    while position < len(text):
        found = _ELEMENT.match(text, position)
        if found is None:
            return None
        if found[1]:
            tags.append(found[1])
        position = found.end()
    return tuple(tags) or None


def match_strongly(one: str, other: str) -> bool:
    """Return whether two entity tags say that the bytes are the same. RFC 9110, section 8.8.3.2."""
    return one == other and one[0] == '"'


def match_weakly(one: str, other: str) -> bool:
    """Return whether two entity tags say that one can stand for the other. RFC 9110, section 8.8.3.2."""
    return one.removeprefix("W/") == other.removeprefix("W/")


def judge(method: str, fields: Mapping[str, str], validators: Validators, now: float) -> int:
    """Return 304 or 412 if the conditions of a request decide so, otherwise 0.

    It checks them in the order of RFC 9110, section 13.2.2.

    `fields` have CGI names, and belong to a request of `method` that would be answered with 2xx. `now` is in seconds
    since the epoch.
    """
    if fields.keys().isdisjoint(_CONDITIONS):
        return 0
    tag, modified = validators
    reads = method in ("GET", "HEAD")
    if "HTTP_IF_MATCH" in fields:
        if not _is_among(fields["HTTP_IF_MATCH"], tag, strongly=True):
            return 412
    elif modified is not None and "HTTP_IF_UNMODIFIED_SINCE" in fields:
        date = read_date(fields["HTTP_IF_UNMODIFIED_SINCE"], now)
        if date is not None and modified > date:
            return 412
    if "HTTP_IF_NONE_MATCH" in fields:
        if _is_among(fields["HTTP_IF_NONE_MATCH"], tag, strongly=False):
            return 304 if reads else 412
    elif reads and modified is not None and "HTTP_IF_MODIFIED_SINCE" in fields:
        date = read_date(fields["HTTP_IF_MODIFIED_SINCE"], now)
        if date is not None and modified <= date:
            return 304
    return 0


def _is_among(text: str, tag: str | None, *, strongly: bool) -> bool:
    """Return whether `tag` is in the list `text`, which may also be ``*``."""
    if text.strip(" \t") == "*":
        return True
    if tag is None:
        return False
    match = match_strongly if strongly else match_weakly
    return any(match(each, tag) for each in read_tags(text) or ())


def wants_range(method: str, fields: Mapping[str, str], validators: Validators, now: float) -> str | None:
    """Return the value of Range if it holds for this request, or None if everything is to be sent.

    It holds for GET alone (RFC 9110, section 14.2). If there is an If-Range, it has to name the version that is sent
    now (section 13.1.5).
    """
    if method != "GET" or "HTTP_RANGE" not in fields:
        return None
    condition = fields.get("HTTP_IF_RANGE")
    if condition is not None:
        if is_entity_tag(condition):
            same = validators.tag is not None and match_strongly(condition, validators.tag)
        else:
            same = validators.modified is not None and read_date(condition, now) == validators.modified
        if not same:
            return None
    return fields["HTTP_RANGE"]
