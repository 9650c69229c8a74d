from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from ops.cost.projection import Method
from ops.window import floor_day
from tasks.project_costs import ProjectedCosts, project_costs
from tasks.settings import Settings
from tasks.stores.tables import cost_projections, usage_hourly
from tests.hand_made import DAY, HOUR, MIDNIGHT, MINUTE, NOW, event, hour_row, insert, load, rows_of, spend_daily

INPUT, OUTPUT = Decimal("0.00000015"), Decimal("0.0000006")  # USD per token of gpt-4o-mini


def project(engine: sa.Engine, settings: Settings, now: datetime = NOW, **changes: Any) -> ProjectedCosts:
    return project_costs.fn(engine, settings.model_copy(update=changes), now)


def spend_today(engine: sa.Engine, dollars: int, now: datetime = NOW) -> None:
    """Make a request that costs so many dollars, a minute before `now`."""
    tokens = int((dollars - OUTPUT) / INPUT)
    load(engine, [event(MINUTE, now=now, input_tokens=tokens, output_tokens=1)])


def test_projection_of_a_steady_month_is_arithmetic(engine: sa.Engine, settings: Settings) -> None:
    spend_daily(engine, 28)
    spend_today(engine, 6)
    projection = project(engine, settings).projection
    assert projection is not None
    assert projection.spent_usd == pytest.approx(4 * 12 + 6, abs=Decimal("0.001"))  # the 1st to the 4th, and today
    assert float(projection.month_end_usd) == pytest.approx(4 * 12 + 6 + 26.5 * 12, abs=0.01)
    assert (projection.level_usd_per_day, projection.history_days) == (12, 28)
    assert projection.low95 < projection.low80 < projection.month_end_usd < projection.high80 < projection.high95


def test_projection_is_kept_and_replaced_when_repeated(engine: sa.Engine, settings: Settings) -> None:
    spend_daily(engine, 28)
    project(engine, settings)
    spend_today(engine, 6)
    again = project(engine, settings).projection
    assert again is not None
    [row] = rows_of(engine, cost_projections)
    assert (row.as_of, row.spent_usd, row.low_history) == (NOW, again.spent_usd, False)
    assert (row.low80_usd, row.high95_usd, row.method) == (again.low80, again.high95, Method.WEEKDAY_LEVEL)
    project(engine, settings, NOW + HOUR)
    assert len(rows_of(engine, cost_projections)) == 2


def test_projection_of_nothing_is_nothing(engine: sa.Engine, settings: Settings) -> None:
    projected = project(engine, settings)
    assert projected == ProjectedCosts(None, [], Decimal(0), 0, 0)
    assert rows_of(engine, cost_projections) == []


def test_projection_leaves_out_what_comes_after_now_and_other_tenants(engine: sa.Engine, settings: Settings) -> None:
    spend_daily(engine, 28)
    spend_daily(engine, 28, "1000", tenant_id="other")
    spend_daily(engine, 2, "1000", until=MIDNIGHT + 3 * DAY)
    load(engine, [event(timedelta(0)), event(-HOUR)])
    assert project(engine, settings).projection.spent_usd == 4 * 12  # type: ignore[union-attr]


def test_projection_names_events_without_a_price(engine: sa.Engine, settings: Settings) -> None:
    spend_daily(engine, 28)
    load(engine, [event(2 * HOUR, model="nobody-knows-it") for _ in range(3)] + [event(2 * HOUR)])
    projected = project(engine, settings)
    assert (projected.unpriced_events, projected.month_events) == (3, 4 + 3 + 1)
    assert rows_of(engine, cost_projections)[0].unpriced_events == 3


@pytest.mark.parametrize(
    ("zone", "now", "spent"),
    [
        # 1 $ an hour, all the time
        pytest.param("UTC", datetime(2026, 3, 1, 6, tzinfo=UTC), 6, id="UTC: since midnight"),
        pytest.param("Asia/Tokyo", datetime(2026, 2, 28, 18, tzinfo=UTC), 3, id="Tokyo: March began at 15:00 UTC"),
        pytest.param("Asia/Tokyo", datetime(2026, 3, 1, 6, tzinfo=UTC), 9 + 6, id="Tokyo: and goes on in March"),
        pytest.param("America/New_York", datetime(2026, 3, 1, 3, tzinfo=UTC), 28 * 24 - 5 + 3, id="New York: February"),
    ],
)
def test_month_is_that_of_the_settings_zone(
    engine: sa.Engine, settings: Settings, zone: str, now: datetime, spent: int
) -> None:
    hours = int((now - datetime(2026, 1, 20, tzinfo=UTC)) / HOUR)
    insert(engine, usage_hourly, [hour_row(NOW - now + number * HOUR, "1") for number in range(1, hours + 1)])
    today = int((now - floor_day(now)) / HOUR)
    each = {"input_tokens": int(1 / INPUT), "output_tokens": 0, "now": now}
    load(engine, [event(number * HOUR, **each) for number in range(1, today + 1)])
    projection = project(engine, settings, now, month_timezone=zone).projection
    assert projection is not None
    assert float(projection.spent_usd) == pytest.approx(spent, abs=0.01)
