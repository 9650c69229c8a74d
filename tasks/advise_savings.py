"""Say what would make the bill smaller, from the log itself, and what came of what was switched on.

Before it: events and their prices, evaluations. Between: `ops.scaling.cache_replay` finds what a cache would have
answered, `ops.cost.savings` pulls the levers, `ops.cost.holdout` compares. After it: an artifact, a weekly message.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from prefect import task
from prefect.cache_policies import NO_CACHE

from ops.cost.holdout import Group, Realised, realised
from ops.cost.levers import Cell, Lever, Plan, prefix_shares
from ops.cost.model_selection import Decision, Reason
from ops.cost.savings import Interval, advise
from ops.deployment.bucketing import BUCKETS, bucket
from ops.monitoring.alerts import Tier
from ops.monitoring.slack_message import render_report
from ops.scaling.cache_replay import Replay
from ops.window import Window, full_days
from tasks.judge_routes import Routes, look_at
from tasks.notify import notify, routes_of
from tasks.settings import Savings, Settings, SwitchedOn
from tasks.show_savings import Advised, headline, message_text
from tasks.stores import costs
from tasks.stores import savings as store
from tasks.stores.savings import Hashed

DAYS = 30
TOTAL = "total"
_TOLD = 0.5  # the least share of calls that tell their input, to judge a cache by
_HOLDOUT_DAYS = timedelta(days=90)  # at most so much is compared


@task(cache_policy=NO_CACHE, persist_result=False)
def advise_savings(engine: sa.Engine, settings: Settings, now: datetime, days: int = DAYS) -> Advised:
    """Advise on the full UTC days before today."""
    window = full_days(now, days)
    with engine.begin() as connection:
        hashed = store.hashed(connection, settings.tenant, window)
        hits = _replay(connection, settings, window)
        routes = look_at(connection, settings, window)
        limits = routes.limits()
        cells = store.cells(connection, settings.tenant, window, routes.edges, limits)
        _, unpriced, _ = costs.totals(connection, settings.tenant, window)
        came = [_realised(connection, settings, lever, on, now) for lever, on in _on(settings, now)]
    decisions = routes.decide(cells)
    plan, judged = _plan(cells, decisions, settings.savings)
    unknown = {
        **_unknown_caches(hashed), **_unknown_context(routes, limits), **_unknown_models(decisions),
        **_unknown_prefix(judged), **_unknown_batch(settings.savings),
    }  # fmt: skip
    advice = advise(cells, plan, unknown, routes.prices)
    sizes = {route: limit.max_input or 0 for route, limit in limits.items()}
    return Advised(
        window, advice, unpriced, sizes, decisions, _details(settings.savings, hashed, hits, sizes, judged), came
    )


def _replay(connection: sa.Connection, settings: Settings, window: Window) -> dict[Lever, int]:
    """Play the log through two caches, remember which calls they answer, and count those."""
    wanted = settings.savings
    ttl = timedelta(hours=wanted.cache_ttl_hours)
    caches = {is_embedding: Replay(ttl, wanted.cache_capacity) for is_embedding in (False, True)}
    answered = {False: 0, True: 0}
    store.prepare(connection)
    for batch in store.calls(connection, settings.tenant, window):
        found = [call for call in batch if caches[call[3]].asks(call[2], call[1], storable=call[4])]
        store.keep_repeated(connection, found)
        for *_, is_embedding, _ in found:
            answered[is_embedding] += 1
    return {Lever.RESPONSE_CACHE: answered[False], Lever.EMBEDDING_CACHE: answered[True]}


def _plan(cells: Sequence[Cell], decisions: Sequence[Decision], wanted: Savings) -> tuple[Plan, set[str]]:
    """Return what is to be done, and the routes whose prefixes can be judged."""
    switches = {}
    for decision in decisions:
        if decision.change is not None:
            old, new = (tuple(name.split("/", 1)) for name in (decision.current, decision.chosen))
            switches[decision.route, (old[0], old[1])] = (new[0], new[1])
    shares, judged = prefix_shares(cells, wanted.prefix_share)
    return Plan(switches, shares, frozenset(wanted.can_wait)), judged


def _unknown_caches(hashed: Mapping[Lever, Hashed]) -> dict[Lever, str]:
    """A cache is judged by the calls whose input the log tells: they must be most of them."""
    return {
        lever: f"{each.hashed:,} of {each.calls:,} calls tell their input (prompt_hash), which is too few"
        if each.hashed else "the log has no prompt_hash of these calls"
        for lever, each in hashed.items() if each.calls and each.hashed < _TOLD * each.calls
    }  # fmt: skip


def _unknown_context(routes: Routes, limits: Mapping[str, object]) -> dict[Lever, str]:
    if limits:
        return {}
    tried = any(routes.trials(route) for route in routes.main)
    few = "evaluations with less context do not yet show that answers stay as good"
    return {Lever.CONTEXT_TRIMMING: few if tried else "no evaluation of a route's main model with less context"}


def _unknown_models(decisions: Sequence[Decision]) -> dict[Lever, str]:
    """A route that was judged, whatever came of it, is an answer."""
    reasons = {decision.reason for decision in decisions}
    if not reasons <= {Reason.NO_PAIRS, Reason.INSUFFICIENT_DATA}:
        return {}
    few = Reason.INSUFFICIENT_DATA in reasons
    return {Lever.CHEAPER_MODEL: (Reason.INSUFFICIENT_DATA if few else Reason.NO_PAIRS).value}


def _unknown_prefix(judged: set[str]) -> dict[Lever, str]:
    reason = "no route shows two models with different shares of cached input, and savings.prefix_share names none"
    return {} if judged else {Lever.PREFIX_CACHE: reason}


def _unknown_batch(wanted: Savings) -> dict[Lever, str]:
    return {} if wanted.can_wait else {Lever.BATCH_API: "savings.can_wait names no route"}


def _details(
    wanted: Savings, hashed: Mapping[Lever, Hashed], hits: Mapping[Lever, int], sizes: Mapping[str, int],
    judged: set[str],
) -> dict[Lever, str]:  # fmt: skip
    cache = f"{wanted.cache_capacity:,} entries for {wanted.cache_ttl_hours:g} h"
    found = {
        lever: f"{hits[lever]:,} of {each.calls:,} calls would be hits, {each.hashed:,} tell their input; {cache}"
        for lever, each in hashed.items()
    }
    if sizes:
        found[Lever.CONTEXT_TRIMMING] = ", ".join(f"{route} {size:,} tokens" for route, size in sorted(sizes.items()))
    if judged:
        found[Lever.PREFIX_CACHE] = f"routes: {', '.join(sorted(judged))}"
    return found


def _on(settings: Settings, now: datetime) -> list[tuple[Lever, SwitchedOn]]:
    switched = settings.savings.switched_on
    return [(Lever(name), on) for name, on in sorted(switched.items()) if on.at < now]


def _realised(
    connection: sa.Connection, settings: Settings, lever: Lever, on: SwitchedOn, now: datetime
) -> Realised:  # fmt: skip
    treated, held_out = Group(), Group()
    below = round(on.holdout_percent * BUCKETS / 100)
    window = Window(max(on.at, now - _HOLDOUT_DAYS), now)
    for user, calls, cost in store.user_costs(connection, settings.tenant, window, lever):
        group = held_out if bucket(on.salt or lever.value, user) < below else treated
        group.add(calls, cost)
    return realised(lever, treated, held_out, store.predicted(connection, settings.tenant, lever, on.at))


@task(cache_policy=NO_CACHE, persist_result=False)
def keep_advice(engine: sa.Engine, settings: Settings, advised: Advised, now: datetime) -> None:
    """Keep the advice, and tell it once in a week (ISO 8601, by the UTC day): one transaction."""
    week = "{}-W{:02}".format(*advised.window.end.isocalendar())
    with engine.begin() as connection:
        store.save(connection, [*_rows(settings.tenant, advised)])
        notify(
            connection, settings.tenant, routes_of(settings), key=f"savings:{week}", tier=Tier.INFO,
            message=render_report(headline(advised), message_text(advised)), revision=1, now=now,
        )  # fmt: skip


def _rows(tenant: str, advised: Advised) -> Iterator[dict[str, Any]]:
    advice = advised.advice
    always = {"tenant_id": tenant, "as_of": advised.window.end, "days": advised.window.length.days}
    more: dict[Lever, dict[str, Any]] = {
        Lever.CONTEXT_TRIMMING: {"limits": advised.limits},
        Lever.CHEAPER_MODEL: {"proposals": advised.proposals},
    }
    for saving in advice.savings:
        yield {
            **always, "lever": saving.lever.value, "base_usd": saving.base_usd, "alone_usd": saving.alone_usd,
            "saved_usd": saving.saved_usd, **_ends(saving.interval), "reason": saving.reason,
            "detail": {"detail": advised.details.get(saving.lever), **more.get(saving.lever, {})},
        }  # fmt: skip
    yield {
        **always, "lever": TOTAL, "base_usd": advice.cost_usd, "alone_usd": None, "saved_usd": advice.total_usd,
        **_ends(advice.interval), "reason": None, "detail": {},
    }  # fmt: skip


def _ends(interval: Interval | None) -> dict[str, Decimal | None]:
    return {"low80_usd": interval.low if interval else None, "high80_usd": interval.high if interval else None}
