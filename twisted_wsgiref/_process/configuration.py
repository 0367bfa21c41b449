"""Each setting from wherever it may be given, and where it came from: values and their sources, as a pure function.

What lives here: the order of precedence (command line, environment, old habits, file, default), how each place writes
a value, and the line that each mistake gets. What may not: `os.environ`, the command line, and the file system, whose
contents are handed in. Called in the main thread.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os.path import abspath
from pathlib import PurePath
from typing import Final, NamedTuple, TypeVar

from twisted_wsgiref._connection.tls_settings import endpoints_of
from twisted_wsgiref._targets.specs import read_mount, read_mounts
from twisted_wsgiref.settings import SettingError, Settings, from_words, knobs

from .hints import hint
from .knobs import KIB, Knob, Value, parse_lines, parse_truth, parse_words
from .surroundings import with_modes

PREFIX: Final = "TWISTED_WSGIREF_"
# Names the file, so it can not stand in it.
CONFIG: Final = f"{PREFIX}CONFIG"
DEFAULT: Final = "default"

# What can be set and is no field of `Settings`: it is said to the process, and no embedding program needs it.
EXTRAS: Final[dict[str, Knob]] = {
    "app": Knob("application to serve: MOD:APP, MOD:FACTORY() or MOD", str),
    "listen": Knob(
        "endpoints to listen on, such as tcp:8000 or unix:/run/app.sock; in a variable blanks separate them",
        parse_words,
    ),
    "mount": Knob(
        "target that answers below a path instead of the application, as /prefix=SPEC; SPEC is static:DIR, "
        "redirect:URL, status:, wsgi:MOD:APP, MOD:RESOURCE or internal:SPEC; in a variable blanks separate them",
        parse_words,
    ),
    "port": Knob("TCP port to listen on, at every interface; short for the endpoint tcp:PORT", str),
    "user": Knob("user that the process becomes, with its groups, once it has bound its endpoints", str),
    "group": Knob("group that the process becomes, instead of the groups of the user", str),
    "reload": Knob("start the application anew whenever one of its files changes; needs watchfiles", parse_truth),
    "reload_dir": Knob("directories to watch as well; in a variable blanks separate them", parse_lines),
    "reload_include": Knob("patterns of names of files to watch besides *.py, such as *.html", parse_words),
}
# Of these, those that are texts with blanks and commas in them: they are parted by lines. So are a few others.
LISTS: Final = ("listen", "mount")
LINED: Final = (*LISTS, "env", "reload_dir", "sendfile_root")
# Variables that other servers and platforms have made a habit, and what they set here.
_HABITS: Final = {"workers": "WEB_CONCURRENCY", "port": "PORT", "trusted_proxy": "FORWARDED_ALLOW_IPS"}
_COLUMN: Final = 48
_APART: Final = ("workers", "max_requests", "max_rss", "max_worker_age", "preload", "user", "group", "reload")


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
_T = TypeVar("_T", bound=Value)


@dataclass(frozen=True, slots=True)
class Configuration:
    """What is in effect. `sources` has, for each setting, where it came from.

    A message names the settings that are `given` as they were given, and others as in `place`.
    """

    settings: Settings
    app: str | None
    endpoints: list[str]
    mounts: list[str]
    user: str
    group: str
    reload: bool
    reload_include: tuple[str, ...]
    reload_dir: tuple[str, ...]
    sources: Mapping[str, str]
    given: Layer = field(default_factory=dict)
    place: Place = LINE

    def explain(self, error: SettingError) -> str:
        """Return the line of `error`, with each setting named as this user knows it."""
        return _named_as_given(error, self.given, self.place)

    @property
    def places(self) -> list[str]:
        """The endpoints, with all that settings say of them. Raises `SettingError`."""
        return with_modes(map(str, endpoints_of(self.endpoints, self.settings)), self.settings.umask)

    @property
    def apart(self) -> dict[str, object]:
        """What is set that needs other processes, which import the application: none is imported in this one."""
        usual = defaults()
        given = {name: getattr(self if name in EXTRAS else self.settings, name) for name in _APART}
        return {name: value for name, value in given.items() if value != usual[name]}

    def text(self) -> str:
        """Return what ``--check-config`` prints: a setting a line, as TOML, its source as the comment."""
        lines = []
        values: dict[str, object] = {"app": self.app, "listen": self.endpoints, "mount": self.mounts}
        values |= {"user": self.user, "group": self.group, "reload": self.reload, "reload_dir": self.reload_dir}
        values["reload_include"] = self.reload_include
        values |= {name: getattr(self.settings, name) for name in knobs()}
        if self.settings.status_token and not self.settings.status_token.startswith("file:"):
            values["status_token"] = "(secret)"
        for name, value in values.items():
            unset = value is None or (value == "" and name in EXTRAS)
            line = f"# {name} is not set" if unset else f"{name} = {_toml(value, sizes=_is_size(name))}"
            lines.append(f"{line:<{_COLUMN}}  # {self.sources[name]}")
        lines.append(f"# would serve {self.app or 'the demo page'} on {', '.join(self.endpoints)}")
        return "\n".join(lines)


def defaults() -> dict[str, Value]:
    """Return what can be set, and the default of each; its type says what may be given."""
    extras: dict[str, Value] = dict.fromkeys(EXTRAS, "")
    extras |= {"listen": (), "mount": (), "reload": False, "reload_dir": (), "reload_include": ()}
    return extras | {name: getattr(Settings(), name) for name in knobs()}


def place(name: str) -> Knob:
    """Return what the world is told of the setting `name`."""
    return EXTRAS[name] if name in EXTRAS else knobs()[name]


def configure(
    line: Layer,
    environ: Mapping[str, str],
    table: Layer,
    fallback: Layer,
    *,
    endpoint: str,
) -> Configuration:
    """Return what is in effect: `line` before `environ`, then what other servers read of it, `table`, and `fallback`.

    `endpoint` is where to listen if nobody says. Raises `SettingError`, naming the place of the mistake.
    """
    layers = [line, from_environment(environ), from_habits(environ), table, fallback]
    chosen: dict[str, Given] = {}
    for layer in reversed(layers):
        if layer.keys() & {"listen", "port"}:
            # Where to listen is one question: whoever answers it in either way answers all of it.
            chosen.pop("listen", None)
            chosen.pop("port", None)
        chosen.update(layer)
    sources = dict.fromkeys((*EXTRAS, *knobs()), DEFAULT) | {name: given.source for name, given in chosen.items()}
    endpoints = [*_lines(chosen.get("listen")), *_ports(chosen.get("port"))]
    where = dict.fromkeys(chosen[each].source for each in ("listen", "port") if each in chosen)
    sources["listen"] = " and ".join(where) or DEFAULT
    return Configuration(
        settings=_settings({name: given for name, given in chosen.items() if name not in EXTRAS}),
        app=_extra(chosen, "app", "") or None,
        endpoints=endpoints or [endpoint],
        mounts=settled_mounts(_lines(chosen.get("mount")), chosen["mount"].named if "mount" in chosen else ""),
        user=_extra(chosen, "user", ""),
        group=_extra(chosen, "group", ""),
        reload=_extra(chosen, "reload", False),
        reload_include=_extra(chosen, "reload_include", ()),
        reload_dir=_extra(chosen, "reload_dir", ()),
        sources=sources,
        given=chosen,
    )


def _settings(chosen: Layer) -> Settings:
    try:
        settings = from_words({name: given.word for name, given in chosen.items()})
    except SettingError as error:
        raise SettingError(_named_as_given(error, chosen)) from None
    status = "".join(with_modes(filter(None, [settings.status]), settings.umask))
    return replace(settings, status=status, sendfile_root=tuple(map(abspath, settings.sendfile_root)))


def _named_as_given(error: SettingError, chosen: Layer, usual: Place = LINE) -> str:
    """Return the line of `error`: settings are named as they were given, and others as they would be in that place."""
    names = error.names()
    place = next((chosen[name].place for name in names if name in chosen), usual)

    def label(name: str) -> str:
        given = chosen.get(name)
        if given is not None and given.place is not place:
            return given.named
        word = place.write(name) if given is None else given.named.removeprefix(place.begin)
        return place.begin + word if name == names[0] else word

    return error.text(label)


def _lines(given: Given | None) -> list[str]:
    if given is None:
        return []
    return [each for each in given.word.split("\n" if "\n" in given.word else None) if each]


def settled_mounts(words: Iterable[str], named: str) -> list[str]:
    """Return the mounts that `words` are, none of which depends on the current directory any more.

    Raises `SettingError`, which begins with what they are `named`.
    """
    mounts = []
    for word in words:
        try:
            _, spec = read_mount(word)
        except ValueError as error:
            raise SettingError(f"{named} is {word!r}: {error}") from None
        mounts.append(f"{word.partition('=')[0]}={spec}")
    try:
        read_mounts(mounts)
    except ValueError as error:
        raise SettingError(f"{named}: {error}") from None
    return mounts


def _ports(given: Given | None) -> list[str]:
    return [] if given is None else [endpoint_of(word, given.named) for word in given.word.split()]


def _extra(chosen: Layer, name: str, usual: _T) -> _T:
    """Return the value of the setting `name`, one of `EXTRAS`; `usual`, its default, if nobody has given it."""
    given = chosen.get(name)
    if given is None:
        return usual
    knob = EXTRAS[name]
    try:
        return knob.judged(knob.parse(given.word), usual)
    except ValueError as error:
        raise SettingError(f"{given.named} is {given.word!r}: {error}") from None


def endpoint_of(port: str, named: str) -> str:
    """Return the endpoint that is the TCP port `port` of every interface. Raises `SettingError`."""
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise SettingError(f"{named} is {port!r}: it has to be a number from 0 to 65535")
    return f"tcp:{port}"


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
    raise SettingError(f"{named} is {_toml(value)}: {_wanted(name, default)} is wanted")


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
        return 'a whole number, or text as "64k",' if _is_size(name) else "a whole number"
    return "text, in quotes,"


def _is_size(name: str) -> bool:
    return name in knobs() and knobs()[name].unit == "bytes"


def _toml(value: object, *, sizes: bool = False) -> str:
    """Return `value` as TOML writes it, for people."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(each) for each in value)}]"
    if isinstance(value, dict):
        return "a table"
    if sizes and isinstance(value, int):
        for factor, letter in ((KIB**3, "g"), (KIB**2, "m"), (KIB, "k")):
            if value and value % factor == 0:
                return f'"{value // factor}{letter}"'
    return str(value)
