"""Children of other programs that this process has to wait for, since it is the first one of a container.

The kernel gives every orphan of a container to its first process, and a dead orphan keeps its entry until that process
has waited for it. Call this only in a process without an application: else it would take the application's children.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

# As many as end between two looks of a busy container. The rest is still there at the next look.
_MOST: Final = 100


def reap_strangers(known: Callable[[int], bool]) -> list[int]:
    """Wait for ended children that are not `known`, and return their pids. Never blocks. Called in the main thread."""
    reaped: list[int] = []
    while len(reaped) < _MOST:
        try:
            # A look only: Twisted has to wait for its own children itself.
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            break
        if found is None or known(found.si_pid):
            break
        os.waitpid(found.si_pid, os.WNOHANG)
        reaped.append(found.si_pid)
    return reaped
