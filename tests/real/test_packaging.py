"""Is the plugin found from a wheel, from an editable install, and from a checkout, wherever one stands?"""

from __future__ import annotations

import email
import os
import re
import site
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from .children import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.once]

# Building asks the network or pip's cache for the build backend.
PATIENCE = 300.0


def run(words: Sequence[str | Path], cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env={**kept, **more},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def checked(words: Sequence[str | Path], cwd: Path) -> str:
    done = run(words, cwd)
    if done.returncode:
        raise RuntimeError(f"{words} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what git would ship of this checkout: building must not write into the one that is worked on."""
    folder = tmp_path_factory.mktemp("source") / "checkout"
    for path in [*(ROOT / "twisted_wsgiref").rglob("*"), *(ROOT / "twisted").rglob("*")]:
        if path.suffix in {".py", ".typed"}:
            copy = folder / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "SECURITY.md"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


@pytest.fixture(scope="session")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    checked([sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", folder, source], folder)
    (made,) = folder.glob("*.whl")
    return made


def fresh_environment(folder: Path) -> Path:
    """Return the bin folder of a new virtual environment that sees this one's libraries, but not this project."""
    checked([sys.executable, "-m", "venv", "--without-pip", folder], folder.parent)
    (packages,) = (folder / "lib").glob("python*/site-packages")
    # Linked one by one: a .pth to the whole folder would bring the editable install of this checkout with it.
    for library in Path(site.getsitepackages()[0]).iterdir():
        if "twisted_wsgiref" not in library.name.lower() and not library.name.endswith(".pth"):
            (packages / library.name).symlink_to(library)
    return folder / "bin"


def install(bin_folder: Path, *words: str | Path) -> None:
    python = ["--python", bin_folder / "python"]
    checked([sys.executable, "-m", "pip", *python, "install", "-q", "--no-deps", *words], bin_folder)


def twistd(bin_folder: Path, elsewhere: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    code = "from twisted.scripts.twistd import run; run()"
    return run([bin_folder / "python", "-c", code, *words], elsewhere, **more)


def test_the_wheel_has_the_plugin_and_the_types_and_no_package_of_twisted(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert "twisted/plugins/twisted_wsgiref_plugin.py" in names
    assert "twisted_wsgiref/py.typed" in names
    assert "twisted_wsgiref/_http/head.py" in names
    assert {name for name in names if name.startswith("twisted/")} == {"twisted/plugins/twisted_wsgiref_plugin.py"}
    assert not {name for name in names if name.startswith("tests/")}


def test_the_wheel_tells_its_license_and_its_command_and_has_no_link_that_leads_nowhere(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        folder = metadata.rpartition("/")[0]
        told = email.message_from_bytes(archive.read(metadata))
        entries = archive.read(f"{folder}/entry_points.txt").decode()
        assert archive.read(f"{folder}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert told["License-Expression"] == "MIT"
    assert told["License-File"] == "LICENSE"
    assert told["Author"] == "The twisted_wsgiref authors"
    assert told["Description-Content-Type"] == "text/markdown"
    versions = {each.rpartition(" :: ")[2] for each in told.get_all("Classifier", []) if "Python :: 3." in each}
    assert versions == {"3.10", "3.11", "3.12", "3.13", "3.14", "3.15"}
    assert "twisted-wsgiref = twisted_wsgiref.__main__:main" in entries
    assert "[pytest11]\ntwisted_wsgiref = twisted_wsgiref._testing.plugin" in entries
    description = told.get_payload(decode=True).decode("utf-8")
    assert description.startswith("# twisted_wsgiref\n")
    assert "every setting; docs/settings.md adds" in description
    assert [link for link in re.findall(r"\]\(([^)]*)\)", description) if "://" not in link] == []


def test_the_source_distribution_has_what_belongs_to_it(source: Path, tmp_path: Path) -> None:
    checked([sys.executable, "-m", "build", "--sdist", "-o", tmp_path, source], tmp_path)
    (made,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(made) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "SECURITY.md", "README.md", "pyproject.toml", "hatch_build.py", "PKG-INFO"} <= names


def test_from_a_wheel_in_a_new_environment(wheel: Path, tmp_path: Path) -> None:
    # The plugin goes into Twisted's own folder there, so that must not be a link to this environment's.
    bin_folder = fresh_environment(tmp_path / "env")
    (packages,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    library = (packages / "twisted").resolve()
    (packages / "twisted").unlink()
    (packages / "twisted" / "plugins").mkdir(parents=True)
    for path in library.iterdir():
        if path.name not in {"plugins", "__pycache__"}:
            (packages / "twisted" / path.name).symlink_to(path)
    for path in (library / "plugins").glob("*.py"):
        (packages / "twisted" / "plugins" / path.name).write_bytes(path.read_bytes())
    install(bin_folder, wheel)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = twistd(bin_folder, elsewhere, "wsgiref", "--help")
    assert done.returncode == 0, done.stderr
    assert "--max-body=" in done.stdout
    done = run([bin_folder / "twisted-wsgiref", "--help"], elsewhere)
    assert done.stdout.startswith("Usage: twisted-wsgiref [options] [MOD:APP]"), done.stderr
    done = run([bin_folder / "twisted-wsgiref", "--nonsense"], elsewhere)
    assert (done.returncode, done.stderr) == (
        1,
        "twisted-wsgiref: option --nonsense not recognized; --help lists all\n",
    )
    where = run([bin_folder / "python", "-c", "import twisted_wsgiref as t; print(t.__file__)"], elsewhere).stdout
    assert Path(where).is_relative_to(tmp_path / "env")
    test = "from twisted_wsgiref.simple_server import demo_app\ndef test(wsgi_server):\n    wsgi_server(demo_app)\n"
    (elsewhere / "test_it.py").write_text(test)
    done = run([bin_folder / "python", "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"], elsewhere)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_from_an_editable_install(source: Path, tmp_path: Path) -> None:
    bin_folder = fresh_environment(tmp_path / "env")
    install(bin_folder, "-e", source)
    done = twistd(bin_folder, tmp_path, "wsgiref", "--help")
    assert done.returncode == 0, done.stderr
    assert "--max-body=" in done.stdout


def test_from_a_checkout_without_installing(source: Path, tmp_path: Path) -> None:
    bin_folder = fresh_environment(tmp_path / "env")
    assert "wsgiref" not in twistd(bin_folder, tmp_path, "--help").stdout
    assert "--max-body=" in twistd(bin_folder, tmp_path, "wsgiref", "--help", PYTHONPATH=str(source)).stdout
    assert "--max-body=" in twistd(bin_folder, source, "wsgiref", "--help", PYTHONPATH=".").stdout
