"""Do views of Flask and Django pass downloads and streams on to the server, as docs/mounts.md says?"""

from __future__ import annotations

import hashlib
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from .children import COMMANDS, PATIENCE, environment, started

pytestmark = pytest.mark.slow

LARGE = bytes(range(256)) * 40960  # 10 MiB


class Client:
    """A client that keeps its connection and its session."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self._cookie = ""

    def begin(self, path: str, **fields: str) -> HTTPResponse:
        sent = {name.replace("_", "-"): value for name, value in {**fields, "Cookie": self._cookie}.items() if value}
        self._connection.request("GET", path, headers=sent)
        answer = self._connection.getresponse()
        self._cookie = (answer.getheader("Set-Cookie") or self._cookie).partition(";")[0]
        return answer

    def get(self, path: str, **fields: str) -> tuple[HTTPResponse, bytes]:
        answer = self.begin(path, **fields)
        return answer, answer.read()

    def close(self) -> None:
        self._connection.close()


@pytest.mark.parametrize("below", ["", "/django"])
def test_a_view_looks_at_the_session_and_the_server_sends(below: str, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "large.pdf").write_bytes(LARGE)
    words = [*COMMANDS["python -m"], "tests.real.passing_app:application", "--bind", "127.0.0.1:0", "--threads", "1"]
    words += ["--mount", f"/protected=internal:static:{folder}", "--sendfile-root", str(folder)]
    words += ["--mount", "/stream=internal:tests.real.passing_app:Stream()", "--linger", "1", "--grace", "20"]
    with started(words, tmp_path, environment(FILES=str(folder))) as server:
        port = server.port()
        client, other = Client(port), Client(port)
        try:
            for path in ("/download/large.pdf", "/path/large.pdf", "/events"):
                answer, body = client.get(below + path)
                assert (answer.status, b"%PDF" in body, len(body) < 1000) == (403, False, True)
            assert client.get(below + "/login")[1] == b"welcome"
            for path in ("/download/large.pdf", "/path/large.pdf"):
                answer, body = client.get(below + path, Accept_Encoding="gzip")
                assert answer.status == 200
                assert hashlib.sha256(body).digest() == hashlib.sha256(LARGE).digest()
                assert [name for name, _ in answer.getheaders() if name.lower().startswith("x-accel")] == []
                assert answer.getheader("Content-Encoding") is None
                tag = str(answer.getheader("ETag"))
                assert client.get(below + path, If_None_Match=tag)[0].status == 304
                answer, body = client.get(below + path, Range="bytes=1000-1999")
                assert (answer.status, body) == (206, LARGE[1000:2000])
            answer, _ = client.get(below + "/download/large.pdf")
            assert answer.getheader("Content-Type") == "application/pdf"
            if below:
                assert answer.getheader("X-Content-Type-Options") == "nosniff"
            assert client.get("/protected/large.pdf")[0].status == 404
            assert client.get(below + "/download/..%2Fpassing_app.py")[0].status == 404
            assert client.get(below + "/path/none.pdf")[0].status in (404, 500)  # Flask looks for it itself
            stream = client.begin(below + "/events")
            assert str(stream.getheader("Content-Type")).startswith("text/event-stream")
            for _ in range(3):
                assert stream.readline() == b"data: %b\n" % (b"django" if below else b"flask")
                stream.readline()
            assert other.get(below + "/login")[1] == b"welcome"  # the one thread is free
            assert server.end() == 0
            assert stream.read().endswith(b"\n\n")  # whole, to the last chunk
        finally:
            client.close()
            other.close()
