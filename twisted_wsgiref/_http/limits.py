"""How much of a message is read before its sender is refused. The reasons for the defaults are in `settings`."""

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
