"""Plots are images that say what they are of; what is drawn is looked at by its axes."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from matplotlib.axes import Axes

from ops.cost.breakdown import CauseShares
from ops.cost.projection import DaySpend
from tasks import draw_costs
from tasks.draw_costs import MODELS_SHOWN, causes_png, models_png, png

PNG = b"\x89PNG\r\n"
SINCE = date(2026, 3, 1)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Axes]:
    """The axes of what is drawn."""
    found: list[Axes] = []

    def keeping(draw):
        return png(lambda axes: (draw(axes), found.append(axes))[0])

    monkeypatch.setattr(draw_costs, "png", keeping)
    return found


def days(*costs: str | None) -> list[DaySpend]:
    return [
        DaySpend(SINCE + timedelta(days=n), None if cost is None else Decimal(cost)) for n, cost in enumerate(costs)
    ]


def test_models_are_stacked_by_day_the_dearest_first(drawn: list[Axes]) -> None:
    content = models_png(
        {"a": days("1", "2"), "b": days("10", None), "idle": days("0")}, SINCE, SINCE + timedelta(days=3)
    )
    assert content.startswith(PNG)
    [axes] = drawn
    heights = [(bar.get_y(), bar.get_height()) for bar in axes.patches]
    assert heights == [(0, 10), (0, 0), (0, 0), (10, 1), (0, 2), (0, 0)]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["b, $10.00", "a, $3.00"]


def test_models_beyond_the_dearest_are_one_bar(drawn: list[Axes]) -> None:
    models_png({f"m{n}": days(str(n)) for n in range(1, MODELS_SHOWN + 4)}, SINCE, SINCE + timedelta(days=1))
    labels = [text.get_text() for text in drawn[0].get_legend().get_texts()]
    assert (len(labels), labels[-1]) == (MODELS_SHOWN + 1, "3 others, $6.00")  # 1 + 2 + 3


def test_models_have_a_day_a_week_on_their_axis_air_above_and_their_legend_below(drawn: list[Axes]) -> None:
    models_png({"a" * 60: days(*["1"] * 15), "b": days("9")}, SINCE, SINCE + timedelta(days=15))
    [axes] = drawn
    assert [label.get_text() for label in axes.get_xticklabels()] == ["15 Mar", "08 Mar", "01 Mar"]
    assert axes.get_ylim() == (0, pytest.approx(10 * 1.1))
    axes.get_figure().draw_without_rendering()
    assert axes.get_legend().get_window_extent().y1 < axes.get_window_extent().y0
    assert axes.get_window_extent().width > 0.9 * axes.get_figure().bbox.width


def test_no_model_is_no_error() -> None:
    assert models_png({}, SINCE, SINCE + timedelta(days=1)).startswith(PNG)


def test_causes_lead_from_one_bar_to_the_other(drawn: list[Axes]) -> None:
    causes_png(Decimal(10), CauseShares(Decimal(5), Decimal(-3), Decimal(0)), "Why")
    bars = [(bar.get_y(), bar.get_height()) for bar in drawn[0].patches]
    assert bars == [(0, 10), (10, 5), (15, -3), (12, 0), (0, 12)]
    assert [text.get_text() for text in drawn[0].texts] == ["$10.00", "+$5.00", "-$3.00", "$0.00", "$12.00"]


def test_cause_that_alone_saves_more_than_all_there_was_is_seen_whole(drawn: list[Axes]) -> None:
    causes_png(Decimal(10), CauseShares(Decimal(-23), Decimal(23), Decimal(0)), "Why")
    bottom, top = drawn[0].get_ylim()
    assert bottom < 10 - 23 < 10 < top


def test_causes_that_would_be_slivers_are_seen_on_an_axis_that_is_cut_and_says_so(drawn: list[Axes]) -> None:
    causes_png(Decimal(300), CauseShares(Decimal(20), Decimal(-10), Decimal(5)), "Why")
    bottom, top = drawn[0].get_ylim()
    assert (bottom, top) == pytest.approx((300 - 20, 280 + 1.1 * (320 - 280)))
    assert drawn[0].get_ylabel() == "cut: the axis begins at $280.00"


def test_causes_that_are_large_are_on_a_whole_axis(drawn: list[Axes]) -> None:
    causes_png(Decimal(30), CauseShares(Decimal(20), Decimal(-10), Decimal(5)), "Why")
    assert (drawn[0].get_ylim(), drawn[0].get_ylabel()) == ((0, pytest.approx(50 * 1.1)), "")


@pytest.mark.parametrize("name", ["$x$", "a\nb\x1b[31m", "日本" * 40, "<b>"])
def test_any_name_can_be_drawn(name: str) -> None:
    assert models_png({name: days("1")}, SINCE, SINCE + timedelta(days=1)).startswith(PNG)
