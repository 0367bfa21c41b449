"""Whose fault is it: what a client did wrong on the wire. Nothing of the server's own troubles lives here."""

from __future__ import annotations


class ProtocolError(Exception):
    """The client sent what no correct client sends; its connection ends with the answer `status`.

    ``status`` is the HTTP status code that the mistake deserves (RFC 9110, section 15), ``reason`` a short English
    sentence for the log. Nothing of the request is quoted in it, so that a log line can not be forged.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.status}: {self.reason}"
