"""The process's environment as a CGI environ: ``read_environ`` and nothing else.

It has a file of its own because the base of all handlers needs it before any handler exists.
"""

from __future__ import annotations

import os
import sys

# The meta-variables of RFC 3875 section 4.1 that carry bytes of the request.
_REQUEST_VARIABLES = frozenset(
    {
        "AUTH_TYPE",
        "CONTENT_LENGTH",
        "CONTENT_TYPE",
        "HTTPS",
        "PATH_INFO",
        "QUERY_STRING",
        "REMOTE_IDENT",
        "REMOTE_USER",
        "REQUEST_METHOD",
        "SCRIPT_NAME",
    }
)


def _carries_request_bytes(name: str) -> bool:
    while name.startswith("REDIRECT_"):  # Apache keeps what it had before an internal redirect
        name = name.removeprefix("REDIRECT_")
    return name in _REQUEST_VARIABLES or name.startswith(("HTTP_", "SSL_"))


def read_environ() -> dict[str, str]:
    """A new dictionary of ``os.environ`` whose CGI variables are "bytes in unicode" (PEP 3333).

    Each character of a CGI variable stands for one byte that the web server put there, whatever coding
    Python chose to decode the environment with. Variables that do not come from the request stay as
    ``os.environ`` has them. Callable from any thread.
    """
    if sys.platform == "win32":
        # The system's environment is text. Apache writes each byte as the character of that number;
        # others decode the bytes as UTF-8.
        if os.environ.get("SERVER_SOFTWARE", "").lower().startswith("apache/"):
            return dict(os.environ)

        def encode(value: str) -> bytes:
            return value.encode("utf-8", "surrogatepass")
    else:
        encode = os.fsencode
    return {
        name: encode(value).decode("latin-1") if _carries_request_bytes(name) else value
        for name, value in os.environ.items()
    }
