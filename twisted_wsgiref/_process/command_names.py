"""The first words that ask a server that runs already, instead of serving: what a process that serves knows of them."""

from __future__ import annotations

from typing import Final

COMMANDS: Final = ("status", "stop", "reload", "workers")
