"""The standard library's ``wsgiref.simple_server`` as a command: ``... PORT MODULE:NAME on|off``."""

from __future__ import annotations

import sys
from importlib import import_module
from wsgiref.simple_server import WSGIRequestHandler, make_server


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the others are measured without an access log too."""


def main(port: str, application: str, log: str) -> None:
    """Serve until the process is ended."""
    module, _, name = application.partition(":")
    handler = WSGIRequestHandler if log == "on" else _Quiet
    with make_server("127.0.0.1", int(port), getattr(import_module(module), name), handler_class=handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
