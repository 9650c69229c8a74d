from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from ops.errors import WatchkeeperError
from tasks.settings import Alerting
from tasks.stores import measures, quality
from tasks.stores.tables import quality_baselines, quality_checks, scores
from tests.hand_made import DAY, MOMENT, NOW, insert, rows_of, score_row

WEEK = timedelta(days=7)


def pin(engine: sa.Engine, now: datetime = NOW, metrics: Sequence[str] = ("thumb",)) -> list[str]:
    with engine.begin() as connection:
        return quality.pin_missing(connection, "default", metrics, now, WEEK)


def score(engine: sa.Engine, *values: float, before: timedelta = WEEK, **fields: Any) -> None:
    insert(engine, scores, [score_row(before, value, **fields) for value in values])


def test_pin_describes_the_first_week_and_nothing_after(engine: sa.Engine) -> None:
    score(engine, *[0.0, 1.0] * 50, before=WEEK)
    score(engine, *[9.0] * 50, before=timedelta(0))
    assert pin(engine, NOW + DAY) == ["thumb"]
    [row] = rows_of(engine, quality_baselines)
    assert (row.metric, row.mean, row.n) == ("thumb", 50 / 100, 100)
    assert row.sigma == pytest.approx((100 * 0.5**2 / 99) ** 0.5)
    assert (row.accepted_at, row.reason) == (NOW + DAY, "first 7 days of scores")


def test_pin_never_moves(engine: sa.Engine) -> None:
    score(engine, *[0.0, 1.0] * 50)
    pin(engine)
    before = rows_of(engine, quality_baselines)
    score(engine, *[0.0, 0.1] * 50, before=WEEK - DAY)
    assert pin(engine, NOW + 30 * DAY) == []
    assert rows_of(engine, quality_baselines) == before


@pytest.mark.parametrize(
    ("age", "is_pinned"),
    [
        pytest.param(WEEK, True, id="scored for a week"),
        pytest.param(WEEK - MOMENT, False, id="scored for less than a week"),
    ],
)
def test_pin_waits_for_a_week_of_scores(engine: sa.Engine, age: timedelta, is_pinned: bool) -> None:
    score(engine, *[0.0, 1.0] * 50, before=age)
    assert pin(engine) == (["thumb"] if is_pinned else [])


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([0.0, 1.0] * 49 + [0.0], id="99 scores are too few"),
        pytest.param([1.0] * 100, id="scores that are all equal have no spread"),
        pytest.param([0.0] * 100, id="scores of nothing have no mean to fall from"),
        pytest.param([-1.0, 0.5] * 50, id="of a negative mean there is no share to lose"),
    ],
)
def test_pin_leaves_out_what_makes_no_baseline(engine: sa.Engine, values: list[float]) -> None:
    score(engine, *values)
    assert pin(engine) == []


def test_pin_of_no_metric_stops_the_measurement(engine: sa.Engine) -> None:
    """Whatever is pinned can be measured against: one bad metric must not silence the others."""
    for metric, values in {"negative": [-1.0, 0.5], "huge": [1e9, 9e8], "tiny": [1e-300, 2e-300]}.items():
        score(engine, *values * 50, metric=metric)
    names = ("negative", "huge", "tiny")
    pin(engine, metrics=names)
    with engine.connect() as connection:
        try:
            samples = measures.quality(connection, "default", NOW, Alerting(quality_metrics=names))
        except WatchkeeperError as error:
            pytest.fail(str(error))
    assert {sample.key: sample.pinned is not None for sample in samples}["huge"]


def test_pin_looks_at_each_metric_of_its_own_tenant(engine: sa.Engine) -> None:
    score(engine, *[0.0, 1.0] * 50, metric="judge")
    score(engine, *[0.0, 1.0] * 50, tenant_id="other")
    assert pin(engine, metrics=("thumb", "judge", "unheard")) == ["judge"]


def outcome(**changes: Any) -> dict[str, Any]:
    usual = {"as_of": NOW, "name": "there are rows", "severity": "critical", "outcome": "failed"}
    return {"tenant_id": "default", "observed": "0", "detail": None, **usual, **changes}


def save(engine: sa.Engine, *rows: dict[str, Any]) -> None:
    with engine.begin() as connection:
        quality.save_checks(connection, rows)


def test_checks_repeated_for_the_same_time_replace_their_outcomes(engine: sa.Engine) -> None:
    save(engine, outcome(), outcome(name="vendor is known"))
    save(engine, outcome(outcome="passed", observed="5"))
    save(engine, outcome(as_of=NOW + DAY, outcome="errored", detail="why"))
    found = [(row.as_of, row.name, row.outcome, row.observed, row.detail) for row in rows_of(engine, quality_checks)]
    assert found == [
        (NOW, "there are rows", "passed", "5", None),
        (NOW, "vendor is known", "failed", "0", None),
        (NOW + DAY, "there are rows", "errored", "0", "why"),
    ]


def test_checks_of_nothing_store_nothing(engine: sa.Engine) -> None:
    save(engine)
    assert rows_of(engine, quality_checks) == []
