"""Applications without a framework: one tells its environ, one waits until it is told to go on."""

from __future__ import annotations

import json
import os
from typing import Any

from twisted_wsgiref.validate import validator

NAMES = ("REMOTE_ADDR", "REMOTE_PORT", "SERVER_NAME", "SERVER_PORT", "wsgi.url_scheme", "HTTPS", "SCRIPT_NAME")


@validator
def tell(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answer with what there is of `NAMES`."""
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({name: environ[name] for name in NAMES if name in environ}).encode()]


def wait(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Say that a request is in flight; answer it once there is an octet for it in the named pipe GATE.

    Only ``/wait`` does: anything else is answered at once.
    """
    if environ["PATH_INFO"] == "/wait":
        print("in flight", flush=True)
        # For both ways: so that opening it waits for nobody.
        gate = os.open(os.environ["GATE"], os.O_RDWR)
        try:
            os.read(gate, 1)
        finally:
            os.close(gate)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"answered"]


def stream(environ: dict[str, Any], start_response: Any) -> Any:
    """Send one block, and the other once there is an octet for it in GATE."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"first"
    wait({**environ, "PATH_INFO": "/wait"}, lambda *_: None)
    yield b" and last"
