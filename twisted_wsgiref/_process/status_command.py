"""``twisted-wsgiref status``: a table in the terminal that moves, until somebody has seen enough.

Here live the options, the terminal, and its return to what it was. Asking is `status_client`'s, the lines are
`status_table`'s. Called in the main thread of a process of its own.
"""

from __future__ import annotations

import os
import select
import shutil
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from .status_client import NoStatus, StatusClient, place_of
from .status_table import Numbers, lines

PLACE: Final = "TWISTED_WSGIREF_STATUS"
TOKEN: Final = "TWISTED_WSGIREF_STATUS_TOKEN"
# Without a terminal there is no end of lines to be cut at.
_WIDE: Final = 10_000
# To a screen of its own, without a cursor; and back.
_ENTER: Final = "\x1b[?1049h\x1b[?25l"
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
_AGAIN: Final = "\x1b[H"
_END_OF_LINE: Final = "\x1b[K"
_END: Final = "\x1b[J"


class Screen:
    """The terminal: its size, what it is shown, and whether somebody wants to leave within some seconds."""

    def size(self) -> tuple[int, int]:
        """Return its columns and rows."""
        columns, rows = shutil.get_terminal_size()
        return columns, rows

    def show(self, text: str) -> None:
        """Write `text`."""
        sys.stdout.write(text)
        sys.stdout.flush()

    def is_left(self, within: float) -> bool:
        """Wait so many seconds, or until somebody types q: then return True."""
        if not sys.stdin.isatty():
            time.sleep(within)
            return False
        end = time.monotonic() + within
        while (left := end - time.monotonic()) > 0:
            if select.select([sys.stdin], [], [], left)[0] and os.read(sys.stdin.fileno(), 1) in (b"q", b"Q", b""):
                return True
        return False


def add_options(parser: ArgumentParser) -> None:
    """Give `parser` the options of the command."""
    parser.add_argument(
        "--status", metavar="PLACE", help=f"unix:PATH, HOST:PORT or a URL of the status site (default: ${PLACE})"
    )
    parser.add_argument(
        "--status-token", metavar="TOKEN", help=f"the token of the site, or file:PATH (default: ${TOKEN})"
    )
    parser.add_argument("--once", action="store_true", help="print the table once, and end")
    parser.add_argument(
        "--interval", metavar="SECONDS", type=float, default=2.0, help="from look to look (default: %(default)g)"
    )


def client_of(place: str | None, token: str | None, environ: Mapping[str, str]) -> StatusClient:
    """Return who asks the site. Raises `NoStatus`."""
    place, token = place or environ.get(PLACE), token or environ.get(TOKEN, "")
    if not place:
        raise NoStatus("where is the status site? Say --status PLACE, as the server was told")
    if token.startswith("file:"):
        path = token.removeprefix("file:")
        try:
            with open(path, encoding="utf-8") as file:
                token = file.read().strip()
        except (OSError, ValueError) as error:
            raise NoStatus(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    return StatusClient(place_of(place), token)


def once(client: StatusClient) -> str:
    """Return the table of now. Raises `NoStatus`."""
    numbers = client.numbers()
    return "\n".join(_table(client, numbers, None, _WIDE, _WIDE))


def follow(client: StatusClient, screen: Screen, interval: float) -> None:
    """Show the table anew each `interval`, until somebody leaves. Raises `NoStatus` if the site can not be asked first.

    A site that can not be asked later, as while its server restarts, is a line, and asked again.
    """
    before = client.numbers()
    shown = _table(client, before, None, *screen.size())
    with _own_screen(screen):
        while True:
            screen.show(_AGAIN + "".join(f"{line}{_END_OF_LINE}\n" for line in shown[:-1]) + f"{shown[-1]}{_END}")
            if screen.is_left(interval):
                return
            width, height = screen.size()
            try:
                now = client.numbers()
                shown = _table(client, now, before, width, height)
                before = now
            except NoStatus as error:
                shown = [str(error)[:width], *shown[1:]]


def _table(client: StatusClient, now: Numbers, before: Numbers | None, width: int, height: int) -> Sequence[str]:
    try:
        return lines(now, before, client.requests(), width, height)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NoStatus(f"the status site tells other numbers, as one of another version does: {error!r}") from None


@contextmanager
def _own_screen(screen: Screen) -> Iterator[None]:
    restore = _each_key_at_once()
    screen.show(_ENTER)
    try:
        yield
    finally:
        screen.show(_LEAVE)
        restore()


def _each_key_at_once() -> Callable[[], object]:
    """Have the terminal give each key at once, and show none; return what undoes that."""
    try:
        import termios
        import tty

        modes = termios.tcgetattr(sys.stdin.fileno())
        tty.setcbreak(sys.stdin.fileno())
    except (ImportError, OSError, ValueError, AttributeError):
        return lambda: None  # no terminal, or Windows'
    except termios.error:
        return lambda: None
    return lambda: termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, modes)
