"""What a setting of ours can not be in a daemon, and below twistd or twist, which have their own word or way for it.

Here live the refusals, as one function. Called in the main thread.
"""

from __future__ import annotations

import os

from twisted_wsgiref.settings import SettingError, Settings

from .daemon import goes_to_file


def refusal(settings: Settings, *, below: bool, daemonises: bool) -> SettingError | None:
    """Return what is wrong with `settings`, in a process `below` twistd or twist that may be one that `daemonises`."""
    if settings.daemon and below:
        return SettingError.of(
            "{daemon} is on: it is for twisted-wsgiref serve and python -m; twistd is a daemon without -n"
        )
    if settings.daemon and not hasattr(os, "fork"):
        return SettingError.of("{daemon} is on: this system has no daemons; it has to be off here")
    if settings.daemon and settings.access_log == "-" and not goes_to_file(1):
        return SettingError.of(
            "{access_log} is '-': a daemon has no standard output; give a path, or send it to a file"
        )
    if daemonises and settings.access_log == "-":
        return SettingError.of("{access_log} is '-': a daemon has no standard output; give a path, or twistd -n")
    if daemonises and settings.umask:
        return SettingError.of("{umask} is {!r}: a daemon of twistd's has twistd's: twistd --umask", settings.umask)
    return _refused_log(settings) if below else None


def _refused_log(settings: Settings) -> SettingError | None:
    for name, value, usual in (
        ("log_format", settings.log_format, "text"),
        ("log_level", settings.log_level, "info"),
    ):
        if value != usual:
            return SettingError.of(
                "{" + name + "} is {!r}: twistd and twist write their own log (twistd --logger, twist --log-format); "
                "python -m twisted_wsgiref takes it",
                value,
            )
    return None
