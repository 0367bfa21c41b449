"""What a process that is ours sets for all of itself, the application included: collections, freed memory, threads.

Nothing here may cost an application more than it would elsewhere: `benchmarks/speed/settled.py` measures that.
"""

from __future__ import annotations

import gc
import sys
from typing import Final

_interval_by_default: Final = sys.getswitchinterval()

# glibc gives free memory back at once where more than 128 KiB of it lie together, and maps each piece of 128 KiB or
# more by itself: the kernel zeroes every page of the next body anew. It adjusts both by what is freed: a piece that was
# mapped by itself raises the second mark to its size, and the first to twice that. mallopt(3) would end that for each
# piece of the application, too; so one piece of this size, in bytes, is freed instead. The application may raise the
# marks further, as in every other process. If somebody has set one of them, or the C library is another one, it is a
# piece like any other, whose pages nobody has touched.
_PIECE: Final = 4 * 1024 * 1024


def settle(switch_interval: float = 0.0) -> None:
    """Set what belongs to the whole process, once the application is imported; 0 seconds leave that interval alone.

    How many objects are collected together stays Python's, or the application's: with more, whatever it leaves in
    cycles holds its memory for longer (decision 18).
    """
    gc.collect()
    # What was imported stays: collections need not walk it again and again.
    gc.freeze()
    keep_freed_memory()
    if switch_interval and sys.getswitchinterval() == _interval_by_default:  # else the application knows better
        sys.setswitchinterval(switch_interval)


def keep_freed_memory() -> None:
    """Have the C library keep up to 8 MiB that were freed, where it learns from frees as glibc does."""
    bytes(_PIECE)
