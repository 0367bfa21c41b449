"""Command lines as tests type them."""

from __future__ import annotations

from twisted_wsgiref._process.command_line import Options
from twisted_wsgiref.settings import Settings


def parse(*words: str) -> Options:
    """Return what was understood. Raises `UsageError`."""
    options = Options()
    options.parseOptions(words)
    return options


def settings(*words: str) -> Settings:
    """Return the settings of it."""
    made: Settings = parse(*words)["settings"]
    return made
