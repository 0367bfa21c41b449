"""Do event streams of Flask and Django hold no thread, and no stop, as docs/streaming.md says?"""

from __future__ import annotations

from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from .children import COMMANDS, PATIENCE, environment, get, started

pytestmark = pytest.mark.slow


def opened(port: int, path: str) -> tuple[HTTPConnection, HTTPResponse]:
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("GET", path)
    return connection, connection.getresponse()


@pytest.mark.parametrize("path", ["/events", "/django/events"])
def test_streams_hold_no_thread_and_end_with_the_server(path: str, tmp_path: Path) -> None:
    words = [*COMMANDS["python -m"], "tests.real.streaming_app:application", "--bind", "127.0.0.1:0"]
    words += ["--threads", "2", "--linger", "1", "--grace", "20"]
    with started(words, tmp_path, environment()) as server:
        port = server.port()
        streams = [opened(port, path) for _ in range(8)]
        try:
            for _, answer in streams:
                assert str(answer.getheader("Content-Type")).startswith("text/event-stream")
                for number in range(3):
                    assert answer.readline() == b"data: %d\n" % number
                    assert answer.readline() == b"\n"
            response, _ = get(port, "/threads")
            assert response.status == 200  # two threads, and eight streams
            assert server.end() == 0
            for _, answer in streams:
                assert answer.read().endswith(b"\n\n")  # whole, to the last chunk
        finally:
            for connection, _ in streams:
                connection.close()
