"""Does a Django project, served by twistd over TCP, a UNIX socket and TLS, work as anywhere else?"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from .children import COMMANDS, ended, environment
from .wires import MIB, ON_WIRES, Client, Served, Upload, client, read_digest, served

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).with_name("django_project")
PREPARE = """
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django.contrib.auth.models import User
User.objects.create_superuser("ada", "ada@example.org", "analytical")
"""
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="(\w+)"')
LARGE = bytes(range(256)) * 4096 * 3 + b"end"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a shop with a database and an administrator."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "large.bin").write_bytes(LARGE)
    done = ended([sys.executable, "-c", PREPARE], PROJECT, shop_environment(folder))
    if done.returncode:
        raise RuntimeError(done.stderr)
    return folder


def shop_environment(data: Path) -> dict[str, str]:
    return environment(BOOKSHOP_DATA=str(data), DJANGO_SETTINGS_MODULE="bookshop.settings", PYTHONDONTWRITEBYTECODE="1")


@pytest.fixture(scope="module", params=["application", pytest.param("checked", marks=pytest.mark.libraries)])
def server(request: pytest.FixtureRequest, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The shop, open; with its application within our validator, too."""
    words = [*COMMANDS["twistd"], "--app", f"bookshop.wsgi:{request.param}"]
    folder = tmp_path_factory.mktemp("wires")
    with served(words, PROJECT, shop_environment(data), folder, ["RuntimeError: deliberately"]) as made:
        yield made


@pytest.fixture(params=ON_WIRES)
def shop(request: pytest.FixtureRequest, server: Served) -> Iterator[Client]:
    with client(server.wires[request.param]) as made:
        yield made


def test_somebody_logs_in_to_the_admin_site(shop: Client) -> None:
    sent_away = shop.get("/admin/")
    assert sent_away.status == 302
    assert sent_away.fields["Location"] == "/admin/login/?next=/admin/"
    page = shop.get("/admin/login/?next=/admin/")
    assert page.status == 200
    assert "Django administration" in page.text
    form = {"username": "ada", "password": "analytical", "next": "/admin/"}
    referer = {"Referer": shop.wire.origin + "/admin/login/", "Origin": shop.wire.origin}
    refused = shop.post("/admin/login/", form, referer)
    assert refused.status == 403  # the token is missing
    token = found[1] if (found := TOKEN.search(page.text)) else ""
    entered = shop.post("/admin/login/", {**form, "csrfmiddlewaretoken": token}, referer)
    assert entered.status == 302
    assert entered.fields["Location"] == "/admin/"
    assert "sessionid" in shop.cookies
    inside = shop.get("/admin/")
    assert inside.status == 200
    assert "/admin/shelf/book/" in inside.text


def test_static_files_come_with_their_type(shop: Client) -> None:
    css = shop.get("/static/admin/css/base.css")
    assert css.status == 200
    assert css.fields["Content-Type"].startswith("text/css")
    assert int(css.fields["Content-Length"]) == len(css.body) > 10_000
    since = {"If-Modified-Since": css.fields["Last-Modified"]}
    again = shop.ask("GET", "/static/admin/css/base.css", fields=since)
    assert (again.status, again.body) == (304, b"")
    assert shop.ask("HEAD", "/static/shelf/shelf.css").body == b""
    assert shop.get("/static/shelf/shelf.css").status == 200


def test_a_form_adds_a_row(shop: Client) -> None:
    title = f"Notes & Sketches § {shop.wire.name}"
    token = found[1] if (found := TOKEN.search(shop.get("/books/").text)) else ""
    added = shop.post(
        "/books/",
        {"title": title, "csrfmiddlewaretoken": token},
        {"Referer": shop.wire.origin + "/books/"},
    )
    assert (added.status, added.fields["Location"]) == (302, "/books/")
    assert f"<li>Notes &amp; Sketches § {shop.wire.name}</li>" in shop.get("/books/").text


def test_a_large_file_goes_there_and_back(shop: Client) -> None:
    upload = Upload(8, {"note": "large"})  # more than Django and the server each keep in memory
    answer = shop.open("POST", "/upload/", upload, upload.fields)
    assert answer.status == 200
    assert answer.headers["X-Digest"] == upload.digest
    assert (answer.headers["X-Name"], answer.headers["X-Note"]) == ("large.bin", "large")
    assert "Content-Length" not in answer.headers
    assert read_digest(answer) == (8 * MIB, upload.digest)
    assert shop.get("/where/").status == 200  # and the connection lives on


def test_an_upload_in_chunks_is_whole_also_where_input_is_streamed(data: Path, tmp_path: Path) -> None:
    words = [*COMMANDS["python -m"], "--app", "bookshop.wsgi:application", "--stream-input"]
    with served(words, PROJECT, shop_environment(data), tmp_path) as server, client(server.wires["tcp"]) as shop:
        for in_chunks in (True, False):
            upload = Upload(1, {"note": "large"})
            sent = {name: value for name, value in upload.fields.items() if name != "Content-Length"}
            answer = shop.open("POST", "/upload/", upload, sent if in_chunks else upload.fields)
            assert (answer.status, answer.headers["X-Digest"]) == (200, upload.digest)
            assert read_digest(answer) == (MIB, upload.digest)


def test_a_streaming_answer_comes_whole(shop: Client) -> None:
    answer = shop.get("/count/5000/")
    assert answer.fields["Transfer-Encoding"] == "chunked"
    assert answer.text.split() == [str(number) for number in range(5000)]


def test_a_file_response_comes_whole(shop: Client) -> None:
    answer = shop.get("/file/")
    assert answer.fields["Content-Disposition"] == 'attachment; filename="large.bin"'
    assert int(answer.fields["Content-Length"]) == len(LARGE)
    assert sha256(answer.body).digest() == sha256(LARGE).digest()


def test_a_page_that_is_not_there_is_a_404(shop: Client) -> None:
    answer = shop.get("/nowhere/")
    assert answer.status == 404
    assert "Not Found" in answer.text


def test_a_failing_view_is_a_500_without_a_word_of_why(shop: Client, server: Served) -> None:
    answer = shop.get("/broken/")
    assert answer.status == 500
    assert "Server Error (500)" in answer.text
    assert "deliberately" not in answer.text
    server.child.wait_for(re.compile("RuntimeError: deliberately"))


def test_django_knows_where_it_is(shop: Client) -> None:
    assert shop.get("/where/?a=%C3%A4&b=1").json() == {
        "url": f"{shop.wire.origin}/x",
        "secure": shop.wire.name == "tls",
        "peer": None if shop.wire.name == "unix" else "127.0.0.1",
        "query": {"a": "ä", "b": "1"},
    }


def test_a_host_that_is_not_allowed_is_a_400(shop: Client) -> None:
    assert shop.ask("GET", "/where/", fields={"Host": "elsewhere.example"}).status == 400
