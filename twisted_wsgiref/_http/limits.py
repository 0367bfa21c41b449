"""The bounds of a message's syntax, beyond which its sender is refused. `settings` has the reasons for the defaults."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one request's syntax, in bytes, except ``fields``, which counts field lines."""

    request_line: int = 8190
    field: int = 8190
    head: int = 32768
    fields: int = 100
    chunk_line: int = 256
    trailers: int = 8190
