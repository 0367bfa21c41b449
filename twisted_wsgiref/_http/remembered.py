"""Judgements on bytes that clients send again and again: made once, and then remembered for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Key = TypeVar("Key", bound=bytes | str)
Value = TypeVar("Value")


class Remembered(dict[Key, Value]):
    """Maps what a client sent to what `read` makes of it, which may raise: that is never remembered.

    Of what is at most `longest` long, and of which `may_keep` says that it is no secret, `most` are kept. When it is
    full it starts anew: what is sent now is what is known, and no order has to be kept. Called in one thread.
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
