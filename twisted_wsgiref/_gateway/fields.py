"""Status and headers of an application's answer, checked in the application's own thread, where the mistake was made.

Every check is an exception, none an ``assert``: what passes here can be put on the wire as it is. A name is judged
once and remembered; values are joined and judged together, so that thirteen cost little more than one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, cast

from twisted_wsgiref._http.response import Fields
from twisted_wsgiref.util import is_hop_by_hop

# RFC 9112, section 4: three digits, a space, and a phrase, which may be empty. PEP 3333 wants no control characters.
_STATUS: Final = re.compile(r"[1-9][0-9]{2} [\t -~\x80-\xff]*")
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FORBIDDEN: Final = re.compile(r"[^\t -~\x80-\xff]")


class _FieldNames(dict[str, str]):
    """Names that applications use, mapped to their lower case once they are found to be valid."""

    # Some applications make names up: past this many, they are judged each time.
    _most = 4096

    def __missing__(self, name: str) -> str:
        if type(name) is not str:
            raise TypeError(f"a header name is {name!r}: it has to be a str")
        if _TOKEN.fullmatch(name) is None:
            raise ValueError(f"a header name is {name!r}: it has to be a token (RFC 9110, section 5.6.2)")
        if is_hop_by_hop(name):
            raise ValueError(
                f"the header {name} is between the server and its client (PEP 3333): leave it to the server"
            )
        if len(self) < self._most:
            self[name] = name.lower()
        return name.lower()


_NAMES: Final = _FieldNames()
#: Statuses that were judged, and are right.
known_statuses: Final[set[str]] = set()
# Most answers of an application carry fields that others carried before: then nothing is judged or formatted again. An
# `lru_cache` would keep their order for half as much again.
_known_fields: Final[dict[tuple[tuple[str, str], ...], Fields]] = {}
_MOST_FIELDS: Final = 256


def check_status(status: str) -> None:
    """Refuse `status` unless it is three digits, a space and a phrase. Raises `TypeError` or `ValueError`."""
    if type(status) is not str:
        raise TypeError(f"the status is {status!r}: it has to be a str")
    if _STATUS.fullmatch(status) is None:
        raise ValueError(f"the status is {status!r}: it has to be like '200 OK'")
    if status[0] == "1":
        raise ValueError(f"the status is {status!r}: an interim answer can not be the answer")
    if len(known_statuses) < 1024:  # phrases are free text
        known_statuses.add(status)


def format_fields(headers: list[tuple[str, str]]) -> Fields:
    """Return `headers` as they are sent. Raises `TypeError` or `ValueError`, naming the culprit.

    That is: what is not a list of pairs of `str`, a name that is no token, a hop-by-hop field, a control character, a
    character over 0xFF, a Content-Length that is not one number. A pair may be a list of two, which the other servers
    take. Source: PEP 3333; RFC 9110, section 5. Called in a worker's thread.
    """
    if type(headers) is not list:
        raise TypeError(f"the headers are of type {type(headers).__name__}: they have to be a list (PEP 3333)")
    try:
        given = tuple(headers)
        fields = _known_fields.get(given)
        if fields is None:
            fields = _format(given)
            if len(_known_fields) >= _MOST_FIELDS:
                _known_fields.clear()
            _known_fields[given] = fields
        return fields
    except (TypeError, ValueError) as error:
        pairs = [tuple(header) if _is_pair_of_others(header) else header for header in headers]
        if any(map(_is_pair_of_others, headers)):
            return format_fields(cast("list[tuple[str, str]]", pairs))
        raise _name_culprit(headers) or error from None


def _is_pair_of_others(header: object) -> bool:
    """Return whether `header` is no tuple as PEP 3333 has it, but a list or a named tuple, which other servers take."""
    return isinstance(header, list | tuple) and type(header) is not tuple


def _format(headers: tuple[tuple[str, str], ...]) -> Fields:
    if any(type(header) is not tuple for header in headers):
        raise TypeError("a header is no tuple")  # such as "ab", which would fall into a name and a value
    names = {_NAMES[name]: value for name, value in headers}
    values = "".join([value for _, value in headers])
    if not values.isascii() or not values.isprintable():
        _check_values(headers)
    length = None
    if "content-length" in names:
        if sum(_NAMES[name] == "content-length" for name, _ in headers) > 1:
            raise ValueError("the header Content-Length is there more than once")
        length = _parse_length(names["content-length"])
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    return Fields(lines, length, "date" in names, "server" in names)


def _name_culprit(headers: Iterable[object]) -> Exception | None:
    """Return what is wrong with the shape of the first header that is not a pair of `str`; None if it is not that."""
    for header in headers:
        if not isinstance(header, tuple) or type(header) is not tuple or len(header) != 2:
            return TypeError(f"a header is {header!r}: it has to be a tuple of name and value (PEP 3333)")
        name, value = header
        if type(name) is not str or type(value) is not str:
            return TypeError(f"the header {header!r} has to be a name and a value of type str")
    return None


def _check_values(headers: Iterable[tuple[str, str]]) -> None:
    for name, value in headers:
        found = _FORBIDDEN.search(value)
        if found is not None:
            raise ValueError(f"the header {name} holds the character {found[0]!r}, which no header may")


_LENGTH: Final = re.compile(r"[0-9]{1,19}")


def _parse_length(value: str) -> int:
    # RFC 9110, section 8.6.
    if _LENGTH.fullmatch(value) is None:
        raise ValueError(f"the header Content-Length is {value!r}: it has to be a number of bytes")
    return int(value)
