"""The access log of a process, made from the settings: where to, in which format, and for which requests.

What lives here: the one line that each mistake in these settings gets. Called in the main thread.
"""

from __future__ import annotations

import re
from typing import Final

from twisted_wsgiref._observe.access_log import AccessLog
from twisted_wsgiref._observe.lines import COMBINED, LineFormat
from twisted_wsgiref._observe.syslog import SCHEME, Target
from twisted_wsgiref.settings import SettingError, Settings

# gunicorn's default says what the combined format does, in a quarter of the time.
_GUNICORNS: Final = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'


def check_access_log(settings: Settings) -> None:
    """Raise `SettingError` for a format or a place that can not be; opens nothing."""
    _format(settings)
    if settings.access_log.startswith(SCHEME):
        _read_target(settings)


def open_access_log(settings: Settings) -> AccessLog | None:
    """Return the access log that `settings` ask for, None for none. Raises `SettingError`."""
    check_access_log(settings)
    target, skip = settings.access_log, settings.access_log_skip
    if target in ("off", ""):
        return None
    try:
        return AccessLog(target, line_format=_format(settings), skip=re.compile(skip).search if skip else None)
    except OSError as error:
        raise SettingError.of("{access_log} is {!r}: {}", target, error.strerror or error) from None


def _format(settings: Settings) -> LineFormat:
    text = settings.access_log_format
    if text in ("combined", _GUNICORNS):
        return COMBINED
    # Late: most services have the usual one.
    if text == "json":
        from twisted_wsgiref._observe.json_lines import JSONLines

        return JSONLines()
    from twisted_wsgiref._observe.atoms import Atoms

    try:
        if "%" not in text:
            raise ValueError("it has to be combined, json, or a format with atoms, as %(h)s")
        return Atoms(text)
    except ValueError as error:
        raise SettingError.of("{access_log_format} is {!r}: {}", text, error) from None


def _read_target(settings: Settings) -> None:
    try:
        Target(settings.access_log)
    except ValueError as error:
        raise SettingError.of("{access_log} is {!r}: {}", settings.access_log, error) from None
