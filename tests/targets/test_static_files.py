"""Is a file below the directory answered as RFC 9110 has it, and nothing else at all?"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from email import message_from_bytes
from email.utils import formatdate
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twisted_wsgiref._http.freshness import read_age_rule
from twisted_wsgiref._http.ranges import Part
from twisted_wsgiref._targets.static_files import FileAnswer, StaticFiles

NOW = 1_800_000_000.0
CHANGED = 1_700_000_000
LARGE = bytes(range(256)) * 1024  # 256 KiB: not kept in memory


class Clock:
    """Both clocks, which a test moves on."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def wall(self) -> float:
        return NOW + self.seconds


class Site:
    """A directory, and the answers for what is in it."""

    def __init__(self, folder: Path, *rules: str, links: bool = False) -> None:
        self.folder = folder
        self.clock = Clock()
        self.files = StaticFiles(
            str(folder), [read_age_rule(each) for each in rules], links=links, wall=self.clock.wall, clock=self.clock
        )

    def put(self, name: str, content: bytes = b"content", changed: float = CHANGED) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (changed, changed))
        return path

    def ask(self, path: str, method: str = "GET", query: str = "", prefix: str = "/static", **fields: str) -> Answer:
        named = {f"HTTP_{name}": value for name, value in fields.items()}
        return Answer(self.files.answer(method, path, prefix, query, named))


class Answer:
    """A `FileAnswer`, read to its end."""

    def __init__(self, answer: FileAnswer) -> None:
        self.status = int(answer.status[:3])
        self.headers = dict(answer.headers)
        assert len(self.headers) == len(answer.headers)
        self.from_memory = answer.descriptor is None
        self.trouble = answer.trouble
        self.body = answer.body
        for piece in answer.pieces:
            if isinstance(piece, Part):
                assert answer.descriptor is not None
                self.body += os.pread(answer.descriptor, piece.length, piece.start)
            else:
                self.body += piece
        if answer.descriptor is not None:
            os.close(answer.descriptor)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "static"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "static-too").mkdir()
    (tmp_path / "static-too" / "secret").write_bytes(b"secret")
    before = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []
    yield Site(folder)
    after = os.listdir("/proc/self/fd") if before else []
    assert len(after) == len(before), "a descriptor is left open"


# ---- Which file a path is ------------------------------------------------------------------------------------------


def test_a_file_is_answered_with_all_that_a_client_has_to_know(site: Site) -> None:
    site.put("css/app.css", b"body {}")
    answer = site.ask("/static/css/app.css")
    assert (answer.status, answer.body) == (200, b"body {}")
    assert answer.headers == {
        "Content-Type": "text/css; charset=utf-8",
        "Content-Length": "7",
        "Last-Modified": formatdate(CHANGED, usegmt=True),
        "ETag": f'"{CHANGED * 10**9:x}-7"',
        "Accept-Ranges": "bytes",
        "Cache-Control": "no-cache",
    }


@pytest.mark.parametrize("content", [b"", b"x", LARGE])
def test_files_of_every_size_are_whole(site: Site, content: bytes) -> None:
    site.put("file", content)
    for _ in range(2):
        answer = site.ask("/static/file")
        assert (answer.status, answer.body) == (200, content)
        assert answer.headers["Content-Length"] == str(len(content))
        assert answer.from_memory == (len(content) < 65536)


def test_names_are_bytes(site: Site) -> None:
    site.put("caf\u00e9 menu.txt", b"soup")
    (site.folder / os.fsdecode(b"\xff.txt")).write_bytes(b"no text")
    assert site.ask("/static/caf\u00e9 menu.txt".encode().decode("latin-1")).body == b"soup"
    assert site.ask("/static/\xff.txt").body == b"no text"
    assert site.ask("/static/caf\xe9 menu.txt").status == 404


@pytest.mark.parametrize(
    "rest",
    [
        "/missing",
        "/app.css/",
        "/app.css/x",
        "//app.css",
        "/css//app.css",
        "/./app.css",
        "/css/../app.css",
        "/../secret",
        "/../static-too/secret",
        "/css/../../secret",
        "/..",
        "/.",
        "/...",
        "/.git",
        "/.git/config",
        "/css/.htaccess",
        "/css/.hidden/x",
        "/app.css\0",
        "/\0",
        "/app.css\0.txt",
        "/css\\..\\app.css",
        "/css",
        "/css/",
        "/",
        "",
        "/" + "x" * 300,
        "/x" * 2000,
        "/pipe",
    ],
)
@pytest.mark.parametrize("links", [False, True])
def test_what_names_no_file_is_not_found(site: Site, rest: str, links: bool) -> None:
    site.put("app.css")
    for name in ("css/app.css", ".git/config", "css/.htaccess", "css/.hidden/x"):
        site.put(name)
    os.mkfifo(site.folder / "pipe")
    answer = Site(site.folder, links=links).ask(f"/static{rest}")
    assert (answer.status, answer.body) == (404, b"There is no such file.\n")


_SEGMENTS = st.sampled_from(["", ".", "..", "css", "app.css", ".git", "out", "in", "\0", "static", "secret", "loop"])


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(_SEGMENTS, max_size=6))
def test_no_path_leads_out_of_the_directory(site: Site, segments: list[str]) -> None:
    if not (site.folder / "out").is_symlink():
        site.put("app.css", b"free")
        site.put("css/app.css", b"free")
        site.put(".git/secret", b"secret")
        (site.folder / "out").symlink_to("..")
        (site.folder / "in").symlink_to("css")
        (site.folder / "loop").symlink_to("loop")
    answer = site.ask("/static/" + "/".join(segments))
    assert answer.status in (200, 404)
    assert b"secret" not in answer.body


def test_a_link_may_not_leave_the_directory_unless_that_is_said(site: Site) -> None:
    site.put("css/app.css", b"free")
    links = {
        "in": "css",
        "in.css": "css/app.css",
        "css/up.css": "../css/app.css",
        "absolute": site.folder / "css" / "app.css",
        "out": "../secret",
        "outside": "..",
        "beside": "../static-too",
        "self": ".",
        "broken": "nowhere",
        "loop": "loop",
    }
    for name, to in links.items():
        (site.folder / name).symlink_to(to)
    inside = ["in/app.css", "in.css", "css/up.css", "absolute", "self/css/app.css", "self/in/up.css"]
    outside = ["out", "outside/secret", "beside/secret", "self/out"]
    for trusting in (site, Site(site.folder, links=True)):
        assert {trusting.ask(f"/static/{name}").body for name in inside} == {b"free"}
        assert {trusting.ask(f"/static/{name}").status for name in ("broken", "loop", "loop/x")} == {404}
    assert {site.ask(f"/static/{name}").status for name in outside} == {404}
    assert {Site(site.folder, links=True).ask(f"/static/{name}").body for name in outside} == {b"secret"}


def test_the_directory_itself_may_be_a_link_and_change(site: Site, tmp_path: Path) -> None:
    for release in ("one", "two"):
        (tmp_path / release).mkdir()
        (tmp_path / release / "version").write_text(release)
    (tmp_path / "current").symlink_to("one")
    current = Site(tmp_path / "current")
    assert current.ask("/static/version").body == b"one"
    (tmp_path / "next").symlink_to("two")
    os.replace(tmp_path / "next", tmp_path / "current")
    current.clock.seconds += 1
    assert current.ask("/static/version").body == b"two"


@pytest.mark.parametrize(
    ("path", "prefix", "location"),
    [
        ("/static", "/static", "./static/"),
        ("/static/docs", "/static", "./docs/"),
        ("/docs", "", "./docs/"),
        ("/static/a b:c?", "/static", "./a%20b%3Ac%3F/"),
    ],
)
def test_a_directory_is_its_page(site: Site, path: str, prefix: str, location: str) -> None:
    for name in ("index.html", "docs/index.html", "a b:c?/index.html"):
        site.put(name, b"<p>hello")
    answer = site.ask(path, prefix=prefix)
    assert (answer.status, answer.headers["Location"]) == (301, location)
    assert site.ask(path, prefix=prefix, query="page=2").headers["Location"] == f"{location}?page=2"
    page = site.ask(f"{path}/", prefix=prefix)
    assert (page.status, page.body) == (200, b"<p>hello")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"


def test_a_directory_called_index_is_no_page(site: Site) -> None:
    site.put("docs/index.html/index.html")
    assert site.ask("/static/docs/").status == 404
    assert site.ask("/static/docs").status == 404
    assert site.ask("/static/docs/index.html").status == 301


def test_what_may_not_be_read_is_told_to_the_log(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.put("file")

    def deny(*args: object, **kwargs: object) -> int:
        raise error

    for error, status in (
        (PermissionError(13, "denied"), 403),
        (OSError(24, "too many"), 500),
        (OSError(5, "io"), 500),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", deny)
            answer = site.ask("/static/file")
            assert (answer.status, answer.trouble) == (status, error)


# ---- How much of it a client needs ---------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"0123456789", LARGE])
def test_a_head_says_what_a_get_does(site: Site, content: bytes) -> None:
    site.put("file.txt", content)
    for path in ("/static/file.txt", "/static/missing", "/static"):
        whole, head = site.ask(path), site.ask(path, "HEAD")
        assert (head.status, head.headers, head.body) == (whole.status, whole.headers, b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND", "get"])
def test_other_methods_are_told_which_there_are(site: Site, method: str) -> None:
    site.put("file")
    for path in ("/static/file", "/static/missing"):
        answer = site.ask(path, method)
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("content", [b"0123456789", LARGE])
def test_what_a_client_has_is_not_sent_again(site: Site, content: bytes) -> None:
    site.put("file", content)
    first = site.ask("/static/file")
    for fields in (
        {"IF_NONE_MATCH": first.headers["ETag"]},
        {"IF_NONE_MATCH": f'"other", W/{first.headers["ETag"]}'},
        {"IF_MODIFIED_SINCE": first.headers["Last-Modified"]},
    ):
        for method in ("GET", "HEAD"):
            answer = site.ask("/static/file", method, **fields)
            assert (answer.status, answer.body) == (304, b"")
            assert answer.headers == {name: first.headers[name] for name in ("ETag", "Last-Modified", "Cache-Control")}
    assert site.ask("/static/file", IF_NONE_MATCH='"other"').status == 200
    assert site.ask("/static/file", IF_MATCH='"other"').status == 412
    assert site.ask("/static/missing", IF_MATCH="*", IF_NONE_MATCH="*").status == 404


@pytest.mark.parametrize("content", [b"0123456789" * 10, LARGE])
def test_a_part_is_sent_alone(site: Site, content: bytes) -> None:
    site.put("file.txt", content)
    size = len(content)
    for text, start, end in (("0-0", 0, 1), ("5-9", 5, 10), (f"{size - 3}-", size - 3, size), ("-7", size - 7, size)):
        answer = site.ask("/static/file.txt", RANGE=f"bytes={text}")
        assert (answer.status, answer.body) == (206, content[start:end])
        assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{size}"
        assert answer.headers["Content-Length"] == str(end - start)
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    tag = site.ask("/static/file.txt").headers["ETag"]
    assert site.ask("/static/file.txt", RANGE="bytes=0-0", IF_RANGE=tag).status == 206
    assert site.ask("/static/file.txt", RANGE="bytes=0-0", IF_RANGE='"other"').body == content
    assert site.ask("/static/file.txt", "HEAD", RANGE="bytes=0-0").headers["Content-Length"] == str(size)
    missing = site.ask("/static/file.txt", RANGE=f"bytes={size}-")
    assert (missing.status, missing.headers["Content-Range"]) == (416, f"bytes */{size}")


@pytest.mark.parametrize("content", [b"0123456789" * 10, LARGE])
def test_several_parts_are_sent_in_one_answer(site: Site, content: bytes) -> None:
    site.put("file.txt", content)
    answer = site.ask("/static/file.txt", RANGE="bytes=0-4,50-59,-1")
    assert answer.status == 206
    assert answer.headers["Content-Length"] == str(len(answer.body))
    kind = answer.headers["Content-Type"]
    parts = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode("latin-1") + answer.body).get_payload()
    assert isinstance(parts, list)
    assert [each["Content-Range"].partition("/")[0] for each in parts][:2] == ["bytes 0-4", "bytes 50-59"]
    assert [each["Content-Type"] for each in parts] == ["text/plain; charset=utf-8"] * 3
    assert kind != site.ask("/static/file.txt", RANGE="bytes=0-4,50-59").headers["Content-Type"]


def test_a_file_that_has_just_changed_has_a_weak_tag_and_no_date(site: Site) -> None:
    site.put("file", changed=NOW - 0.5)
    answer = site.ask("/static/file")
    assert answer.headers["ETag"].startswith('W/"')
    assert "Last-Modified" not in answer.headers
    assert site.ask("/static/file", RANGE="bytes=0-0", IF_RANGE=answer.headers["ETag"]).status == 200
    site.clock.seconds += 1
    later = site.ask("/static/file", IF_NONE_MATCH=answer.headers["ETag"])
    assert (later.status, later.headers["ETag"]) == (304, answer.headers["ETag"][2:])


def test_the_date_of_a_change_is_never_ahead_of_it(site: Site) -> None:
    path = site.put("file")
    os.utime(path, ns=(0, CHANGED * 10**9 + 999_999_999))
    assert site.ask("/static/file").headers["Last-Modified"] == formatdate(CHANGED, usegmt=True)


@pytest.mark.parametrize("changed", [0, 1, 315532800])
def test_a_time_that_all_files_of_a_build_have_tells_nothing(site: Site, changed: int) -> None:
    site.put("file", changed=changed)
    answer = site.ask("/static/file")
    assert answer.status == 200
    assert {"ETag", "Last-Modified"}.isdisjoint(answer.headers)
    assert site.ask("/static/file", IF_MODIFIED_SINCE=formatdate(NOW, usegmt=True)).status == 200


# ---- Coded copies --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"body {}", LARGE])
def test_a_coded_copy_is_sent_to_whoever_can_undo_it(site: Site, content: bytes) -> None:
    packed = gzip.compress(content)
    site.put("app.css", content)
    site.put("app.css.gz", packed)
    site.put("app.css.br", b"brotli")
    coded = site.ask("/static/app.css", ACCEPT_ENCODING="gzip, deflate")
    assert (coded.body, coded.headers["Content-Encoding"]) == (packed, "gzip")
    assert coded.headers["Content-Type"] == "text/css; charset=utf-8"
    assert coded.headers["Content-Length"] == str(len(packed))
    assert site.ask("/static/app.css", ACCEPT_ENCODING="gzip, br").body == b"brotli"
    plain = site.ask("/static/app.css")
    assert plain.body == content
    assert "Content-Encoding" not in plain.headers
    assert {each.headers["Vary"] for each in (coded, plain)} == {"Accept-Encoding"}
    assert coded.headers["ETag"] != plain.headers["ETag"]
    unchanged = site.ask("/static/app.css", ACCEPT_ENCODING="gzip", IF_NONE_MATCH=coded.headers["ETag"])
    assert (unchanged.status, unchanged.headers["Vary"]) == (304, "Accept-Encoding")
    part = site.ask("/static/app.css", ACCEPT_ENCODING="gzip", RANGE="bytes=0-1")
    assert (part.status, part.body, part.headers["Content-Encoding"]) == (206, b"\x1f\x8b", "gzip")


def test_without_a_coded_copy_nothing_varies(site: Site) -> None:
    site.put("app.css")
    assert "Vary" not in site.ask("/static/app.css", ACCEPT_ENCODING="gzip").headers


def test_a_coded_copy_that_is_older_than_its_file_is_not_sent(site: Site) -> None:
    site.put("app.css", b"new")
    site.put("app.css.gz", b"old", changed=CHANGED - 3)
    site.put("app.css.br", b"alike", changed=CHANGED - 2)
    assert site.ask("/static/app.css", ACCEPT_ENCODING="gzip").body == b"new"
    assert site.ask("/static/app.css", ACCEPT_ENCODING="br").body == b"alike"


def test_a_coded_copy_without_its_file_is_a_file_of_its_own(site: Site) -> None:
    site.put("data.csv.gz", b"packed")
    assert site.ask("/static/data.csv", ACCEPT_ENCODING="gzip").status == 404
    answer = site.ask("/static/data.csv.gz", ACCEPT_ENCODING="gzip")
    assert (answer.body, answer.headers["Content-Type"]) == (b"packed", "application/gzip")
    assert "Content-Encoding" not in answer.headers


def test_a_directory_with_the_name_of_a_copy_is_none(site: Site) -> None:
    site.put("app.css")
    site.put("app.css.gz/app.css")
    assert "Vary" not in site.ask("/static/app.css", ACCEPT_ENCODING="gzip").headers


# ---- What is in memory ---------------------------------------------------------------------------------------------


def test_a_change_is_seen_a_second_later(site: Site) -> None:
    site.put("file", b"old")
    assert site.ask("/static/file").body == b"old"
    site.put("file", b"newer", changed=CHANGED + 5)
    site.clock.seconds = 0.9
    assert site.ask("/static/file").body == b"old"
    site.clock.seconds = 1.0
    assert site.ask("/static/file").body == b"newer"
    (site.folder / "file").unlink()
    site.clock.seconds = 2.0
    assert site.ask("/static/file").status == 404


def test_within_a_second_the_file_system_is_not_asked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.put("file")
    site.ask("/static/file")

    def refuse(*args: object, **kwargs: object) -> int:
        raise AssertionError(args)

    monkeypatch.setattr(os, "open", refuse)
    assert site.ask("/static/file").status == 200
    assert site.ask("/static/file", RANGE="bytes=1-2").status == 206


def test_what_is_kept_has_a_bound(site: Site) -> None:
    for number in range(300):
        site.put(f"file{number}", b"x" * 60000)
        assert site.ask(f"/static/file{number}").status == 200
    assert site.files._bytes <= 16 * 1024 * 1024
    assert sum(each.weight for each in site.files._files.values()) == site.files._bytes
    for number in range(1100):
        site.put(f"small{number}", b"")
        site.ask(f"/static/small{number}")
    assert len(site.files._files) <= 1024


def test_of_a_file_that_grows_meanwhile_no_more_is_sent_than_was_said(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = site.put("file", b"one")
    real = os.pread

    def grow(descriptor: int, size: int, start: int) -> bytes:
        path.write_bytes(b"one and two")
        return real(descriptor, size, start)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", grow)
        answer = site.files.answer("GET", "/static/file", "/static", "", {})
    assert answer.descriptor is not None
    assert answer.pieces == (Part(0, 3),)
    os.close(answer.descriptor)


@pytest.mark.parametrize("content", [b"another", b"longer" * 50000, b""])
def test_a_large_file_is_looked_at_before_it_is_sent(site: Site, content: bytes) -> None:
    site.put("file", LARGE)
    for _ in range(2):
        assert site.ask("/static/file").body == LARGE
    site.put("file", content, changed=CHANGED + 5)
    answer = site.ask("/static/file")
    assert (answer.status, answer.body) == (200, content)
    assert answer.headers["Last-Modified"] == formatdate(CHANGED + 5, usegmt=True)
    site.put("file", LARGE)
    assert site.ask("/static/file", IF_NONE_MATCH="*").status == 304
    (site.folder / "file").unlink()
    assert site.ask("/static/file").status == (404 if len(content) > 65536 else 200)
    site.clock.seconds += 1
    assert site.ask("/static/file").status == 404


# ---- How long it may be used ---------------------------------------------------------------------------------------


def test_rules_say_how_long_a_file_may_be_used(site: Site) -> None:
    ruled = Site(site.folder, "hashed=31536000", "*.css=60", "img/*=0", "3600")
    expected = {
        "css/app.css": "public, max-age=60",
        "css/app.55e7cbb9ba48.css": "public, max-age=31536000, immutable",
        "img/a.png": "no-cache",
        "app.js": "public, max-age=3600",
    }
    for name, value in expected.items():
        ruled.put(name)
        answer = ruled.ask(f"/static/{name}")
        assert answer.headers["Cache-Control"] == value
        assert ruled.ask(f"/static/{name}", IF_NONE_MATCH="*").headers["Cache-Control"] == value
    assert "Cache-Control" not in ruled.ask("/static/missing").headers
