"""The line of one request by a format of the user's own, in the words of gunicorn's ``access_log_format``.

The atoms mean what gunicorn's documentation says. These are ours: ``wait``, ``in``, ``id``, ``pid``, ``thread``,
``tls``. What a format does not ask for is not collected. Between quotes of the format, values are escaped as in the
combined format; outside of them spaces are, too, if they are a client's. If the format begins with ``{``, it is taken
for JSON, and values are escaped as JSON has it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NoReturn, TypeAlias, cast

from .json_lines import text_of
from .lines import CLIENT_LEFT, Seconds, format_time, path_and_query, quoted, word
from .record import Extra, Extract, Facts, Head
from .thread_names import here

_ATOM: Final = re.compile(
    r"%(?:%|\((?:\{(?P<field>[^{}]*)\}(?P<of>[A-Za-z])|(?P<name>[^(){}]*))\)(?P<width>-?\d*)[sd])"
)

#: Gives the text of an atom. The second argument is the text of the second in which the request ended.
_Get: TypeAlias = Callable[[Facts, str], str]
_Take: TypeAlias = Callable[[Mapping[str, object], Mapping[str, str], str], "str | None"]
_Escape: TypeAlias = Callable[[str], str]


def _target(facts: Facts) -> tuple[str, str, str]:
    return path_and_query(facts[1].partition(" ")[2].rpartition(" ")[0]) if facts[9] else ("-", "", "")


def _protocol(facts: Facts) -> str:
    return facts[1].rpartition(" ")[2] if facts[9] else "-"


#: What a client can not have a say in: numbers, times, names of ours.
_OURS: Final[dict[str, _Get]] = {
    "l": lambda facts, when: "-",
    "t": lambda facts, when: f"[{when}]",
    "s": lambda facts, when: str(facts[2] or CLIENT_LEFT),
    "B": lambda facts, when: str(facts[3]),
    "b": lambda facts, when: str(facts[3] or "-"),
    "T": lambda facts, when: str(int(facts[5])),
    "M": lambda facts, when: str(int(facts[5] * 1_000)),
    "D": lambda facts, when: str(int(facts[5] * 1_000_000)),
    "L": lambda facts, when: f"{facts[5]:.6f}",
    "p": lambda facts, when: f"<{os.getpid()}>",
    "wait": lambda facts, when: f"{facts[10]:.6f}",
    "in": lambda facts, when: str(facts[11]),
    "pid": lambda facts, when: str(os.getpid()),
}
#: The parts of a request, which have no spaces but for those of its line.
_ITS: Final[dict[str, _Get]] = {
    "r": lambda facts, when: facts[1],
    "m": lambda facts, when: facts[9],
    "U": lambda facts, when: _target(facts)[0],
    "H": lambda facts, when: _protocol(facts),
}
#: Text that a client may fill with anything.
_FREE: Final[dict[str, _Get]] = {
    "h": lambda facts, when: facts[0] or "",
    "u": lambda facts, when: facts[8],
    "f": lambda facts, when: facts[6],
    "a": lambda facts, when: facts[7],
    "id": lambda facts, when: facts[12],
}
_TAKEN: Final[dict[str, _Take]] = {
    "thread": lambda environ, fields, lines: here.name,
    "tls": lambda environ, fields, lines: _text(environ.get("SSL_PROTOCOL")),
}
#: The names of all atoms that stand alone, in the order of gunicorn's documentation, and then ours.
NAMES: Final = (*"hlutrmUqHsBbfaTMDLp", "wait", "in", "id", "pid", "thread", "tls")


def _text(value: object) -> str | None:
    if value is None or type(value) is str:
        return value
    try:
        return str(value)
    except Exception:  # of an application's own class
        return None


def _take_field(name: str) -> _Take:
    key = name.upper().replace("-", "_")
    if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        key = f"HTTP_{key}"
    if key in ("HTTP_X_REQUEST_ID", "HTTP_TRACEPARENT"):
        # The server itself may have set these.
        return lambda environ, fields, lines: _text(environ.get(key))
    return lambda environ, fields, lines: fields.get(key)


def _take_answer(name: str) -> _Take:
    pattern = re.compile(rf"(?:\A|\r\n){re.escape(name)}:[ \t]*([^\r]*)", re.IGNORECASE)

    def take(environ: Mapping[str, object], fields: Mapping[str, str], lines: str) -> str | None:
        found = pattern.search(lines)
        return None if found is None else found[1]

    return take


def _take_variable(name: str) -> _Take:
    names = tuple(dict.fromkeys((name, name.upper(), name.lower())))

    def take(environ: Mapping[str, object], fields: Mapping[str, str], lines: str) -> str | None:
        return next((_text(environ[each]) for each in names if each in environ), None)

    return take


_BY_LETTER: Final[dict[str, Callable[[str], _Take]]] = {"i": _take_field, "o": _take_answer, "e": _take_variable}


class Atoms:
    """Lines by the format `text`. Raises `ValueError` that names an atom that there is not, or a stray ``%``."""

    extract: Extract | None
    takes_exchanges = False  # atoms are made of facts: a format may ask for any of them
    timed = True
    noted = object()

    def __init__(self, text: str) -> None:
        if not text.isprintable() or not text.isascii():
            raise ValueError("it has to be printable ASCII")
        self._seconds = Seconds(format_time)
        self._takes: list[_Take] = []
        self._gets: list[_Get] = []
        self._is_json = text.lstrip().startswith("{")
        self._is_quoted = False
        self._template = self._read(text) + "\n"
        self.extract = self._extract if self._takes else None

    def _read(self, text: str) -> str:
        """Return the template for ``%``, and find the atoms."""
        parts, end = [], 0
        while (start := text.find("%", end)) >= 0:
            self._pass(text[end:start])
            parts.append(text[end:start])
            found = _ATOM.match(text, start)
            if found is None:
                raise ValueError(f"{text[start : start + 12]!r} begins no atom: these are as %(h)s, and a % is %%")
            parts.append("%%" if found[0] == "%%" else f"%{found['width']}s")
            if found[0] != "%%":
                self._gets.append(self._get(found))
            end = found.end()
        return "".join([*parts, text[end:]])

    def _pass(self, literal: str) -> None:
        if literal.count('"') % 2:
            self._is_quoted = not self._is_quoted

    def _get(self, found: re.Match[str]) -> _Get:
        name, of = found["name"], found["of"]
        if name in _OURS:
            return _OURS[name]
        if name == "q":
            return _query_in_json if self._is_json else _query
        if name in _ITS:
            return _escaped(_ITS[name], _json if self._is_json else quoted)
        escape = _json if self._is_json else quoted if self._is_quoted else word
        if name in _FREE:
            return _escaped(_FREE[name], escape)
        if (of, (found["field"] or "").lower()) == ("o", "x-request-id"):
            return _escaped(_FREE["id"], escape)
        if name in _TAKEN:
            take = _TAKEN[name]
        elif of in _BY_LETTER and found["field"]:
            take = _BY_LETTER[of](found["field"])
        else:
            raise ValueError(
                f"there is no atom {found[0]}: there are {', '.join(NAMES)}, and {{field}}i of a request, {{field}}o "
                "of an answer, {variable}e of the environ"
            )
        place = len(self._takes)
        self._takes.append(take)
        return _escaped(lambda facts, when: (facts[13][place] or "") if facts[13] else "", escape)

    def _extract(self, environ: Mapping[str, object], fields: Mapping[str, str], lines: str) -> Extra:
        return tuple([take(environ, fields, lines) for take in self._takes])

    def brief(self, facts: Facts) -> Facts:
        """Return `facts`."""
        return facts

    def keep(self, head: Head, environ: Mapping[str, object]) -> NoReturn:
        """Raise `TypeError`: it takes no exchanges."""
        raise TypeError("a format of atoms takes facts")

    def lines(self, briefs: Sequence[object]) -> list[str]:
        """Return the lines of facts."""
        gets, template, lines = self._gets, self._template, []
        start, end, when = self._seconds.last
        for facts in cast("Sequence[Facts]", briefs):
            if not start <= facts[4] < end:
                start, end, when = self._seconds.begin(facts[4])
            lines.append(template % tuple([get(facts, when) for get in gets]))
        return lines


def _json(text: str) -> str:
    return text_of(text)[1:-1]


def _query(facts: Facts, when: str) -> str:
    query = _target(facts)[2]
    return quoted(query) if query else ""


def _query_in_json(facts: Facts, when: str) -> str:
    return _json(_target(facts)[2])


def _escaped(get: _Get, escape: _Escape) -> _Get:
    def get_escaped(facts: Facts, when: str) -> str:
        return escape(get(facts, when)) or "-"

    return get_escaped
