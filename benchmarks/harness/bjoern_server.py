"""bjoern as a command, since it has none: ``python -m benchmarks.harness.bjoern_server HOST:PORT|unix:PATH APP``."""

from __future__ import annotations

import sys
from importlib import import_module


def main(place: str, name: str) -> None:
    """Serve the application `name` (module:name) on `place` for ever."""
    bjoern = import_module("bjoern")  # only the environment of the benchmark has it
    module, _, attribute = name.partition(":")
    application = getattr(import_module(module), attribute)
    host, _, port = place.rpartition(":")
    if host == "unix":
        bjoern.run(application, place)
    else:
        bjoern.run(application, host, int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])
