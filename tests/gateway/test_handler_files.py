"""Is a file sent as it is, from where it stands, as far as it was announced?"""

from __future__ import annotations

import errno
import io
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.exchanges import Run, file_app
from tests.support import TEXT


@pytest.mark.parametrize("buffering", [-1, 0])
@pytest.mark.parametrize("position", [0, 42])
def test_a_file_is_sent_from_its_position_and_closed(path: Path, position: int, buffering: int) -> None:
    content = path.read_bytes()
    with path.open("rb", buffering=buffering) as file:
        file.read(position)
        run = Run(file_app(file))
        assert run.answer.body == content[position:]
        assert run.answer.framing == "length"
        assert file.closed
        assert run.exchange.size == len(content) - position
        assert not run.outlet.waits
        assert len(run.outlet.files) == (len(content) > 32768)


@pytest.mark.parametrize("length", [0, 1, 50])
def test_a_file_is_sent_as_far_as_its_content_length(path: Path, length: int) -> None:
    with path.open("rb") as file:
        run = Run(file_app(file, ("Content-Length", str(length))))
        assert run.answer.body == path.read_bytes()[:length]


def test_a_file_shorter_than_its_content_length_is_500(path: Path) -> None:
    with path.open("rb") as file:
        assert Run(file_app(file, ("Content-Length", "1000000"))).answer.status == 500
        assert file.closed


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_file_at_its_end_is_an_empty_answer(path: Path, method: str) -> None:
    with path.open("rb") as file:
        file.seek(0, 2)
        run = Run(file_app(file), method=method)
        assert run.answer.body == b""


def test_head_of_a_file_tells_its_length(path: Path) -> None:
    with path.open("rb") as file:
        run = Run(file_app(file), method="HEAD")
        assert run.answer.field("Content-Length") == str(path.stat().st_size)
        assert run.outlet.files == []
        assert file.closed


def test_what_was_written_to_a_file_and_not_flushed_is_sent() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * 100)
        file.seek(50)
        assert Run(file_app(file)).answer.body == b"x" * 50
    with tempfile.NamedTemporaryFile() as named:
        named.write(b"y" * 100)
        named.seek(0)
        assert Run(file_app(named)).answer.body == b"y" * 100


class GzipLike:
    """A file whose descriptor gives something else than its read."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._blocks = [b"unpacked", b""]

    def fileno(self) -> int:
        number: int = self._file.fileno()
        return number

    def read(self, size: int) -> bytes:
        return self._blocks.pop(0)


def test_what_is_no_plain_file_is_read(path: Path) -> None:
    with path.open("rb") as file:
        assert Run(file_app(GzipLike(file))).answer.body == b"unpacked"
    run = Run(file_app(io.BytesIO(b"x" * 100), block=30))
    assert run.answer.body == b"x" * 100
    assert run.answer.chunks == [b"x" * 30] * 3 + [b"x" * 10]


def test_a_pipe_is_read() -> None:

    reading, writing = os.pipe()
    os.write(writing, b"through a pipe")
    os.close(writing)
    with open(reading, "rb", buffering=0) as file:
        assert Run(file_app(file)).answer.body == b"through a pipe"


def test_a_closed_file_is_500(path: Path) -> None:
    with path.open("rb") as file:
        pass
    assert Run(file_app(file)).answer.status == 500


def test_a_file_after_write_is_iterated(path: Path) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [*TEXT])(b"first")
        return environ["wsgi.file_wrapper"](path.open("rb"))

    assert Run(app).answer.body == b"first" + path.read_bytes()


@pytest.mark.parametrize("path", ["/proc/version", "/sys/kernel/address_bits"])
@pytest.mark.parametrize("buffering", [-1, 0])
def test_a_file_whose_size_says_nothing_is_read(path: str, buffering: int) -> None:
    if not Path(path).exists():
        pytest.skip("needs /proc and /sys")
    with open(path, "rb", buffering=buffering) as file:
        run = Run(file_app(file))
        assert run.answer.body == Path(path).read_bytes() != b""
        assert run.answer.framing == "chunked"
        assert file.closed
        assert not run.log


def test_an_empty_file_is_an_empty_answer_of_a_known_length(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with (tmp_path / "empty").open("rb") as file:
        run = Run(file_app(file))
        assert (run.answer.body, run.answer.field("Content-Length")) == (b"", "0")


def test_a_file_that_can_not_be_read_at_a_place_is_read_from_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def pread(*_: int) -> bytes:
        raise OSError(errno.ESPIPE, os.strerror(errno.ESPIPE))

    monkeypatch.setattr("os.pread", pread)
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * 100)
        file.seek(0)
        assert Run(file_app(file)).answer.body == b"x" * 100


def test_without_a_descriptor_for_its_duplicate_a_file_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def dup(descriptor: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("os.dup", dup)
    (tmp_path / "large").write_bytes(b"x" * 100_000)
    with (tmp_path / "large").open("rb") as file:
        run = Run(file_app(file))
        assert run.answer.body == b"x" * 100_000
        assert run.outlet.files == []
        assert not run.exchange.cut


def test_no_duplicate_is_left_of_a_file_whose_client_is_gone(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    (tmp_path / "large").write_bytes(b"x" * 100_000)
    with (tmp_path / "large").open("rb") as file:
        Run(file_app(file), leaves=0)
    assert len(os.listdir("/proc/self/fd")) == before
