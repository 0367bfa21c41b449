"""``python -m twisted_wsgiref MOD:APP``: what ``twistd wsgiref`` serves, in the foreground and without its files.

What lives here: the choice of the reactor. All else is `command_line`'s, `making`'s and `foreground`'s. Called in the
main thread.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from twisted_wsgiref._twisted.activation import name_sockets
from twisted_wsgiref._twisted.late_tls import import_without_tls

name_sockets(os.environ)  # before Twisted reads what it finds there
import_without_tls()  # before all that imports a reactor

# ruff: noqa: E402
from twisted.application.reactors import NoSuchReactor, getReactorTypes, installReactor
from twisted.python.usage import UsageError

from twisted_wsgiref._twisted.reactor import the_reactor

from . import command_line, making
from .asked import refuse
from .command_line import SCRIPT
from .command_names import COMMANDS
from .daemon import leave_terminal
from .early_fork import prepare_forks
from .foreground import run
from .logs import begin_log
from .notify import Notifier
from .own_forks import OwnForks


class Options(command_line.Options):
    """The same options, and the choice of the reactor, which elsewhere is twistd's."""

    longdesc = (
        f"{command_line.Options.longdesc} Instead of options, a first word may ask a server that runs already: "
        f"{', '.join(COMMANDS)}; each has a --help of its own."
    )

    def getSynopsis(self) -> str:
        """Return the first line of the help."""
        typed = self.command if self.command == SCRIPT else "python -m twisted_wsgiref"
        return f"Usage: {typed} {self.synopsis}"

    def opt_reactor(self, name: str) -> None:
        """Reactor of Twisted's to run on, such as epoll, poll, select or asyncio (default: the best one here)"""
        try:
            installReactor(name)
        except NoSuchReactor:
            names = ", ".join(sorted(each.shortName for each in getReactorTypes()))
            raise UsageError(f"--reactor is {name!r}: it has to be one of {names}") from None
        except Exception as error:  # Whatever the import of a reactor that is not for this machine raises.
            raise UsageError(f"--reactor is {name!r}: {' '.join(str(error).split())}") from None


def serve_words(words: Sequence[str]) -> NoReturn:
    """Serve until a signal comes; ends with `SystemExit`. Called in the main thread."""
    options = Options()
    try:
        options.parseOptions(words)
    except UsageError as error:
        refuse(options, str(error))
    daemon = leave_terminal() if options.found.settings.daemon else None
    notifier = Notifier.taken_from(os.environ)
    early = prepare_forks(options.found, daemon)
    begin_log(options.found.settings)  # the import of the application may have something to say
    service = making.makeService(options, notifier=notifier, early=early)
    if daemon is not None:
        notifier.call_when_ready(daemon.serves)  # at last: then there is a pid file
    status = run(service, the_reactor())
    if isinstance(early, OwnForks):
        early.serve()  # a child
    sys.exit(status)
