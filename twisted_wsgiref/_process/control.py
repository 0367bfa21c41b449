"""The commands for a server that runs already: ``stop``, ``reload``, ``workers +1``, and ``status``.

What lives here: finding the process, by its file or its number, the judgement whether it is ours, and the signal that
it gets. What may not: Twisted, which would make the shell wait. What a signal does is `signals`' and `parent`'s
business, the table of ``status`` is `status_command`'s. Called in the main thread of a process of its own.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Final, NoReturn

from . import titles
from .other_process import lives, parent_of, takes, words_of
from .pidfile import Owner, read

PIDFILE: Final = "TWISTED_WSGIREF_PIDFILE"
# Above the default of --grace, at the end of which a server ends whatever happens.
PATIENCE: Final = 60.0
_LOOK: Final = 0.05
# The programs that serve. Below the last two ours is a word of its own.
_PROGRAMS: Final = ("twisted-wsgiref", "twisted_wsgiref")
_AROUND: Final = ("twistd", "twist")
# What a parent starts.
_PARTS: Final = frozenset({"twisted_wsgiref._process.worker", "twisted_wsgiref._process.fork_server"})


class Refused(Exception):
    """The command can not be done; the text is the one line that says why."""


# ---- Which process -------------------------------------------------------------------------------------------------


def found_by_file(path: str) -> int:
    """Return the process that the file at `path` names. Raises `Refused` if it is not there, or is another one."""
    try:
        owner = read(path)
    except FileNotFoundError:
        raise Refused(f"there is no file {path}: a server that was started with --pidfile {path} makes it") from None
    except OSError as error:
        raise Refused(f"{path}: {error.strerror or error}") from None
    except ValueError as error:
        raise Refused(f"{path} is no pid file: {error}") from None
    if owner is None:
        raise Refused(f"{path} is empty: the server does not serve yet, or not any more")
    if not owner.holds:
        _check_unheld(path, owner)
    elif not lives(owner.pid):
        raise Refused(f"{path} is of process {owner.pid}, which can not be seen from here: is it in a container?")
    return owner.pid


def _check_unheld(path: str, owner: Owner) -> None:
    """Judge a file that nobody holds: the server was killed, or somebody else, such as twistd, has written it."""
    if not lives(owner.pid):
        raise Refused(f"{path} is stale: there is no process {owner.pid} any more")
    if not owner.is_there:
        raise Refused(f"{path} is stale: process {owner.pid} is {_name(owner.pid)}, which was started later")
    _check_ours(owner.pid)


def found_by_number(pid: int) -> int:
    """Return `pid` if it is a server of ours. Raises `Refused`."""
    if not lives(pid):
        raise Refused(f"there is no process {pid}")
    _check_ours(pid)
    return pid


def _check_ours(pid: int) -> None:
    words = words_of(pid)
    if words is None:
        return  # The system does not tell.
    above = parent_of(pid)
    # A process that was forked, and became no other one, has the command line of its parent.
    forked = above is not None and words_of(above) == words
    if is_server(words) and (forked or words[0].startswith(titles.PARTS) or _PARTS & set(words)):
        raise Refused(f"process {pid} is a part of a server: its parent, {_top(above, words)}, takes commands")
    if not is_server(words):
        raise Refused(f"process {pid} is {_name(pid)}, and no server of twisted_wsgiref")


def _top(pid: int | None, words: Sequence[str]) -> int | None:
    """Return the first process, from `pid` on upwards, whose own parent has not the command line `words`."""
    while pid is not None and words_of(pid) == words:
        above = parent_of(pid)
        if above is None or words_of(above) != words:
            break
        pid = above
    return pid


def is_server(words: Sequence[str]) -> bool:
    """Return whether the command line `words` is of a server of ours."""
    if words[:1] and words[0].startswith(titles.BEGINNING):
        return True
    names = map(os.path.basename, words)
    return bool(_PARTS & set(words)) or any(
        name in _PROGRAMS or (name in _AROUND and "wsgiref" in words[index:]) for index, name in enumerate(names)
    )


def _name(pid: int) -> str:
    words = " ".join(words_of(pid) or ["another one"])
    return repr(words if len(words) <= 60 else f"{words[:57]}...")


# ---- What it gets --------------------------------------------------------------------------------------------------


def stop(pid: int, timeout: float) -> str:
    """Ask the process to end, and wait so many seconds until it has. Return what was done. Raises `Refused`."""
    _send(pid, signal.SIGTERM)
    end = time.monotonic() + timeout
    while timeout:
        if not lives(pid):
            return f"process {pid} has ended"
        if time.monotonic() > end:
            raise Refused(f"process {pid} has not ended within {timeout:g} s; its log says what it waits for")
        time.sleep(_LOOK)
    return f"process {pid} answers the requests in flight, and ends"


def reload(pid: int) -> str:
    """Ask for workers with the code of now, or, without workers, for certificates of now. Return what was done.

    Raises `Refused`.
    """
    if takes(pid, signal.SIGHUP) is False:
        why = "it has neither workers nor TLS, or has only begun: see --workers"
        raise Refused(f"process {pid} can not reload, since {why}")
    _send(pid, signal.SIGHUP)
    return f"process {pid} reloads; its log says when it has"


def change_workers(pid: int, by: int) -> str:
    """Ask the process for one worker more, or fewer. Return what was done. Raises `Refused`."""
    number = signal.SIGTTIN if by > 0 else signal.SIGTTOU
    if takes(pid, number) is False:
        raise Refused(f"process {pid} has no workers to count, or has only begun: see --workers")
    _send(pid, number)
    return f"process {pid} has one worker {'more' if by > 0 else 'fewer, but never none,'} from now on"


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        raise Refused(f"there is no process {pid} any more") from None
    except PermissionError:
        raise Refused(f"process {pid} is another user's: only that user, or root, may ask it") from None


# ---- The words -----------------------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """A parser whose mistakes are one line."""

    def error(self, message: str) -> NoReturn:
        """End with that line, and status 1, as every other mistake of ours."""
        raise Refused(f"{message}; --help lists all")


def _parser(command: str) -> argparse.ArgumentParser:
    what = {
        "status": "Show how a server is doing, by its status site; q ends it.",
        "stop": "Ask a server to answer what is in flight and to end; wait until it has.",
        "reload": "Ask a server for new workers, with the code of now; without workers, for certificates of now.",
        "workers": "Ask a server with workers for one more (+1) or one fewer (-1).",
    }
    parser = _Parser(prog=f"twisted-wsgiref {command}", description=what[command], allow_abbrev=False)
    if command == "status":
        from .status_command import add_options

        add_options(parser)
        return parser
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--pidfile", metavar="FILE", help=f"the server's --pidfile (default: ${PIDFILE})")
    which.add_argument("--pid", metavar="PID", type=int, help="the number of the server's process")
    if command == "stop":
        parser.add_argument(
            "--timeout",
            metavar="SECONDS",
            type=float,
            default=PATIENCE,
            help="how long to wait for the end; 0: not at all (default: %(default)g)",
        )
    if command == "workers":
        parser.add_argument("by", metavar="+1|-1", choices=("+1", "-1"), help="one worker more, or one fewer")
    return parser


def run(words: Sequence[str]) -> str:
    """Do what `words` say, of which the first is one of `command_names`, and return what was done. Raises `Refused`."""
    command, *rest = words
    given = _parser(command).parse_args(rest)
    if command == "status":
        return _status(given)
    path = given.pidfile or (None if given.pid is not None else os.environ.get(PIDFILE))
    if path is None and given.pid is None:
        raise Refused("which server? Say --pidfile FILE, as the server was told, or --pid PID")
    pid = found_by_number(given.pid) if path is None else found_by_file(path)
    if command == "stop":
        return stop(pid, given.timeout)
    return reload(pid) if command == "reload" else change_workers(pid, int(given.by))


def _status(given: argparse.Namespace) -> str:
    """Show the table until somebody has seen enough; without a terminal, return it."""
    # Late: the other commands need no HTTP.
    from .status_client import NoStatus
    from .status_command import Screen, client_of, follow, once

    try:
        client = client_of(given.status, given.status_token, os.environ)
        if given.once or not sys.stdout.isatty():
            return once(client)
        follow(client, Screen(), max(0.1, given.interval))
    except NoStatus as error:
        raise Refused(str(error)) from None
    return ""


def main(words: Sequence[str]) -> NoReturn:
    """Do as `run`; end with status 0 after a line of what was done, or with status 1 after the line of a mistake."""
    if words[0] != "status" and not hasattr(signal, "SIGHUP"):
        sys.exit(f"twisted-wsgiref {words[0]}: this system has no signals to ask a server by")
    try:
        done = run(words)
        if done:
            print(done, flush=True)
    except Refused as error:
        sys.exit(f"twisted-wsgiref {words[0]}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)
