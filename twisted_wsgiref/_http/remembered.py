"""Judgements on bytes that clients send again and again: made once, and then remembered for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Key = TypeVar("Key", bound=bytes | str)
Value = TypeVar("Value")


class Remembered(dict[Key, Value]):
    """Maps the bytes or text that a client sent to the value that `read` makes of it. `read` may raise an exception.

    It remembers a value if its key is at most `longest` long, and `may_keep` says that it is no secret; an exception
    never. When it holds `most` values it starts anew: so it knows the keys that clients send now, and need not keep
    their order. Called in one thread.
    """

    def __init__(
        self, read: Callable[[Key], Value], may_keep: Callable[[Key, Value], bool], *, most: int, longest: int
    ) -> None:
        super().__init__()
        self._read = read
        self._may_keep = may_keep
        self._most = most
        self._longest = longest

    def __missing__(self, sent: Key) -> Value:
        value = self._read(sent)
        if len(sent) <= self._longest and self._may_keep(sent, value):
            if len(self) >= self._most:
                self.clear()
            self[sent] = value
        return value
