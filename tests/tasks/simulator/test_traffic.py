from datetime import UTC, datetime, timedelta, timezone

import pytest

from ops.errors import InvalidValue
from tasks.simulator.traffic import Choice, Traffic, zipf

MONDAY = datetime(2025, 11, 3, tzinfo=UTC)


def test_traffic_keeps_its_weekly_mean():
    week = [Traffic(requests_per_hour=120).per_hour(MONDAY + timedelta(hours=hour)) for hour in range(7 * 24)]
    assert sum(week) / len(week) == pytest.approx(120)


def test_traffic_is_lower_at_the_weekend():
    traffic = Traffic()
    saturday, sunday = MONDAY + timedelta(days=5, hours=10), MONDAY + timedelta(days=6, hours=10)
    weekday = traffic.per_hour(MONDAY + timedelta(hours=10))
    assert traffic.per_hour(saturday) == traffic.per_hour(sunday) == pytest.approx(0.6 * weekday)


def test_traffic_peaks_at_working_hours():
    traffic = Traffic()
    by_hour = [traffic.per_hour(MONDAY + timedelta(hours=hour)) for hour in range(24)]
    assert max(by_hour) == by_hour[10]
    assert min(by_hour[8:17]) > 2 * max(by_hour[:6])


def test_traffic_reads_the_hour_in_utc():
    in_tokyo = (MONDAY + timedelta(hours=10)).astimezone(timezone(timedelta(hours=9)))
    assert Traffic().per_hour(in_tokyo) == Traffic().per_hour(MONDAY + timedelta(hours=10))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("failure_share", 1.1),
        ("feedback_share", -0.1),
        ("quality", 2),
        ("users", 0),
        ("prompts", 0),
        ("requests_per_hour", 0),
    ],
)
def test_traffic_refuses_a_value_beyond_its_limit(field, value):
    with pytest.raises(InvalidValue, match=f"{field}: {value} is not"):
        Traffic(**{field: value})


@pytest.mark.parametrize(
    ("u", "item"),
    [(0.0, "a"), (0.2499, "a"), (0.25, "b"), (0.999_999, "b")],
    ids=["the first begins at 0", "the first ends before 1/4", "the second begins at 1/4", "the last ends at 1"],
)
def test_choice_gives_each_item_its_share(u, item):
    assert Choice("ab", [1, 3]).at(u) == item


def test_zipf_head_outweighs_the_tail():
    # With exponent 1 and three ranks the weights are 6/11, 3/11 and 2/11.
    ranks = zipf(3, 1.0)
    assert [ranks.at(u / 11) for u in (0, 5.9, 6.1, 8.9, 9.1)] == [0, 0, 1, 1, 2]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("failure_share", 0),
        ("failure_share", 1),
        ("quality", 1),
        ("users", 1),
        ("prompts", 1),
        ("requests_per_hour", 0.1),
    ],
)
def test_traffic_takes_a_value_at_its_limit(field, value):
    assert getattr(Traffic(**{field: value}), field) == value


def test_zipf_raises_ranks_to_its_exponent():
    # With exponent 2 and three ranks the weights are 36/49, 9/49 and 4/49.
    ranks = zipf(3, 2.0)
    assert [ranks.at(u / 49) for u in (0, 35.9, 36.1, 44.9, 45.1)] == [0, 0, 1, 1, 2]


def test_choice_of_one_is_that_one():
    assert {Choice(["only"], [0.3]).at(u) for u in (0.0, 0.5, 0.999_999)} == {"only"}


def test_traffic_names_the_first_field_that_breaks_its_limit():
    with pytest.raises(InvalidValue, match="failure_share: nan is not between 0 and 1"):
        Traffic(failure_share=float("nan"), users=0)
