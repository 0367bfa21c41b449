"""The line between the parent and a child: words, one a line, and the news that the other is gone.

From the parent comes one line, `Orders` as JSON; all that it wants later it says by signals. From the child come
``begun``, ``beat``, ``ready``, ``asks REASON``, ``unfit REASON``, and before it ends ``drained``, ``failed LINE`` or
``hopeless LINE``. Whatever workers tell each other goes by the parent (`relay`). When the parent dies the child reads
the end of the line, whatever killed it. Called in the reactor's thread.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineOnlyReceiver

from twisted_wsgiref._threads.forks import drop, tell
from twisted_wsgiref._twisted.reactor import Reactor
from twisted_wsgiref.settings import Settings

from .listeners import Bound

if TYPE_CHECKING:
    from twisted.internet.tcp import Connection

# A child's numbers of what it inherits, after the three standard ones.
LINE: Final = 3
TABLE: Final = 4
FIRST_SOCKET: Final = 5
# Bytes of a child's message: the traceback is on standard error, the log line needs no more than this.
LONGEST_MESSAGE: Final = 4096


@dataclass(frozen=True)
class Orders:
    """All that a child has to know.

    `path` is PYTHONPATH as it was, or None; `born` is when the child was
    started, by the monotonic clock that all processes of a system share; `parent` is the pid of who gives them;
    `at_terminal` is whether it may read the parent's standard input;
    `relayed` is whether the parent reads what it writes to standard error;
    `activated` is what systemd gave.
    """

    number: int
    slot: int
    app: str | None
    endpoints: list[str]
    mounts: list[str]
    settings: Settings
    reactor: str
    sockets: list[Bound]
    path: str | None
    born: float = 0.0
    parent: int = 0
    at_terminal: bool = False
    relayed: bool = False
    activated: tuple[Sequence[int], Sequence[str]] = ((), ())

    def text(self) -> str:
        """Return the orders as they are sent."""
        return json.dumps(asdict(self))


def read_orders(sock: socket.socket) -> Orders:
    """Wait for the orders. Raises `EOFError` if the parent is gone. Called before the reactor runs."""
    data = b""
    while not data.endswith(b"\n"):
        more = sock.recv(65536)
        if not more:
            raise EOFError("the parent is gone")
        data += more
    words = json.loads(data)
    words["settings"] = Settings(**words["settings"])
    words["sockets"] = [Bound(*each) for each in words["sockets"]]
    return Orders(**words)


def message(*words: str) -> bytes:
    """Return a child's words as one line of at most `LONGEST_MESSAGE` bytes; a longer one tells how much it leaves out.

    A line beyond what the parent reads would end the connection, and with it all that the child has to say.
    """
    line = " ".join(words).replace("\n", " ").encode("utf-8", "replace")
    if len(line) >= LONGEST_MESSAGE:
        kept = LONGEST_MESSAGE - 64  # room for the words below
        left_out = f" ... ({len(line) - kept} bytes more)"
        # A character that is cut in two goes, too.
        line = line[:kept].decode("utf-8", "ignore").encode() + left_out.encode()
    return line + b"\n"


def beginning(number: int) -> str:
    """Return the words that each line of the log of the worker `number` begins with."""
    return f"worker {number}: "


class Line(LineOnlyReceiver):
    """One end: `heard` is told of each line, `gone` of the end."""

    transport: Connection | None
    delimiter = b"\n"
    MAX_LENGTH = 65536  # of what is heard: far above LONGEST_MESSAGE, so no child of ours can reach it

    def __init__(self, heard: Callable[[str], None], gone: Callable[[], None]) -> None:
        self._heard = heard
        self._gone = gone

    def lineReceived(self, line: bytes) -> None:
        """Pass it on."""
        self._heard(line.decode("utf-8", "replace"))

    def connectionLost(self, reason: object = None) -> None:
        """Say that the other is gone, or has closed its end."""
        self._gone()

    def say(self, *words: str) -> None:
        """Send a child's message, if the other end is still there."""
        if self.transport is not None:
            self.transport.write(message(*words))

    def pass_on(self, *words: str) -> None:
        """Send a line of ASCII as it is, which is shorter than `MAX_LENGTH`, if the other end is still there."""
        if self.transport is not None:
            self.transport.write(" ".join(words).encode("ascii", "backslashreplace") + b"\n")

    def say_last(self, *words: str) -> None:
        """Send a child's message at once: its reactor will not turn again."""
        if self.transport is not None:
            try:
                self.transport.getHandle().send(message(*words))
            except OSError:
                pass  # the parent is gone, or reads nothing: what is said on standard error has to do

    def order(self, orders: Orders) -> None:
        """Send the parent's only line."""
        if self.transport is not None:
            self.transport.write(orders.text().encode("ascii") + b"\n")

    def forked(self, heir: bool) -> None:
        """Let go of this end: the other is to hear the last of us when we end, not when our children do."""
        if self.transport is not None and not heir:
            drop([self.transport.fileno()])

    def hang_up(self) -> None:
        """Close this end."""
        if self.transport is not None:
            self.transport.loseConnection()


def connect(reactor: Reactor, sock: socket.socket, line: Line) -> None:
    """Give `sock` to the reactor, with `line` as its protocol."""
    factory = Factory.forProtocol(lambda: line)
    factory.noisy = False
    tell(line)
    with sock:
        sock.setblocking(False)
        reactor.adoptStreamConnection(sock.fileno(), sock.family, factory)
