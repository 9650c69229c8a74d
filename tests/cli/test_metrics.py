"""Metrics, as a person and as a script see them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from cli import metrics
from cli.main import watchkeeper
from ops.errors import InvalidValue, UnknownName
from ops.monitoring.metrics import METRICS, WINDOWS
from ops.monitoring.readings import Dimension
from tasks.settings import Settings
from tasks.stores.tables import scores
from tests.hand_made import MINUTE, event, failed, insert, load, score_row

AS_OF = ("--as-of", "2026-03-05T12:00")  # NOW


@pytest.fixture(autouse=True)
def _place(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")


def run(*words: str) -> Result:
    return CliRunner().invoke(watchkeeper, ["metrics", *words], catch_exceptions=False)


def document(*words: str) -> Any:
    result = run(*words, "--json")
    assert result.exit_code == 0
    return json.loads(result.stdout)


def lines(*words: str) -> list[list[str]]:
    return [line.split() for line in run(*words).stdout.splitlines()]


@pytest.fixture
def traffic(engine: sa.Engine) -> None:
    """60 requests of openai, of which 6 failed, and 10 of anthropic."""
    load(engine, [
        *(event(MINUTE, release="v1") for _ in range(54)), *(failed(MINUTE, release="v1") for _ in range(6)),
        *(event(MINUTE, vendor="anthropic", model="claude", release=None) for _ in range(10)),
    ])  # fmt: skip


def test_options_are_those_of_the_catalogue() -> None:
    assert tuple(Dimension) == metrics._BY
    assert tuple(WINDOWS) == metrics._WINDOWS


def test_list_shows_the_catalogue() -> None:
    found = document("list")
    assert [row["name"] for row in found] == list(METRICS)
    assert found[7] == {
        "name": "latency_p50_ms", "group": "performance", "unit": "ms", "better": "lower", "min_n": 30,
        "by": ["model", "release", "feature", "vendor"], "apart": [],
        "formula": "the latency that 50 % of successful sent requests do not exceed, within 1 %",
    }  # fmt: skip
    assert ["cost_total_usd", "cost", "USD", "lower", "1", "model,", "release,"] in [line[:7] for line in lines("list")]


def test_show_of_nothing_is_insufficient_data_in_every_metric() -> None:
    found = document("show", *AS_OF)
    assert [row["metric"] for row in found["metrics"]] == list(METRICS)
    assert {row["status"] for row in found["metrics"]} == {"insufficient_data"}
    assert {row["value"] for row in found["metrics"]} == {None}
    assert ["error_rate", "insufficient", "data", "(0", "of", "52)", "0"] in lines("show", *AS_OF)


def test_show_tells_one_metric_apart_what_rests_on_most_first(traffic: None) -> None:
    found = document("show", "error_rate", "--by", "vendor", *AS_OF)
    assert (found["from"], found["to"]) == ("2026-03-05T11:00:00+00:00", "2026-03-05T12:00:00+00:00")
    assert [(row["key"], row["value"], row["n"], row["status"]) for row in found["metrics"]] == [
        ("openai", 6 / 60, 60, "measured"), ("anthropic", None, 10, "insufficient_data"),
    ]  # fmt: skip
    assert lines("show", "error_rate", "--by", "vendor", *AS_OF)[2:] == [
        ["error_rate", "openai", "10", "%", "60"],
        ["error_rate", "anthropic", "insufficient", "data", "(10", "of", "52)", "10"],
    ]


def test_show_keeps_to_the_window(traffic: None) -> None:
    assert [row["n"] for row in document("show", "error_rate", "--window", "5m", *AS_OF)["metrics"]] == [70]
    assert [row["n"] for row in document("show", "error_rate", "--as-of", "2026-03-05T11:59")["metrics"]] == [0]


def test_show_by_something_reads_every_metric_of_every_key_that_has_it(traffic: None) -> None:
    found = document("show", "--by", "release", *AS_OF)["metrics"]
    assert {row["metric"] for row in found} == {
        name for name, metric in METRICS.items() if Dimension.RELEASE in metric.dimensions
    }
    assert [(row["key"], row["n"]) for row in found if row["metric"] == "latency_p95_ms"] == [("v1", 54), (None, 10)]
    assert [(row["key"], row["value"]) for row in found if row["metric"] == "relevance"] == [("v1", None), (None, None)]
    shown = [line[:3] for line in lines("show", "--by", "release", *AS_OF)]
    assert ["latency_p95_ms", "(unknown)", "insufficient"] in shown


def test_show_has_a_row_of_each_scorer(engine: sa.Engine) -> None:
    scorers = {"judge": ("rubric-1", 0.5, 40), "evaluation": ("rubric-1", 1.0, 30), "user": (None, 0.1, 2)}
    insert(engine, scores, [
        score_row(MINUTE, value, "judge_relevance", source=source, judge_version=version)
        for source, (version, value, n) in scorers.items() for _ in range(n)
    ])  # fmt: skip
    assert lines("show", "relevance", *AS_OF)[2:] == [
        ["relevance", "0.500", "40", "judge", "rubric-1"],
        ["relevance", "1.000", "30", "evaluation", "rubric-1"],
        ["relevance", "insufficient", "data", "(2", "of", "30)", "2", "user"],
    ]
    found = document("show", "relevance", *AS_OF)["metrics"]
    assert [(row["source"], row["judge_version"], row["value"]) for row in found] == [
        ("judge", "rubric-1", 0.5), ("evaluation", "rubric-1", 1.0), ("user", None, None),
    ]  # fmt: skip


def test_show_says_of_which_part_of_a_window_something_is_known(traffic: None) -> None:
    [found] = document("show", "requests_per_minute", "--window", "1d", *AS_OF)["metrics"]
    assert (found["value"], found["detail"]) == (70 / 1, "only 2026-03-05 11:59 to 2026-03-05 12:00")


def test_show_says_how_many_rows_it_leaves_out(traffic: None) -> None:
    found = lines("show", "error_rate", "--by", "vendor", "--top", "1", *AS_OF)
    assert found[-1] == ["error_rate", "and", "1", "more", "(--top)"]


def test_show_refuses_what_it_does_not_know() -> None:
    with pytest.raises(UnknownName, match="metric: 'speed'"):
        run("show", "speed")
    with pytest.raises(InvalidValue, match="told apart by: model, release, feature"):
        run("show", "relevance", "--by", "vendor")
    assert run("show", "--window", "2h").exit_code == 2
