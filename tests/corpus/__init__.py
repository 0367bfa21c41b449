"""Messages to try on a server, as data: to be refused, to be served, and never to be taken for whole.

Written from RFC 9110, RFC 9112 and published advisories. Tests of every room and scripts import it from here, so it
imports nothing of the server. Sorted by what is wrong: `hostile_heads`, `hostile_bodies`; right ones are in `valid`.
"""

from __future__ import annotations

from .hostile_bodies import BODIES
from .hostile_heads import HEADS
from .parts import HOST, NEXT, Hostile, Truncated, Valid
from .valid import TRUNCATED, VALID

__all__ = ["HOST", "HOSTILE", "NEXT", "TRUNCATED", "VALID", "Hostile", "Truncated", "Valid"]

HOSTILE: tuple[Hostile, ...] = HEADS + BODIES
