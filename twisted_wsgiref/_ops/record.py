"""What is told of a finished exchange: one plain value, made by the thread that sent the last octet."""

from __future__ import annotations

from typing import NamedTuple


class Record(NamedTuple):
    """One request and its answer, for logs and metrics.

    ``peer`` is the client's address or None (UNIX sockets), ``finished`` seconds since the epoch, ``seconds`` how long
    it took from the head's arrival to the last octet handed to the kernel, ``octets`` the body octets of the answer.
    ``status`` is 0 when the client left before an answer began. Text fields are as the client sent them, latin-1.
    """

    peer: str | None
    request_line: str
    status: int
    octets: int
    finished: float
    seconds: float
    referer: str
    user_agent: str
    user: str

    @classmethod
    def refused(cls, peer: str | None, status: int, now: float) -> Record:
        """Return the record of what never became a request."""
        return cls(peer, "-", status, 0, now, 0.0, "", "", "")
