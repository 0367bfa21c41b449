"""What an application meets instead of a client that has left, or was answered without it."""

from __future__ import annotations


class ClientGone(BaseException):
    """The client left: what an application's blocks meet instead of it.

    Not an `Exception`, so that no application takes it for an error of its own on the way through `write`.
    """

    __module__ = "twisted_wsgiref"


class RequestExpired(ClientGone):
    """The time for a request is over, and its client was answered: what is set in the thread that still runs it.

    A `ClientGone`, since nobody waits for the answer; with words, for it may come where an application logs it.
    """

    __module__ = "twisted_wsgiref"

    def __str__(self) -> str:
        return "the request took longer than request_timeout allows: its client was answered, and is gone"
