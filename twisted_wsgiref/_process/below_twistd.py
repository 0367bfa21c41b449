"""What a setting of ours can not be below twistd or twist, which have their own word or way for it.

Here live the refusals, as one pure function. Called in the main thread.
"""

from __future__ import annotations

from twisted_wsgiref.settings import SettingError, Settings


def refusal(settings: Settings, *, daemonises: bool) -> SettingError | None:
    """Return what is wrong with `settings` in a process of twistd's or twist's, which may be one that `daemonises`."""
    if daemonises and settings.access_log == "-":
        return SettingError.of("{access_log} is '-': a daemon has no standard output; give a path, or twistd -n")
    if daemonises and settings.umask:
        return SettingError.of("{umask} is {!r}: a daemon of twistd's has twistd's: twistd --umask", settings.umask)
    return None
