"""Each setting from wherever it may be given, and where it came from: what is in effect, as a pure function.

What lives here: the order of precedence (command line, environment, old habits, file, default), and the line that each
mistake gets. What may not: how each place writes a value, which is `sources`'. Called in the main thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from os.path import abspath
from typing import Final, TypeVar

from twisted_wsgiref._connection.tls_settings import endpoints_of
from twisted_wsgiref._settings.knobs import Value
from twisted_wsgiref._targets.specs import read_mount, read_mounts
from twisted_wsgiref.settings import SettingError, Settings, from_words, knobs

from .extras import EXTRAS, defaults, is_size
from .sources import LINE, Given, Layer, Place, as_toml, from_environment, from_habits
from .surroundings import with_modes

DEFAULT: Final = "default"

_COLUMN: Final = 48
_APART: Final = ("workers", "max_requests", "max_rss", "max_worker_age", "preload", "user", "group", "reload")
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
            line = f"# {name} is not set" if unset else f"{name} = {as_toml(value, sizes=is_size(name))}"
            lines.append(f"{line:<{_COLUMN}}  # {self.sources[name]}")
        lines.append(f"# would serve {self.app or 'the demo page'} on {', '.join(self.endpoints)}")
        return "\n".join(lines)


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
