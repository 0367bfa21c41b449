"""Are Django's collected files, Flask's static folder and a second application served as docs/mounts.md has them?"""

from __future__ import annotations

import gzip
import json
import os
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from .children import COMMANDS, ended, environment, get, started
from .wires import MIB, WIRES, Client, Served, client, served

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).with_name("django_project")
# The two settings of the page, put over those of the shop.
SETTINGS = """
from bookshop.settings import *

STATIC_ROOT = DATA / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
}
"""
COLLECT = """
import django
django.setup()
from django.core.management import call_command
call_command("collectstatic", interactive=False, verbosity=0)
"""
FLASK = """
from flask import Flask, url_for

app = Flask(__name__)

@app.get("/")
def index():
    return url_for("static", filename="app.css")
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Path]]:
    """The shop with its files collected, and two workers."""
    folder = tmp_path_factory.mktemp("collected")
    (folder / "collecting.py").write_text(SETTINGS)
    env = environment(BOOKSHOP_DATA=str(folder), DJANGO_SETTINGS_MODULE="collecting", PYTHONDONTWRITEBYTECODE="1")
    env["PYTHONPATH"] += os.pathsep + str(folder)
    done = ended([sys.executable, "-c", COLLECT], PROJECT, env)
    if done.returncode:
        raise RuntimeError(done.stderr)
    words = [*COMMANDS["twistd"], "--app", "bookshop.wsgi:application", "--mount", f"/static=static:{folder}/static"]
    words += ["--static-max-age", "hashed=31536000", "--workers", "2"]
    with served(words, PROJECT, env, folder) as made:
        yield made, folder / "static"


@pytest.mark.parametrize("name", WIRES)
def test_collected_files_of_django_are_kept_for_a_year(shop: tuple[Served, Path], name: str) -> None:
    server, static = shop
    manifest = json.loads((static / "staticfiles.json").read_text())["paths"]
    with client(server.wires[name]) as browser:
        for plain in ("admin/css/base.css", "shelf/shelf.css", "admin/js/core.js"):
            answer = browser.get(f"/static/{manifest[plain]}")
            assert (answer.status, answer.body) == (200, (static / manifest[plain]).read_bytes())
            assert answer.fields["Cache-Control"] == "public, max-age=31536000, immutable"
            assert browser.get(f"/static/{plain}").fields["Cache-Control"] == "no-cache"
        again = browser.ask("GET", f"/static/{manifest[plain]}", fields={"If-None-Match": answer.fields["ETag"]})
        assert (again.status, again.body) == (304, b"")
        assert browser.get("/static/../manage.py").status == 400
        assert browser.get("/where/").status == 200
        page = browser.get("/admin/login/").text
        assert f"/static/{manifest['admin/css/base.css']}" in page


def flask_folder(folder: Path) -> Path:
    (folder / "shop.py").write_text(FLASK)
    static = folder / "static"
    static.mkdir()
    (static / "app.css").write_bytes(b"body {}")
    (static / "app.css.gz").write_bytes(gzip.compress(b"body {}"))
    (static / "large.bin").write_bytes(bytes(range(256)) * 40960)
    return static


def test_the_static_folder_of_flask_is_the_servers(tmp_path: Path) -> None:
    static = flask_folder(tmp_path)
    words = [*COMMANDS["python -m"], "shop:app", "--mount", "/static=static:static"]
    with served(words, tmp_path, environment(), tmp_path) as server:
        for wire in server.wires.values():
            with client(wire) as browser:
                url = browser.get("/").text
                assert url == "/static/app.css"
                css = browser.ask("GET", url, fields={"Accept-Encoding": "gzip"})
                assert css.fields["Content-Encoding"] == "gzip"
                assert gzip.decompress(css.body) == browser.get(url).body == b"body {}"
                assert "X-Content-Type-Options" not in css.fields
                _check_large(browser, static / "large.bin")


def _check_large(browser: Client, path: Path) -> None:
    content = path.read_bytes()
    whole = browser.get("/static/large.bin")
    assert sha256(whole.body).digest() == sha256(content).digest()
    part = browser.ask("GET", "/static/large.bin", fields={"Range": f"bytes={MIB}-{5 * MIB - 1}"})
    assert (part.status, part.body) == (206, content[MIB : 5 * MIB])
    two = browser.ask("GET", "/static/large.bin", fields={"Range": f"bytes=0-{3 * MIB},{4 * MIB}-{8 * MIB}"})
    assert two.status == 206
    assert content[4 * MIB : 8 * MIB + 1] in two.body
    head = browser.ask("HEAD", "/static/large.bin")
    assert (head.body, head.fields["Content-Length"]) == (b"", str(len(content)))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_two_applications_share_a_port(tmp_path: Path, workers: str) -> None:
    (tmp_path / "second.py").write_text(
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [('Content-Type', 'text/plain')])\n"
        "    return [f\"{environ['SCRIPT_NAME']}|{environ['PATH_INFO']}\".encode()]\n"
    )
    flask_folder(tmp_path)
    words = [*COMMANDS["python -m"], "shop:app", "--mount", "/second=wsgi:second:app", "--workers", workers]
    with started([*words, "--listen", "tcp:0:interface=127.0.0.1"], tmp_path, environment()) as child:
        port = child.port()
        assert get(port, "/second/x")[1] == b"/second|/x"
        assert get(port, "/")[1] == b"/static/app.css"
        assert child.end() == 0


@pytest.mark.once
@pytest.mark.parametrize(
    ("mount", "line"),
    [
        ("/static=static:nowhere", "there is no directory "),
        ("/second=wsgi:nowhere:app", "there is no module nowhere"),
        ("/static", "it has to be /prefix=SPEC"),
        ("/ws=internal:static:nowhere", "there is no directory "),
        ("/ws=shop:resource", "module shop has no attribute resource"),
        ("/ws=shop:app", "a WSGI application is mounted as wsgi:shop:app"),
    ],
)
def test_a_mount_that_can_not_be_is_one_line_and_status_1(tmp_path: Path, mount: str, line: str) -> None:
    flask_folder(tmp_path)
    done = ended([*COMMANDS["python -m"], "shop:app", "--mount", mount, "--port", "0"], tmp_path)
    assert done.returncode == 1
    (said,) = done.stderr.splitlines()
    assert line in said
    assert mount.partition(":")[0] in said
