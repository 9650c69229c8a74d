from __future__ import annotations

import base64
import io
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from matplotlib import image

from ops.window import floor_day
from tasks.project_costs import ProjectedCosts, project_costs
from tasks.settings import Budget, Settings
from tasks.show_projection import plot_png, report_markdown, save_plot
from tests.hand_made import DAY, NOW, spend_daily

PNG = b"\x89PNG\r\n\x1a\n"


def project(engine: sa.Engine, settings: Settings, now: Any = NOW) -> ProjectedCosts:
    return project_costs.fn(engine, settings, now)


def test_report_shows_the_figures_of_the_projection(engine: sa.Engine, settings: Settings) -> None:
    spend_daily(engine, 28)
    report = report_markdown(project(engine, settings), NOW)
    assert report.startswith("# Cost projection, as of 2026-03-05 12:00 UTC\n")
    for line in ("| Spent this month | $48.00 |", "| Level per day | $12.00 |", "| Days of history | 28 |"):
        assert line in report
    assert "Low history" not in report
    assert "no price" not in report


def test_report_judges_the_budget_of_the_settings(engine: sa.Engine, settings: Settings) -> None:
    spend_daily(engine, 28)  # $12 a day: about $370 in March
    generous, small = (settings.model_copy(update={"budgets": (Budget(monthly_usd=usd),)}) for usd in (1000, 40))
    assert "| Budget, will be kept | $1,000 |" in report_markdown(project(engine, generous), NOW)
    assert "| Budget, crossed | $40.00 |" in report_markdown(project(engine, small), NOW)
    assert "Budget" not in report_markdown(project(engine, settings), NOW)


def test_report_of_nothing_says_so() -> None:
    nothing = ProjectedCosts(None, [], Decimal(0), 0, 0)
    assert report_markdown(nothing, NOW) == "# Cost projection\n\nNo cost is known yet, as of 2026-03-05 12:00 UTC."


def test_report_names_events_without_a_price(engine: sa.Engine, settings: Settings) -> None:
    spend_daily(engine, 28)
    projected = replace(project(engine, settings), month_events=8, unpriced_events=3)
    assert "**3 of 8 events have no price** and are missing." in report_markdown(projected, NOW)


def test_report_says_when_the_history_is_short(engine: sa.Engine, settings: Settings) -> None:
    spend_daily(engine, 13)
    assert "**Low history:** under 14 days" in report_markdown(project(engine, settings), NOW)


def test_report_holds_the_plot_itself(engine: sa.Engine, settings: Settings) -> None:
    spend_daily(engine, 28)
    projected = project(engine, settings)
    _, _, data = report_markdown(projected, NOW).partition("(data:image/png;base64,")
    assert base64.b64decode(data.partition(")")[0]).startswith(PNG)


def test_report_shows_text_that_others_wrote_as_text(engine: sa.Engine, settings: Settings) -> None:
    spend_daily(engine, 28, feature="</td><script>x</script>|", model="<b>evil</b>", service="[a](b)")
    report = report_markdown(project(engine, settings), NOW)
    assert r"feature:\</td\>\<script\>x\</script\>\|" in report
    assert r"model:openai/\<b\>evil\</b\>" in report


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
