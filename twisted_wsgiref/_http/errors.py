"""The mistakes that a client makes on the wire. The server's own errors do not live here."""

from __future__ import annotations


class ProtocolError(Exception):
    """The client sent bytes that no correct client sends; its connection ends with the answer `status`.

    ``status`` is the HTTP status code that the mistake deserves (RFC 9110, section 15), ``reason`` a short English
    sentence for the log. It quotes nothing of the request, so that nobody can forge a log line.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.status}: {self.reason}"
