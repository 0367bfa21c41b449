"""How a process that is ours goes about its memory: collections of what was made, and what is given back."""

from __future__ import annotations

import gc
import os
from collections.abc import Mapping
from typing import Any, Final

# By default the youngest objects are looked at whenever there are 700 of them more (2000 in newer Pythons). The
# requests of a single turn are more than that: each look finds them alive, and moves them among the old. So many are
# looked at together instead; what an application leaves in cycles is freed that much later.
_YOUNG: Final = 10_000
_by_default: Final = gc.get_threshold()

# mallopt(3). Of glibc alone, and the same numbers on every architecture.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3

# By default 128 KiB of free memory are given back at once, and zeroed by the kernel page by page when the next body or
# block of 64 KiB wants them. So much is kept, in octets, and larger pieces still come and go by themselves.
_KEPT: Final = 8 * 1024 * 1024
_LARGE: Final = 1024 * 1024

# Who has set one of these knows better.
_VARIABLES: Final = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def settle() -> None:
    """Set what belongs to the whole process, once the application is imported."""
    gc.collect()
    # What was imported stays: collections need not walk it again and again.
    gc.freeze()
    if gc.get_threshold() == _by_default:  # else the application knows better
        gc.set_threshold(_YOUNG, *_by_default[1:])
    keep_freed_memory()


def keep_freed_memory(environ: Mapping[str, str] = os.environ, library: Any = None) -> bool:
    """Have the C library keep a few MiB that were freed. Return False where it has no such knob, or the user set one.

    `library` is the C library, by default the process's own.
    """
    if any(name in environ for name in _VARIABLES):
        return False
    try:
        import ctypes  # some Pythons have none

        mallopt = (library or ctypes.CDLL(None)).mallopt
    except (ImportError, AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_M_TRIM_THRESHOLD, _KEPT) and mallopt(_M_MMAP_THRESHOLD, _LARGE))
