"""A day's rest by its hours: arithmetic of shares, and what becomes of a steady bill that is spent at one hour."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from ops.cost.day_shares import DayHours, day_hours
from ops.cost.projection import DaySpend, Projection, project_month
from ops.window import Window

NOON = datetime(2026, 11, 16, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 17, tzinfo=UTC)
NOVEMBER = Window(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
HOUR = timedelta(hours=1)


def at(*hours: int, hour_usd: str = "0") -> DayHours:
    """The same cost in each of these hours."""
    return DayHours(tuple(1 / len(hours) if hour in hours else 0 for hour in range(24)), Decimal(hour_usd))


@pytest.mark.parametrize(
    ("hours", "now", "end", "left"),
    [
        pytest.param(at(1), NOON, MIDNIGHT, 0, id="all is spent by night"),
        pytest.param(at(23), NOON, MIDNIGHT, 1, id="all is spent in the last hour"),
        pytest.param(at(11, 12, 13, 14), NOON, MIDNIGHT, 0.75, id="the present hour is to come"),
        pytest.param(at(12, 13, hour_usd="2"), NOON + HOUR / 2, MIDNIGHT, 1 - 0.2, id="but for what it cost, of 10 $"),
        pytest.param(at(12, 13, hour_usd="5"), NOON + HOUR / 6, MIDNIGHT, 0.5, id="an hour that spent its share"),
        pytest.param(at(12, 13, hour_usd="70"), NOON, MIDNIGHT, 0.5, id="one that spent more takes none from others"),
        pytest.param(at(12, 13, 14, 15), NOON, NOON + 2.5 * HOUR, 0.625, id="a month that ends at half past two"),
        pytest.param(at(1, hour_usd="3"), NOON - 11 * HOUR, NOON - 10.5 * HOUR, 0.2, id="one that ends in this hour"),
    ],
)
def test_share_of_the_day_that_is_to_come(hours: DayHours, now: datetime, end: datetime, left: float) -> None:
    berlin = now.astimezone(ZoneInfo("Europe/Berlin"))  # the same moment, whatever clock tells it
    for start in (now, berlin):
        assert hours.left(Window(start, end), 10) == pytest.approx(left)


def test_day_that_is_expected_to_cost_nothing_has_no_rest_of_this_hour() -> None:
    assert at(12, 13).left(Window(NOON, MIDNIGHT), 0) == 0.5


def test_hours_of_past_days_are_shares_from_fourteen_days_on() -> None:
    worth = [0.0] * 22 + [3.5, 10.5]  # 14 days: a quarter at 22:00
    assert day_hours(worth, Decimal(1)) == DayHours((*[0.0] * 22, 0.25, 0.75), Decimal(1))
    assert day_hours([0.0] * 23 + [13.0], Decimal(1)) is None


def project(now: datetime, spent: float, hours: DayHours) -> Projection:
    days = [DaySpend(now.date() - timedelta(days=back), Decimal(10)) for back in range(40, 0, -1)]
    projection = project_month(days, Decimal(str(spent)), NOVEMBER, now, hours=hours)
    assert projection is not None
    return projection


@pytest.mark.uncounted
@pytest.mark.parametrize("hour", [1, 12, 23])
@pytest.mark.parametrize("minute", [0, 10, 30, 59])
def test_steady_bill_that_is_spent_in_one_minute_is_the_same_all_day(hour: int, minute: int) -> None:
    for now in (datetime(2026, 11, 30, each, minute, tzinfo=UTC) for each in range(24)):
        is_spent = (now.hour, now.minute) >= (hour, 10)
        hour_usd = "10" if is_spent and now.hour == hour else "0"
        projection = project(now, 10 if is_spent else 0, at(hour, hour_usd=hour_usd))
        assert float(projection.month_end.expected) == pytest.approx(30 * 10)
        assert projection.days[0] == (date(2026, 11, 30), 0 if is_spent else 10)
        assert projection.seven_days.expected == 70


def test_hours_of_today_say_nothing_of_another_month() -> None:
    projection = project(NOON - timedelta(days=30), 0, at(1))
    assert float(projection.month_end.expected) == pytest.approx(30 * 10)
