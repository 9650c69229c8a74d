"""Show the cost monitoring at work on a generated month: prices, a breakdown, a projection, a spike.

Run `python ops/cost_monitoring.py`: no services, a few seconds. Prices, projection and alert are the real ones; only
the calls are simulated, from a seed, so every run prints the same.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache

from ops.cost.breakdown import PeriodUsage, break_down_by_model
from ops.cost.pricing import RateCard, cost, rate_cards
from ops.cost.projection import DaySpend, project_month
from ops.money import usd
from ops.monitoring.rules.spend import SpendSample, evaluate
from ops.plain_text import plain_table
from ops.usage import Status, UsageEvent
from ops.window import Window, floor_hour

NOW = datetime(2026, 3, 23, 12, tzinfo=UTC)
MONTH = Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
HISTORY = timedelta(days=30)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
CALLS_PER_HOUR = 100
SPIKE, SPIKE_HOURS = 3, 3  # times the usual traffic of one feature, in the last hours


@dataclass(frozen=True, slots=True)
class Workload:
    """What one feature asks of one model."""

    feature: str
    vendor: str
    model: str
    operation: str
    calls_share: int
    input_tokens: int
    output_tokens: int
    cached_share: float


WORKLOADS = (
    Workload("support", "anthropic", "claude-sonnet-4-5", "chat", 3, 6_000, 400, 0.8),
    Workload("summaries", "openai", "gpt-4o-mini", "chat", 5, 9_000, 300, 0.0),
    Workload("search", "openai", "text-embedding-3-small", "embedding", 11, 500, 0, 0.0),
    Workload("reports", "google", "gemini-2.5-pro", "chat", 1, 60_000, 2_000, 0.0),
    Workload("research", "house", "house-llm-1", "chat", 1, 2_000, 200, 0.0),
)

Priced = tuple[UsageEvent, Decimal | None]


def main() -> None:
    """Print yesterday by model and feature, the projected month, and a spike with its alert."""
    calls = month_of_calls(random.Random(7))  # noqa: S311  (a simulation)
    priced = [(event, cost(event, _cards(event))) for event in calls]
    today = Window(NOW.replace(hour=0), NOW)
    yesterday, day_before = (Window(today.start - days * DAY, today.start - (days - 1) * DAY) for days in (1, 2))
    show_breakdown("Model", _within(priced, yesterday), lambda event: event.model)
    show_breakdown("Feature", _within(priced, yesterday), lambda event: event.feature or "")
    show_causes(_within(priced, day_before), _within(priced, yesterday))
    show_projection(priced, today)
    show_spike(priced)


def month_of_calls(rng: random.Random) -> Iterator[UsageEvent]:
    """Yield 30 days of calls until noon today: weekends at 40 %, and a burst in the last three hours."""
    shares = [workload.calls_share for workload in WORKLOADS]
    hour = NOW - NOW.hour * HOUR - HISTORY
    while hour < NOW:
        calls = round(CALLS_PER_HOUR * (0.4 if hour.weekday() >= 5 else 1))
        for workload in rng.choices(WORKLOADS, shares, k=calls):
            repeats = SPIKE if workload.feature == "support" and hour >= NOW - SPIKE_HOURS * HOUR else 1
            for _ in range(repeats):
                yield _call(workload, hour + rng.random() * HOUR, rng)
        hour += HOUR


def show_breakdown(title: str, priced: Sequence[Priced], key: Callable[[UsageEvent], str]) -> None:
    """Print calls, tokens and cost of each group, dearest first; an unknown price stays unknown."""
    groups: dict[str, list[Priced]] = defaultdict(list)
    for event, cost_usd in priced:
        groups[key(event)].append((event, cost_usd))
    rows = [(title, "calls", "input", "output", "cost")]
    for name, group in sorted(groups.items(), key=lambda item: -_total(item[1])):
        known = [cost_usd for _, cost_usd in group if cost_usd is not None]
        tokens = [sum(getattr(event, field) or 0 for event, _ in group) for field in ("input_tokens", "output_tokens")]
        amount = usd(sum(known, Decimal(0)) if known else None)
        rows.append((name, f"{len(group):,}", f"{tokens[0]:,}", f"{tokens[1]:,}", amount))
    print(f"Yesterday by {title.lower()}, {usd(_total(priced))} in all\n{plain_table(rows)}\n")


def show_causes(before: Sequence[Priced], after: Sequence[Priced]) -> None:
    """Print how much of yesterday's change came from which cause."""
    shares = break_down_by_model(_usage(before), _usage(after))
    rows = [
        ("requests", f"{shares.requests_usd:+.2f}"),
        ("tokens per request", f"{shares.tokens_per_request_usd:+.2f}"),
        ("$ per token", f"{shares.price_per_token_usd:+.2f}"),
    ]
    print(f"Yesterday against the day before: {shares.change_usd:+.2f} USD, from\n{plain_table(rows)}\n")


def show_projection(priced: Sequence[Priced], today: Window) -> None:
    """Print the month's expected total with its intervals."""
    spend: dict[date, Decimal] = defaultdict(Decimal)
    for event, cost_usd in priced:
        spend[event.occurred_at.date()] += cost_usd or 0
    history = [DaySpend(day, amount) for day, amount in sorted(spend.items()) if day < today.start.date()]
    projection = project_month(history, spend[today.start.date()], MONTH, NOW)
    if projection is None:
        return
    rows = [
        ("spent so far", usd(projection.spent_usd)),
        ("expected at the end", usd(projection.month_end.expected)),
        ("80 of 100 months end in", f"{usd(projection.month_end.low80)} to {usd(projection.month_end.high80)}"),
        ("95 of 100 months end in", f"{usd(projection.month_end.low95)} to {usd(projection.month_end.high95)}"),
    ]
    print(f"March, from {projection.history_days} days of history\n{plain_table(rows)}\n")


def show_spike(priced: Sequence[Priced]) -> None:
    """Print two features' first hour of the burst against what is usual of it: 2x is critical, 1.5x a warning."""
    rows = [("Feature", "that hour", "normal", "ratio", "alert")]
    first = floor_hour(min(event.occurred_at for event, _ in priced))
    for feature in ("support", "summaries"):
        hours = [Decimal(0)] * int((NOW - first) / HOUR)
        for event, cost_usd in priced:
            if event.feature == feature:
                hours[int((event.occurred_at - first) / HOUR)] += cost_usd or 0
        history = tuple(map(float, hours[:-SPIKE_HOURS]))
        sample = SpendSample(f"feature:{feature}", hours[-SPIKE_HOURS], history, floor_usd=Decimal("0.05"))
        found = evaluate(sample)
        alert = found.tier.value if found.tier else "none"
        rows.append((feature, usd(sample.cost_usd), str(found.evidence["normal"]), f"{found.value:.1f}x", alert))
    print(f"Spend of the hour that began at {NOW - SPIKE_HOURS * HOUR:%H:%M} UTC\n{plain_table(rows)}")


def _call(workload: Workload, when: datetime, rng: random.Random) -> UsageEvent:
    size = rng.uniform(0.7, 1.3)
    input_tokens = round(workload.input_tokens * size)
    return UsageEvent(
        event_id=f"{rng.getrandbits(64):016x}",
        occurred_at=when,
        vendor=workload.vendor,
        model=workload.model,
        operation=workload.operation,
        status=Status.SUCCESS,
        feature=workload.feature,
        input_tokens=input_tokens,
        cached_tokens=round(input_tokens * workload.cached_share),
        output_tokens=round(workload.output_tokens * rng.uniform(0.7, 1.3)),
    )


def _cards(event: UsageEvent) -> tuple[RateCard, ...]:
    return _cards_of_day(event.vendor, event.model, event.occurred_at.date())


@cache
def _cards_of_day(vendor: str, model: str, day: date) -> tuple[RateCard, ...]:
    return rate_cards(vendor, model, None, day)


def _within(priced: Sequence[Priced], window: Window) -> list[Priced]:
    return [(event, cost_usd) for event, cost_usd in priced if event.occurred_at in window]


def _total(priced: Sequence[Priced]) -> Decimal:
    return sum((cost_usd for _, cost_usd in priced if cost_usd is not None), Decimal(0))


def _usage(priced: Sequence[Priced]) -> dict[str, PeriodUsage]:
    models: dict[str, list[Priced]] = defaultdict(list)
    for event, cost_usd in priced:
        if cost_usd is not None:
            models[event.model].append((event, cost_usd))
    return {model: PeriodUsage(len(group), _tokens(group), _total(group)) for model, group in models.items()}


def _tokens(priced: Sequence[Priced]) -> int:
    return sum((event.input_tokens or 0) + (event.output_tokens or 0) for event, _ in priced)


if __name__ == "__main__":
    main()
