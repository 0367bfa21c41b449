"""Children that nobody waits for, where this is the first process of a container.

The kernel gives every orphan of a container to its first process; a dead one keeps its entry until that has waited for
it. What lives here may only be called where no application runs, whose own children would be taken from it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

# As many as end between two looks of a container that does nothing else; what is left is there at the next.
_MOST: Final = 100


def reap_strangers(known: Callable[[int], bool]) -> list[int]:
    """Wait for ended children that are not `known`, and return their pids. Never blocks. Called in the main thread."""
    reaped: list[int] = []
    while len(reaped) < _MOST:
        try:
            # A look only: whoever is known is left to whoever knows it.
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            break
        if found is None or known(found.si_pid):
            break
        os.waitpid(found.si_pid, os.WNOHANG)
        reaped.append(found.si_pid)
    return reaped
