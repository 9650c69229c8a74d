from __future__ import annotations

import base64
import io
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from matplotlib import image
from matplotlib.axes import Axes

from ops.window import floor_day
from tasks import show_projection
from tasks.check_budgets import budget_standings
from tasks.draw_costs import png
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


def test_report_says_when_a_budget_will_be_crossed_and_how_those_of_parts_stand(
    engine: sa.Engine, settings: Settings
) -> None:
    spend_daily(engine, 28, feature="a|b")  # $48 of March by now; 13 days more are $204
    budgets = (Budget(monthly_usd=200), Budget(scope="feature", key="*", monthly_usd=1000), Budget(daily_usd=9))
    configured = settings.model_copy(update={"budgets": budgets})
    page = report_markdown(project(engine, configured), NOW, budget_standings(engine, configured, NOW).standings)
    assert "| Budget, will be crossed, on 2026-03-18 | $200.00 |" in page
    table = page.partition("## The gravest 3 of 3 budgets\n\n")[2].splitlines()
    assert table[0] == "| Budget | Each | USD | Spent | Share | Projected | 80 % | Crossed on | State |"
    assert table[2].startswith("| total | month | $200.00 | $48.00 | 24% | $360.00 | $")
    assert table[2].endswith(" | 2026-03-18 | will be crossed |")
    assert table[3].startswith(r"| feature:a\|b | month | $1,000 |")
    assert table[4] == "| total | day | $9.00 | $0.00 | 0% |  |  |  | not projected |"


def test_plot_has_the_days_of_its_month_alone_a_mark_for_now_and_its_legend_below(
    engine: sa.Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Axes] = []

    def keeping(draw):
        return png(lambda axes: (draw(axes), found.append(axes))[0])

    monkeypatch.setattr(show_projection, "png", keeping)
    spend_daily(engine, 28)
    configured = settings.model_copy(update={"budgets": (Budget(monthly_usd=200),)})
    plot_png(project(engine, configured), NOW)
    [axes] = found
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "6", "11", "16", "21", "26", "31"]
    first, end = axes.get_xlim()
    assert end - first == 31
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names[-2:] == ["budget $200.00: will be crossed, on 2026-03-18", "now, 05 March 12:00 UTC"]
    assert first + 4.5 in [float(line.get_xdata()[0]) for line in axes.lines]
    figure = axes.get_figure()
    figure.draw_without_rendering()
    assert axes.get_legend().get_window_extent().y1 < axes.get_window_extent().y0


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
    """Find the blue of the line left of the middle, which is before the 16th, and above the legend."""
    pixels = image.imread(io.BytesIO(png), format="png")
    assert (pixels[..., 3] == 1).all()  # opaque
    height, width, _ = pixels.shape
    corner = pixels[height // 2 : 3 * height // 4, width // 10 : width // 2]
    return (corner[..., 2] > 0.7) & (corner[..., 0] < 0.3)
