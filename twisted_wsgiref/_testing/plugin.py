"""The fixtures of pytest's. Imports nothing of ours, nor of Twisted's, until a test asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest


@pytest.fixture
def wsgi_server() -> Iterator[Any]:
    """A function that serves an application on a port until the test is over, and returns the URL.

    ``wsgi_server(app, **settings)`` takes what `twisted_wsgiref.testing.serve` does; it may be called more than once.
    """
    # Late: most tests do not ask for it.
    from .serving import running

    with ExitStack() as servers:

        def start(application: Any, **given: Any) -> str:
            return servers.enter_context(running(application, **given))

        yield start
