"""Does a Flask application, served by twistd over TCP, a UNIX socket and TLS, work as anywhere else?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from hashlib import sha256
from http.client import IncompleteRead
from pathlib import Path

import pytest

from .children import COMMANDS, environment
from .wires import MIB, ON_WIRES, Client, Served, Upload, client, read_digest, served

pytestmark = pytest.mark.slow

LARGE = bytes(range(256)) * 4096 * 5 + b"end"


@pytest.fixture(scope="module", params=["app", pytest.param("checked", marks=pytest.mark.libraries)])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The application as it is, and within our validator."""
    folder = tmp_path_factory.mktemp("flask")
    (folder / "large.bin").write_bytes(LARGE)
    words = [*COMMANDS["twistd"], "--app", f"tests.real.flask_app:{request.param}"]
    env = environment(LARGE_FILE=str(folder / "large.bin"))
    with served(words, folder, env, folder, ["ArithmeticError: deliberately"]) as made:
        yield made


@pytest.fixture(params=ON_WIRES)
def flask(request: pytest.FixtureRequest, server: Served) -> Iterator[Client]:
    with client(server.wires[request.param]) as made:
        yield made


def test_hello_on_one_connection_again_and_again(flask: Client) -> None:
    for _ in range(20):
        answer = flask.get("/")
        assert (answer.status, answer.text) == (200, "hello")
    head = flask.ask("HEAD", "/")
    assert (head.status, head.body, head.fields["Content-Length"]) == (200, b"", "5")


def test_a_form_and_json_are_understood(flask: Client) -> None:
    assert flask.post("/form", {"name": "Ada & Söhne", "empty": ""}).json() == {
        "form": {"name": "Ada & Söhne", "empty": ""},
        "json": None,
        "type": "application/x-www-form-urlencoded",
    }
    sent = flask.ask("POST", "/form", json.dumps({"a": [1]}).encode(), {"Content-Type": "application/json"})
    assert sent.json()["json"] == {"a": [1]}


@pytest.mark.parametrize("octets", [0, 1, 65536, 3 * MIB])
def test_a_body_in_chunks_is_as_good_as_one_with_a_length(octets: int, flask: Client) -> None:
    data = b"x" * octets
    blocks = (data[start : start + 100_000] for start in range(0, octets, 100_000))
    answer = flask.ask("POST", "/length", blocks)
    assert answer.json() == {"octets": octets, "digest": sha256(data).hexdigest(), "told": octets}


def test_a_file_of_50_mb_goes_there_and_back_and_is_never_in_memory(flask: Client, server: Served) -> None:
    status = Path(f"/proc/{server.child.process.pid}/status")

    def peak() -> int:
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024 if status.exists() else 0

    before = peak()
    upload = Upload(50, {"note": "large"})
    answer = flask.open("POST", "/upload", upload, upload.fields)
    assert answer.status == 200
    assert (answer.headers["X-Digest"], answer.headers["X-Note"]) == (upload.digest, "large")
    assert read_digest(answer) == (50 * MIB, upload.digest)
    assert peak() - before < 10 * MIB
    assert flask.get("/").text == "hello"  # and the connection lives on


def test_a_stream_knows_its_request(flask: Client) -> None:
    answer = flask.get("/stream?lines=2000&last=end")
    assert answer.fields["Transfer-Encoding"] == "chunked"
    assert answer.text.split() == ["begin", *map(str, range(2000)), "end"]


def test_a_file_is_sent_whole_and_in_part(flask: Client) -> None:
    whole = flask.get("/file")
    assert int(whole.fields["Content-Length"]) == len(LARGE)
    assert whole.body == LARGE
    part = flask.ask("GET", "/file", fields={"Range": "bytes=1000000-1999999"})
    assert (part.status, part.fields["Content-Range"]) == (206, f"bytes 1000000-1999999/{len(LARGE)}")
    assert part.body == LARGE[1_000_000:2_000_000]
    same = flask.ask("GET", "/file", fields={"If-None-Match": whole.fields["ETag"]})
    assert (same.status, same.body) == (304, b"")
    head = flask.ask("HEAD", "/file")
    assert (head.status, head.body, head.fields["Content-Length"]) == (200, b"", str(len(LARGE)))
    assert flask.get("/").text == "hello"


def test_cookies_come_back_after_a_redirect(flask: Client) -> None:
    answer = flask.get("/login/ada")
    assert (answer.status, answer.fields["Location"]) == (302, "/whoami")
    assert len(answer.fields.get_all("Set-Cookie")) == 2
    assert flask.get("/whoami").json() == {"name": "ada", "colour": "blue"}


def test_an_external_url_names_scheme_and_host(flask: Client) -> None:
    wire = flask.wire
    told = flask.get("/where").json()
    assert told["url"] == f"{wire.origin}/"
    assert told["full"] == f"{wire.origin}/where"
    if wire.name == "unix":
        assert (told["peer"], told["remote_port"]) == (None, None)
        assert told["server"] == ["localhost", "80"]
    else:
        assert told["peer"] == "127.0.0.1"
        assert told["remote_port"] == str(flask.connection.sock.getsockname()[1])
        assert told["server"] == ["127.0.0.1", wire.where]


def test_an_error_handler_answers(flask: Client) -> None:
    answer = flask.get("/broken")
    assert (answer.status, answer.text) == (418, "sorry: deliberately")
    assert flask.get("/nowhere").status == 404
    assert flask.post("/", {}).status == 405


def test_an_error_that_nobody_handles_is_a_500(flask: Client, server: Served) -> None:
    answer = flask.get("/unhandled")
    assert answer.status == 500
    assert "deliberately" not in answer.text
    server.child.wait_for(re.compile("ArithmeticError: deliberately"))


def test_an_answer_that_fails_half_way_is_not_taken_for_whole(flask: Client) -> None:
    answer = flask.open("GET", "/breaks")
    assert answer.status == 200
    with pytest.raises((IncompleteRead, ConnectionError)):
        answer.read()


def test_the_same_where_the_application_reads_the_body_as_it_comes(tmp_path: Path) -> None:
    words = [*COMMANDS["twistd"], "--app", "tests.real.flask_app:app", "--stream-input", "--stream-chunked"]
    upload = Upload(50, {"note": "large"})
    with served(words, tmp_path, environment(LARGE_FILE=""), tmp_path) as server:
        for wire in server.wires.values():
            with client(wire) as web:
                answer = web.open("POST", "/upload", upload, upload.fields)
                assert read_digest(answer) == (50 * MIB, upload.digest)
                in_chunks = web.ask("POST", "/length", (b"x" * 1000 for _ in range(100)))
                assert in_chunks.json()["octets"] == 100_000
                assert web.get("/").text == "hello"
