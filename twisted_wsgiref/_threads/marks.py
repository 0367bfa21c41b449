"""A mark that one thread leaves, a look for the mark of another, and what stands between the two.

Two threads that may miss each other do it the same way everywhere: each first leaves a mark (says that it waits, puts a
job, gives a connection back), and then looks for the other's. Whoever is second sees the mark of the first, and acts,
so that nothing is left lying and no lock is held. That rests on one thing: a thread's look does not come before its
mark. The GIL sees to it, since one thread runs at a time and each step of it is whole. Where threads run side by side,
processors put a read before a write that came first; so a `fence` stands between the two, on both sides:

    self.idle.append(signal)  # the mark
    if NO_GIL:
        fence()
    if not self.waiting:  # the look

The test of ``NO_GIL`` is written out, since a call for each mark would cost a request more than all its marks do.
`docs/design.md` lists every place, and a test holds that list.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Final

#: Whether threads run side by side in this interpreter (PEP 703), so that nothing rests on the GIL.
NO_GIL: Final[bool] = not getattr(sys, "_is_gil_enabled", lambda: True)()

# In a list, since the child of a fork needs another.
_lock: Final = [threading.Lock()]


def fence() -> None:
    """Let what this thread has written be seen by each that comes through here later. Called in any thread.

    A lock that both take, one after the other, orders what was written before the first with what is read after the
    second; a barrier of the processor, which would be enough, is not to be had in Python.
    """
    with _lock[0]:
        pass


def _renew() -> None:
    """Have another lock: a thread that is not here may hold the one of before. Called in the child of a fork."""
    _lock[0] = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
