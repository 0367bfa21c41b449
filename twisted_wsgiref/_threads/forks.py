"""What the child of a fork keeps of the server: nothing, unless the child is to be the server.

A process forks for two reasons. Before its reactor runs it becomes a daemon: the child is the *heir*, which serves, and
has to learn that no thread has come with it. Later it is the application that forks, by `os.fork`, `multiprocessing`,
``preexec_fn`` of `subprocess`: the child is a *stranger*. What it keeps open lives as long as it does: a listening
socket, a connection that was reset. And a signal that it does not heed ends nothing.

What lives here: who the child is, signals, descriptors, and the list of those who have something to let go of. Knows
nothing of what they are. All but `tell`, `settle` and `runs_beside` is called in the thread that forks, the child's
only one.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, NoReturn, Protocol
from weakref import WeakSet

from twisted.logger import Logger

_log = Logger()

# Whose handlers a stranger must not have: they would have it go on where it is asked to end.
_OURS: Final = ("twisted", "twisted_wsgiref")
# Twisted's own forks are followed by exec, and take of our descriptors what they are to hand over.
_FORKS_TO_EXEC: Final = "twisted.internet.process"
# The descriptors of this process as files, on Linux and on others.
_LISTS: Final = ("/proc/self/fd", "/dev/fd")
# Where there is no list, so many numbers are tried at the most: 50 ms.
_MOST_TRIED: Final = 1 << 16


class Holder(Protocol):
    """Who has something that a fork copies, or something that it does not."""

    def forked(self, heir: bool) -> None:
        """Know, in the child, that no thread but this one is left; let go of all unless it is the `heir`."""


class Descriptors:
    """A holder of `numbers` that no stranger is to have."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self._numbers = tuple(numbers)

    def forked(self, heir: bool) -> None:
        """Close them in a stranger."""
        if not heir:
            drop(self._numbers)


class _Fork(threading.local):
    """The fork that this thread is at."""

    kind = ""  # "": not ours to care for; else heir or stranger
    handled: Sequence[int] = ()
    mask: Iterable[int] = ()


_holders: Final[WeakSet[Holder]] = WeakSet()
_fork: Final = _Fork()
_beside: Final[set[int]] = set()
_state: Final = {"registered": False, "settled": False}


def tell(holder: Holder) -> None:
    """Have ``holder.forked`` called in the child of each fork, as long as `holder` lives. Called in the main thread."""
    _holders.add(holder)
    if not _state["registered"] and hasattr(os, "register_at_fork"):
        _state["registered"] = True
        os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)


def settle() -> None:
    """Say that this process becomes no daemon any more: whoever forks, the child is a stranger."""
    _state["settled"] = True


def begin_anew(kept: Collection[int]) -> None:
    """Have nothing of the parent's in the child of a fork that is a server of its own: no descriptor but `kept`.

    Those that the parent itself was started with are left: somebody has handed them over, such as a log in ``/dev/fd``.
    Python makes no other that a program inherits.
    """
    _holders.clear()
    drop([number for number in _open_descriptors() if number not in kept and _is_own(number)])


def runs_beside(reactor: object, now: bool) -> None:
    """Note that `reactor`, not the process's own, runs `now`, or no more. While one does, a child is a stranger."""
    (_beside.add if now else _beside.discard)(id(reactor))


def drop(descriptors: Iterable[int]) -> None:
    """Have nothing of the server's behind `descriptors`, without a word to the other end.

    Never `shutdown`, which is for all who share a socket. The numbers stay taken, for whoever still has one to close.
    """
    nothing: int | None = None
    for number in descriptors:
        try:
            if nothing is None:
                nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            os.dup2(nothing, number, inheritable=False)
        except OSError:  # no such file below a chroot, or no descriptor left
            try:
                os.close(number)
            except OSError:
                pass
    if nothing is not None:
        os.close(nothing)


def leave() -> NoReturn:
    """End this child, with what it printed, and with nothing else that an interpreter does at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass  # None, or whoever read it is gone
    os._exit(0)


class Places:
    """Where sockets listen: by what is left of them, all that was accepted there is found, whoever knows of it."""

    def __init__(self) -> None:
        self._names: set[tuple[int, object]] = set()

    def add(self, listener: socket.socket) -> None:
        """Note where `listener` listens."""
        self._names.add(_place(listener))

    def clear(self) -> None:
        """Forget all."""
        self._names.clear()

    def descriptors(self) -> list[int]:
        """Return the descriptors of all sockets of this process that listen or were accepted there.

        One that the reactor's thread was just accepting is among them, though no object of Python's has it yet.
        """
        return [number for number in _open_descriptors() if self._is_there(number)] if self._names else []

    def _is_there(self, number: int) -> bool:
        try:
            sock = socket.socket(fileno=number)
        except OSError:  # no socket
            return False
        try:
            place = _place(sock)
            return sock.type == socket.SOCK_STREAM and (place in self._names or _of_any(place) in self._names)
        except OSError:
            return False
        finally:
            sock.detach()


def _place(sock: socket.socket) -> tuple[int, object]:
    name = sock.getsockname()
    if isinstance(name, tuple):
        host, port, *_ = name
        return sock.family, ("" if host in ("0.0.0.0", "::") else host, port)
    return sock.family, name or None  # a client's UNIX socket has no name, and is nowhere


def _of_any(place: tuple[int, object]) -> tuple[int, object]:
    """Return the place of a listener on every interface that would have accepted at `place`."""
    family, name = place
    return (family, ("", name[1])) if isinstance(name, tuple) else place


def _open_descriptors() -> Iterable[int]:
    for path in _LISTS:
        try:
            return [int(name) for name in os.listdir(path)]
        except (OSError, ValueError):
            pass
    return range(3, min(os.sysconf("SC_OPEN_MAX"), _MOST_TRIED))


def _is_own(number: int) -> bool:
    """Return whether no program inherits this descriptor; False, too, if there is none: the list of all had its own."""
    try:
        return not os.get_inheritable(number)
    except OSError:
        return False


# ---- At a fork -------------------------------------------------------------------------------------------------


def _before() -> None:
    _fork.kind = ""
    if not _holders or sys._getframe(1).f_globals.get("__name__") == _FORKS_TO_EXEC:
        return
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and not _state["settled"] and not _reactor_runs():
        _fork.kind = "heir"
        return
    _fork.kind = "stranger"
    _fork.handled = [number for number in signal.valid_signals() if _is_ours(signal.getsignal(number))]
    # A child may be signalled as soon as there is one: what comes too soon waits until it has handlers of its own.
    _fork.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _fork.handled)


def _in_parent() -> None:
    if _fork.kind == "stranger":
        signal.pthread_sigmask(signal.SIG_SETMASK, _fork.mask)


def _in_child() -> None:
    kind = _fork.kind
    if not kind:
        return
    try:
        if kind == "stranger":
            _try(_give_signals_back)
        for holder in list(_holders):
            _try(holder.forked, kind == "heir")
    finally:
        _in_parent()


def _give_signals_back() -> None:
    """Have signals do what they do in any process."""
    signal.set_wakeup_fd(-1)
    for number in _fork.handled:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def _try(call: Callable[..., object], *args: object) -> None:
    try:
        call(*args)
    except Exception:  # all the rest is to be let go of, too
        _log.failure("a fork was not told all: this is a bug in twisted_wsgiref")


def _is_ours(handler: object) -> bool:
    module = getattr(handler, "__module__", None)
    return callable(handler) and isinstance(module, str) and module.partition(".")[0] in _OURS


def _reactor_runs() -> bool:
    return bool(_beside or getattr(sys.modules.get("twisted.internet.reactor"), "running", False))
