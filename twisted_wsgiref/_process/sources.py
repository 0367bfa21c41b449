"""The places that settings come from: how each writes a value and its name.

What lives here: the command line, the environment, what platforms set in it for any server, and a TOML file; each
becomes a layer of settings as words. What may not: `os.environ` and the file system, whose contents are handed in, and
which layer wins, which is `configuration`'s. Called in the main thread.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Final, NamedTuple

from twisted_wsgiref._settings.knobs import KIB
from twisted_wsgiref.settings import SettingError, knobs

from .extras import EXTRAS, LINED, defaults, is_size
from .hints import hint

PREFIX: Final = "TWISTED_WSGIREF_"
# Names the file, so it can not stand in it.
CONFIG: Final = f"{PREFIX}CONFIG"
# Variables that other servers and platforms have made a habit, and what they set here.
_HABITS: Final = {"workers": "WEB_CONCURRENCY", "port": "PORT", "trusted_proxy": "FORWARDED_ALLOW_IPS"}


class Place(NamedTuple):
    """A place that gives settings: how a message about one of them begins, and how the place writes their names."""

    begin: str
    write: Callable[[str], str]


LINE: Final = Place("", lambda name: f"--{name.replace('_', '-')}")
CALL: Final = Place("", str)  # of Python
ENVIRONMENT: Final = Place("", lambda name: f"{PREFIX}{name.upper()}")


class Given(NamedTuple):
    """One setting as a user gave it: the `word`, its `source`, and the name of the setting in a message (`named`)."""

    word: str
    source: str
    named: str
    place: Place = LINE


Layer = Mapping[str, Given]


# ---- The command line ----------------------------------------------------------------------------------------------


def from_line(words: Mapping[str, str], endpoints: Sequence[str], mounts: Sequence[str] = ()) -> dict[str, Given]:
    """Return what the command line says: `words` by setting, and the `endpoints` and `mounts` in their order."""
    layer = {name: Given(word, "command line", LINE.write(name)) for name, word in words.items()}
    for name, texts in (("listen", endpoints), ("mount", mounts)):
        if texts:
            # A line each: they may have blanks in them. The last is there so that one alone is read like that, too.
            layer[name] = Given("\n".join(texts) + "\n", "command line", f"--{name}")
    return layer


# ---- The environment -----------------------------------------------------------------------------------------------


def from_environment(environ: Mapping[str, str]) -> dict[str, Given]:
    """Return the settings of our own variables. Raises `SettingError` for a variable that names no setting."""
    known = {f"{PREFIX}{name.upper()}": name for name in (*EXTRAS, *knobs())}
    layer = {}
    for variable, word in environ.items():
        if variable.startswith(PREFIX) and variable != CONFIG:
            if variable not in known:
                raise SettingError(f"{variable} names no setting{_hint_of_variable(variable, [*known, CONFIG])}")
            layer[known[variable]] = Given(word, variable, variable, ENVIRONMENT)
    return layer


def _hint_of_variable(variable: str, known: Sequence[str]) -> str:
    found = hint(variable.removeprefix(PREFIX), [each.removeprefix(PREFIX) for each in known])
    return found.replace("did you mean ", f"did you mean {PREFIX}")


def from_habits(environ: Mapping[str, str]) -> dict[str, Given]:
    """Return the settings of the variables that platforms set for any server.

    An empty WEB_CONCURRENCY or PORT says nothing; an empty FORWARDED_ALLOW_IPS, as gunicorn's, that nobody is believed.
    """
    layer = {}
    for name, variable in _HABITS.items():
        word = environ.get(variable)
        if word is not None and (word or name == "trusted_proxy"):
            layer[name] = Given(word, variable, variable, ENVIRONMENT)
    return layer


# ---- The file ------------------------------------------------------------------------------------------------------


def from_file(path: str, content: bytes) -> dict[str, Given]:
    """Return the settings of the TOML file at `path`: of its top, or ``[tool.twisted_wsgiref]`` of a pyproject.toml.

    Raises `SettingError` for what is no TOML, names no setting, or has a value of the wrong type.
    """
    table, prefix = _parsed(path, content), ""
    if PurePath(path).name == "pyproject.toml":
        tool = table.get("tool")
        ours = tool.get("twisted_wsgiref") if isinstance(tool, dict) else None
        if not isinstance(ours, dict):
            raise SettingError(f"{path} has no table [tool.twisted_wsgiref]")
        table, prefix = ours, "tool.twisted_wsgiref."
    place = Place(f"{path}: ", lambda name: prefix + name)
    layer: dict[str, Given] = {}
    for key, value in table.items():
        name, named = key.replace("-", "_"), f"{path}: {prefix}{key}"
        if name not in EXTRAS and name not in knobs():
            raise SettingError(f"{named} names no setting{hint(name, (*EXTRAS, *knobs()))}")
        if name in layer:
            raise SettingError(f"{named} is there twice, with - and with _")
        layer[name] = Given(_word(name, value, named), f"{path}:{prefix}{key}", named, place)
    return layer


def _parsed(path: str, content: bytes) -> dict[str, object]:
    # Late: most processes have no file.
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise SettingError(f"{path} is not UTF-8: byte {error.start} of it is {content[error.start]:#04x}") from None
    except tomllib.TOMLDecodeError as error:
        remark = "" if path.endswith(".toml") else ", which the settings have to be written in"
        raise SettingError(f"{path} is not TOML{remark}: {error}") from None


def _word(name: str, value: object, named: str) -> str:
    """Return a value of TOML as it would be typed. Raises `SettingError` if it has the wrong type."""
    default = defaults()[name]
    if isinstance(value, str):
        return f"{value}\n" if name in LINED else value
    if isinstance(value, bool):
        if isinstance(default, bool):
            return "yes" if value else "no"
    elif isinstance(value, int | float):
        whole = name == "port" or (isinstance(default, int) and not isinstance(default, bool))
        if isinstance(default, float) or (whole and isinstance(value, int)):
            return str(value)
    elif isinstance(value, list) and all(isinstance(each, str) for each in value):
        if isinstance(default, tuple):
            return "\n".join([*value, ""]) if name in LINED else ",".join(value)
    elif isinstance(value, list) and name == "port" and all(type(each) is int for each in value):
        return " ".join(str(each) for each in value)
    raise SettingError(f"{named} is {as_toml(value)}: {_wanted(name, default)} is wanted")


def _wanted(name: str, default: object) -> str:
    if name == "port":
        return "a number"
    if isinstance(default, bool):
        return "true or false"
    if isinstance(default, tuple):
        return "a list of texts, in quotes,"
    if isinstance(default, float):
        return "a number of seconds"
    if isinstance(default, int):
        return 'a whole number, or text as "64k",' if is_size(name) else "a whole number"
    return "text, in quotes,"


def as_toml(value: object, *, sizes: bool = False) -> str:
    """Return `value` as TOML writes it, for people; one of the `sizes` by its unit."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple):
        return f"[{', '.join(as_toml(each) for each in value)}]"
    if isinstance(value, dict):
        return "a table"
    if sizes and isinstance(value, int):
        for factor, letter in ((KIB**3, "g"), (KIB**2, "m"), (KIB, "k")):
            if value and value % factor == 0:
                return f'"{value // factor}{letter}"'
    return str(value)
