"""Do the pages, the alert rules and the dashboard name metrics that there are?"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from twisted_wsgiref._observe import board
from twisted_wsgiref._observe.board import CAUSES, Board
from twisted_wsgiref._observe.exposition import exposition
from twisted_wsgiref._observe.metrics import Meter
from twisted_wsgiref._observe.sums import read_board

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
FILES = ("metrics.md", "monitoring/alerts.yml", "monitoring/dashboard.json")


def text() -> str:
    """The metrics of a worker that has served a request."""
    of = Board.alone(1e9)
    slot = of.slot(0)
    meter = Meter(slot, (0.1,), lambda: 0.0)
    meter.count_unread(400, 0)
    slot.cells[board.STATE] = board.SERVING
    return exposition(read_board(of, (0.1,), 0.0, 1e9))


def names() -> set[str]:
    """Every name of a sample."""
    return {sample.name for family in text_string_to_metric_families(text()) for sample in family.samples}


def labels() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text()):
        for sample in family.samples:
            for label, value in sample.labels.items():
                found.setdefault(label, set()).add(value)
    return found


@pytest.mark.parametrize("name", FILES)
def test_each_metric_that_is_named_is_one(name: str) -> None:
    named = set(re.findall(r"\bwsgi_[a-z_]+\b", (DOCS / name).read_text()))
    histograms = {each.removesuffix("_bucket") for each in names() if each.endswith("_bucket")}
    assert named - names() - histograms == set()


def test_each_metric_has_its_row() -> None:
    rows = set(re.findall(r"`(wsgi_[a-z_]+)`", (DOCS / "metrics.md").read_text()))
    plain = {re.sub(r"_(bucket|sum|count)$", "", each) if "seconds_" in each else each for each in names()}
    assert plain - rows == set()


def test_each_reason_has_its_row() -> None:
    page = (DOCS / "metrics.md").read_text()
    assert [cause for cause in CAUSES if f"| `{cause}` |" not in page] == []


@pytest.mark.parametrize("name", FILES)
def test_each_label_has_a_value_that_there_is(name: str) -> None:
    known = labels()
    for label, values in re.findall(r'\b(state|result|reason)=~?\\?"([^"\\]+)', (DOCS / name).read_text()):
        assert set(values.split("|")) <= known[label], (label, values)


def test_each_expression_of_the_dashboard_is_balanced_and_of_one_job() -> None:
    dashboard = json.loads((DOCS / "monitoring/dashboard.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(expressions) > 10
    for each in expressions:
        assert each.count("(") == each.count(")"), each
        assert each.count("{") == each.count("}") == each.count("wsgi_"), each
        assert each.count('job="$job"') == each.count("wsgi_"), each


def test_there_are_three_alert_rules() -> None:
    rules = (DOCS / "monitoring/alerts.yml").read_text()
    assert len(re.findall(r"^ +- alert: ", rules, re.MULTILINE)) == 3
    assert len(re.findall(r"^ +expr: ", rules, re.MULTILINE)) == 3
