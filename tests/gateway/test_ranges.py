"""Is a part of a large file sent without reading what is before it? As frameworks ask for it, with their own code."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, send_file

from tests.gateway.exchanges import Run
from tests.support import TEXT

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # WebOb imports `cgi`
    from pyramid.request import Request
    from pyramid.response import FileResponse

SIZE = 4 * 1024 * 1024
CONTENT = bytes(range(256)) * (SIZE // 256)


class CountedFile(io.FileIO):
    """A file that counts what is read of it in the ordinary way."""

    octets = 0

    def readinto(self, buffer: Any) -> int:
        count = super().readinto(buffer)
        CountedFile.octets += count
        return count


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "large.bin"
    path.write_bytes(CONTENT)

    def counted(path: Any, mode: str) -> io.BufferedReader:
        return io.BufferedReader(CountedFile(path))

    for module in ("werkzeug.utils", "pyramid.response"):
        monkeypatch.setattr(f"{module}.open", counted, raising=False)
    monkeypatch.setattr(CountedFile, "octets", 0)
    return path


def with_flask(path: Path) -> Callable[..., Any]:
    app = Flask("ranges")
    app.add_url_rule("/path", view_func=lambda: send_file(path, conditional=True), endpoint="file")
    return app


def with_pyramid(path: Path) -> Callable[..., Any]:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        return FileResponse(str(path), Request(environ))(environ, start_response)

    return app


@pytest.mark.parametrize("make", [with_flask, with_pyramid])
@pytest.mark.parametrize(("start", "end"), [(SIZE - 8, SIZE), (3_000_001, 3_000_017), (1_000_000, 1_100_001), (0, 8)])
def test_a_part_of_a_file_is_read_from_where_it_starts(make: Any, path: Path, start: int, end: int) -> None:
    run = Run(make(path), fields=f"Range: bytes={start}-{end - 1}")
    assert (run.answer.status, run.answer.body) == (206, CONTENT[start:end])
    assert run.answer.field("Content-Range") == f"bytes {start}-{end - 1}/{SIZE}"
    # Blocks are read as a whole: those of the framework, and the buffer's.
    assert CountedFile.octets <= end - start + 2 * 8192 + io.DEFAULT_BUFFER_SIZE
    assert not run.log


def test_a_part_for_webob_is_sent_as_a_file_is(path: Path) -> None:
    with path.open("rb") as file:
        file.seek(1000)

        def app(environ: dict[str, Any], start_response: Any) -> Any:
            start_response("206 Partial Content", [*TEXT])
            return environ["wsgi.file_wrapper"](file).app_iter_range(2000, 102_000)

        run = Run(app)
        assert run.answer.body == CONTENT[3000:103_000]
        assert run.outlet.files == [100_000]
        assert file.closed


@pytest.mark.parametrize("make", [with_flask, with_pyramid])
def test_the_whole_of_a_file_comes_without_a_range(make: Any, path: Path) -> None:
    run = Run(make(path))
    assert (run.answer.status, run.answer.body == CONTENT) == (200, True)
