"""What is asked for when a process is to serve, on a command line or by a script's call.

Here live the type of it, the line of each mistake, and the texts that a user asks for instead of serving. Words may not
live here, which are `command_line`'s, nor keywords, which are `foreground`'s. Called in the main thread.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn, Protocol, TypedDict

if TYPE_CHECKING:
    from twisted_wsgiref._gateway.handler import WSGIHandler
    from twisted_wsgiref._observe.record import FactsObserver, Record
    from twisted_wsgiref.types import WSGIApplication

    from .configuration import Configuration


class Objects(TypedDict, total=False):
    """Parameters of a service that no word can be: as of `WSGIService`."""

    handler_class: type[WSGIHandler]
    observers: Sequence[Callable[[Record], object] | FactsObserver]
    mounts: Mapping[str, object]


class Asked(Protocol):
    """The wishes of a user, `found` in words or keywords, and the process that is to fulfil them.

    `command` begins the line of a mistake. `application` is the application itself, if it has no name to be found by,
    and `given` has other objects for its service; a command line has neither. The process may leave its terminal
    (`daemonises`), and become another one before it serves (`leaves`). Its log gets the text of workers on the
    descriptors `relayed`. `told_another`: twistd was told which user to become. `takes_refusal`: as of `ThisProcess`.
    """

    @property
    def found(self) -> Configuration: ...

    @property
    def command(self) -> str: ...

    @property
    def application(self) -> WSGIApplication | None: ...

    @property
    def given(self) -> Objects: ...

    @property
    def daemonises(self) -> bool: ...

    @property
    def leaves(self) -> bool: ...

    @property
    def relayed(self) -> frozenset[int]: ...

    @property
    def told_another(self) -> bool: ...

    @property
    def takes_refusal(self) -> bool: ...


def refuse(options: Asked, line: str, traceback: str = "") -> NoReturn:
    """End the process with status 1 and `line` on standard error, after the application's own `traceback`."""
    if traceback:
        sys.stderr.write(traceback)
    raise SystemExit(f"{options.command}: {line}")


def tell(text: str) -> NoReturn:
    """Print `text`, which somebody has asked for, and end the process with status 0."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # A reader such as `head` has enough. The interpreter would try again at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(0)
