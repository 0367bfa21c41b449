"""The line of one request in the combined format, and what other formats share with it: escapes, and times.

A line is printable ASCII, whatever a client sends: nobody can forge one, or hide a part of it from a terminal.
"""

from __future__ import annotations

import re
import time
from functools import lru_cache
from typing import Protocol

from .record import Extract, Facts

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_UNSAFE = re.compile(r"[^ !#-\[\]-~]")
_UNSAFE_WORD = re.compile(r"[^!#-\[\]-~]")  # Outside of quotes a space would begin the next field.

#: A client that left before its answer began: nginx's number for it, because tools expect three digits.
CLIENT_LEFT = 499


class LineFormat(Protocol):
    """How a line is made. ``extract`` is as of `find_extract`. Any thread may call; raises nothing for a record."""

    @property
    def extract(self) -> Extract | None: ...

    def when(self, seconds: int) -> str:
        """Return the text of a time, in seconds since the epoch, that `line` takes."""

    def line(self, facts: Facts, when: str) -> str:
        """Return the line of `facts`, with its line end, in ASCII; `when` is the second in which it ended."""


def _escaped(found: re.Match[str]) -> str:
    character = found.group()
    data = character.encode("latin-1" if character <= "\xff" else "utf-8", "surrogatepass")
    return "".join(f"\\x{byte:02x}" for byte in data)


def quoted(text: str) -> str:
    """Return `text` as it may stand between quotes: printable ASCII, all else and ``"`` and ``\\`` as ``\\xNN``."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text or "-"
    return _UNSAFE.sub(_escaped, text)


def word(text: str | None) -> str:
    """Return `text` as it may stand without quotes: as `quoted`, and spaces as ``\\x20``."""
    return _UNSAFE_WORD.sub(_escaped, text or "-")


def format_time(seconds: int) -> str:
    """Return a time as Apache writes it, in the local zone: ``10/Oct/2000:13:55:36 -0700``."""
    local = time.localtime(seconds)
    sign, minutes = ("-" if local.tm_gmtoff < 0 else "+"), abs(local.tm_gmtoff) // 60
    return (
        f"{local.tm_mday:02}/{_MONTHS[local.tm_mon - 1]}/{local.tm_year}:{local.tm_hour:02}:{local.tm_min:02}:"
        f"{local.tm_sec:02} {sign}{minutes // 60:02}{minutes % 60:02}"
    )


def path_and_query(target: str) -> tuple[str, str, str]:
    """Return the path of a request's target as it was sent, ``?`` if there is a query, and that. RFC 9112, 3.2."""
    path, mark, query = target.partition("?")
    if not path.startswith("/") and "://" in path:
        # With a scheme and an authority, as proxies are asked: the path begins behind these.
        slash = path.find("/", path.index("://") + 3)
        path = path[slash:] if slash >= 0 else "/"
    return path, mark, query


# Few clients make most lines, and many of them in the same second.
@lru_cache(maxsize=256)
def _start_of_line(peer: str | None, user: str, when: str) -> str:
    return f'{word(peer)} - {word(user)} [{when}] "'


@lru_cache(maxsize=256)
def _end_of_line(referer: str, agent: str) -> str:
    return f' "{quoted(referer)}" "{quoted(agent)}"\n'


class Combined:
    """``%h - %u [%t] "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`` of Apache's mod_log_config."""

    extract: Extract | None = None
    when = staticmethod(format_time)

    def line(self, facts: Facts, when: str) -> str:
        """Return the line of `facts`."""
        peer, line, status, size, _, _, referer, agent, user, _, _, _, _, _ = facts
        # A call of `quoted` less for most lines.
        if not (line and line.isascii() and line.isprintable() and '"' not in line and "\\" not in line):
            line = quoted(line)
        return (
            f'{_start_of_line(peer, user, when)}{line}" {status or CLIENT_LEFT} {size or "-"}'
            f"{_end_of_line(referer, agent)}"
        )


COMBINED = Combined()
