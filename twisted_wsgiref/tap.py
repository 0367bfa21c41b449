"""What ``twistd wsgiref``, ``twist wsgiref`` and ``python -m twisted_wsgiref`` understand and start.

What lives here: the words of the command line, the service made from them, and the one line that each mistake gets.
What may not: anything that an embedding program needs; that is `service`.
"""

from __future__ import annotations

import getopt
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NoReturn

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

from twisted_wsgiref import __version__

from ._ops.access_log import AccessLog
from ._ops.loading import LoadError, load_application
from ._ops.signals import Ending, call_on_rotation
from .service import ListenError, WSGIService, parse_endpoint
from .settings import KIB, Knob, SettingError, Settings, from_words, knobs

_log = Logger()

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


class CannotStart(SystemExit, Exception):
    """The service can not start. Ends the process with status 1 and no traceback, since it is a `SystemExit`.

    It is an `Exception` too because twistd, after it has become a daemon, tells its parent of nothing else.
    """

    def __init__(self, line: str) -> None:
        super().__init__(1)
        self.line = line

    def __str__(self) -> str:
        return self.line


class CommandLineService(Service):
    """A `WSGIService` as a process of its own: signals, exit status, access log, and the first line of the log.

    Called in the reactor's thread.
    """

    def __init__(
        self, service: WSGIService, options: Options, access_log: AccessLog | None, ending: Ending, reactor: Any
    ) -> None:
        self._service = service
        self._options = options
        self._access_log = access_log
        self._ending = ending
        self._reactor = reactor
        self._problem: str | None = None
        self._starting = False
        service.whenListening.addCallbacks(self._listening, self._not_listening)

    @property
    def status(self) -> int:
        """The status that the process ends with."""
        return self._ending.status

    def privilegedStartService(self) -> None:
        """Bind the endpoints. Raises `CannotStart`."""
        super().privilegedStartService()  # type: ignore[no-untyped-call]
        self._start(self._service.privilegedStartService)

    def startService(self) -> None:
        """Serve. Raises `CannotStart`."""
        super().startService()  # type: ignore[no-untyped-call]
        self._start(self._service.startService)
        self._reactor.callWhenRunning(self._running)

    def stopService(self) -> Deferred[Any]:
        """Drain; the Deferred fires when the requests in flight are answered and the access log is written."""
        super().stopService()  # type: ignore[no-untyped-call]
        stopped = maybeDeferred(self._service.stopService)
        return stopped.addBoth(self._close_access_log)

    def _start(self, start: Callable[[], None]) -> None:
        self._starting = True
        try:
            start()
        finally:
            self._starting = False
        if self._problem is not None:
            self._tell(self._problem)
            raise CannotStart(self._problem)

    def _tell(self, line: str) -> None:
        """Say it where somebody looks: twistd has made the log of `sys.stderr`, a daemon has nothing but its log."""
        if self._options.daemonises:
            _log.critical("{line}", line=line)
        elif sys.__stderr__ is not None:
            print(f"{self._options.command}: {line}", file=sys.__stderr__, flush=True)

    def _running(self) -> None:
        self._ending.take_signals()
        if self._access_log is not None:
            call_on_rotation(self._access_log.reopen)

    def _listening(self, ports: Sequence[Any]) -> None:
        settings: Settings = self._options["settings"]
        threads = f"{settings.threads}"
        if settings.threads_max > settings.threads:
            threads += f" to {settings.threads_max}"
        what = self._options["app"] or "the demo page"
        for port in ports:
            line = f"serving {what} on {address(port)}, {threads} thread{'' if threads == '1' else 's'}"
            _log.info("{line}", line=line)

    def _not_listening(self, failure: Failure) -> None:
        line = failure.getErrorMessage()
        if self._starting or not self._reactor.running:
            self._problem = line
        else:
            self._ending.fail(line)

    def _close_access_log(self, result: Any) -> Any:
        if self._access_log is not None:
            self._access_log.close()
        return result


def address(port: Any) -> str:
    """Return where a listening `port` can be reached: a URL, or ``unix:PATH``."""
    host = port.getHost()
    if isinstance(host, UNIXAddress):
        return f"unix:{os.fsdecode(host.name or '')}"
    if not isinstance(host, IPv4Address | IPv6Address):
        return str(host)
    name = f"[{host.host}]" if isinstance(host, IPv6Address) else host.host
    return f"{'https' if _is_tls(port) else 'http'}://{name}:{host.port}"


def _is_tls(port: Any) -> bool:
    try:
        from twisted.protocols.tls import TLSMemoryBIOFactory
    except ImportError:  # Without pyOpenSSL there is no TLS.
        return False
    factory = getattr(port, "factory", None)
    while factory is not None and not isinstance(factory, TLSMemoryBIOFactory):
        factory = getattr(factory, "wrappedFactory", None)
    return factory is not None


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
    return CommandLineService(service, options, access_log, ending, reactor)


def _open_access_log(options: Options, target: str) -> AccessLog | None:
    if target in ("off", ""):
        return None
    try:
        return AccessLog(target)
    except OSError as error:
        refuse(options, f"--access-log is {target!r}: {error.strerror or error}")
