"""The service of a process, made of all that was asked for: by words on a line, or by a script's call.

What lives here: what is checked before a process begins, and the choice between a process that serves and a parent of
workers. What may not: words, which are `command_line`'s, and anything that an embedding program needs, which is
`service`'s. Called in the main thread; ``Options`` is here for twistd, which looks for both in one module.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from twisted_wsgiref._connection.endpoints import ListenError, parse_endpoint
from twisted_wsgiref._gateway.handler import WSGIHandler
from twisted_wsgiref._twisted.reactor import the_reactor
from twisted_wsgiref.service import WSGIService
from twisted_wsgiref.settings import SettingError

from .access import check_access_log, open_access_log
from .asked import Asked, refuse
from .beginning import Beginning, Terminal
from .command_line import Options
from .early_fork import Forks, check_system, fork_servers
from .hooks import Hooks
from .identity import identity_of
from .link import Orders
from .listeners import Listeners, activated
from .loading import LoadError
from .logs import hear_logging
from .mounting import check_mounts, import_served
from .notify import Notifier
from .parent import ParentService
from .parent_process import ParentProcess
from .pidfile import keep
from .process import CommandLineService, ThisProcess
from .runner import Runner, reactor_name
from .serving import ServingService
from .signals import Ending
from .supervisor import Patience
from .surroundings import take_variables
from .terminal import Modes, can_prompt, modes_if, pass_over_breakpoints
from .titles import take_title
from .watching import watch_for
from .worker import DEMO

__all__ = ["Options", "makeService"]

if TYPE_CHECKING:
    from twisted_wsgiref._observe.access_log import AccessLog


def makeService(
    options: Asked, ending: Ending | None = None, notifier: Notifier | None = None, early: Forks | None = None
) -> CommandLineService:
    """Return the service that the `options` ask for, which comes to its end by `ending`, and tells `notifier`.

    Workers are forked from `early`, if it was. Raises `SystemExit`, with the one line that says why, where there is no
    service. The application is imported here, unless twistd is to become a daemon first: no thread would come with it.
    """
    # Late: twistd's --reactor has to come before it.
    reactor = the_reactor()
    found = options.found
    process = ThisProcess(
        found.app,
        found.settings,
        options.command,
        reactor,
        ending or Ending(reactor),
        notifier or Notifier.taken_from(os.environ),
        daemonises=options.daemonises,
        takes_refusal=options.takes_refusal,
    )
    try:
        take_variables(found.settings)
        check_mounts(found.mounts, found.settings)
        check_access_log(found.settings)
        hooks = Hooks.checked(found.settings.hooks)
        for endpoint in [*found.places, *filter(None, [found.settings.status])]:
            parse_endpoint(reactor, endpoint)
        keep(process, found.explain, leaves=bool(options.told_another or found.user or found.group))
    except SettingError as error:
        refuse(options, found.explain(error))
    except ListenError as error:
        refuse(options, str(error))
    take_title(found.settings.name, "parent" if found.apart else "process", tells=True)
    if found.apart:
        return _make_parent(options, process, hooks, early)
    runner = Runner(reactor)
    hear_logging()
    if options.daemonises or not can_prompt():
        pass_over_breakpoints()
    process.ending.call_last(Modes().restore)
    try:
        served, beginning = import_served(options, DEMO, runner)
    except LoadError as error:
        refuse(options, str(error), error.traceback)
    hooks.attach(process, at_once=not options.leaves)
    access_log = _open_access_log(options)
    service = WSGIService(
        served.application,
        found.places,
        found.settings,
        reactor=reactor,
        handler_class=options.given.get("handler_class", WSGIHandler),
        mounts=served.mounts,
        observers=(*options.given.get("observers", ()), *hooks.observers(), *([access_log] if access_log else ())),
    )
    service.serves = found.app or service.serves
    return ServingService(service, replace(process, beginning=beginning), access_log)


def _make_parent(options: Asked, process: ThisProcess, hooks: Hooks, early: Forks | None) -> CommandLineService:
    """Return the parent of worker processes. No application is imported: each worker does that for itself."""
    found, settings, reactor = options.found, process.settings, process.reactor
    try:
        check_system(found)
        identity = identity_of(found.user, found.group, root=os.geteuid() == 0)
        if identity is not None and options.told_another:
            raise SettingError.of("{user}, {group}: twistd has --uid or --gid already; say it once")
    except SettingError as error:
        refuse(options, found.explain(error))
    if identity is None and not options.told_another:
        access_log = _open_access_log(options)
        if access_log is not None:
            access_log.close()  # Each worker opens its own; this one was to find a mistake before it is a daemon.
    patience = Patience(settings.start_timeout, settings.watchdog, settings.grace, until_reload=found.reload)
    # Where somebody develops at a terminal, and one worker may have it.
    modes = modes_if(found.reload and settings.workers == 1 and not options.daemonises)
    if modes is not None:
        # Somebody may sit at a prompt for as long as it takes, also in the reactor's thread, and at import.
        settings = replace(settings, request_timeout=0.0)
        patience = replace(patience, start=0.0, beat=0.0)
        process.ending.call_last(modes.restore)
    orders = Orders(
        number=0,
        slot=0,
        app=found.app,
        endpoints=found.places,
        mounts=list(found.mounts),
        settings=settings,
        reactor=reactor_name(reactor),
        sockets=[],
        path=None,
        activated=activated(),
        at_terminal=modes is not None,
        relayed=2 in options.relayed,
    )
    service = ParentService(
        reactor,
        Listeners(reactor, found.places, parse_endpoint, settings.backlog, aside=settings.status),
        orders,
        workers=settings.workers,
        patience=patience,
        relay=options.relayed,
        terminal=modes,
        forks=fork_servers(orders, reactor, options.relayed, early),
    )
    service.hooks = hooks.loaded_by(process.notifier)
    if found.reload:
        watch_for(found.reload_dir, found.reload_include, service.supervisor.reload, reactor)
    beginning = Beginning(terminal=Terminal() if options.daemonises else None)
    return ParentProcess(service, replace(process, beginning=beginning), identity)


def _open_access_log(options: Asked) -> AccessLog | None:
    try:
        return open_access_log(options.found.settings)
    except SettingError as error:
        refuse(options, options.found.explain(error))
