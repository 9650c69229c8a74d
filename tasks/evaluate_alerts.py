"""Evaluate every alert rule: an alert's new state and the message about it are one transaction.

Before it: `tasks/stores/measures.py` measures. Between: `ops.monitoring.rules` judge, `ops.monitoring.alerts.step`
decides. After it: `tasks/dispatch_outbox.py` delivers.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime

import sqlalchemy as sa
from prefect import task
from prefect.cache_policies import NO_CACHE

from ops.monitoring.alerts import Alert, Condition, Policy, State, Status, step
from ops.monitoring.routing import Channel
from ops.monitoring.rules import RULES
from ops.monitoring.slack_message import render
from tasks.notify import notify, routes_of
from tasks.pin_baselines import pin_missing
from tasks.settings import Alerting, Settings
from tasks.stores import alerts, ingest, measures

_LOCK = 0x57A7C6


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What an evaluation found; `insufficient` names what could not be judged."""

    conditions: int = 0
    notified: int = 0
    firing: tuple[str, ...] = ()
    insufficient: tuple[str, ...] = ()
    reasons: dict[str, int] = field(default_factory=dict)


@task(cache_policy=NO_CACHE, persist_result=False)
def evaluate_alerts(engine: sa.Engine, settings: Settings, now: datetime) -> Evaluated:
    """Judge every sample as of `now`; two evaluations at once take turns."""
    with engine.begin() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        pin_missing(connection, settings, now)
        measured = measures.measure(connection, settings.tenant, now, settings.alerting)
        found = [RULES[name](sample) for name, samples in measured.items() for sample in samples]
        evaluated = _settle(connection, settings, found, now)
        ingest.set_watermark(connection, settings.tenant, "evaluate_alerts", now)
    return evaluated


def _settle(connection: sa.Connection, settings: Settings, found: list[Condition], now: datetime) -> Evaluated:
    before = alerts.open_alerts(connection, settings.tenant)
    channels = routes_of(settings)
    reasons: Counter[str] = Counter()
    notified = 0
    for condition in found:
        policy = _policy(condition.rule, settings.alerting)
        transition = step(before.get((condition.rule, condition.key)), condition, policy, now)
        reasons[transition.reason.value] += 1
        if transition.alert is None:
            continue
        before[condition.rule, condition.key] = transition.alert
        alerts.save(connection, settings.tenant, transition.alert)
        if transition.notify:
            notified += 1
            tell(connection, settings.tenant, channels, transition.alert, now)
    return Evaluated(
        conditions=len(found),
        notified=notified,
        firing=tuple(sorted(f"{a.rule} {a.key}" for a in before.values() if a.state is State.FIRING)),
        insufficient=tuple(f"{c.rule} {c.key}" for c in found if c.status is Status.INSUFFICIENT_DATA),
        reasons=dict(reasons),
    )


def _policy(rule: str, limits: Alerting) -> Policy:
    own = RULES[rule].policy
    return replace(
        own, fire_after=limits.fire_after or own.fire_after, clear_after=limits.clear_after or own.clear_after
    )


def tell(connection: sa.Connection, tenant: str, channels: tuple[Channel, ...], alert: Alert, now: datetime) -> None:
    """Ask for the alert's present state to be shown."""
    notify(
        connection, tenant, channels,
        key=alert.alert_id, tier=alert.tier, message=render(alert, now), revision=alert.revision, now=now,
    )  # fmt: skip
