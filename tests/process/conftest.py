"""What several files of this folder are given."""

from __future__ import annotations

import pytest

from twisted_wsgiref._process.command_line import Options


@pytest.fixture
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tests are started with is not what they test."""
    monkeypatch.setattr(Options, "environ", {})
