"""The application's own metrics, by its own `prometheus_client`. Called in a thread that is there for nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

_DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"


def application_metrics() -> tuple[str, bytes]:
    """Return their type and text: of all processes, if the application keeps them in files, else of this one.

    Raises whatever a collector raises.
    """
    registry = REGISTRY
    if os.environ.get(_DIRECTORY):
        registry = CollectorRegistry()
        make: Callable[[CollectorRegistry], object] = MultiProcessCollector
        make(registry)
    return CONTENT_TYPE_LATEST, generate_latest(registry)


def forget_process(pid: int) -> None:
    """Have the gauges of a process that has ended count no more. Does nothing unless they are kept in files."""
    if os.environ.get(_DIRECTORY):
        forget: Callable[[int], object] = mark_process_dead
        forget(pid)
