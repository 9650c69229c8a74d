"""What a backtest asks, and what it counts."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from math import sqrt

import pytest

from ops.cost.backtest import Backtest, backtest, tasks
from ops.cost.projection import DaySpend

FIRST = date(2026, 1, 1)


def days(*costs: float | None) -> list[DaySpend]:
    return [
        DaySpend(FIRST + timedelta(days=number), None if cost is None else Decimal(str(cost)))
        for number, cost in enumerate(costs)
    ]


def test_months_are_blocks_of_30_days_from_the_60th_on() -> None:
    found = list(tasks(days(*[1.0] * 125)))
    assert [(task.origin - FIRST).days for task in found] == [63, 67, 74, 81, 93, 97, 104, 111]
    first = found[0]
    assert (first.rest, first.total, len(first.history), len(first.ahead)) == (27, 30, 63, 27)
    assert len(found[3].ahead) == 9  # the rest of the month
    assert list(tasks(days(*[1.0] * 89))) == []
    assert list(tasks([])) == []


def test_month_without_spend_or_without_a_known_day_is_no_task() -> None:
    assert list(tasks(days(*[1.0] * 60, *[0.0] * 30))) == []
    assert [(task.origin - FIRST).days for task in tasks(days(*[1.0] * 60, *[None] * 5, *[1.0] * 25))] == [67, 74, 81]
    assert [(task.origin - FIRST).days for task in tasks(days(*[1.0] * 75, *[None] * 15))] == [63, 67, 74]


def test_steady_spend_is_projected_as_well_as_by_anybody() -> None:
    found = backtest({"steady": days(*[10.0] * 120)})
    assert (found.series, found.tasks) == (1, 8)
    assert found.month_end is not None
    assert (found.month_end.vs_run_rate, found.month_end.coverage80, found.month_end.coverage95) == (1.0, 1.0, 1.0)
    assert found.ms_per_fit is not None


def test_spend_with_weekends_is_projected_better_than_at_the_run_rate() -> None:
    week = [12.0, 12.0, 12.0, 12.0, 12.0, 2.0, 2.0]
    found = backtest({"weekly": days(*week * 18)})
    assert found.seven_day is not None
    assert found.month_end is not None
    assert found.seven_day.vs_run_rate < 0.2
    assert found.month_end.vs_run_rate < 0.5


def test_ratio_is_the_geometric_mean_over_the_series() -> None:
    week, jump = [12.0] * 5 + [2.0] * 2, [1.0] * 70 + [50.0] * 60
    one, other = (backtest({"s": days(*costs)}).seven_day for costs in (week * 18, jump))
    both = backtest({"a": days(*week * 18), "b": days(*jump)}).seven_day
    assert one is not None
    assert other is not None
    assert both is not None
    assert both.vs_run_rate == pytest.approx(sqrt(one.vs_run_rate * other.vs_run_rate))
    assert both.vs_seasonal_naive == pytest.approx(sqrt(one.vs_seasonal_naive * other.vs_seasonal_naive))


def test_gaps_are_left_out_of_the_comparison_by_day() -> None:
    gap = days(*[10.0] * 60, *[10.0] * 21, *[None] * 7, *[10.0] * 2, *[None] * 7, 10.0)
    found = backtest({"gaps": gap})
    assert found.tasks == 4
    assert found.month_end is not None


def test_seasonal_naive_of_a_history_without_the_weekday_is_the_mean_day() -> None:
    sparse = [10.0 if number % 7 != 3 else None for number in range(97)]
    assert backtest({"no Sundays": days(*sparse)}).tasks == 4


@pytest.mark.parametrize(
    ("costs", "tasks"),
    [
        pytest.param([None] * 30 + [10.0] * 60, 4, id="half of the days before"),
        pytest.param([10.0] + [None] * 30 + [10.0] * 59, 4, id="half of them, and the first of all"),
        pytest.param([10.0] + [None] * 31 + [10.0] * 58, 0, id="less"),
        pytest.param([10.0] * 60 + [None, 10.0] * 15, 4, id="half of the month"),
        pytest.param([10.0] * 60 + [None, 10.0] * 14 + [None] * 2, 0, id="less of it"),
    ],
)
def test_month_is_judged_when_half_of_it_and_of_the_days_before_is_known(costs: list[float | None], tasks: int) -> None:
    assert backtest({"sparse": days(*costs)}).tasks == tasks


def test_too_few_days_make_no_result() -> None:
    assert backtest({"short": days(*[1.0] * 20)}) == Backtest(None, None, 0, 0, None)


def test_progress_is_told_by_series() -> None:
    told: list[tuple[int, int]] = []
    backtest({"a": [], "b": []}, lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]
