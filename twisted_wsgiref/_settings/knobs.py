"""The values of a setting: how words become one, and which values are refused, wherever they come from.

Here live types, bounds, and the words of numbers, sizes and truths. Names, defaults and reasons of settings may not
live here, which are `settings`'s. Any thread may call.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf
from typing import TypeAlias, TypeVar, cast

KIB = 1024
MIB = 1024 * KIB
# The bounds of a histogram: as many as the shared memory has room for.
MOST_BOUNDS = 32
# Of file sizes, which the system counts in 64 bits.
LARGEST = 2**63 - 1
# The types that a setting can have; that of its default is its own.
Value: TypeAlias = bool | int | float | str | tuple[str, ...]
_T = TypeVar("_T", bound=Value)

# A month of 31 days. Calls of the system that wait take little more: epoll 24.8 days at a time, locks on Windows 49.7.
LONGEST = 31 * 86400.0


@dataclass(frozen=True, slots=True)
class Knob:
    """One setting as people see it: its `unit`, its meaning (`text`), and how words become its value.

    A number is from `least` to `most`.
    """

    text: str
    parse: Callable[[str], Value]
    unit: str = ""
    least: float = 0
    most: float = LARGEST

    def judged(self, value: object, default: _T) -> _T:
        """Return `value` in the type of `default`. Raises `ValueError` that says which values may be."""
        return cast(_T, self._judged(value, default))

    def _judged(self, value: object, default: Value) -> object:
        if isinstance(default, bool):
            if not isinstance(value, bool):
                raise ValueError("it has to be True or False")
        elif isinstance(default, int):
            self._check_number(value, "it has to be a whole number", whole=True)
        elif isinstance(default, float):
            self._check_number(value, "it has to be a number of seconds", whole=False)
        elif isinstance(default, tuple):
            # A lone text would fall into its letters.
            return _words_of(self.parse(value) if isinstance(value, str) else value)
        else:
            return self.parse(_checked_text(value))
        return value

    def _check_number(self, value: object, wrong: str, *, whole: bool) -> None:
        is_number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not is_number or value != value:  # noqa: PLR0124 (NaN is not itself)
            raise ValueError(wrong)
        number = cast(float, value)
        if number < self.least:
            remark = ", 0 does not mean no limit here" if number == 0 and isinstance(self.least, float) else ""
            raise ValueError(f"it has to be at least {self.least:g}{remark}")
        if number > self.most:
            raise ValueError(f"it has to be at most {_plain(self.most)}")


def _plain(number: float) -> str:
    return f"{number:.16g}" if isinstance(number, float) else str(number)


def _words_of(value: object) -> tuple[str, ...]:
    if isinstance(value, list):
        value = tuple(value)
    if not isinstance(value, tuple) or not all(isinstance(each, str) for each in value):
        raise ValueError("it has to be a tuple of str")
    return value


def _checked_text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("it has to be a str")
    try:
        # As the system's calls take it, and environs: bytes of the command line that are no UTF-8, too.
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise ValueError("it has a character that can not be encoded") from None
    if "\0" in value:
        raise ValueError("it has a NUL character")
    return value


def parse_number(word: str) -> int:
    """Return a whole number. Raises `ValueError`."""
    try:
        return int(word)
    except ValueError:
        raise ValueError("not a whole number") from None


def parse_seconds(word: str) -> float:
    """Return a number of seconds. Raises `ValueError`."""
    try:
        return float(word)
    except ValueError:
        raise ValueError("not a number of seconds") from None


def parse_size(word: str) -> int:
    """Return a number of bytes: ``65536``, ``64k``, ``10m`` or ``2g``. Raises `ValueError`."""
    factors = {"k": KIB, "m": MIB, "g": KIB * MIB}
    digits, factor = word.strip().lower().removesuffix("b").removesuffix("i"), 1
    if digits[-1:] in factors:
        factor = factors[digits[-1]]
        digits = digits[:-1]
    if not digits.strip().isdecimal():
        raise ValueError("not a number of bytes, such as 65536, 64k, 10m or 2g")
    return int(digits) * factor


def parse_words(text: str) -> tuple[str, ...]:
    """Return the words of `text`, which commas or white space part."""
    return tuple(text.replace(",", " ").split())


def parse_lines(text: str) -> tuple[str, ...]:
    """Return the lines of `text`; without an end of a line in it, the words that white space parts."""
    return tuple(each for each in text.split("\n" if "\n" in text else None) if each)


def check_variables(words: Iterable[str]) -> None:
    """Raise `ValueError` unless each of `words` is NAME=VALUE, as a process's environment may have it."""
    for word in words:
        name, equals, _ = _checked_text(word).partition("=")
        if not name or not equals:
            raise ValueError(f"{word!r:.100} has to be NAME=VALUE")


def parse_umask(word: str) -> str:
    """Return a file mode as three octal digits, "" for none. Raises `ValueError`."""
    digits = word.removeprefix("0o")
    if word and not (digits and set(digits) <= set("01234567") and int(digits, 8) <= 0o777):
        raise ValueError("it has to be an octal number from 0 to 777, such as 027")
    return f"{int(digits, 8):03o}" if word else ""


def parse_pattern(text: str) -> str:
    """Return `text`, if it is a regular expression. Raises `ValueError`."""
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    return text


def read_bounds(words: tuple[str, ...]) -> tuple[float, ...]:
    """Return the bounds of a histogram, in seconds. Raises `ValueError`."""
    try:
        bounds = tuple(map(float, words))
    except ValueError:
        raise ValueError("not numbers of seconds") from None
    # One value more than these has a bucket, too: the one for all above.
    if not 1 <= len(bounds) <= MOST_BOUNDS:
        raise ValueError(f"it has to be 1 to {MOST_BOUNDS} numbers")
    if not all(low < high < inf for low, high in zip((0.0, *bounds), bounds, strict=False)):
        raise ValueError("the numbers have to be above 0, and each above the one before")
    return bounds


def parse_workers(word: str) -> int:
    """Return a number of processes; ``auto`` is one for each core that this process may use. Raises `ValueError`."""
    if word.strip().lower() == "auto":
        return cores()
    try:
        return int(word)
    except ValueError:
        raise ValueError("neither a whole number nor auto") from None


def cores() -> int:
    """Return how many processors this process may keep busy: by its affinity, and by its container's quota."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        count = os.cpu_count() or 1
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
            quota, period = file.read().split()
        count = min(count, max(1, int(quota) // int(period)))
    except (OSError, ValueError):  # no such thing, or "max": no quota
        pass
    return count


def parse_truth(word: str) -> bool:
    """Return whether `word` says yes: 1, true, yes or on. Raises `ValueError` if it says neither yes nor no."""
    truths = {"1": True, "true": True, "yes": True, "on": True}
    truths |= {"0": False, "false": False, "no": False, "off": False}
    try:
        return truths[word.strip().lower()]
    except KeyError:
        raise ValueError("neither yes nor no") from None


def one_of(*known: str) -> Callable[[str], str]:
    """Return a function that takes these words, and no other."""

    def parse(word: str) -> str:
        if word not in known:
            raise ValueError(f"neither {' nor '.join(known)}")
        return word

    return parse


def shown(value: object) -> str:
    """Return `value` as a message shows it."""
    try:
        return f"{value!r:.100}"
    except Exception:  # Whatever its class does; a number of too many digits is one that the interpreter refuses.
        return f"of type {type(value).__name__}"
