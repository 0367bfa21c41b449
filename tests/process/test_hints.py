"""Does a word of another server get its meaning here, and is no word taken for one of another meaning?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from twisted_wsgiref._process.dictionary import SERVERS, meanings, translated
from twisted_wsgiref._process.hints import hint
from twisted_wsgiref._process.standalone import Options

from .peers_words import WORDS

ROOT = Path(__file__).resolve().parent.parent.parent
OURS = Options()
LONG = [f"--{each.rstrip('=')}" for each in OURS.longOpt]
SHORT = [f"-{each}" for each in OURS.shortOpt if each != ":"]
# Of twistd, before its word wsgiref.
TWISTDS = {"--pidfile", "--logfile", "--syslog"}
TABLE = list(meanings())


@pytest.mark.parametrize("server", WORDS)
def test_every_word_of_another_server_is_ours_or_has_its_meaning(server: str) -> None:
    words = WORDS[server].split()
    assert len(words) > 30
    unknown = [each for each in words if each not in LONG + SHORT and not translated(each.replace("_", "-"))]
    # getopt takes the beginning of a word for the whole, or names the words that it may be the beginning of.
    assert [each for each in unknown if not any(ours.startswith(each) for ours in LONG)] == []


@pytest.mark.parametrize("meaning", TABLE, ids=lambda meaning: meaning.say[:40])
def test_a_meaning_names_options_that_there_are_and_whose_words_they_stand_for(meaning: object) -> None:
    assert isinstance(meaning, tuple)
    _, say, words = meaning
    assert say.startswith(("it is ", "instead, ", "there is no such thing"))
    assert say == "it is always so" or re.search("--|:|, ", say)
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", say)) <= {*LONG, *TWISTDS}
    assert set(words) <= set(SERVERS)
    assert all(words.values())


def test_no_word_of_the_table_is_ours_or_taken_for_ours() -> None:
    for _, _, servers in TABLE:
        for words in servers.values():
            for word in words:
                assert word not in SHORT
                # getopt takes the beginning of one word for the whole, and refuses that of several.
                begun = [each for each in LONG if each.startswith(word)]
                assert word not in begun
                assert len(begun) != 1


@pytest.mark.parametrize(
    ("word", "end"),
    [
        ("--graceful-timeout", ": here it is --grace"),
        ("--graceful_timeout", ": here it is --grace"),
        ("graceful_timeout", ": here it is --grace"),
        ("--uds", ": here it is --listen unix:PATH:mode=660"),
        ("-D", ": here it is --daemon, if no service manager starts it"),
        (
            "--protocol",
            ": there is no such thing: HTTP is spoken, so in nginx it is proxy_pass, not uwsgi_pass",
        ),
    ],
)
def test_a_strange_word_is_translated(word: str, end: str) -> None:
    assert hint(word, LONG) == end


def test_a_word_of_several_meanings_has_them_all() -> None:
    assert "uWSGI's: it is --bind HOST:PORT" in hint("--http", LONG)
    assert "granian's: there is no such thing: HTTP/1.1 is spoken" in hint("--http", LONG)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("--thread", "--threads"),
        ("--workes", "--workers"),
        ("--prot", "--port"),
        ("--keepalive", "--keep-alive"),
        ("--max_body", "--max-body"),
        ("--maxbody", "--max-body"),
        ("--max-bodi", "--max-body"),
        ("--acces-log", "--access-log"),
        ("--head-timeuot", "--head-timeout"),
        ("--qeue", "--queue"),
    ],
)
def test_a_misspelt_word_is_found(word: str, meant: str) -> None:
    assert hint(word, LONG) == f"; did you mean {meant}?"


@pytest.mark.parametrize(
    "word",
    [
        "--nonsense",
        "--read-timeouts",
        "--client-timeout",
        "--db-timeout",
        "--max-line",
        "--lost",
        "--tag",
        "--x",
        "--queue-size",
    ],
)
def test_a_word_of_another_meaning_is_not_taken_for_ours(word: str) -> None:
    assert hint(word, LONG) == ""


def test_the_table_of_the_readme_says_the_same() -> None:
    rows = [line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if line.startswith("| `--")]
    assert len(rows) > 10
    for row in rows:
        ours, *theirs = row.split("|")[1:-1]
        named = set(re.findall(r"--[a-z-]+", ours))
        for word in re.findall(r"(?<![\w-])--[a-z-]+", " ".join(theirs)):
            if word not in LONG:
                assert set(re.findall(r"--[a-z-]+", translated(word))) & named, (word, translated(word))
