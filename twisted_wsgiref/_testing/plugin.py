"""The fixtures of pytest's. Imports nothing of ours, nor of Twisted's, until a test asks for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from twisted_wsgiref.types import WSGIApplication


@pytest.fixture
def wsgi_server() -> Iterator[Callable[..., str]]:
    """A function that serves an application on a port until the test is over, and returns the URL.

    ``wsgi_server(app, **settings)`` takes what `twisted_wsgiref.testing.serve` does; it may be called more than once.
    """
    # Late: most tests do not ask for it.
    from .serving import running

    with ExitStack() as servers:

        def start(application: WSGIApplication, **given: object) -> str:
            begun: Callable[..., AbstractContextManager[str]] = running
            return servers.enter_context(begun(application, **given))

        yield start
