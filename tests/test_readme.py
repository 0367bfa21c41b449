"""Is what README.md and docs/ tell people to do still what works?

Their scripts are run, their options looked up, their links followed. Whether the prose is true is for the other tests.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from twisted_wsgiref._process.command_line import Options

from .real.children import COMMANDS, ROOT, get, started

PAGES = [
    ROOT / "README.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "decisions").glob("*.md")),
    ROOT / "docs" / "examples" / "README.md",
]
README = (ROOT / "README.md").read_text(encoding="utf-8")

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# An endpoint or an address of a status site.
_SITE = re.compile(r":9100\b")
_LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
_PART = re.compile(r"\]\(([^)#\s]*)#([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z-]+)")
_SAYS_PORT = re.compile(r"(?:listens on|serving \S+ on http://127\.0\.0\.1:) ?(\d+)\b.*\n")
# At the end of a script: say which port the kernel gave.
_PROBE = """
from twisted.application.service import IServiceCollection
def _say(ports):
    print("listens on", ports[0].getHost().port, flush=True)
def _ask(services):
    for each in services:
        if hasattr(each, "whenListening"):
            each.whenListening.addCallback(_say)
        else:
            _ask(each)
_ask(IServiceCollection(application))
"""
# Of other programs (valgrind's and the benchmarks' among them), and of ours beside the knobs.
OTHER_OPTIONS = {
    "pidfile",
    "logfile",
    "syslog",
    "logger",
    "pid",
    "timeout",
    "once",
    "interval",
    "chroot",
    "rundir",
    "help",
    "unix-socket",  # curl's
    "from-literal",  # kubectl's
    "link",
    "noinput",
    "reactor",
    "check",
    "version",
    "uid",
    "init",
    "tool",
    "workloads",
}


def blocks(language: str) -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for found in _BLOCK.finditer(page.read_text(encoding="utf-8")):
            if found[1] == language:
                yield page.name, found[2]


PYTHON = list(blocks("python"))
SCRIPTS = [(page, code) for page, code in PYTHON if "setServiceParent(application)" in code]
PROGRAMS = [(page, code) for page, code in PYTHON if "__main__" in code]


def lines(start: str, end: str) -> list[str]:
    return [line for line in README.splitlines() if line.startswith(start) and line.endswith(end)]


def test_one_line_sets_up_and_serves() -> None:
    (line,) = lines("python3 -m venv .venv && .venv/bin/pip install ", "&& .venv/bin/twistd -n wsgiref")
    assert "'" not in line


def test_one_line_sets_up_and_tests() -> None:
    # .ci/run finds it by the same start and end.
    (line,) = lines("python3 -m venv .venv && .venv/bin/pip install ", "&& .venv/bin/python -m pytest -n auto")
    assert ".[test]" in line


def test_embedding_takes_about_ten_lines() -> None:
    (code,) = (code for page, code in PYTHON if page == "README.md")
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 10


@pytest.mark.parametrize(("page", "code"), PYTHON)
def test_every_script_is_python(page: str, code: str) -> None:
    compile(code, page, "exec")


def check_that_it_serves(words: list[str], code: str, folder: Path) -> None:
    code = re.sub(r'"(?:tcp|ssl|unix):[^"]*"', '"tcp:0:interface=127.0.0.1"', code)
    code = code.replace("serve(demo_app, 8000", "serve(demo_app, 0")
    (folder / "script.py").write_text(code, encoding="utf-8")
    with started([*words, "script.py"], folder) as child:
        port = int(child.wait_for(_SAYS_PORT)[1])
        answer, body = get(port, "/some/path")
        if answer.status != 200 or not body:
            pytest.fail(f"{answer.status} {body!r}\n{child.said}")
        child.end()


@pytest.mark.parametrize(("page", "code"), SCRIPTS)
def test_every_service_in_the_pages_serves(page: str, code: str, tmp_path: Path) -> None:
    check_that_it_serves([*COMMANDS["twistd"][:-1], "-y"], code + _PROBE, tmp_path)


@pytest.mark.parametrize(("page", "code"), PROGRAMS)
def test_every_program_in_the_pages_serves(page: str, code: str, tmp_path: Path) -> None:
    check_that_it_serves([sys.executable], code, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    targets = _LINK.findall(page.read_text(encoding="utf-8"))
    missing = [each for each in targets if "://" not in each and not (page.parent / each).exists()]
    assert not missing


def parts_of(page: Path) -> set[str]:
    """Return what may stand behind the # of a link to `page`, as GitHub makes it of headings."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(text)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_part_of_a_page_finds_it(page: Path) -> None:
    links = [link for link in _PART.findall(page.read_text(encoding="utf-8")) if "://" not in link[0]]
    assert [link for link in links if link[1] not in parts_of(page.parent / link[0] if link[0] else page)] == []


# The tables of all servers name the others' options too.
@pytest.mark.parametrize(
    "page", [page for page in PAGES[1:] if page.stem not in ("conformance", "coming")], ids=lambda page: page.name
)
def test_every_option_in_the_pages_exists(page: Path) -> None:
    known = {word.rstrip("=") for word in Options().longOpt} | OTHER_OPTIONS
    named = set(_OPTION.findall(re.sub(r"<!--|-->", "", page.read_text(encoding="utf-8"))))
    assert named <= known


def test_no_site_is_shown_at_the_port_that_Debian_s_Prometheus_scrapes_already() -> None:
    texts = [*PAGES, ROOT / "docs" / "settings.md", *(ROOT / "twisted_wsgiref").rglob("*.py")]
    texts += [page for page in (ROOT / "docs").rglob("*") if page.suffix in (".json", ".yml", ".toml")]
    assert [page.name for page in texts if _SITE.search(page.read_text(encoding="utf-8"))] == []


def test_every_option_in_the_readme_exists() -> None:
    known = {word.rstrip("=") for word in Options().longOpt}
    table = [line.split("|")[1] for line in README.splitlines() if line.startswith("| `--")]
    commands = [line for line in README.splitlines() if line.startswith((".venv/bin/twistd", ".venv/bin/python"))]
    assert table
    assert commands
    assert {option for text in (*table, *commands) for option in _OPTION.findall(text)} <= known


@pytest.mark.parametrize("name", ["make_settings.py", "make_coming.py"])
def test_a_page_that_is_made_is_current(name: str) -> None:
    script = ROOT / "docs" / name
    done = subprocess.run(
        [sys.executable, script, "--check"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
