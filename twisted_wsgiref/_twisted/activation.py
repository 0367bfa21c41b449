"""Sockets that an activator has handed over without names, as systemd before 227 and other programs do.

``LISTEN_FDNAMES`` came later than ``LISTEN_FDS``, and sd_listen_fds_with_names(3) calls a socket without a name
"unknown". Twisted takes none of them then, and removes the variables. What lives here: the names, for Twisted to read.
Imports nothing of Twisted's, since that reads the variables when its endpoints are imported. In the main thread.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from typing import Final

_UNKNOWN: Final = "unknown"


def name_sockets(environ: MutableMapping[str, str]) -> None:
    """Have a name in `environ` for each socket that was handed over to this process, if none has one."""
    count = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") == str(os.getpid()) and count.isdecimal() and not environ.get("LISTEN_FDNAMES"):
        environ["LISTEN_FDNAMES"] = ":".join([_UNKNOWN] * int(count))
