"""The application, imported once for all workers, which are forked from the process that has it.

Here live the import, and the judgement whether a fork takes all that it has made along. A fork takes memory, and no
thread: so threads that the import has started would be missing in each worker, and all workers would share a reactor's
or an event loop's descriptors. Called in the main thread of a process that has nothing of a server's yet.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from .loading import LoadError
from .mounting import Loaded, load

# The name of the one thread that is ours while an application is imported.
WATCH: Final = "parent"


@dataclass
class Preloaded:
    """What was imported; and what is left to be done with it in each worker, once its reactor runs."""

    served: Loaded
    first: list[Callable[[], object]] = field(default_factory=list)


class _Later:
    """Stands for the `Runner` that each worker will have."""

    def __init__(self) -> None:
        self.first: list[Callable[[], object]] = []

    def call_first(self, function: Callable[[], object]) -> None:
        self.first.append(function)


def preload(spec: str, mounts: Sequence[str]) -> Preloaded:
    """Import what `spec` and `mounts` name. Raises `LoadError`, also for what can not be forked."""
    later = _Later()
    served = load(spec, mounts, later)
    found = obstacles()
    if found:
        raise LoadError(
            f"{spec} can not be preloaded, since no fork takes along what its import made: {'; '.join(found)}. Leave "
            "that to the first request, or leave out --preload"
        )
    return Preloaded(served, later.first)


def obstacles() -> list[str]:
    """Return what there is in this process that must not be forked, each as words for people."""
    found = []
    threads = [each.name for each in threading.enumerate() if each.name not in (WATCH, threading.main_thread().name)]
    if threads:
        found.append(f"{'a thread' if len(threads) == 1 else 'threads'} ({', '.join(threads)})")
    reactor = sys.modules.get("twisted.internet.reactor")
    if reactor is not None:
        found.append(f"Twisted's reactor ({type(reactor).__name__})")
    loops = _event_loops()
    if loops:
        found.append(f"{'an event loop' if len(loops) == 1 else 'event loops'} ({', '.join(loops)})")
    return found


def _event_loops() -> list[str]:
    # Not imported: without it there is no loop.
    asyncio = sys.modules.get("asyncio")
    kind = getattr(asyncio, "AbstractEventLoop", None)
    if kind is None:
        return []
    return [type(each).__name__ for each in gc.get_objects() if isinstance_safely(each, kind) and not each.is_closed()]


def isinstance_safely(value: object, kind: type) -> bool:
    """Return whether the class of `value` is a `kind`; not by asking `value`, which may be a proxy that does things."""
    return issubclass(type(value), kind)


def keep() -> None:
    """Leave what was imported where it is: no collection of a worker's walks over it, and so copies its pages."""
    gc.collect()
    gc.freeze()
