"""Days and months of simulated measurements through a rule and its policy: what people would be told."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from math import exp, factorial

import pytest

from ops.monitoring.alerts import Alert, Condition, Reason, Tier, step
from ops.monitoring.baselines import DayScores, pin
from ops.monitoring.rules import RULES
from ops.monitoring.rules.availability import TrafficSample
from ops.monitoring.rules.cache import CacheSample
from ops.monitoring.rules.latency import LatencySample
from ops.monitoring.rules.quality import QualitySample
from ops.monitoring.rules.spend import SpendSample
from ops.proportions import Share
from tests.scored_days import scored_days

NOW = datetime(2026, 7, 20, tzinfo=UTC)  # a Monday
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
Told = list[tuple[int, Reason]]


def told(rule: str, conditions: Iterable[Condition], every: timedelta) -> Told:
    """Return which evaluations were told of, and why."""
    alert: Alert | None = None
    found: Told = []
    for number, condition in enumerate(conditions):
        transition = step(alert, condition, RULES[rule].policy, NOW + number * every)
        alert = transition.alert
        if transition.notify:
            found.append((number, transition.reason))
    return found


def noise(seed: int, mean: float, spread: float) -> list[float]:
    """A rate a minute for a day."""
    draw = random.Random(seed)  # noqa: S311 - a seeded simulation
    return [min(max(draw.gauss(mean, spread), 0), 1) for _ in range(24 * 60)]


def slow(rate: float) -> LatencySample:
    return LatencySample("chat-api", Share(round(1000 * rate), 1000), 1200)


def hits(rate: float) -> CacheSample:
    return CacheSample("chat-api", Share(round(1000 * rate), 1000))


@pytest.mark.uncounted
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("rule", "limit", "spread", "sample"),
    [
        pytest.param("latency", 0.05, 0.01, slow, id="latency"),
        pytest.param("cache", 0.70, 0.03, hits, id="cache"),
    ],
)
def test_noise_round_a_limit_is_told_at_most_twice_a_day(
    rule: str, limit: float, spread: float, sample: Callable[[float], object], seed: int
) -> None:
    rates = noise(seed, limit, spread)
    assert sum((a > limit) != (b > limit) for a, b in pairwise(rates)) > 600  # what a bare threshold would tell
    assert len(told(rule, (RULES[rule](sample(rate)) for rate in rates), MINUTE)) <= 2


@pytest.mark.parametrize(
    ("rule", "good", "bad", "fired", "resolved"),
    [
        pytest.param("latency", slow(0.02), slow(0.2), 1, 60 + 9, id="latency: the second minute, and ten good ones"),
        pytest.param("cache", hits(0.9), hits(0.3), 30, 60 + 2, id="cache: half an hour, and three good ones"),
    ],
)
def test_an_hour_that_is_surely_bad_is_told_once_and_its_end_once(
    rule: str, good: object, bad: object, fired: int, resolved: int
) -> None:
    conditions = [RULES[rule](sample) for sample in [bad] * 60 + [good] * 60]
    assert told(rule, conditions, MINUTE) == [(fired, Reason.FIRED), (resolved, Reason.RESOLVED)]


PER_SLOT = 100  # requests in five minutes


def windows(failures: list[int]) -> list[TrafficSample]:
    """Five minutes, an hour and six hours that end with each slot of five minutes."""
    sums = [0]
    for count in failures:
        sums.append(sums[-1] + count)

    def last(slots: int, end: int) -> Share:
        start = max(0, end - slots)
        return Share(sums[end] - sums[start], PER_SLOT * (end - start))

    return [TrafficSample("chat-api", last(1, end), last(12, end), last(72, end)) for end in range(1, len(sums))]


def failures(seed: int, rate: float, slots: int) -> list[int]:
    draw = random.Random(seed)  # noqa: S311 - a seeded simulation
    return [sum(draw.random() < rate for _ in range(PER_SLOT)) for _ in range(slots)]


@pytest.mark.uncounted
def test_availability_of_99_8_percent_is_told_to_nobody_in_thirty_days() -> None:
    measured = windows(failures(1, 0.002, 30 * 288))
    assert sum(sample.five_minutes.hits > 0.005 * PER_SLOT for sample in measured) > 30 * 40  # a bare threshold's
    assert told("availability", map(RULES["availability"], measured), 5 * MINUTE) == []


@pytest.mark.parametrize(
    ("rate", "slots"),
    [
        pytest.param(0.70, 2, id="an outage, at the second look"),
        pytest.param(0.10, 6, id="one failure in ten, within half an hour"),
        pytest.param(0.02, 36, id="98 %, within three hours"),
    ],
)
def test_availability_that_breaks_after_a_good_day_is_found(rate: float, slots: int) -> None:
    measured = windows(failures(2, 0.002, 288) + failures(3, rate, 72))
    (at, reason), *_ = told("availability", map(RULES["availability"], measured), 5 * MINUTE)
    assert reason is Reason.FIRED
    assert 288 < at < 288 + slots


def test_availability_of_99_2_percent_is_not_an_incident_for_each_quiet_minute() -> None:
    measured = windows(failures(4, 0.008, 7 * 288))
    found = told("availability", map(RULES["availability"], measured), 5 * MINUTE)
    assert 1 <= sum(reason is Reason.FIRED for _, reason in found) <= 7  # in a week


def test_availability_after_an_outage_is_fine_within_an_hour() -> None:
    measured = windows(failures(5, 0.002, 288) + failures(6, 0.5, 6) + failures(7, 0.002, 72))
    (_, fired), (at, resolved) = told("availability", map(RULES["availability"], measured), 5 * MINUTE)
    assert (fired, resolved) == (Reason.FIRED, Reason.RESOLVED)
    assert 288 + 6 < at <= 288 + 6 + 12


DAYTIME = (
    *(0.15, 0.12, 0.10, 0.10, 0.12, 0.18, 0.30, 0.50, 0.75, 0.92, 1.00, 0.98),
    *(0.85, 0.92, 1.00, 0.97, 0.88, 0.72, 0.55, 0.45, 0.38, 0.30, 0.24, 0.18),
)
MONTH = 28 * 24


def spend(seed: int, hours: int, factors: Callable[[int], float] = lambda _: 1.0) -> list[SpendSample]:
    """$10 in the busiest hour, 20 % of noise and quiet weekends, after four such weeks."""
    draw = random.Random(seed)  # noqa: S311 - a seeded simulation
    costs = []
    for number in range(-MONTH, hours):
        at = NOW + number * HOUR
        weekend = 0.6 if at.weekday() >= 5 else 1.0
        costs.append(10 * DAYTIME[at.hour] * weekend * exp(draw.gauss(0, 0.2)) * factors(number))
    return [
        SpendSample("total", Decimal(str(costs[n])), tuple(costs[n - 21 * 24 : n]), floor_usd=Decimal(1))
        for n in range(MONTH, MONTH + hours)
    ]


@pytest.mark.uncounted
@pytest.mark.parametrize("seed", range(4))
def test_spend_of_thirty_normal_days_pages_at_most_once(seed: int) -> None:
    tiers = [RULES["spend"](sample).tier for sample in spend(seed, 30 * 24)]
    assert tiers.count(Tier.CRITICAL) <= 1
    assert tiers.count(Tier.WARNING) <= 10  # of 720 hours, each of which errs by a fifth


@pytest.mark.parametrize(
    ("factor", "is_told"),
    [pytest.param(3.0, True, id="three times normal"), pytest.param(1.1, False, id="a tenth more")],
)
def test_spend_of_a_dear_afternoon_is_told_within_two_hours(factor: float, is_told: bool) -> None:
    samples = spend(1, 40, lambda hour: factor if 34 <= hour < 40 else 1.0)
    tiers = [RULES["spend"](sample).tier for sample in samples[34:36]]
    assert (Tier.CRITICAL in tiers or Tier.WARNING in tiers) is is_told


@pytest.mark.parametrize(
    ("per_week", "days"),
    [
        pytest.param(0.01, range(10, 31), id="one percent a week, within thirty days"),
        pytest.param(0.05, range(3, 12), id="five percent a week, within twelve"),
    ],
)
def test_quality_that_slides_is_told_before_it_has_dropped_by_ten_percent(per_week: float, days: range) -> None:
    life = scored_days(4, 28 + 60, per_week=per_week, since=28)
    pinned, means = pin(life[:28]), [day.mean for day in life[28:]]
    samples = [QualitySample("rag", means[day], 200, pinned, tuple(life[28 : 29 + day])) for day in range(60)]
    (day, reason), *_ = told("quality", map(RULES["quality"], samples), DAY)
    assert (reason, day in days) == (Reason.FIRED, True)
    assert means[day] > 0.9 * 0.85


def test_quality_of_few_scores_a_day_that_slid_and_recovered_is_known_to_be_fine() -> None:
    life = [*scored_days(1, 28 + 70, per_week=0.03, since=28, n=20), *scored_days(2, 28 + 100, n=20)[28 + 70 :]]
    pinned = pin(life[:28])
    samples = [
        QualitySample("rag", life[day].mean, 20, pinned, tuple(life[28 : day + 1]),
                      recent=tuple(life[day - 6 : day + 1]), today=life[day].day)
        for day in range(28, 128)
    ]  # fmt: skip
    (fired, why), (resolved, over) = told("quality", map(RULES["quality"], samples), DAY)
    assert (why, over) == (Reason.FIRED, Reason.RESOLVED)
    assert fired < 40
    assert 70 <= resolved < 84


def right_answers(seed: int, count: int) -> list[DayScores]:
    """Days of 200 answers of which 99.9 % are right."""
    draw = random.Random(seed)  # noqa: S311 - a seeded simulation
    wrong, chances = list(range(9)), [0.2**number / factorial(number) for number in range(9)]  # .2 a day: Poisson's
    shares = [1 - number / 200 for number in draw.choices(wrong, chances, k=count)]
    start = NOW.date()
    return [DayScores(start + n * DAY, 200, share, 200 * share * (1 - share)) for n, share in enumerate(shares)]


def test_quality_whose_failures_are_rare_is_not_told_of_those_that_come_together() -> None:
    fired = 0
    for seed in range(40):
        life = right_answers(seed, 28 + 365)
        pinned = pin(life[:28])
        samples = [
            QualitySample("rag", life[day].mean, 200, pinned, tuple(life[max(28, day - 89) : day + 1]))
            for day in range(28, 28 + 365)
        ]
        evaluated = (RULES["quality"](sample) for sample in samples)
        looks = (condition for condition in evaluated for _ in range(3))  # more often than scores change
        fired += sum(reason is Reason.FIRED for _, reason in told("quality", looks, DAY / 3))
    assert fired <= 0.3 * 40  # a year; 1.9 where their spread is that of the few that were pinned
