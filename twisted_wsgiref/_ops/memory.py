"""How a process that is ours goes about its memory: collections of what was made, and what is given back."""

from __future__ import annotations

import gc
from typing import Final

# By default the youngest objects are looked at whenever there are 700 of them more (2000 in newer Pythons). The
# requests of a single turn are more than that: each look finds them alive, and moves them among the old. So many are
# looked at together instead; what an application leaves in cycles is freed that much later.
_YOUNG: Final = 10_000
_by_default: Final = gc.get_threshold()

# glibc gives free memory back at once where more than 128 KiB of it lie together, and maps each piece of 128 KiB or
# more by itself: the kernel zeroes every page of the next body anew. It adjusts both by what is freed: a piece that was
# mapped by itself raises the second mark to its size, and the first to twice that. mallopt(3) would end that for each
# piece of the application, too; so one piece of this size, in bytes, is freed instead. The application may raise the
# marks further, as in every other process. If somebody has set one of them, or the C library is another one, it is a
# piece like any other, whose pages nobody has touched.
_PIECE: Final = 4 * 1024 * 1024


def settle() -> None:
    """Set what belongs to the whole process, once the application is imported."""
    gc.collect()
    # What was imported stays: collections need not walk it again and again.
    gc.freeze()
    if gc.get_threshold() == _by_default:  # else the application knows better
        gc.set_threshold(_YOUNG, *_by_default[1:])
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Have the C library keep up to 8 MiB that were freed, where it learns from frees as glibc does."""
    bytes(_PIECE)
