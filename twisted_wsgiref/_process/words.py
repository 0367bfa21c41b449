"""The command line's options as a table, made from what can be set.

What lives here: names, texts and defaults for the help, and what is to be known of words before Twisted reads them.
What may not: Twisted, and what the options do, which is `command_line`'s. Called in the main thread.
"""

from __future__ import annotations

import getopt
from collections.abc import Iterable
from typing import Final, TypeAlias

from twisted_wsgiref._settings.knobs import KIB, Knob
from twisted_wsgiref.settings import knobs

from .dictionary import translated
from .extras import LINED, LISTS, defaults, place
from .hints import hint


def option(name: str) -> str:
    """Return the option, without its dashes, that gives the setting `name`."""
    return name.replace("_", "-")


def capitalised(text: str) -> str:
    """Return `text` as the help begins each of its own."""
    return text[:1].upper() + text[1:]


def _written(value: object, unit: str) -> str:
    """Return a knob's default as a person would type it."""
    if value == "":
        return "empty"
    if isinstance(value, tuple):
        return ",".join(value) or "none"
    if unit == "bytes" and isinstance(value, int):
        for factor, letter in ((KIB**3, "g"), (KIB**2, "m"), (KIB, "k")):
            if value and value % factor == 0:
                return f"{value // factor}{letter}"
    return f"{value:g}" if isinstance(value, float) else str(value)


# An option as `twisted.python.usage` reads it: its name, its letter, a default if it has a value, and its help.
Row: TypeAlias = list[str | None]

# The letters that gunicorn's users type; more would have to be learnt.
_SHORT: Final = {"workers": "w"}


def table() -> tuple[list[Row], list[Row]]:
    """Return optFlags and optParameters for what can be set: what is off by default is a flag, all else has a value.

    Where to listen and what is mounted are not among them: these have methods.
    """
    flags: list[Row] = []
    parameters: list[Row] = []
    for name, usual in defaults().items():
        text = capitalised(place(name).text)
        if usual is False:
            flags.append([option(name), None, text])
            flags.append([f"no-{option(name)}", None, f"Turn --{option(name)} off, whatever a file or a variable says"])
        elif name in knobs():
            short = _SHORT.get(name)
            parameters.append([option(name), short, None, _help(name, knobs()[name], usual)])
        elif name not in ("app", *LISTS, "port"):
            parameters.append([option(name), None, None, text])
    return flags, parameters


def _help(name: str, knob: Knob, default: object) -> str:
    if name == "access_log":
        return f"{capitalised(knob.text)} (default: -, and off for a daemon)"
    return f"{capitalised(knob.text)} (default: {_written(default, knob.unit)})"


def joined(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the options `found` with those that take a list and were repeated as one: Twisted keeps only the last.

    Of an option and its contrary the last is left.
    """
    lists = {f"--{option(name)}" for name, usual in defaults().items() if isinstance(usual, tuple)}
    lists -= {f"--{option(name)}" for name in LISTS}
    said = {name.replace("--no-", "--", 1): name for name, _ in found}
    found = [(name, value) for name, value in found if said[name.replace("--no-", "--", 1)] == name]
    words: dict[str, list[str]] = {}
    for name, value in found:
        if name in lists:
            words.setdefault(name, []).append(value)
    rest = [(name, value) for name, value in found if name not in lists]
    lined = {f"--{option(name)}" for name in LINED}
    return rest + [
        (name, "\n".join([*values, ""]) if name in lined else ",".join(values)) for name, values in words.items()
    ]


def mistake(error: getopt.GetoptError, options: Iterable[str]) -> str:
    """Return the line of `error`, with what to type instead: of `options`, or for those of other servers."""
    found = ""
    said = error.msg.partition("; possible options: ")[0]  # newer Pythons go on, in getopt's own notation
    if "not recognized" in error.msg:
        dashes = "-" if len(error.opt) == 1 else "--"
        found = hint(f"{dashes}{error.opt}", [f"--{each.rstrip('=')}" for each in options])
    elif "unique prefix" in error.msg:
        begun = sorted(f"--{each.rstrip('=')}" for each in options if each.startswith(error.opt))
        found = f": {translated(f'--{error.opt}') or 'it begins ' + ', '.join(begun)}"
    return f"{said}{found}" if found.startswith(":") else f"{said}{found}; --help lists all"


FLAGS, PARAMETERS = table()
