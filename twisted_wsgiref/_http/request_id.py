"""The identity of a request: an id that a trusted proxy has given, or one made here; and its place in a trace.

The rules, and their reasons:

* Only a trusted proxy is believed. A client that chooses an id could give two requests the same one, or one that a tool
  takes for another request's. Its ``traceparent`` and ``tracestate`` are replaced or removed in the same way.
* A proxy's word that is malformed is replaced, and no reason to refuse the request: an id changes nothing in it. (A
  malformed X-Forwarded-For is one, since rights hang on the client's address.)
* An id is 1 to 128 characters that need no quotes in a log, a URL or a header field. UUIDs, and those of nginx, Envoy,
  Heroku and AWS (``Root=1-...``) are.
* An id that is made is the trace id of the ``traceparent``, 32 hexadecimal digits: one word finds a request in both
  worlds. It is random, but no secret.
* A ``traceparent`` that is made says that nobody has sampled the request yet (flags 00): a tracer decides for itself.

W3C Trace Context, sections 3.2 and 3.3. Pure: random bits are handed in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, MutableMapping
from functools import lru_cache
from typing import Final

FIELD: Final = "X-Request-ID"
#: Names in an environ.
ID: Final = "HTTP_X_REQUEST_ID"
PARENT: Final = "HTTP_TRACEPARENT"
STATE: Final = "HTTP_TRACESTATE"
KEY: Final = "twisted_wsgiref.request_id"

_ID: Final = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,128}")
_TRACE: Final = re.compile(r"(?!0{32})[0-9a-f]{32}")
_PARENT: Final = re.compile(
    r"(?:00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
    # A later version may go on behind a dash; ff is none.
    r"|(?!00|ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[\x20-\x7e]*)?)"
)


class Identifier:
    """Identifies requests. `bits` returns so many random bits as a number. Called in the reactor's thread."""

    __slots__ = ("_bits",)

    def __init__(self, bits: Callable[[int], int]) -> None:
        self._bits = bits

    def identify(self, environ: MutableMapping[str, object], trusted: bool, known: str = "") -> str:
        """Return the id of the request of `environ`, and have that say it; `trusted` says whose fields it has.

        A request that was passed on has one, `known`; one that was made is its trace, too.
        """
        ident, found = known, None
        if trusted:
            sent, parent = environ.get(ID), environ.get(PARENT)
            if not known and isinstance(sent, str) and _ID.fullmatch(sent) is not None:
                ident = sent
            if isinstance(parent, str):
                found = _PARENT.fullmatch(parent)
        if found is not None:
            ident = ident or found[1] or found[2]
        else:
            made = f"{self._bits(192):048x}"  # one call for both; that one of them is all zeros is not to be expected
            trace = known if _TRACE.fullmatch(known) else made[:32]
            environ[PARENT] = f"00-{trace}-{made[32:]}-00"
            if STATE in environ:
                del environ[STATE]
            if not ident:
                ident = trace
        environ[ID] = environ[KEY] = ident
        return ident


@lru_cache(maxsize=256)
def is_identified(lines: str) -> bool:
    """Return whether the field `lines` of an answer have an id already: an application's own is left alone."""
    return f"\r\n{FIELD.lower()}:" in f"\r\n{lines.lower()}"


def id_line(ident: str) -> str:
    """Return the field line of an answer with the id `ident`, with its line end; "" for no id."""
    return f"{FIELD}: {ident}\r\n" if ident else ""
