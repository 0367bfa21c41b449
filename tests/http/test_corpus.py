"""Is everything hostile refused, everything valid read, and is it the same in whatever pieces it comes?"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.corpus import HOSTILE, NEXT, TRUNCATED, VALID, Hostile, Truncated, Valid

from .drive import SPLITS, Outcome, cut_at, cut_at_random, drive


def named(entries: tuple) -> list[str]:
    return [entry.name for entry in entries]


def check_refused(entry: Hostile, outcome: Outcome, split: str = "") -> None:
    if outcome.messages or outcome.status not in entry.statuses:
        pytest.fail(f"{entry.name} ({entry.clause}) {split}: {outcome}, right would be {entry.statuses}")


def check_served(entry: Valid, outcome: Outcome, split: str = "") -> None:
    if outcome.status is not None or outcome.waiting or len(outcome.messages) != 1:
        pytest.fail(f"{entry.name} ({entry.clause}) {split}: {outcome}")
    got = outcome.messages[0]
    seen = (got.method, got.path, got.query, got.fields, got.body, got.persistent)
    if seen != (entry.method, entry.path, entry.query, entry.fields, entry.body, entry.persistent):
        pytest.fail(f"{entry.name} ({entry.clause}) {split}: {got}, right would be {entry}")


def check_waits(entry: Truncated, outcome: Outcome, split: str = "") -> None:
    if outcome.status is not None or outcome.messages or not outcome.waiting:
        pytest.fail(f"{entry.name} {split}: {outcome}")


def test_the_corpus_is_large_and_its_names_are_its_own() -> None:
    names = [entry.name for entry in (*HOSTILE, *VALID, *TRUNCATED)]
    assert len(HOSTILE) >= 100
    assert len(set(names)) == len(names)
    assert all(entry.clause and entry.statuses for entry in HOSTILE)
    assert len({entry.octets for entry in HOSTILE}) == len(HOSTILE)


@pytest.mark.parametrize("entry", HOSTILE, ids=named(HOSTILE))
def test_what_is_hostile_is_refused(entry: Hostile) -> None:
    for name, split in SPLITS.items():
        check_refused(entry, drive(split(entry.octets)), name)


@pytest.mark.parametrize("entry", HOSTILE, ids=named(HOSTILE))
def test_what_is_hostile_is_refused_after_a_served_request_too(entry: Hostile) -> None:
    outcome = drive([NEXT + entry.octets])
    check_refused(entry, outcome._replace(messages=outcome.messages[1:]))
    assert outcome.messages[0].path == "/smuggled"


@pytest.mark.parametrize("entry", VALID, ids=named(VALID))
def test_what_is_valid_is_read(entry: Valid) -> None:
    for name, split in SPLITS.items():
        check_served(entry, drive(split(entry.octets)), name)


@pytest.mark.parametrize("entry", VALID, ids=named(VALID))
def test_what_is_valid_is_read_cut_in_two_anywhere(entry: Valid) -> None:
    for place in range(1, len(entry.octets)):
        check_served(entry, drive(cut_at(entry.octets, [place])))


@pytest.mark.parametrize("entry", VALID, ids=named(VALID))
def test_every_start_of_a_valid_message_waits_for_its_end(entry: Valid) -> None:
    for end in range(1, len(entry.octets)):
        outcome = drive([entry.octets[:end]])
        if outcome.status is not None or outcome.messages:
            pytest.fail(f"{entry.octets[:end]!r}: {outcome}")


@pytest.mark.parametrize("entry", TRUNCATED, ids=named(TRUNCATED))
def test_a_start_is_never_taken_for_the_whole(entry: Truncated) -> None:
    for name, split in SPLITS.items():
        check_waits(entry, drive(split(entry.octets)), name)


@settings(max_examples=settings.default.max_examples * 3 // 2)
@given(data=st.data(), entry=st.sampled_from([entry for entry in HOSTILE if len(entry.octets) < 8192]))
def test_what_is_hostile_is_refused_at_random_splits(data: st.DataObject, entry: Hostile) -> None:
    places = data.draw(st.lists(st.integers(1, len(entry.octets)), max_size=8))
    check_refused(entry, drive(cut_at(entry.octets, places)))


@settings(max_examples=settings.default.max_examples * 3 // 2)
@given(data=st.data(), entry=st.sampled_from(VALID))
def test_what_is_valid_is_read_at_random_splits(data: st.DataObject, entry: Valid) -> None:
    places = data.draw(st.lists(st.integers(1, len(entry.octets)), max_size=8))
    check_served(entry, drive(cut_at(entry.octets, places)))


def test_every_hostile_message_gets_the_same_status_at_many_random_splits() -> None:
    for entry in HOSTILE:
        for seed in range(3):
            check_refused(entry, drive(cut_at_random(entry.octets, seed)))


@pytest.mark.parametrize("seed", range(20))
def test_all_that_is_valid_in_one_stream_comes_out_in_order(seed: int) -> None:
    lasting = [entry for entry in VALID if entry.persistent and entry.name != "empty-line-first"]
    stream = b"".join(entry.octets for entry in lasting)
    outcome = drive(cut_at_random(stream, seed, most=300))
    assert [message.target.encode() in entry.octets for message, entry in zip(outcome.messages, lasting, strict=True)]
    for message, entry in zip(outcome.messages, lasting, strict=True):
        check_served(entry, Outcome((message,), None, False))


def test_nothing_is_looked_at_after_a_refusal() -> None:
    for entry in HOSTILE:
        outcome = drive([entry.octets, NEXT, NEXT])
        check_refused(entry, outcome)


def test_nothing_is_looked_at_after_the_last_request() -> None:
    for entry in VALID:
        if not entry.persistent:
            check_served(entry, drive([entry.octets + NEXT]))
