"""The line of one request in the combined format, and what other formats share with it: escapes, and times.

A line is printable ASCII, whatever a client sends: nobody can forge one, or hide a part of it from a terminal.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from math import floor
from typing import Final, Protocol, TypeAlias, cast

from .record import Extract, Facts, Head

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
#: What may stand between quotes as it is.
_PLAIN: Final = bytes(code for code in range(0x20, 0x7F) if code not in b'"\\')
_UNSAFE = re.compile(r"[^ !#-\[\]-~]")
_UNSAFE_WORD = re.compile(r"[^!#-\[\]-~]")  # Outside of quotes a space would begin the next field.

#: A client that left before its answer began: nginx's number for it, because tools expect three digits.
CLIENT_LEFT = 499


class LineFormat(Protocol):
    """How lines are made: of a brief, which is made of facts or of an exchange. Only the format knows how it looks.

    Any thread may call.

    ``extract`` is as of `find_extract`. ``timed`` says that it wants to know when a thread took a request.
    ``takes_exchanges`` says that it needs no facts. Then `keep` and ``noted`` are as of `ExchangeLog`, and the brief of
    an exchange is a tuple that whoever observes it makes, since a call costs more than the tuple: what was kept, the
    status, the size, and the time since the epoch; for one that is ``timed`` also how long it took and waited, in
    seconds, and how many bytes came. What is kept for one that is not ``timed`` is a list, whose last value is a
    `Known`: if that is the line of this outcome at this time, the line itself is the brief.
    """

    takes_exchanges: bool
    timed: bool
    noted: object

    @property
    def extract(self) -> Extract | None: ...

    def brief(self, facts: Facts) -> object:
        """Return what a line is made of, by the facts of a request, or of what is none."""

    def keep(self, head: Head, environ: Mapping[str, object]) -> object:
        """Return what is to be known of `environ` at the end, and of `head`, which keeps what was made of it."""

    def lines(self, briefs: Sequence[object]) -> list[str]:
        """Return the lines, with their line ends, in ASCII. Raises nothing but for what is no brief."""


class Seconds:
    """The text of times, as `when` makes it of whole seconds since the epoch; that of the last second is at hand."""

    def __init__(self, when: Callable[[int], str]) -> None:
        self._when = when
        #: A second's start and end, and its text; a thread that comes second writes the same.
        self.last = (0.0, 0.0, "")

    def begin(self, now: float) -> tuple[float, float, str]:
        """Return the second of `now`, as ``last`` is."""
        start = floor(now)
        self.last = float(start), start + 1.0, self._when(start)
        return self.last


class Numbers:
    """The text of numbers, each between two fixed texts. It remembers the numbers below `most`, and those `given`.

    Loops look in ``known`` first, and call `text` only for a number that is not there. It is a plain dictionary: one
    with a ``__missing__`` of its own would cost each look-up four times as much.
    """

    def __init__(
        self, most: int, given: Mapping[int, str] | None = None, *, before: str = "", behind: str = ""
    ) -> None:
        self._most = most
        self._before = before
        self._behind = behind
        #: The remembered texts. A thread that comes second writes the same.
        self.known: dict[int, str] = {number: self._around(text) for number, text in (given or {}).items()}

    def _around(self, text: str) -> str:
        return f"{self._before}{text}{self._behind}"

    def text(self, number: int) -> str:
        """Return the text of `number`, which is remembered if it is small."""
        text = self.known.get(number)
        if text is not None:
            return text
        text = self._around(self.write(number))
        if 0 <= number < self._most:
            self.known[number] = text
        return text

    def write(self, number: int) -> str:
        """Return `number` as it is written."""
        return str(number)


def _escaped(found: re.Match[str]) -> str:
    character = found.group()
    data = character.encode("latin-1" if character <= "\xff" else "utf-8", "surrogatepass")
    return "".join(f"\\x{byte:02x}" for byte in data)


def quoted(text: str) -> str:
    """Return `text` as it may stand between quotes: printable ASCII, all else and ``"`` and ``\\`` as ``\\xNN``."""
    # Half as expensive as `isprintable`, and a third of what a pattern takes.
    if text.isascii() and not text.encode().translate(None, _PLAIN):
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


#: A line, behind the start and the end of its second, the status and the size in it.
Known: TypeAlias = "tuple[float, float, int, int, str]"
_Brief: TypeAlias = "tuple[list[object], int, int, float]"
#: The line of no time: of a head that has not come before, and of one that has, until its next line is made.
_UNKNOWN: Final[Known] = (0.0, 0.0, 0, 0, "")
_NO_LINE: Final[Known] = (0.0, 0.0, 0, -1, "")
_ONLY_LINES: Final = frozenset({str})

# Sizes below this are remembered, as text: most answers are pages of some KiB.
_SIZES: Final = 16 * 1024
# Longer names of programs are remembered by nobody, as field lines are not (decision 10).
_SHORT: Final = 200


# Few clients make most lines. Text that a client may fill with secrets is kept no longer than its connection.
@lru_cache(maxsize=256)
def _start_of_line(peer: str | None, user: str) -> str:
    return f"{word(peer)} - {word(user)} ["


def _read_agent(agent: str) -> str:
    return f'"{quoted(agent)}"\n'


_agent = lru_cache(maxsize=256)(_read_agent)


class Combined:
    """``%h - %u [%t] "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`` of Apache's mod_log_config.

    What is known when the head is there is made once for each head: a client that sends it again finds it done. From
    the third time on it finds its last line, too, which is good for the same outcome in the same second. Both live in
    the note of the head, and so no longer than its connection.
    """

    extract: Extract | None = None
    takes_exchanges = True
    timed = False

    def __init__(self) -> None:
        #: First in the note of a head that came again, whose kept list has a place for its last line.
        self.noted: object = object()
        self._seconds = Seconds(format_time)
        self._statuses = Numbers(1000, {0: str(CLIENT_LEFT)}, behind=" ")
        self._sizes = Numbers(_SIZES, {0: "-"})

    def keep(self, head: Head, environ: Mapping[str, object]) -> object:
        """Return the parts of the line around the time and the outcome, and the last line."""
        note = head.note
        whose = note[0]
        if whose is self or whose is self.noted:
            _, kept, peer = cast("tuple[object, list[object], str | None]", note)
            if whose is self:  # it came again, and may come more often
                kept[3] = _NO_LINE
                head.note = self.noted, kept, peer
        else:
            found, get = environ.get("REMOTE_ADDR"), head.fields.get
            middle, last = _parts(head.request_line, get("HTTP_REFERER", ""), get("HTTP_USER_AGENT", ""))
            peer = found if type(found) is str else None
            kept = [_start_of_line(peer, ""), middle, last, _UNKNOWN]
            if environ:  # else the next request with this head finds the client
                head.note = self, kept, peer
        user = environ.get("REMOTE_USER")
        if user and type(user) is str:
            return [_start_of_line(peer, user), *kept[1:3], _UNKNOWN]
        return kept

    def brief(self, facts: Facts) -> _Brief:
        """Return what a line is made of, by `facts`."""
        start = _start_of_line(facts[0], facts[8])
        return [start, *_parts(facts[1], facts[6], facts[7]), _UNKNOWN], facts[2], facts[3], facts[4]

    def lines(self, briefs: Sequence[object]) -> list[str]:
        """Return the lines."""
        if _ONLY_LINES.issuperset(map(type, briefs)):
            return cast("list[str]", briefs)
        lines: list[str] = []
        add, statuses, sizes = lines.append, self._statuses.known, self._sizes.known
        start, end, when = self._seconds.last
        for brief in briefs:
            if type(brief) is str:  # the line is known
                add(brief)
            elif type(brief) is tuple:
                kept, status, size, finished = brief
                first, middle, last, known = kept
                if not start <= finished < end:
                    start, end, when = self._seconds.begin(finished)
                try:
                    line = f"{first}{when}{middle}{statuses[status]}{sizes[size]}{last}"
                except KeyError:
                    line = f"{first}{when}{middle}{self._statuses.text(status)}{self._sizes.text(size)}{last}"
                if known is not _UNKNOWN:
                    kept[3] = start, end, status, size, line
                add(line)
        return lines


def _parts(line: str, referer: str, agent: str) -> tuple[str, str]:
    return f'] "{quoted(line)}" ', f' "{quoted(referer)}" {(_agent if len(agent) <= _SHORT else _read_agent)(agent)}'


COMBINED: Final = Combined()
