from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa

from tasks.stores.tables import cost_projections, event_profiles, usage_hourly
from tests.checked_month import check, outcomes
from tests.hand_made import DAY, HOUR, MIDNIGHT, MOMENT, NOW, hour_row, insert

# Sizes and projections


def sized(engine: sa.Engine, present: dict[int, int], past: dict[int, int]) -> None:
    """Let a source bring inputs of these sizes yesterday at noon, and a week before."""
    for before, sizes in ((DAY, present), (7 * DAY, past)):
        insert(engine, usage_hourly, [hour_row(before, "0", events=sum(sizes.values()))])
        rows = [{"source": "log", "hour": NOW - before, "size": size, "events": n} for size, n in sizes.items()]
        insert(engine, event_profiles, rows)


@pytest.mark.parametrize(
    ("present", "named"),
    [
        pytest.param({8: 500, 9: 500}, {}, id="as before"),
        pytest.param({8: 700, 9: 300}, {}, id="a little smaller: .2 * ln(.7/.3 * .5/.5) = .17"),
        pytest.param({8: 300, 9: 300, -1: 400}, {"traffic: a source's requests are as large as usual": "failed"},
                     id="two in five tell no tokens any more"),
        pytest.param({18: 500, 19: 500}, {"traffic: a source's requests are as large as usual": "failed"},
                     id="a thousand times as large"),
        pytest.param({18: 499, 19: 500}, {}, id="999 events are too few"),
    ],
)  # fmt: skip
def test_sizes_are_held_to_those_of_the_weeks_before(
    engine: sa.Engine, present: dict[int, int], named: dict[str, str]
) -> None:
    sized(engine, present, {8: 500, 9: 500})
    assert outcomes(check(engine, "traffic")) == named


def projected(engine: sa.Engine, as_of: datetime = NOW, **changes: Any) -> None:
    usual: dict[str, Any] = {
        "month": MIDNIGHT.date().replace(day=1), "as_of": as_of, "scope": "total", "key": "", "spent_usd": 10,
        "low95_usd": 20, "low80_usd": 25, "month_end_usd": 30, "high80_usd": 35, "high95_usd": 40, "method": "run-rate",
        "history_days": 30, "low_history": False, "unpriced_events": 0,
    }  # fmt: skip
    insert(engine, cost_projections, [{**usual, **changes}])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, None),
        ({"low80_usd": 31}, "intervals hold what they are of"),
        ({"spent_usd": 31}, "intervals hold what they are of"),
        ({"as_of": NOW - 3 * HOUR}, None),
        ({"as_of": NOW - 3 * HOUR - MOMENT}, "they are at most 3 hours old"),
        ({"scope": "team", "key": "nobody"}, "every part is known to the roll-ups"),
        ({"scope": "feature", "key": "search"}, None),
        ({"scope": "model", "key": "openai/gpt-4o-mini"}, None),
    ],
)
def test_projection_is_held_to_its_checks(engine: sa.Engine, changes: dict[str, Any], named: str | None) -> None:
    insert(engine, usage_hourly, [hour_row(DAY, "1", feature="search")])
    projected(engine, **changes)
    expected = {} if named is None else {f"projections: {named}": "failed"}
    assert outcomes(check(engine, "projections")) == expected


@pytest.mark.parametrize(("before", "fails"), [(9.9, True), (10, False), (90, False), (91, True)])
def test_projection_may_be_three_times_that_of_the_day_before(engine: sa.Engine, before: float, fails: bool) -> None:
    spread = dict.fromkeys(("low95_usd", "low80_usd", "month_end_usd", "high80_usd", "high95_usd"), before)
    projected(engine, NOW - DAY, spent_usd=1, **spread)
    projected(engine)
    name = "projections: the month is within 3 times that of the day before"
    assert outcomes(check(engine, "projections")) == ({name: "failed"} if fails else {})
