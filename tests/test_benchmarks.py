"""Do the benchmarks say what is wrong, instead of giving wrong figures or none?"""

from __future__ import annotations

import argparse
import contextlib
import importlib
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def variants(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("variants")


def test_two_versions_with_one_label_are_refused(variants: Any) -> None:
    with pytest.raises(SystemExit, match="'now' is the label of 2 variants"):
        variants.main(["now=.", "before=HEAD", "now=. --threads 8"])


def test_a_version_that_gives_no_answer_is_named(
    variants: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Silent:
        port = 0

        def wait_until_ready(self, *_: Any) -> None:
            """Be ready."""

    def drive(*_: Any) -> None:
        raise variants.ServerFailed("no answer in 1 s, 3 errors")

    monkeypatch.setattr(variants, "_start", lambda *_: contextlib.nullcontext(Silent()))
    monkeypatch.setattr(variants, "drive", drive)
    (workload,) = variants.named(variants.WORKLOADS, "hello")
    options = argparse.Namespace(rounds=1, duration=1)
    with pytest.raises(SystemExit, match="now: no answer in 1 s, 3 errors"):
        variants._measure(None, workload, [variants.Variant("now", tmp_path, "")], options, tmp_path)


def test_what_can_not_be_compared_has_no_ratio(variants: Any) -> None:
    (workload,) = variants.named(variants.WORKLOADS, "hello")
    starts = {label: [variants.Start([rate], round(rate), 0.0)] for label, rate in (("first", 0.0), ("second", 5.0))}
    rows = variants._table(workload, starts).splitlines()[-2:]
    assert rows == ["| first | 0 | nan | nan | nan | 0 |", "| second | 5 | 0.00 | nan | nan | 0 |"]
