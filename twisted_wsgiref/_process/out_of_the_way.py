"""Numbers for the descriptors that a worker has inherited: out of the way of programs that count from 3.

systemd's protocol does so, and an application may speak it.
"""

from __future__ import annotations

import fcntl
import os
import resource
from typing import Final

_LEAST: Final = 64


def copied(descriptor: int) -> int:
    """Return a copy of `descriptor` out of the way, which no process of the application's will inherit.

    With few descriptors (``ulimit -n``) it is as far away as half of them. Raises `OSError` if none is left.
    """
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _LEAST if limit < 0 else min(_LEAST, limit // 2))


def moved(descriptor: int) -> int:
    """Return another number for `descriptor`, as `copied` does; its own is free then."""
    copy = copied(descriptor)
    os.close(descriptor)
    return copy
