from __future__ import annotations

import base64
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from matplotlib import image

from ops.cost.projection import Method
from ops.window import floor_day
from tasks.project_costs import ProjectedCosts, plot_png, project_costs, report_markdown, save_plot
from tasks.settings import Settings
from tasks.stores.tables import cost_projections, usage_hourly
from tests.hand_made import DAY, HOUR, MINUTE, NOW, event, hour_row, insert, load, rows_of

MIDNIGHT = floor_day(NOW)
PNG = b"\x89PNG\r\n\x1a\n"
INPUT, OUTPUT = Decimal("0.00000015"), Decimal("0.0000006")  # USD per token of gpt-4o-mini


def project(engine: sa.Engine, settings: Settings, now: datetime = NOW, **changes: Any) -> ProjectedCosts:
    return project_costs.fn(engine, settings.model_copy(update=changes), now)


def spend_daily(engine: sa.Engine, days: int, cost: str = "12", until: datetime = MIDNIGHT, **fields: Any) -> None:
    at = [until - number * DAY + 9 * HOUR for number in range(1, days + 1)]
    insert(engine, usage_hourly, [hour_row(NOW - when, cost, **fields) for when in at])


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
    assert report_markdown(projected, NOW) == "# Cost projection\n\nNo cost is known yet, as of 2026-03-05 12:00 UTC."
    assert plot_png(projected, NOW).startswith(PNG)


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
    assert "**3 of 8 events have no price** and are missing." in report_markdown(projected, NOW)


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


# What people see


def test_report_shows_the_figures_of_the_projection(engine: sa.Engine, settings: Settings) -> None:
    spend_daily(engine, 28)
    report = report_markdown(project(engine, settings), NOW)
    assert report.startswith("# Cost projection, as of 2026-03-05 12:00 UTC\n")
    for line in ("| Spent this month | $48.00 |", "| Level per day | $12.00 |", "| Days of history | 28 |"):
        assert line in report
    assert "Low history" not in report
    assert "no price" not in report


def test_report_says_when_the_history_is_short(engine: sa.Engine, settings: Settings) -> None:
    spend_daily(engine, 13)
    assert "**Low history:** under 14 days" in report_markdown(project(engine, settings), NOW)


def test_report_holds_the_plot_itself(engine: sa.Engine, settings: Settings) -> None:
    spend_daily(engine, 28)
    projected = project(engine, settings)
    _, _, data = report_markdown(projected, NOW).partition("(data:image/png;base64,")
    assert base64.b64decode(data.partition(")")[0]).startswith(PNG)


def test_report_repeats_no_text_that_others_wrote(engine: sa.Engine, settings: Settings) -> None:
    spend_daily(engine, 28, feature="</td><script>x</script>|", model="<b>evil</b>", service="[a](b)")
    report = report_markdown(project(engine, settings), NOW)
    assert not any(word in report for word in ("script", "evil", "[a]"))


def test_plot_shows_what_was_spent_so_far(engine: sa.Engine, settings: Settings, tmp_path: Path) -> None:
    now = NOW + 15 * DAY
    spend_daily(engine, 28, until=floor_day(now))
    path = save_plot(project(engine, settings, now), now, tmp_path / "plots" / "new")
    assert path.name == "projection-2026-03-20.png"
    assert past_of(path.read_bytes()).sum() > 200
    nothing = ProjectedCosts(None, [], Decimal(0), 0, 0)
    assert past_of(plot_png(nothing, now)).sum() == 0


def past_of(png: bytes) -> Any:
    """Find the blue of the line in the picture's lower left, which is before the 16th, and has no legend."""
    pixels = image.imread(io.BytesIO(png), format="png")
    assert (pixels[..., 3] == 1).all()  # opaque
    height, width, _ = pixels.shape
    corner = pixels[height // 2 :, width // 10 : width // 2]
    return (corner[..., 2] > 0.7) & (corner[..., 0] < 0.3)
