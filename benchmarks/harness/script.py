"""How each script begins and ends: whoever stops it early leaves no server behind."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Final, NoReturn

_ENDS: Final = (signal.SIGTERM, signal.SIGHUP)


def run(main: Callable[[], int | None]) -> NoReturn:
    """Call `main`, and end with the status that it returns.

    At SIGTERM, as of `timeout`, and SIGHUP `main` meets a `SystemExit`, so that each ``with`` ends its server. The
    status is then that of a shell: 128 and the number of the signal.
    """
    for number in _ENDS:
        if signal.getsignal(number) != signal.SIG_IGN:  # as by nohup
            signal.signal(number, _end)
    sys.exit(main())


def _end(number: int, frame: FrameType | None) -> NoReturn:
    for each in _ENDS:
        # `timeout` sends two: to the script, and to its group. A server that is still started is not to ignore them.
        signal.signal(each, _pass)
    raise SystemExit(128 + number)


def _pass(number: int, frame: FrameType | None) -> None:
    pass
