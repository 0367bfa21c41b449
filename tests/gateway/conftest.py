"""What several files of this folder are given."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(params=[100, 100_000])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return the path of a small file, and of a large one."""
    path = tmp_path / "file"
    path.write_bytes(bytes(range(100)) * (request.param // 100))
    return path
