"""The surroundings of a process, as its settings want them: its directory, its variables, the rights of its new files.

Here live the calls of the system that change them, each with the line of its failure. What is served may not live here.
Called in the main thread, before the application is imported.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Final

from twisted_wsgiref.settings import SettingError, Settings

# What colons part in the description of an endpoint; a backslash takes a colon's meaning away.
_PART: Final = re.compile(r"(?:[^:\\]|\\.)+")
# The mode of a UNIX socket of Twisted's that says none.
_SOCKET_MODE: Final = 0o666


def enter(settings: Settings) -> None:
    """Change to the directory of `settings`, if there is one. Raises `SettingError`."""
    if settings.chdir:
        try:
            os.chdir(settings.chdir)
        except OSError as error:
            raise SettingError.of("{chdir} is {!r}: {}", settings.chdir, error.strerror or error) from None


def take_variables(settings: Settings) -> None:
    """Set the variables, and the rights of new files, that `settings` want."""
    for word in settings.env:
        name, _, value = word.partition("=")
        os.environ[name] = value
    if settings.umask:
        os.umask(int(settings.umask, 8))


def with_modes(endpoints: Iterable[str], umask: str) -> list[str]:
    """Return `endpoints`; of UNIX sockets each that has no mode gets one without the rights of `umask`.

    Twisted gives a socket its mode after it has made it, whatever the process's own mask is.
    """
    if not umask:
        return list(endpoints)
    mode = f"{_SOCKET_MODE & ~int(umask, 8):o}"
    return [f"{each}:mode={mode}" if _lacks_mode(each) else each for each in endpoints]


def _lacks_mode(endpoint: str) -> bool:
    kind, *rest = _PART.findall(endpoint)
    plain = [part for part in rest if "=" not in part]
    return kind == "unix" and len(plain) < 2 and not any(part.startswith("mode=") for part in rest)
