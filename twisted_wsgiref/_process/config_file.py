"""The file that ``--config`` or its variable names: read, with one line for one that can not be read.

What is in it is `sources`' business. Called in the main thread.
"""

from __future__ import annotations

from collections.abc import Mapping

from twisted_wsgiref.settings import SettingError

from .sources import CONFIG, Layer, from_file


def read_table(option: str | None, environ: Mapping[str, str]) -> Layer:
    """Return the settings of the file that the `option` names, or else `environ`; none without. Raises `SettingError`.

    A path is relative to the directory in which the server is started, whatever the file says of another one.
    """
    path, named = (option, "--config") if option else (environ.get(CONFIG), CONFIG)
    if not path:
        return {}
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise SettingError(f"{named} is {path!r}: {error.strerror or error}") from None
    return from_file(path, content)
