"""Does anything but our own error come out of damaged messages, and is what is accepted what was meant?"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.corpus import HOSTILE, VALID
from twisted_wsgiref._http.limits import Limits

from .drive import bytewise, cut_at, drive
from .mutation import PIECES, mutate, rewrite, settle
from .steps import steps

SEEDS = [entry.octets for entry in VALID] * 10 + [entry.octets for entry in HOSTILE if len(entry.octets) < 2000]

# Each runs a second or two; `benchmarks/stress/fuzz.py` runs as long as one likes.
FUZZ = settings(max_examples=3 * settings.default.max_examples)

# So small that damage meets them.
SMALL = Limits(request_line=60, field=60, head=200, fields=6, chunk_line=20, trailers=40)


def check(octets: bytes, places: list[int], limits: Limits | None = None) -> None:
    """Anything that is no refusal, and no message, fails by itself: `drive` catches `ProtocolError` only."""
    outcome = drive([octets], limits)
    split = drive(cut_at(octets, places), limits)
    if outcome.messages != split.messages:
        pytest.fail(f"{octets!r} cut at {places}: {outcome} and {split}")
    if (outcome.status is None, outcome.waiting) != (split.status is None, split.waiting):
        # A start that can not become right may be refused before its end, and is refused with its end at the latest.
        pytest.fail(f"{octets!r} cut at {places}: {outcome} and {split}")
    for message in outcome.messages:
        again = drive([rewrite(message)])
        if [settle(each) for each in again.messages] != [settle(message)]:
            pytest.fail(f"{message} is written {rewrite(message)!r} and read {again}")


@FUZZ
@given(entry=st.sampled_from(SEEDS), seed=st.integers(0, 2**32), places=st.lists(st.integers(1, 400), max_size=5))
def test_damaged_messages_are_refused_or_mean_what_they_say(entry: bytes, seed: int, places: list[int]) -> None:
    check(mutate(entry, random.Random(seed), SEEDS), places)


@FUZZ
@given(entry=st.sampled_from(SEEDS), seed=st.integers(0, 2**32), places=st.lists(st.integers(1, 400), max_size=5))
def test_damage_beside_small_limits(entry: bytes, seed: int, places: list[int]) -> None:
    check(mutate(entry, random.Random(seed), SEEDS), places, SMALL)


@FUZZ
@given(octets=st.lists(st.one_of(st.sampled_from(PIECES), st.sampled_from(SEEDS), st.binary(max_size=9)), max_size=9))
def test_pieces_of_messages_in_any_order(octets: list[bytes]) -> None:
    check(b"".join(octets), [len(each) for each in octets])


@FUZZ
@given(octets=st.binary(max_size=200))
def test_any_octets_after_a_right_start(octets: bytes) -> None:
    check(b"GET / HTTP/1.1\r\nHost: a\r\n" + octets, [25])
    check(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + octets, [55])


def test_ten_thousand_damaged_messages_by_a_fixed_chance() -> None:
    chance = random.Random(9110)
    for _ in range(10_000):
        octets = mutate(chance.choice(SEEDS), chance, SEEDS)
        check(octets, [chance.randrange(len(octets) + 1)])


HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
SIZE = 65536


SHAPES: dict[str, Callable[[int], bytes]] = {
    "chunks": lambda size: CHUNKS + b"1\r\na\r\n" * (size // 6),
    "extensions": lambda size: CHUNKS + (b"1;" + b"a" * 200 + b"\r\na\r\n") * (size // 208),
    "trailers": lambda size: CHUNKS + b"0\r\n" + b"X: a\r\n" * (size // 6),
    "fields": lambda size: HEAD + b"X:\r\n" * (size // 4) + b"\r\n",
    "spaces": lambda size: HEAD + b"X:" + b" " * size + b"\x01\r\n\r\n",
    "runs": lambda size: HEAD + (b"X:" + b" " * (size // 8) + b"\n") * 8 + b"\r\n\r\n",
    "requests": lambda size: b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * (size // 27),
    "empty lines": lambda size: b"\r\n" * (size // 2),
}
# So wide that not the limits end a shape, but its own size.
WIDE = Limits(*[1 << 24] * 6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("limits", [Limits(), WIDE], ids=["usual", "wide"])
def test_four_times_the_bytes_take_four_times_the_steps_at_most(shape: str, limits: Limits) -> None:
    few, many = (steps(partial(drive, [SHAPES[shape](size)], limits)) for size in (SIZE // 4, SIZE))
    assert many <= 4.1 * few + 100


@pytest.mark.parametrize("shape", SHAPES)
def test_no_64_kib_cost_by_their_square(shape: str) -> None:
    # What C does in one step: a bound that a busy machine keeps. Usual are 20 ms, by the square many seconds.
    start = time.thread_time()
    drive([SHAPES[shape](SIZE)], WIDE)
    assert time.thread_time() - start < 1


def test_bytes_one_at_a_time_take_steps_in_proportion() -> None:
    few, many = (
        steps(partial(drive, list(bytewise(CHUNKS + b"0\r\nX: " + b"a" * size)), WIDE)) for size in (2500, 10000)
    )
    assert many <= 4.1 * few
