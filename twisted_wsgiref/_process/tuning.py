"""Settings for a whole process of the server's own, application included: collections, freed memory, threads.

Nothing here may cost an application more than it would elsewhere: `benchmarks/speed/settled.py` measures that.
"""

from __future__ import annotations

import gc
import sys
from typing import Final

_interval_by_default: Final = sys.getswitchinterval()

# glibc gives free memory back at once if more than 128 KiB of it lie together, and maps each piece of 128 KiB or more
# by itself: then the kernel zeroes every page of the next body anew. Each free of a piece that was mapped by itself
# raises the second mark to its size, and the first to twice that. mallopt(3) would end that for the application, too.
# So we free one piece of this size, in bytes, instead. The application may raise the marks further, as in every other
# process. If the marks are set, or the C library is another one, this is a piece like any other, with untouched pages.
_PIECE: Final = 4 * 1024 * 1024


def settle(switch_interval: float = 0.0) -> None:
    """Set up the whole process, once the application is imported. A `switch_interval` of 0 leaves that alone.

    The thresholds of the collector stay Python's, or the application's: with higher ones, garbage in cycles would hold
    its memory for longer (decision 18).
    """
    gc.collect()
    # Imported objects stay: collections need not walk them again and again.
    gc.freeze()
    keep_freed_memory()
    if switch_interval and sys.getswitchinterval() == _interval_by_default:  # else the application knows better
        sys.setswitchinterval(switch_interval)


def keep_freed_memory() -> None:
    """Make the C library keep up to 8 MiB of freed memory, if it learns from frees as glibc does."""
    bytes(_PIECE)
