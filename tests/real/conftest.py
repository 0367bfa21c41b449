"""How the servers of this folder come about."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .children import forking


@pytest.fixture(scope="session", autouse=True)
def _forked_servers() -> Iterator[None]:
    with forking():
        yield
