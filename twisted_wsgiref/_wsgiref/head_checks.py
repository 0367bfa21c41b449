"""The rules for the head of an answer: pure decisions on a status and on header fields.

Nothing here sends, stores or changes anything. Checks never rest on ``assert``: they hold under
``python -O`` too. Callable from any thread.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from twisted_wsgiref.util import is_hop_by_hop

# RFC 9110 section 5.5: a field value is HTAB, SP, visible ASCII and obs-text. PEP 3333 has strings of
# latin-1 characters only. Everything else would end the line early or could not be encoded at all.
_NOT_IN_LINE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")
# RFC 9110 section 5.1: a token. A space before the colon smuggles; a name beyond ASCII ends the head for some clients.
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# The reason may be empty, but the space before it has to be there: RFC 9112 section 4.
_STATUS_START = re.compile(r"[0-9]{3} ")


def check_status(status: str) -> None:
    """*status* is a status string as PEP 3333 has it: three digits, a space, a reason.

    Raises AssertionError for a wrong type or shape, ValueError for a character that may not stand in a
    status line (RFC 9112 section 4).
    """
    if type(status) is not str:
        raise AssertionError(f"the status has to be a str such as '200 OK', not {status!r}")
    if not _STATUS_START.match(status):
        raise AssertionError(f"the status has to be three digits, a space and a reason ('200 OK'), not {status!r}")
    if _NOT_IN_LINE.search(status):
        raise ValueError(f"status {status!r} has a control or non-latin-1 character: remove it")


def check_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Each of *fields*, pairs of name and value, can be sent as one line by a WSGI application.

    Raises AssertionError for a wrong type or a hop-by-hop field (PEP 3333, "Other HTTP Features"),
    ValueError for a character that may not stand in a field line (RFC 9112 section 5).
    """
    pairs = list(fields)
    check_lines(pairs)
    for name, _ in pairs:
        if is_hop_by_hop(name):
            raise AssertionError(f"{name!r} is about the connection, which is the server's: leave that header out")


def check_lines(fields: Iterable[tuple[str, str]]) -> None:
    """Each of *fields*, pairs of name and value, can be sent as one line, by a server too.

    Raises AssertionError for a wrong type, ValueError for a character that may not stand in a field line.
    """
    for name, value in fields:
        if type(name) is not str or type(value) is not str:
            raise AssertionError(f"name and value of a header have to be str, not {name!r} and {value!r}")
        if not _NAME.fullmatch(name):
            raise ValueError(f"header {name!r} has a name that is no token: ASCII letters, digits and hyphens are safe")
        if _NOT_IN_LINE.search(value):
            raise ValueError(f"header {name!r}: {value!r} has a control or non-latin-1 character: remove it")
