"""What is asked for when a process is to serve, on a command line or by a script's call.

Here live the type of it, the line of each mistake, and the texts that a user asks for instead of serving. Words may not
live here, which are `command_line`'s, nor keywords, which are `foreground`'s. Called in the main thread.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

if TYPE_CHECKING:
    from twisted_wsgiref.types import WSGIApplication


class Asked(Protocol):
    """``["app"]``, ``["endpoints"]``, ``["settings"]``, ``["configuration"]``, and in which process they are asked for.

    `command` begins the line of a mistake. `application` is the application itself, where it is not to be found by its
    name, and `given` what else its service is given; a command line has neither. The process may leave its terminal
    (`daemonises`), and be another one before it serves (`leaves`); `relayed` are descriptors of workers that are
    read for its log, `told_another` says that others were told whom it becomes. `takes_refusal`: as of `ThisProcess`.
    """

    @property
    def command(self) -> str: ...

    @property
    def application(self) -> WSGIApplication | None: ...

    @property
    def given(self) -> Mapping[str, Any]: ...

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

    def __getitem__(self, name: str, /) -> Any: ...


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
