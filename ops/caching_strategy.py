"""Show the caching strategy at work on a simulated stream: what hits, what a warm plan picks, what that is worth.

Run `python ops/caching_strategy.py`: no services, a few seconds. The policy and the plan are the real ones; the cache
is a dict and the requests come from a seed, so every run prints the same.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import accumulate

from ops.money import usd
from ops.plain_text import plain_table
from ops.scaling.cache_policy import cache_key, is_cacheable, should_refresh_early, ttl_with_jitter
from ops.scaling.warming import Candidate, WarmPlan, plan_warming, recency_weight

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
BEFORE, AFTER = timedelta(hours=2), timedelta(minutes=5)  # of the restart
TTL = timedelta(hours=1)
REQUESTS_PER_SECOND = 2
PROMPTS = 3_000
ZIPF_EXPONENT = 1.0
UNCACHEABLE_SHARE = 0.1  # requests that leave the temperature out
CALL_USD = Decimal("0.0008")
CALL_SECONDS = 1.2
BUDGET_USD = Decimal("0.25")
MAX_ENTRIES = 500


class Outcome(StrEnum):
    """How a request was answered."""

    HIT = "hit"
    REFRESHED = "hit, refreshed early"
    MISS = "miss"
    UNCACHEABLE = "not cacheable"


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the stream."""

    at: datetime
    prompt: str
    params: dict[str, object]

    @property
    def key(self) -> str:
        """The key of its answer."""
        body = {"model": "gpt-4o-mini", "prompt": self.prompt, **self.params}
        return cache_key(body, tenant="demo", prompt_version="v1", generation=1)


@dataclass
class Cache:
    """When each answer was stored; the answers themselves do not matter here."""

    stored: dict[str, datetime] = field(default_factory=dict)

    def ask(self, request: Request) -> Outcome:
        """Answer one request as the policy says, storing what the vendor had to answer."""
        if not is_cacheable(request.params):
            return Outcome.UNCACHEABLE
        key = request.key
        ttl = ttl_with_jitter(TTL, key)
        stored_at = self.stored.get(key)
        if stored_at is None or request.at - stored_at >= ttl:
            outcome = Outcome.MISS
        else:
            outcome = Outcome.REFRESHED if should_refresh_early(request.at - stored_at, ttl) else Outcome.HIT
        if outcome is not Outcome.HIT:
            self.stored[key] = request.at
        return outcome


def main() -> None:
    """Print the hit rates of two hours, the plan for a restart, and the five minutes after it, cold and warmed."""
    rng = random.Random(7)  # noqa: S311  (a simulation)
    restart = START + BEFORE
    history = list(requests(rng, START, restart))
    following = list(requests(rng, restart, restart + AFTER))
    cache = Cache()
    show_hit_rates(history, cache)
    plan = plan_warming(candidates(history, restart), (), BUDGET_USD, MAX_ENTRIES, restart)
    show_plan(plan)
    show_restart(following, plan, cache)


def requests(rng: random.Random, start: datetime, end: datetime) -> Iterator[Request]:
    """Yield requests at a steady rate whose prompts follow Zipf's law."""
    ranks = range(1, PROMPTS + 1)
    weights = list(accumulate(rank**-ZIPF_EXPONENT for rank in ranks))
    count = round((end - start).total_seconds() * REQUESTS_PER_SECOND)
    for index, rank in enumerate(rng.choices(ranks, cum_weights=weights, k=count)):
        params: dict[str, object] = {} if rng.random() < UNCACHEABLE_SHARE else {"temperature": 0}
        yield Request(start + timedelta(seconds=index / REQUESTS_PER_SECOND), f"question {rank}", params)


def candidates(history: Sequence[Request], now: datetime) -> list[Candidate]:
    """Score every cacheable prompt by how often and how lately it was asked."""
    asked: dict[str, list[Request]] = defaultdict(list)
    for request in history:
        if is_cacheable(request.params):
            asked[request.prompt].append(request)
    return [
        Candidate(
            key=group[-1].key,
            text=prompt,
            model="gpt-4o-mini",
            score=sum(recency_weight(now - request.at) for request in group),
            seen=len(group),
            last_seen=group[-1].at,
            tokens=4_000,
            cost_usd=CALL_USD,
        )
        for prompt, group in asked.items()
    ]


def show_hit_rates(history: Sequence[Request], cache: Cache) -> None:
    """Print how each half hour was answered."""
    halves: dict[int, Counter[Outcome]] = defaultdict(Counter)
    for request in history:
        halves[(request.at - START) // timedelta(minutes=30)][cache.ask(request)] += 1
    rows = [("from minute", *Outcome, "hit rate")]
    for half, counts in halves.items():
        rows.append((str(30 * half), *(f"{counts[outcome]:,}" for outcome in Outcome), f"{_hit_rate(counts):.1%}"))
    print(f"{len(history):,} requests of {PROMPTS:,} prompts by Zipf's law, kept for an hour\n{plain_table(rows)}\n")


def show_plan(plan: WarmPlan) -> None:
    """Print the best entries of a plan, and why the others stay out."""
    rows = [("prompt", "asked", "score")]
    rows += [(entry.text, str(entry.seen), f"{entry.score:.1f}") for entry in plan.entries[:5]]
    print(
        f"A plan to warm {len(plan.entries)} answers for {usd(plan.cost_usd)} of {usd(BUDGET_USD)}\n{plain_table(rows)}"
    )
    for reason, count in plan.skipped.items():
        print(f"  left out {count:,}: {reason.value}")
    print()


def show_restart(following: Sequence[Request], plan: WarmPlan, before: Cache) -> None:
    """Print the first minutes after a restart: never restarted, cold, and warmed by the plan."""
    restart = following[0].at
    caches = {
        "cold": Cache(),
        "warmed": Cache({entry.key: restart for entry in plan.entries}),
        "never restarted": Cache(dict(before.stored)),
    }
    counts = {name: Counter(cache.ask(request) for request in following) for name, cache in caches.items()}
    rows = [("cache", "hit rate", "waits for the vendor")]
    rows += [(name, f"{_hit_rate(count):.1%}", f"{count[Outcome.MISS]:,}") for name, count in counts.items()]
    print(f"The {AFTER.seconds // 60} minutes after a restart\n{plain_table(rows)}")
    avoided = counts["cold"][Outcome.MISS] - counts["warmed"][Outcome.MISS]
    print(f"\n  warming saves {avoided} waits of {CALL_SECONDS} s and {usd(avoided * CALL_USD)} of calls;")
    print(f"  it costs {usd(plan.cost_usd)}: at full price an answer warmed replaces at most one first miss")


def _hit_rate(counts: Counter[Outcome]) -> float:
    cacheable = counts.total() - counts[Outcome.UNCACHEABLE]
    return (counts[Outcome.HIT] + counts[Outcome.REFRESHED]) / cacheable


if __name__ == "__main__":
    main()
