"""What ``twistd wsgiref``, ``twist wsgiref`` and ``python -m twisted_wsgiref`` understand and start.

What lives here: the words of the command line, the service made from them, and the one line that each mistake gets.
What may not: anything that an embedding program needs; that is `service`.
"""

from __future__ import annotations

import getopt
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, ClassVar, NoReturn

from twisted.application.reactors import getReactorTypes
from twisted.internet import default
from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

from twisted_wsgiref import __version__

from ._ops.access_log import AccessLog
from ._ops.link import Orders
from ._ops.listeners import Listeners, activated, has_descriptors
from ._ops.loading import LoadError, load_application
from ._ops.parent import ParentService
from ._ops.signals import Ending
from ._ops.supervisor import Patience
from .process import CommandLineService, ServingService
from .service import ListenError, WSGIService, parse_endpoint
from .settings import KIB, Knob, SettingError, Settings, from_words, knobs

# gunicorn's default, and the port of Django's and of most tutorials; only this machine, until somebody says otherwise.
DEFAULT_ENDPOINT = "tcp:8000:interface=127.0.0.1"
DEMO = "twisted_wsgiref.simple_server:demo_app"


def _option(name: str) -> str:
    return name.replace("_", "-")


def _written(value: object, unit: str) -> str:
    """Return a knob's default as a person would type it."""
    if value == "":
        return "empty"
    if isinstance(value, tuple):
        return ",".join(value) or "none"
    if unit == "octets" and isinstance(value, int):
        for factor, letter in ((KIB * KIB, "m"), (KIB, "k")):
            if value and value % factor == 0:
                return f"{value // factor}{letter}"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{text} {unit}".rstrip()


def _knob_options() -> tuple[list[list[Any]], list[list[Any]]]:
    """Return optFlags and optParameters for every knob: what is off by default is a flag, all else takes a value."""
    flags: list[list[Any]] = []
    parameters: list[list[Any]] = []
    defaults = Settings()
    for name, knob in knobs().items():
        default = getattr(defaults, name)
        if default is False:
            flags.append([_option(name), None, knob.text])
        else:
            parameters.append([_option(name), None, None, _help(name, knob, default)])
    return flags, parameters


def _help(name: str, knob: Knob, default: object) -> str:
    if name == "access_log":
        return f"{knob.text} (default: -, and off for a daemon)"
    return f"{knob.text} (default: {_written(default, knob.unit)})"


def _joined(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the options `found` with those that take a list and were repeated as one: Twisted keeps only the last."""
    lists = {f"--{_option(name)}" for name in knobs() if isinstance(getattr(Settings(), name), tuple)}
    words: dict[str, list[str]] = {}
    for name, value in found:
        if name in lists:
            words.setdefault(name, []).append(value)
    rest = [(name, value) for name, value in found if name not in lists]
    return rest + [(name, ",".join(values)) for name, values in words.items()]


_FLAGS, _PARAMETERS = _knob_options()


class Options(UsageOptions):
    """The command line: ``[options] [MOD:APP]``, options before or after.

    After `parseOptions`: ``self["app"]`` is the application's spec or None, ``self["endpoints"]`` the endpoint
    strings, ``self["settings"]`` the `Settings`. Raises `UsageError`; below twistd or twist, which would print their
    whole help, `SystemExit` with one line instead.
    """

    synopsis = "[options] [MOD:APP]"
    longdesc = (
        "Serves a WSGI application: MOD:APP is the module and the name of the application in it, MOD:FACTORY() what a "
        "factory returns, MOD alone its application or app. Modules in the current directory can be named. Without an "
        f"application a demo page is served; without --listen and --port, on {DEFAULT_ENDPOINT}."
    )
    optFlags: ClassVar[list[list[Any]]] = _FLAGS
    optParameters: ClassVar[list[list[Any]]] = [
        ["app", "a", None, "the application: MOD:APP, MOD:FACTORY() or MOD (default: a demo page)"],
        *_PARAMETERS,
    ]

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self["endpoints"] = []

    @property
    def command(self) -> str:
        """What the user typed to get here; begins the line of each mistake."""
        if self.parent is None:
            return "twisted_wsgiref"
        return f"{os.path.basename(sys.argv[0])} {self.parent.subCommand or 'wsgiref'}"

    @property
    def daemonises(self) -> bool:
        """Whether this is a twistd that will leave its terminal. twist and ``python -m`` never do."""
        parent: dict[str, Any] = self.parent or {}
        return "nodaemon" in parent and not parent["nodaemon"] and not parent.get("debug")

    @property
    def relayed(self) -> frozenset[int]:
        """Which descriptors of workers have to be read and put into twistd's log, since it is not in the terminal."""
        parent: dict[str, Any] = self.parent or {}
        if self.daemonises:
            return frozenset({1, 2})
        elsewhere = bool(parent.get("syslog")) or parent.get("logfile") not in (None, "-")
        return frozenset({2}) if elsewhere else frozenset()

    def opt_listen(self, endpoint: str) -> None:
        """Listen on this endpoint, as tcp:8000, unix:/run/app.sock or ssl:443:privateKey=key.pem; may be repeated."""
        self["endpoints"].append(endpoint)

    opt_l = opt_listen

    def opt_port(self, port: str) -> None:
        """Listen on this TCP port of every interface: short for --listen tcp:PORT."""
        if not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise UsageError(f"--port is {port!r}: it has to be a number from 0 to 65535")
        self["endpoints"].append(f"tcp:{port}")

    opt_p = opt_port

    def opt_version(self) -> NoReturn:
        """Print the version and exit."""
        print(f"twisted_wsgiref {__version__}")
        sys.exit(0)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Read the words, options before or after the application."""
        words = list(sys.argv[1:] if options is None else options)
        try:
            # The last but one word of a shell that asks for completions; Twisted answers it itself.
            super().parseOptions(words if "--_shell-completion" in words else self._options_first(words))  # type: ignore[no-untyped-call]
        except UsageError as error:
            if self.parent is None:
                raise
            refuse(self, str(error))

    def _options_first(self, words: list[str]) -> list[str]:
        """Return `words` with the application last: Twisted reads no option after it, but gunicorn's users do."""
        try:
            found, rest = getopt.gnu_getopt(words, self.shortOpt, self.longOpt)
        except getopt.error as error:
            raise UsageError(f"{error}; --help lists all") from None
        found = _joined(found)
        ordered: list[str] = []
        for name, value in found:
            takes_value = f"{name[2:]}=" in self.longOpt or f"{name[1:]}:" in self.shortOpt
            ordered += [name, value] if takes_value else [name]
        return [*ordered, "--", *rest]

    def parseArgs(self, *words: str) -> None:
        """Take the application where it is given without --app."""
        if len(words) + (self["app"] is not None) > 1:
            extra = words[-1]
            raise UsageError(f"there is already an application, so what is {extra!r}?")
        if words:
            self["app"] = words[0]

    def postOptions(self) -> None:
        """Make the settings."""
        self["endpoints"] = self["endpoints"] or [DEFAULT_ENDPOINT]
        words = {name: self[_option(name)] for name in knobs() if self[_option(name)] is not None}
        words = {name: {0: "no", 1: "yes"}.get(word, word) for name, word in words.items()}
        if self.daemonises and "access_log" not in words:
            words["access_log"] = "off"
        try:
            self["settings"] = from_words(words)
        except SettingError as error:
            name, space, rest = str(error).partition(" ")
            raise UsageError(f"--{_option(name)}{space}{rest}" if name in knobs() else str(error)) from None
        if self.daemonises and self["settings"].access_log == "-":
            raise UsageError("--access-log is '-': a daemon has no standard output; give a path, or twistd -n")


def refuse(options: Options, line: str, traceback: str = "") -> NoReturn:
    """End the process with status 1 and `line` on standard error, after the application's own `traceback`."""
    if traceback:
        sys.stderr.write(traceback)
    raise SystemExit(f"{options.command}: {line}")


def makeService(options: Options) -> CommandLineService:
    """Return the service that the options ask for.

    Raises `SystemExit`, with the one line that says why, where there is none. The application is imported here: before
    twistd becomes a daemon, so that the line and the application's own traceback still reach the terminal.
    """
    # Late: twistd's --reactor has to come before it.
    from twisted.internet import reactor

    ending = Ending(reactor)
    settings: Settings = options["settings"]
    for endpoint in options["endpoints"]:
        try:
            parse_endpoint(reactor, endpoint)
        except ListenError as error:
            refuse(options, str(error))
    if settings.workers > 1 or settings.max_requests or settings.max_rss:
        return _make_parent(options, ending, reactor)
    try:
        application = load_application(options["app"] or DEMO)
    except LoadError as error:
        refuse(options, str(error), error.traceback)
    access_log = _open_access_log(options, settings.access_log)
    service = WSGIService(
        application,
        options["endpoints"],
        settings,
        reactor=reactor,
        observers=() if access_log is None else (access_log,),
    )
    return ServingService(service, options, access_log, ending, reactor)


def _make_parent(options: Options, ending: Ending, reactor: Any) -> CommandLineService:
    """Return the parent of worker processes. No application is imported: each worker does that for itself."""
    settings: Settings = options["settings"]
    if not has_descriptors():
        refuse(options, "--workers: this system can not hand sockets to other processes; leave it at 1")
    access_log = _open_access_log(options, settings.access_log)
    if access_log is not None:
        access_log.close()  # Each worker opens its own; this one was to find a mistake before it is a daemon.
    orders = Orders(
        number=0,
        slot=0,
        app=options["app"],
        endpoints=list(options["endpoints"]),
        settings=asdict(settings),
        reactor=_reactor_name(reactor),
        sockets=[],
        path=None,
        activated=activated(),
    )
    service = ParentService(
        reactor,
        Listeners(reactor, options["endpoints"], parse_endpoint, settings.backlog),
        orders,
        workers=settings.workers,
        patience=Patience(start=settings.start_timeout, beat=settings.watchdog, grace=settings.grace),
        relay=options.relayed,
        ended=ending.end_with,
        leave=ending.stop,
    )
    return CommandLineService(service, options, None, ending, reactor)


def _reactor_name(reactor: Any) -> str:
    """Return the word for ``--reactor`` that makes such a reactor, "" for the default and for one that has none."""
    if default.install.__module__ == type(reactor).__module__:
        return ""
    found: list[Any] = [
        each for each in getReactorTypes() if getattr(each, "moduleName", "") == type(reactor).__module__
    ]
    return found[0].shortName if found else ""


def _open_access_log(options: Options, target: str) -> AccessLog | None:
    if target in ("off", ""):
        return None
    try:
        return AccessLog(target)
    except OSError as error:
        refuse(options, f"--access-log is {target!r}: {error.strerror or error}")
