"""Does `Settings` refuse what makes no sense, whoever says it, and can a service live with all that it takes?"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from twisted_wsgiref import SettingError, Settings
from twisted_wsgiref._settings.knobs import LARGEST, LONGEST
from twisted_wsgiref.settings import MOST_THREADS, from_words, knobs

from .support import GET, serving

DEFAULTS: dict[str, Any] = {name: getattr(Settings(), name) for name in knobs()}
TIMES = [name for name, usual in DEFAULTS.items() if isinstance(usual, float)]
NUMBERS = [name for name, usual in DEFAULTS.items() if type(usual) is int]
TRUTHS = [name for name, usual in DEFAULTS.items() if isinstance(usual, bool)]
TEXTS = [name for name, usual in DEFAULTS.items() if isinstance(usual, str)]


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("not even that")


def refusal(name: str, value: object) -> str:
    changed: Any = {name: value}
    with pytest.raises(SettingError) as caught:
        Settings(**changed)
    text = str(caught.value)
    assert text.startswith(f"{name} is ")
    assert "\n" not in text
    assert len(text) < 250
    return text.partition(": ")[2]


@pytest.mark.parametrize("value", [-1.0, -0.001, math.nan, math.inf, -math.inf, LONGEST * 2, 10**400])
@pytest.mark.parametrize("name", TIMES)
def test_a_time_is_finite_and_not_below_zero(name: str, value: float) -> None:
    assert refusal(name, value).startswith("it has to be a")


@pytest.mark.parametrize("value", [True, "5", None, b"5", (5,), 5j, Unspeakable()])
@pytest.mark.parametrize("name", TIMES)
def test_a_time_is_a_number(name: str, value: object) -> None:
    assert refusal(name, value) == "it has to be a number of seconds"


@pytest.mark.parametrize("value", [2.5, 2.0, True, False, "2", None, math.nan, [2]])
@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_is_whole(name: str, value: object) -> None:
    assert refusal(name, value) == "it has to be a whole number"


@pytest.mark.parametrize("value", [-1, 2**63, 1 << 99])
@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_is_neither_below_zero_nor_beyond_all_use(name: str, value: int) -> None:
    assert refusal(name, value).startswith("it has to be at ")


def test_a_number_of_too_many_digits_is_refused_in_one_line_too() -> None:
    assert refusal("threads", 10**5000) == "it has to be at most 10000"


@pytest.mark.parametrize("value", ["no", "yes", "", 0, 1, 1.0, None])
@pytest.mark.parametrize("name", TRUTHS)
def test_a_truth_is_true_or_false(name: str, value: object) -> None:
    assert refusal(name, value) == "it has to be True or False"


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (None, "it has to be a str"),
        (b"x", "it has to be a str"),
        (5, "it has to be a str"),
        ("a\0b", "it has a NUL character"),
        ("/\ud800", "it has a character that can not be encoded"),
    ],
)
@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_one_that_the_system_takes(name: str, value: object, line: str) -> None:
    assert refusal(name, value) == line


@pytest.mark.parametrize("value", [("10.0.0.0/8", "unix"), ["10.0.0.0/8", "unix"], "10.0.0.0/8, unix"])
def test_proxies_are_words_however_they_are_given(value: Any) -> None:
    assert Settings(trusted_proxy=value).trusted_proxy == ("10.0.0.0/8", "unix")
    hash(Settings(trusted_proxy=value))


def test_a_lone_proxy_is_one_word() -> None:
    lone: Any = "10.0.0.0/8"
    assert Settings(trusted_proxy=lone).trusted_proxy == (lone,)


@pytest.mark.parametrize("value", [None, 5, (5,), {"unix"}, b"unix", ("unix", None)])
def test_proxies_are_words_and_nothing_else(value: Any) -> None:
    assert refusal("trusted_proxy", value) == "it has to be a tuple of str"


@pytest.mark.parametrize("value", [("proxy.example",), ("10.0.0.1/8",), ("",), "10.0.0.0/33"])
def test_a_network_that_is_none_is_refused_by_the_value(value: Any) -> None:
    assert "is no network (as 10.0.0.0/8), '*' or 'unix'" in refusal("trusted_proxy", value)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"threads": 0}, "threads is 0: it has to be at least 1"),
        ({"threads": MOST_THREADS + 1}, "threads is 10001: it has to be at most 10000"),
        ({"threads": 8, "threads_max": 4}, "threads_max is 4: it has to be 0 or at least threads, which is 8"),
        ({"workers": 513}, "workers is 513: it has to be at most 512"),
        ({"grace": -1.0}, "grace is -1.0: it has to be at least 0"),
        ({"head_timeout": 0}, "head_timeout is 0: it has to be at least 0.1, 0 does not mean no limit here"),
        ({"queue_age": 0.0}, "queue_age is 0.0: it has to be at least 0.1, 0 does not mean no limit here"),
        ({"keep_alive": math.inf}, "keep_alive is inf: it has to be at most 2678400"),
        ({"max_body": 2**63}, f"max_body is {2**63}: it has to be at most {2**63 - 1}"),
        (
            {"watchdog": 0.5},
            "watchdog is 0.5: it has to be 0 or at least 2, since a worker says twice a second that it lives",
        ),
        ({"context": "both"}, "context is 'both': neither thread nor request"),
        ({"grace": Unspeakable()}, "grace is of type Unspeakable: it has to be a number of seconds"),
    ],
)
def test_the_line_names_the_setting_its_value_and_the_cure(changed: Any, line: str) -> None:
    with pytest.raises(SettingError) as caught:
        Settings(**changed)
    assert str(caught.value) == line


@pytest.mark.parametrize("word", ["-1", "nan", "inf", "1e300", "", "many"])
@pytest.mark.parametrize("name", [*TIMES, *NUMBERS])
def test_what_the_value_refuses_is_refused_as_a_word_too(name: str, word: str) -> None:
    with pytest.raises(SettingError, match=f"^{name} is "):
        from_words({name: word})


@pytest.mark.parametrize("name", TIMES)
def test_a_whole_number_is_a_time(name: str) -> None:
    whole: Any = {name: 40}
    assert getattr(Settings(**whole), name) == 40


# ---- Whatever is taken ---------------------------------------------------------------------------------------------

BOUNDS = [(name, knobs()[name].least) for name in (*TIMES, *NUMBERS)]
BOUNDS += [(name, knobs()[name].most) for name in (*TIMES, *NUMBERS)]
# Which of the others has to go along.
ALONG: dict[str, dict[str, Any]] = {
    "max_head": {"max_request_line": 1, "max_field": 1},
    "max_request_line": {"max_head": LARGEST},
    "max_field": {"max_head": LARGEST},
    "threads": {"threads_max": 0},
}


@pytest.mark.parametrize(("name", "value"), BOUNDS)
def test_a_service_starts_and_stops_with_all_that_is_taken(name: str, value: float) -> None:
    given: dict[str, Any] = {**ALONG.get(name, {}), name: value}
    with serving(**given) as server:
        server.ask(GET)
        done: list[object] = []
        server.service.stopService().addCallback(done.append)
        server.factory.abandon()
        server.advance(6)
        assert done == [None]
        assert not server.service._sweep.running
        job: Any = object()
        assert list(server.pool.put([job])) == [job]  # nobody takes it any more
        assert list(server.disk.put([job])) == [job]
        assert not [call for call in server.reactor.getDelayedCalls() if call.active()]


def test_settings_are_frozen_and_cheap_to_vary() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().threads = 5  # type: ignore[misc]
    assert dataclasses.replace(Settings(), threads=5) == Settings(threads=5)
