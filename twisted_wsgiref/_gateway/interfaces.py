"""What the gateway sees of whatever brought a request: where its answer goes, and who wants to know that it is over.

HTTP/1 puts the answers of a connection into one queue, one after the other. Whatever else speaks HTTP, and has an
outlet of its own for each answer, needs nothing else from here. No Twisted, no sockets, no locks of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from .file_span import FileSpan

#: What is to be called, with the lock free, after a block was admitted: with the block, and whether it is the last one
#: of its answer and given by the thread that will end the exchange, so that nobody else may put. Raises `ClientGone`.
GoOn = Callable[..., None]


class Outlet(Protocol):
    """Where the bytes of an answer go. Called in any thread, but for what says otherwise."""

    #: Held while something is admitted, and while an answer decides whether it may be.
    #: The same thread may take it again: garbage is collected at any step, and an application's finalizer may write.
    lock: Any
    #: A first block that waits for other answers to leave with it; empty for none.
    kept: bytes
    #: The client has left.
    gone: bool
    #: A part of the answer has left, or is about to.
    under_way: bool

    def admit(self, block: bytes | tuple[bytes, bytes], straight: bool, keep: bool = False) -> GoOn:
        """Take `block` in, with the lock held, and return what to call with it. Raises `ClientGone`.

        It may go `straight` if nothing is before it, and with `keep` wait for other answers.
        """

    def admit_file(self, head: bytes, span: FileSpan) -> GoOn:
        """Take `head`, and `span` behind it, which is the outlet's to close from then on; as `admit`."""

    def may_be_seized(self) -> bool:
        """Return, with the lock held, whether nothing is between the reactor and the client."""

    def send_kept(self, alone: bool = False) -> None:
        """Send what was kept, if nobody else has taken it. Raises `ClientGone`."""

    def wait_for_room(self) -> None:
        """Wait while more than the high-water mark is queued. Raises `ClientGone`. Not in the reactor's thread."""

    def take_over(self) -> None:
        """Take what is kept. Called in the reactor's thread."""

    def lose(self) -> None:
        """Have every further block raise `ClientGone`. Called in the reactor's thread."""

    def forget(self) -> None:
        """Be lost, in the child of a fork."""


class Connection(Protocol):
    """What an exchange came by."""

    def exchange_ended(self) -> None:
        """Learn that the handler is through. Called in the worker's thread."""

    def refuse_exchange(self, status: int) -> None:
        """Answer `status` instead of an application. Called in the reactor's thread, after the claim."""
