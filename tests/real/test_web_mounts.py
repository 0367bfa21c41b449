"""Do resources of Twisted's and WebSockets work where they are mounted, for real clients over each wire?"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .children import COMMANDS, PATIENCE, SERVING, SOON, Stopwatch, ended, environment, get, started
from .tls_socket import locked_context
from .wires import WIRES, Served, Wire, client, served

pytestmark = [pytest.mark.slow, pytest.mark.libraries]

HERE = "tests.real.web_mounts"
LARGE = bytes(range(256)) * 4096
SOCKETS = ["echoes", "twisted_echoes"]


def command(folder: Path, *more: str, name: str = "python -m") -> list[str]:
    words = [*COMMANDS[name], "--mount", f"/t=tests.real.web_mounts:tree('{folder}')"]
    words += ["--mount", f"/klein={HERE}:klein", "--mount", f"/ws/echoes={HERE}:echoes"]
    try:
        import twisted.web.websocket  # noqa: F401
    except ImportError:
        pass
    else:
        words += ["--mount", f"/ws/twisted_echoes={HERE}:twisted_echoes"]
    return [*words, "--app", "twisted_wsgiref.simple_server:demo_app", "--grace", "5", *more]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    pytest.importorskip("autobahn")
    pytest.importorskip("klein")
    folder = tmp_path_factory.mktemp("mounts")
    (folder / "large.bin").write_bytes(LARGE)
    with served(command(folder, "--trusted-proxy", "unix"), folder, environment(), folder) as made:
        yield made


@contextlib.contextmanager
def websocket(wire: Wire, path: str) -> Iterator[Any]:
    connect = pytest.importorskip("websockets.sync.client")
    if wire.name == "unix":
        made = connect.unix_connect(wire.where, f"ws://localhost{path}", open_timeout=PATIENCE, max_size=None)
    else:
        context = locked_context(wire.certificate) if wire.name == "tls" else None
        made = connect.connect(
            wire.origin.replace("http", "ws", 1) + path, ssl=context, open_timeout=PATIENCE, max_size=None
        )
    with made as sock:
        yield sock


@pytest.mark.parametrize("wire", WIRES)
def test_a_tree_of_twisteds_is_told_who_asks(house: Served, wire: str) -> None:
    with client(house.wires[wire]) as browser:
        first = browser.get("/t/facts").text.split()
        address = {"tcp": "127.0.0.1", "unix": "none", "tls": "127.0.0.1"}[wire]
        assert first == ["1", address, str(wire == "tls"), f"{house.wires[wire].origin}/t/facts"]
        assert browser.get("/t/facts").text.split()[0] == "2"  # its session, by a cookie
        forwarded = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
        told = browser.ask("GET", "/t/facts", fields=forwarded).text.split()[1:3]
        assert told == (["203.0.113.9", "True"] if wire == "unix" else first[1:3])


@pytest.mark.parametrize("wire", WIRES)
def test_files_of_twisteds_have_ranges_and_conditions(house: Served, wire: str) -> None:
    with client(house.wires[wire]) as browser:
        whole = browser.get("/t/files/large.bin")
        assert (whole.status, whole.body) == (200, LARGE)
        head = browser.ask("HEAD", "/t/files/large.bin")
        assert (head.status, head.body, head.fields["Content-Length"]) == (200, b"", str(len(LARGE)))
        since = {"If-Modified-Since": whole.fields["Last-Modified"]}
        assert browser.ask("GET", "/t/files/large.bin", fields=since).status == 304
        part = browser.ask("GET", "/t/files/large.bin", fields={"Range": "bytes=1000-500000"})
        assert (part.status, part.body) == (206, LARGE[1000:500001])
        assert browser.get("/t/files/none").status == 404
        assert b"Hello world!" in browser.get("/").body


def test_a_klein_application_is_mounted(house: Served) -> None:
    with client(house.wires["tcp"]) as browser:
        assert browser.get("/klein/hello/world").body == b"hello world"
        assert browser.get("/klein/later").body == b"later"


def test_a_reverse_proxy_of_twisteds_hands_on(house: Served, tmp_path: Path) -> None:
    words = [*COMMANDS["python -m"], "--mount", f"/t={HERE}:backend({house.wires['tcp'].where})"]
    words += ["--mount", f"/klein={HERE}:klein", "--listen", "tcp:0:interface=127.0.0.1"]
    with started(words, tmp_path, environment()) as child:
        port = child.port()
        answer, body = get(port, "/t/x")
        assert (answer.status, b"'/proxied/x'" in body or b"/proxied/x" in body) == (200, True)
        assert child.end() == 0


@pytest.mark.parametrize("name", SOCKETS)
@pytest.mark.parametrize("wire", WIRES)
def test_messages_go_both_ways_whatever_their_size_and_number(house: Served, wire: str, name: str) -> None:
    if name == "twisted_echoes":
        pytest.importorskip("twisted.web.websocket")
    with websocket(house.wires[wire], f"/ws/{name}") as sock:
        for number in range(300):
            sock.send(f"message {number}")
        assert [sock.recv(PATIENCE) for _ in range(300)] == [f"MESSAGE {number}" for number in range(300)]
        for size in (0, 1, 125, 126, 65535, 65536, 3_000_000):
            sock.send(b"x" * size)
            assert sock.recv(PATIENCE) == b"X" * size


@pytest.mark.parametrize("name", SOCKETS)
def test_no_thread_is_held_and_no_deadline_of_http_holds(tmp_path: Path, name: str) -> None:
    pytest.importorskip("autobahn")
    if name == "twisted_echoes":
        pytest.importorskip("twisted.web.websocket")
    short = ["--threads", "1", "--keep-alive", "1", "--head-timeout", "1", "--send-timeout", "1"]
    with served(command(tmp_path, *short), tmp_path, environment(), tmp_path) as house, contextlib.ExitStack() as st:
        socks = [st.enter_context(websocket(house.wires["tcp"], f"/ws/{name}")) for _ in range(20)]
        time.sleep(2.5)  # more than each deadline
        for sock in socks:
            sock.send("still")
        assert [sock.recv(PATIENCE) for sock in socks] == ["STILL"] * 20
        assert client_get(house.wires["tcp"], "/") == 200


def client_get(wire: Wire, path: str) -> int:
    with client(wire) as browser:
        return browser.get(path).status


@pytest.mark.parametrize("name", SOCKETS)
@pytest.mark.parametrize("wire", WIRES)
def test_a_stop_closes_in_order_and_says_that_the_server_goes(tmp_path: Path, wire: str, name: str) -> None:
    pytest.importorskip("autobahn")
    if name == "twisted_echoes":
        pytest.importorskip("twisted.web.websocket")
    closed: Any = pytest.importorskip("websockets.exceptions")
    with served(command(tmp_path), tmp_path, environment(), tmp_path) as house:
        with websocket(house.wires[wire], f"/ws/{name}") as sock:
            house.child.process.send_signal(signal.SIGTERM)
            with pytest.raises(closed.ConnectionClosed) as caught:
                sock.recv(PATIENCE)
            assert caught.value.rcvd.code == 1001
        watch = Stopwatch()
        assert house.child.wait(SOON) == 0
        assert watch.undisturbed() < 4  # less than the grace


def test_a_resource_that_never_answers_is_told_and_the_stop_ends_with_the_grace(tmp_path: Path) -> None:
    told = tmp_path / "told"
    words = [*COMMANDS["python -m"], "--mount", f"/t=tests.real.web_mounts:tree('{tmp_path}')", "--grace", "2"]
    with started([*words, "--listen", "tcp:0:interface=127.0.0.1"], tmp_path, environment()) as child:
        port = child.port()
        with raw(port, "/t/never"), raw(port, "/t/never") as gone:
            wait_for_lines(told, 2)
            gone.close()
            wait_for_lines(told, 3)
            watch = Stopwatch()
            child.end(patience=SOON)
            assert watch.undisturbed() < 4
        assert told.read_text().splitlines() == ["asked", "asked", "ConnectionLost", "ConnectionLost"]


@contextlib.contextmanager
def raw(port: int, path: str) -> Iterator[Any]:
    import socket

    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        yield sock


def wait_for_lines(path: Path, number: int) -> None:
    end = time.monotonic() + PATIENCE
    while not path.exists() or len(path.read_text().splitlines()) < number:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("more", [[], ["--workers", "2"]])
def test_a_maker_that_makes_no_resource_ends_the_process_with_one_line(tmp_path: Path, more: list[str]) -> None:
    mount = f"/x={HERE}:nothing"
    done = ended([*COMMANDS["python -m"], "--mount", mount, "--port", "0", *more], tmp_path)
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if f"mount '{mount}'" in line]
    assert lines, done.stderr
    assert "returned is None: it has to be a resource of twisted.web" in lines[0]
    assert "mounting.py" not in done.stderr  # no traceback of ours


def test_workers_make_resources_of_their_own(tmp_path: Path) -> None:
    words = [*COMMANDS["python -m"], "--mount", f"/t=tests.real.web_mounts:tree('{tmp_path}')", "--workers", "2"]
    with started([*words, "--listen", "tcp:0:interface=127.0.0.1"], tmp_path, environment()) as child:
        port = int(child.wait_for(SERVING)["port"])
        assert get(port, "/t/facts")[1].startswith(b"1 127.0.0.1 False ")
        assert child.end() == 0
