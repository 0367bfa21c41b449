"""What waits in an answer queue: bytes, parts of files, and the end. No locks, no threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from enum import Enum
from typing import Final

from twisted_wsgiref._gateway.file_span import FileSpan
from twisted_wsgiref._http.response import UncodedHead


class End(Enum):
    """What the reactor takes after the last block of an exchange. Its one member is told from a block by `is`."""

    END = "end"


END: Final = End.END
Block = bytes | memoryview | UncodedHead | FileSpan
# A tuple: to ask for a union costs twice as much, and that is done for each block.
_JOINABLE: Final = (bytes, memoryview)


def behind(block: bytes | tuple[bytes, bytes], sent: int) -> list[Block]:
    """Return what is left of `block`, which may have two parts, after so many bytes."""
    if isinstance(block, bytes):
        return [memoryview(block)[sent:]]
    head, body = block
    parts: list[Block] = [memoryview(head)[sent:]] if sent < len(head) else []
    return [*parts, memoryview(body)[max(0, sent - len(head)) :]]


def join(first: bytes | memoryview, blocks: deque[Block], most: int) -> tuple[bytes | memoryview, int]:
    """Return `first` with those of `blocks` that follow it, at most so many bytes, and how many blocks that is.

    Those are taken out of `blocks`.
    """
    pieces = [first]
    size = len(first)
    while blocks and isinstance(block := blocks[0], _JOINABLE) and size + len(block) <= most:
        size += len(block)
        pieces.append(block)
        blocks.popleft()
    return (first if len(pieces) == 1 else b"".join(pieces)), len(pieces)


def close_files(blocks: Iterable[Block]) -> None:
    """Give back the files among `blocks`; not with a lock held, since a network's file system may take its time."""
    for block in blocks:
        if isinstance(block, FileSpan):
            block.close()
