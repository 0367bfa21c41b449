"""How much memory this process has. Any thread may call."""

from __future__ import annotations

import os
import sys

if sys.platform != "win32":
    import resource


def resident() -> int:
    """Return how many bytes of memory this process has now, or its most so far if that is all that is told; else 0."""
    if sys.platform == "win32":
        return 0
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if os.uname().sysname == "Darwin" else most * 1024
