"""A process in the foreground, from its log to its exit status: ``python -m twisted_wsgiref``, or a script's `serve`.

What lives here: who begins the log and runs the reactor, and the one call that a script makes. What may not: options
and words, which are `command_line`'s, and the service as a process, which is `making`'s. Called in the main thread.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeVar, cast

from twisted_wsgiref._connection.endpoints import endpoint_of_address
from twisted_wsgiref._connection.listening import NotListening
from twisted_wsgiref._gateway.handler import WSGIHandler
from twisted_wsgiref._observe.work import application_name
from twisted_wsgiref._settings.knobs import Value, shown
from twisted_wsgiref._twisted.private import has_logging_begun, has_run
from twisted_wsgiref._twisted.reactor import Reactor, the_reactor
from twisted_wsgiref.settings import SettingError, Settings, knobs

from . import making
from .asked import Objects
from .configuration import Configuration, settled_mounts
from .extras import EXTRAS
from .hints import hint
from .logs import begin_log, logging_kept
from .process import CannotStart, CommandLineService
from .pulse import disarm
from .signals import Ending
from .sources import CALL
from .surroundings import enter

if TYPE_CHECKING:
    from twisted_wsgiref._observe.record import FactsObserver, Record
    from twisted_wsgiref.types import WSGIApplication

# The port of `command_line.DEFAULT_ENDPOINT`.
_T = TypeVar("_T", bound=Value)

_PORT: Final = 8000
# Said to the process, and not where to listen or what to serve, which have parameters of their own.
_EXTRAS: Final = tuple(name for name in EXTRAS if name not in ("app", "listen", "mount", "port"))
_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGBREAK", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGCHLD")


def run(service: CommandLineService, reactor: Reactor) -> int:
    """Serve until a signal comes, and return the status to end with. Raises `CannotStart`."""
    if not has_logging_begun():
        begin_log(service.settings)
    service.privilegedStartService()
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    service.startService()
    reactor.run()
    return service.status


@dataclass(frozen=True)
class _Asked:
    """`Asked` by a script."""

    found: Configuration
    application: WSGIApplication | None
    given: Objects
    daemonises: bool = False
    leaves: bool = False
    told_another: bool = False
    relayed: frozenset[int] = frozenset()
    takes_refusal: bool = True

    @property
    def command(self) -> str:
        """What begins the line of a mistake."""
        return os.path.basename(sys.argv[0]) or "serve()"


def serve(
    application: WSGIApplication | str,
    port: int | None = None,
    *,
    host: str = "127.0.0.1",
    listen: str | Sequence[str] = (),
    mounts: Mapping[str, object] = MappingProxyType({}),
    handler_class: type[WSGIHandler] = WSGIHandler,
    observers: Sequence[Callable[[Record], object] | FactsObserver] = (),
    **settings: object,
) -> None:
    """Serve `application` until the process is asked to stop: what ``python -m twisted_wsgiref`` does, in one call.

    `application`: a callable as PEP 3333 describes it, or text as on the command line, ``"mod:app"``.

    `port`: a TCP port of `host`; 0 takes a free one. None, the default: 8000, unless `listen` says where.

    `host`: the address or name to listen on. By default only this machine's programs can connect; ``""`` is every
    address.

    `listen`: endpoint descriptions, such as ``"unix:/run/app.sock"``; one, or a sequence.

    `mounts`: as of `WSGIService`; text may also be ``"wsgi:mod:app"``, as on the command line.

    `handler_class`, `observers`: as of `WSGIService`, for an application that is a callable.

    `settings`: fields of `Settings`, such as ``threads=8``; also ``user``, ``group``, ``reload``, ``reload_dir`` and
    ``reload_include``. Environment and files are not looked at. What needs other processes (``workers``,
    ``max_requests``, ``max_rss``, ``max_worker_age``, ``reload``, ``user``, ``group``) needs the application as text:
    those import it.

    The log goes to standard error, unless the program has begun logging, the access log to standard output. SIGINT and
    SIGTERM answer what is in flight and then end the call; a second Ctrl-C ends the process. Handlers of signals are
    left as they were.

    Raises `TypeError` for an unknown keyword, `SettingError` for a value that can not be, `ListenError` (also a
    `SystemExit`: one line and status 1) if an endpoint can not be listened on, `RuntimeError` in another thread than
    the main one and where the reactor runs or has run, and `SystemExit` with the status that says why if the end was
    not in order. Called in the main thread; blocks it.
    """
    given: Objects = {"mounts": mounts, "handler_class": handler_class, "observers": observers}
    _serve(_read(application, port, host, listen, settings, given))


serve.__module__ = "twisted_wsgiref"  # found at the front door


def _serve(asked: _Asked) -> None:
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(
            "serve() takes signals, so it has to be called in the main thread; elsewhere use "
            "twisted_wsgiref.testing.serve() for a test, or a WSGIService in a program that runs the reactor"
        )
    reactor = the_reactor()
    if reactor.running:
        raise RuntimeError("serve() runs the reactor, which runs already: start a WSGIService there instead")
    if has_run(reactor):
        raise RuntimeError("serve() runs the reactor, which has run and ended: it runs once in a process")
    with _signals_kept(), logging_kept():
        # No end of the interpreter's: the script goes on, and what it ends with is its own business.
        service = making.makeService(asked, Ending(reactor, register=lambda call: None))
        try:
            status = run(service, reactor)
        except CannotStart as error:
            service.stopService()
            refusal = NotListening(error.line)
            refusal.code = f"{asked.command}: {error.line}"  # told by the interpreter, if nobody takes it
            raise refusal from None
        finally:
            disarm()
    if status:
        raise SystemExit(status)


def _read(
    application: object, port: object, host: object, listen: object, settings: dict[str, object], given: Objects
) -> _Asked:
    """Return what is asked for. Raises as `serve` does."""
    for name in settings:
        if name not in knobs() and name not in _EXTRAS:
            raise TypeError(
                f"serve() has no setting {name}{hint(name, (*_EXTRAS, *knobs(), 'port', 'host', 'listen'))}"
            )
    name_of = application if isinstance(application, str) else None
    by_name = name_of is not None
    if not by_name and not callable(application):
        raise TypeError(f"the application is {application!r:.100}: it has to be callable, or text such as 'mod:app'")
    user, group = _extra(settings, "user", ""), _extra(settings, "group", "")
    reload = _extra(settings, "reload", False)
    patterns: tuple[str, ...] = _extra(settings, "reload_include", ())
    folders: tuple[str, ...] = _extra(settings, "reload_dir", ())
    judged: Callable[..., Settings] = Settings
    mounts: Mapping[str, object] = given.pop("mounts")
    chosen = judged(**settings)
    if chosen.daemon:
        raise SettingError(
            "daemon is True: serve() runs in the process of its script; a command may leave the terminal"
        )
    enter(chosen)
    given["mounts"] = {prefix: each for prefix, each in mounts.items() if not isinstance(each, str)}
    found = Configuration(
        settings=chosen,
        app=application_name(application) if name_of is None else name_of,
        endpoints=_endpoints(port, host, listen),
        mounts=settled_mounts(
            (f"{prefix}={each}" for prefix, each in mounts.items() if isinstance(each, str)), "mounts"
        ),
        user=user,
        group=group,
        reload=reload,
        reload_include=patterns,
        reload_dir=folders,
        sources={},
        place=CALL,
    )
    for name, value in () if by_name else found.apart.items():
        raise SettingError(
            f"{name} is {shown(value)}: other processes import the application by its name, so serve() has to have "
            "it as text, as serve('mod:app')"
        )
    objects = given["observers"] or given["mounts"] or given["handler_class"] is not WSGIHandler
    if by_name and found.apart and objects:
        raise SettingError(
            f"{next(iter(found.apart))} is set: handler_class, observers and mounts that are objects do not reach "
            "other processes"
        )
    return _Asked(found, None if by_name else cast("WSGIApplication", application), given)


def _extra(settings: dict[str, object], name: str, usual: _T) -> _T:
    """Take the setting `name` out of `settings`, and return it; `usual`, its default, if it is not given."""
    if name not in settings:
        return usual
    value = settings.pop(name)
    try:
        return EXTRAS[name].judged(value, usual)
    except ValueError as error:
        raise SettingError(f"{name} is {shown(value)}: {error}") from None


def _endpoints(port: object, host: object, listen: object) -> list[str]:
    listed = [listen] if isinstance(listen, str) or not isinstance(listen, Iterable) else list(listen)
    given = [each for each in listed if isinstance(each, str) and each]
    if len(given) < len(listed):
        raise SettingError(f"listen is {shown(listen)}: it has to be endpoints as text, as 'tcp:8000'")
    if port is None and given:
        return given
    number = _PORT if port is None else port
    if type(number) is not int or not 0 <= number <= 65535:
        raise SettingError(f"port is {shown(port)}: it has to be a whole number from 0 to 65535")
    if not isinstance(host, str):
        raise SettingError(f"host is {shown(host)}: it has to be a str, '' for every address")
    return [*given, endpoint_of_address(f"{host}:{number}") or f"tcp:{number}"]


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Leave the handlers of signals as they were: after the reactor, ours would hold up Ctrl-C for ever."""
    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    before = {number: handler for number in numbers if (handler := signal.getsignal(number)) is not None}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
