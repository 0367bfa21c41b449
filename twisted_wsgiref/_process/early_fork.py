"""Whether the workers of this process are forked, and the fork of a server that shares all with this process.

Here live the questions and the fork. What is said to a fork server is `forking`'s. Called in the main thread.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from twisted_wsgiref._twisted.reactor import Reactor
from twisted_wsgiref.settings import SettingError

from .daemon import Daemon
from .fork_server import Task, leave_standard_input, serve
from .forking import ForkServers
from .imported import Imported
from .listeners import has_descriptors
from .own_forks import HAS_TURNS, OwnForks
from .watching import check_watched
from .worker import DEMO

if TYPE_CHECKING:
    from .configuration import Configuration
    from .link import Orders


@dataclass(frozen=True)
class Early:
    """A fork server that was forked from this process, before that had a reactor."""

    pid: int
    sock: socket.socket
    imported: Imported


#: What forks workers, made before there is a reactor: another process, or this one.
Forks: TypeAlias = Early | OwnForks


def can_fork() -> bool:
    """Return whether this process may be forked, and its child go on without ``exec``.

    On macOS its own libraries may not. With a reactor, or with threads, nothing is sure of what it finds in the child.
    """
    return (
        hasattr(os, "fork")
        and hasattr(socket, "send_fds")
        and sys.platform != "darwin"
        and "twisted.internet.reactor" not in sys.modules
        and threading.active_count() == 1
    )


def fork_early(daemon: Daemon | None = None) -> Early | None:
    """Fork a fork server, which shares all that is imported so far; in it this never returns. None: it can not be.

    If this is a `daemon`, it leaves the terminal when it serves, and the fork server at once.

    Called in the main thread, before there is a reactor.
    """
    if not can_fork():
        return None
    imported = Imported.now()
    ours, theirs = socket.socketpair()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    # What is there by now stays: neither process has to walk over it, and so copy it.
    gc.collect()
    gc.freeze()
    pid = os.fork()
    if not pid:
        ours.close()
        leave_standard_input()
        if daemon is not None:
            daemon.forget()
        serve(theirs)
    theirs.close()
    return Early(pid, ours, imported)


def may_fork_early(found: Configuration) -> bool:
    """Return whether workers are to be forked from a process of now, and not of when sockets are bound.

    With another user they would have the rights of this one. While somebody develops, each worker is to be fresh. What
    a daemon's application says when it is imported is to be seen, and a fork server of now has left the terminal.
    """
    told = found.settings.daemon and found.settings.preload
    return bool(found.apart) and not (found.reload or found.user or found.group or told)


def prepare_forks(found: Configuration, daemon: Daemon | None = None) -> Forks | None:
    """Return what forks the workers of this process, with all that is imported by now; None: it may not be forked.

    This process itself, unless workers are to be forked from one that has what this one must not (the application), or
    that has not what this one will (the module of the hooks). Called in the main thread, before there is a reactor.
    """
    if not may_fork_early(found) or not can_fork():
        return None
    if HAS_TURNS and not (found.settings.preload or found.settings.hooks):
        return OwnForks()
    return fork_early(daemon)


def check_system(found: Configuration) -> None:
    """Raise `SettingError` if this system has not what worker processes need as `found` wants them."""
    if not has_descriptors():
        raise SettingError.of("{workers}: this system can not hand sockets to other processes; leave it at 1")
    if found.reload:
        check_watched(found.reload_dir)
    if found.settings.preload and not (hasattr(os, "fork") and hasattr(socket, "send_fds")):
        raise SettingError.of("{preload} is on: this system can not fork processes")


def fork_servers(orders: Orders, reactor: Reactor, relay: frozenset[int], early: Forks | None) -> ForkServers | None:
    """Return what is to fork the workers that get `orders`; None if each is to be an interpreter of its own."""
    preload = orders.settings.preload
    if early is None and not preload:
        return None

    def task() -> Task:
        umask = os.umask(0)
        os.umask(umask)
        return Task(
            orders.app or DEMO,
            orders.mounts,
            preload=preload,
            environ=dict(os.environ),
            directory=os.getcwd(),
            umask=umask,
            activated=orders.activated[0],
            name=orders.settings.name,
        )

    if isinstance(early, OwnForks):
        early.begin(reactor, relay)
        return ForkServers(reactor, task, relay, preload=preload, own=early)
    return ForkServers(reactor, task, relay, preload=preload, early=early)
