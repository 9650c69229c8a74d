"""Days of scores that a seed makes: 200 a day, worse at weekends, sliding or not."""

from __future__ import annotations

import random
from datetime import date, timedelta
from math import sqrt

from ops.monitoring.baselines import DayScores

FIRST = date(2026, 1, 5)  # a Monday
MEAN, SIGMA, N = 0.85, 0.17, 200
WEEKEND = 0.01


def scored_days(
    seed: int, count: int, *, per_week: float = 0.0, since: int = 0, sigma: float = SIGMA, n: int = N,
    weekend: float = WEEKEND,
) -> list[DayScores]:  # fmt: skip
    """Return `count` days whose mean slides by `per_week` of itself from the day `since` on."""
    noise = random.Random(seed)  # noqa: S311 - a seeded simulation
    found = []
    for number in range(count):
        day = FIRST + timedelta(days=number)
        usual = MEAN * (1 - per_week * max(0, number - since) / 7) - (weekend if day.weekday() >= 5 else 0)
        found.append(DayScores(day, n, usual + noise.gauss(0, sigma / sqrt(n)), (n - 1) * sigma**2))
    return found
