"""Does each mount answer on the connection of the application, as a target of the server?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.answers import Answer
from tests.support import KINDS, TEXT, Client, Server, hello, serving
from twisted_wsgiref.service import WSGIService
from twisted_wsgiref.settings import SettingError

LARGE = bytes(range(256)) * 4096  # 1 MiB


def ask(path: str, method: str = "GET", body: bytes = b"", **fields: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: h"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def where(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [*TEXT])
    return [f"{environ['SCRIPT_NAME']}|{environ['PATH_INFO']}".encode("latin-1")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in {"small.txt": b"small", "large.bin": LARGE, "docs/index.html": b"<p>"}.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    mounts = {
        "/static": f"static:{folder}",
        "/old": "redirect:308:https://example.com/new",
        "/other": where,
        "/static/app/": hello,
    }
    with serving(where, service={"mounts": mounts}) as made:
        yield made


def one(client: Client, *methods: str) -> Answer:
    (answer,) = client.answers(*methods)
    return answer


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_sent_whole_and_the_connection_lives_on(server: Server, kind: str) -> None:
    client = server.connect(kind)
    for path, content in (("/static/small.txt", b"small"), ("/static/large.bin", LARGE), ("/static/docs/", b"<p>")) * 2:
        client.send(ask(path))
        server.settle()
        assert [answer.body for answer in client.answers()][-1] == content
    assert not client.ended
    assert [record.status for record in server.records] == [200] * 6
    assert server.records[1].size == len(LARGE)
    assert not server.pool.jobs


@pytest.mark.parametrize("kind", KINDS)
def test_mounts_and_the_application_take_turns_on_one_connection(server: Server, kind: str) -> None:
    asked = [
        ask("/here"),
        ask("/static/small.txt"),
        ask("/static/large.bin"),
        ask("/static/large.bin", "HEAD"),
        ask("/static/small.txt", If_Modified_Since="Tue, 14 Nov 2023 22:13:20 GMT"),
        ask("/old/a%20b?c=d"),
        ask("/static/large.bin", Range="bytes=5-9,500000-900000"),
        ask("/other/x"),
        ask("/static/missing"),
        ask("/static/app/x"),
    ]
    client = server.ask(b"".join(asked), kind)
    answers = client.answers(*(each.partition(b" ")[0].decode() for each in asked))
    assert [answer.status for answer in answers] == [200, 200, 200, 200, 304, 308, 206, 200, 404, 200]
    bodies = [answer.body for answer in answers]
    assert bodies[:5] == [b"|/here", b"small", LARGE, b"", b""]
    assert answers[3].field("Content-Length") == str(len(LARGE))
    assert answers[5].field("Location") == "https://example.com/new/a%20b?c=d"
    assert LARGE[5:10] in bodies[6]
    assert LARGE[500000:900001] in bodies[6]
    assert bodies[7:] == [b"/other|/x", b"There is no such file.\n", b"hello"]
    assert not client.ended


def test_thousands_of_requests_in_a_row_keep_their_order(server: Server) -> None:
    kinds = [
        (ask("/a"), "GET", 200, b"|/a"),
        (ask("/static/small.txt"), "GET", 200, b"small"),
        (ask("/static/small.txt", "HEAD"), "HEAD", 200, b""),
        (ask("/static/small.txt", If_None_Match="*"), "GET", 304, b""),
        (ask("/other/b", "POST", b"body", Content_Length="4"), "POST", 200, b"/other|/b"),
        (ask("/static/none"), "GET", 404, b"There is no such file.\n"),
        (ask("/static/small.txt", Range="bytes=1-2"), "GET", 206, b"ma"),
    ]
    asked = [kinds[number * number % len(kinds)] for number in range(2000)]
    client = server.connect()
    client.send(b"".join(each[0] for each in asked))
    server.settle()
    answers = client.answers(*(each[1] for each in asked))
    assert [(each.status, each.body) for each in answers] == [each[2:] for each in asked]
    assert len(server.records) == 2000


def test_a_path_with_two_readings_is_refused(server: Server) -> None:
    for path in ("//static/small.txt", "/static/../here", "/x/%2e%2e/static/small.txt", "/static//app/x"):
        client = server.ask(ask(path))
        assert (one(client).status, client.ended) == (400, True)
    assert one(server.ask(ask("/x//y/../z"))).body == b"|/x//y/../z"


def test_what_has_an_absolute_target_is_mounted_too(server: Server) -> None:
    assert one(server.ask(ask("http://h/static/small.txt"))).body == b"small"
    assert one(server.ask(ask("*", "OPTIONS")), "OPTIONS").body == b"|"


def test_a_body_is_not_waited_for(server: Server) -> None:
    for path, status in (("/static/small.txt", 405), ("/old/x", 308)):
        client = server.ask(ask(path, "POST", Content_Length="1000000"))
        assert one(client, "POST").status == status
        client = server.ask(ask(path, "POST", Content_Length="10", Expect="100-continue"))
        answer = one(client, "POST")
        assert (answer.status, answer.interim, answer.field("Connection")) == (status, [], "close")


def test_the_body_of_a_mounted_application_is_collected(server: Server) -> None:
    client = server.ask(ask("/other/x", "POST", b"12345", Content_Length="10"))
    assert client.received == b""
    client.send(b"67890" + ask("/static/small.txt"))
    server.settle()
    assert [answer.body for answer in client.answers("POST", "GET")] == [b"/other|/x", b"small"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ranges", [None, "bytes=0-400000,500000-900000"])
def test_a_client_that_reads_slowly_gets_all_of_a_file(folder: Path, kind: str, ranges: str | None) -> None:
    (folder / "large.bin").write_bytes(LARGE * 8)
    with serving(where, service={"mounts": {"/static": f"static:{folder}"}}) as server:
        client = server.connect(kind, buffer=None if kind == "string" else 4096)
        client.reading = False
        client.send(ask("/static/large.bin", **({} if ranges is None else {"Range": ranges})) + ask("/after"))
        server.settle()
        client.reading = True
        server.settle()
        first, second = client.answers()
        assert second.body == b"|/after"
        if ranges is None:
            assert first.body == LARGE * 8
        else:
            assert (LARGE * 8)[500000:900001] in first.body


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


@pytest.mark.parametrize("kind", ["socket", "ours", "opaque"])
@pytest.mark.parametrize("ranges", ["bytes=0-", "bytes=0-1000000,2000000-3000000"])
def test_a_client_that_leaves_half_way_leaves_no_file_open(folder: Path, kind: str, ranges: str) -> None:
    (folder / "large.bin").write_bytes(LARGE * 8)
    with serving(where, service={"mounts": {"/static": f"static:{folder}"}}) as server:
        before = descriptors()
        client = server.connect(kind, buffer=4096)
        client.reading = False
        client.send(ask("/static/large.bin", Range=ranges))
        server.settle()
        client.leave()
        server.settle()
        assert descriptors() <= before
        assert server.service.connections == 0


def test_a_file_that_shrinks_half_way_cuts_the_connection(folder: Path) -> None:
    (folder / "large.bin").write_bytes(LARGE * 8)
    with serving(where, service={"mounts": {"/static": f"static:{folder}"}}) as server:
        for ranges in ("bytes=0-", "bytes=0-4000000,5000000-8000000"):
            (folder / "large.bin").write_bytes(LARGE * 8)
            client = server.connect("socket", buffer=4096)
            client.reading = False
            client.send(ask("/static/large.bin", Range=ranges))
            server.settle()
            os.truncate(folder / "large.bin", 1000)
            client.reading = True
            server.settle()
            assert client.ended
            assert len(client.received) < 8 * len(LARGE)


def test_a_file_that_can_not_be_read_is_in_the_log(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def deny(path: Any, *args: Any, **kwargs: Any) -> int:
        if path == b"small.txt":
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", deny)
    assert one(server.ask(ask("/static/small.txt"))).status == 403
    server.advance(61)
    assert "a static file can not be read: [Errno 13] Permission denied" in server.logged()


@pytest.mark.parametrize(
    ("script_name", "path", "told"),
    [
        ("", "/other", "/other|"),
        ("", "/other/", "/other|/"),
        ("/app", "/app/other/x", "/app/other|/x"),
        ("/app", "/other/x", "/app/other|/x"),  # a proxy has cut the script name off
    ],
)
def test_what_is_mounted_knows_where_it_is(folder: Path, script_name: str, path: str, told: str) -> None:
    mounts = {"/other": where, "/static": f"static:{folder}", "/old": "redirect:/new"}
    with serving(hello, service={"mounts": mounts}, script_name=script_name) as server:
        assert one(server.ask(ask(path))).body == told.encode()
        before = path.partition("/other")[0]
        assert one(server.ask(ask(f"{before}/static/small.txt"))).body == b"small"
        assert one(server.ask(ask(f"{before}/static/docs"))).field("Location") == "./docs/"
        assert one(server.ask(ask(f"{before}/old/x"))).field("Location") == "/new/x"


def test_a_mount_at_the_root_leaves_nothing_to_the_application(folder: Path) -> None:
    with serving(hello, service={"mounts": {"/": f"static:{folder}"}}) as server:
        assert one(server.ask(ask("/small.txt"))).body == b"small"
        assert one(server.ask(ask("/else"))).status == 404


def test_settings_of_files_reach_them(folder: Path) -> None:
    (folder / "out").symlink_to("/etc/hostname")
    mounts = {"/static": f"static:{folder}"}
    with serving(hello, service={"mounts": mounts}, static_links=True, static_max_age=("*.txt=60",)) as server:
        assert one(server.ask(ask("/static/small.txt"))).field("Cache-Control") == "public, max-age=60"
        assert one(server.ask(ask("/static/out"))).status == 200
    with serving(hello, service={"mounts": mounts}) as server:
        assert one(server.ask(ask("/static/small.txt"))).field("Cache-Control") == "no-cache"
        assert one(server.ask(ask("/static/out"))).status == 404


@pytest.mark.parametrize(
    ("mounts", "line"),
    [
        ({"static": "static:/srv"}, "mounts: the prefix 'static': it has to start with a slash"),
        ({"/a": hello, "/a/": hello}, "mounts: /a is mounted twice"),
        ({"/a": "wsgi:mod:app"}, "mounts: what is mounted at /a, 'wsgi:mod:app': import it, and give the object"),
        ({"/a": "static:/no/such"}, "mounts: what is mounted at /a, 'static:/no/such': there is no directory /no/such"),
        ({"/a": 5}, "mounts: what is mounted at /a is 5: it has to be a WSGI application"),
        ({"/a": "redirect:example.com"}, "mounts: what is mounted at /a, 'redirect:example.com': after redirect:"),
    ],
)
def test_a_mount_that_can_not_be_is_refused(mounts: dict[str, object], line: str) -> None:
    with pytest.raises(SettingError) as caught:
        WSGIService(hello, [], mounts=mounts)
    assert str(caught.value).startswith(line)
