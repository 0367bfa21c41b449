"""One server under question: its process, its port, and the record of what reached the application.

Nothing here knows a question.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.harness.environment import CHECKOUT, Environment
from benchmarks.harness.peers import PLAIN, Server, Variant
from benchmarks.harness.serving import Running, ServerFailed
from tests.real.children import free_port
from tests.real.raw_client import ask, request
from tests.real.secure_client import SecurePort

_READY_SECONDS = 20.0
APPLICATION = "benchmarks.conformance.application:application"


class _Process(Running):
    """A server that can also be asked to stop, and watched while it does."""

    def ask_to_stop(self) -> None:
        """Send SIGTERM to the process that was started, as an init system does."""
        os.kill(self.pid, signal.SIGTERM)

    def exit_status(self, seconds: float) -> int | None:
        """Return the exit status, negative for a signal; None if it still runs after so many seconds."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None


class Subject:
    """`server` as `variant` has it, with the conformance application; started when first needed.

    Use it in a ``with``.
    """

    #: Whether no more is asked, of any of them.
    are_over = False

    def __init__(self, environment: Environment, server: Server, folder: Path, variant: Variant = PLAIN) -> None:
        # What the benchmark needs and the server does not have by itself is taken back: defaults are asked here.
        self.server = replace(server, command=server.command.replace(" --connection-limit=1000", ""))
        self.name = server.name
        self._environment = environment
        self._folder = folder
        self._variant = variant
        self._record = folder / f"{server.name}.record"
        self._read = 0
        self.process: _Process | None = None
        self.port = 0

    def __enter__(self) -> Subject:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server, afresh. Raises `ServerFailed`."""
        self.stop()
        port = free_port()
        self.port = SecurePort(port) if self._variant.tls else port
        words = self.server.words(self._variant, APPLICATION, self.port, self._environment.places)
        variables = {"PYTHONPATH": str(CHECKOUT), "CONFORMANCE_RECORD": str(self._record)}
        self.process = _Process(words, self.port, self._folder / f"{self.name}.log", variables)
        end = time.monotonic() + _READY_SECONDS
        while time.monotonic() < end:
            self.process.check_alive()
            answer = ask(self.port, request("/hello", lines="Connection: close\r\n"))
            if answer is not None and answer.status == 200:
                self.news()
                return
            time.sleep(0.05)
        raise ServerFailed(f"{self.name} is not ready after {_READY_SECONDS:g} s")

    def stop(self) -> None:
        """End the server."""
        process, self.process = self.process, None
        if process is not None:
            process.stop()

    def is_well(self) -> bool:
        """Return whether the server answers now."""
        answer = ask(self.port, request("/hello", lines="Connection: close\r\n"))
        return answer is not None and answer.status == 200

    def news(self) -> list[dict[str, Any]]:
        """Return what the application has noted since this was last asked."""
        if not self._record.exists():
            return []
        octets = self._record.read_bytes()
        lines, self._read = octets[self._read :], len(octets)
        return [json.loads(line) for line in lines.splitlines()]

    def wait_for(self, kind: str, token: str, seconds: float) -> bool:
        """Return whether the application notes `kind` with `token` within so many seconds."""
        end = time.monotonic() + seconds
        while True:
            if any(each["kind"] == kind and each.get("token") == token for each in self.news()):
                return True
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
