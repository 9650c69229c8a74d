"""Move each running rollout by its gate: a reconciler over rows, safe to kill between any two statements.

A rollout's new state, the event that says why, the traffic split and the message are one transaction.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from prefect import task
from prefect.cache_policies import NO_CACHE

from ops.deployment.canary import Action, Decision, Rollout, RolloutState, apply, change_state, decide
from ops.deployment.gates import success_rate_gate
from ops.deployment.plan import Plan
from ops.errors import InvalidValue, NotFound, UnknownName
from ops.monitoring.alerts import Tier
from ops.monitoring.data_quality.checks import Use
from ops.monitoring.slack_message import render_note
from ops.usage import check_text
from tasks.notify import notify, routes_of
from tasks.settings import Settings
from tasks.stores import quality_checks, rollouts

_TIERS = {Action.ROLL_BACK: Tier.WARNING}
_TITLES = {
    Action.ADVANCE: "Canary {canary} of {service} advances to {percent} %",
    Action.PROMOTE: "Deployment complete: {canary} serves all of {service}",
    Action.ROLL_BACK: "Canary {canary} of {service} rolled back",
}


@task(cache_policy=NO_CACHE, persist_result=False)
def advance_rollouts(engine: sa.Engine, settings: Settings, now: datetime) -> list[str]:
    """Decide every running rollout's next move as of `now`, and return one line for each.

    None moves forward while a critical check of the data fails.
    """
    lines = []
    with engine.begin() as connection:
        running = rollouts.running(connection, settings.tenant)
        hold = quality_checks.hold(connection, settings.tenant, Use.PROMOTIONS, now) if running else None
        for rollout, started_at in running:
            stages, recent = rollouts.stage_counts(connection, settings.tenant, rollout, started_at, now)
            gate = success_rate_gate(stages, rollout.plan, recent)
            decision = decide(rollout, gate, now, hold)
            _carry_out(connection, settings, rollout, decision, gate.verdict.value, now)
            lines.append(f"{rollout.rollout_id}: {decision.action.value} ({gate.verdict.value}): {decision.reason}")
    return lines


def _carry_out(
    connection: sa.Connection, settings: Settings, rollout: Rollout, decision: Decision, verdict: str, now: datetime
) -> None:
    if decision.action is Action.HOLD:
        rollouts.set_reason(connection, settings.tenant, rollout.rollout_id, decision.reason)
        return
    event = {
        "decided_at": now,
        "action": decision.action.value,
        "verdict": verdict,
        "reason": decision.reason,
        "evidence": dict(decision.evidence),
    }
    after = apply(rollout, decision, now)
    rollouts.save(connection, settings.tenant, rollout, after, event)
    title = _TITLES[decision.action].format(
        canary=rollout.canary_release, service=rollout.service, percent=decision.canary_percent
    )
    _announce(connection, settings, after, (_TIERS.get(decision.action, Tier.INFO), title, decision.reason), now)


def _announce(
    connection: sa.Connection, settings: Settings, rollout: Rollout, news: tuple[Tier, str, str], now: datetime
) -> None:
    tier, title, detail = news
    notify(
        connection, settings.tenant, routes_of(settings), key=f"rollout:{rollout.rollout_id}:{rollout.version}",
        tier=tier, message=render_note(title, detail, tier), revision=1, now=now,
    )  # fmt: skip


def start_rollout(
    engine: sa.Engine, settings: Settings, *, service: str, canary: str, plan: str, now: datetime,
    control: str | None = None,
) -> Rollout:  # fmt: skip
    """Begin to move a service's traffic to the release `canary`, by the named plan.

    Raises:
        UnknownName: no such plan.
        InvalidValue: no release is known to serve the service now, a rollout is open for it, or a name cannot be one.
    """
    chosen = _plan(settings, plan)
    for field, name in (("service", service), ("canary", canary), ("control", control)):
        _check_name(field, name)
    with engine.begin() as connection:
        known = rollouts.splits(connection, settings.tenant).get(service)
        serving = control or (known.control_release if known else None)
        if serving is None:
            raise InvalidValue("control", None, f"given: nothing is known to serve {service} yet")
        rollout = Rollout(
            rollout_id=f"{service}:{canary}:{now:%Y%m%dT%H%M%S}",
            service=service,
            control_release=serving,
            canary_release=canary,
            plan=chosen,
            stage_started_at=now,
        )
        rollouts.insert_new(connection, settings.tenant, rollout, now)
        news = (Tier.INFO, f"Canary {canary} of {service} starts at {rollout.canary_percent} %", f"plan {plan}")
        _announce(connection, settings, rollout, news, now)
    return rollout


def abort_rollout(engine: sa.Engine, settings: Settings, rollout_id: str, reason: str, now: datetime) -> Rollout:
    """Give all traffic back to the control, by hand.

    Raises:
        NotFound: no such rollout.
        InvalidValue: it has ended already.
    """
    with engine.begin() as connection:
        rollout = rollouts.find(connection, settings.tenant, rollout_id)
        if rollout is None:
            raise NotFound("rollout", rollout_id)
        after = change_state(rollout, RolloutState.ABORTED, now)
        event = {"decided_at": now, "action": "abort", "verdict": "by_hand", "reason": reason, "evidence": {}}
        rollouts.save(connection, settings.tenant, rollout, after, event)
        news = (Tier.WARNING, f"Canary {rollout.canary_release} of {rollout.service} aborted by hand", reason)
        _announce(connection, settings, after, news, now)
    return after


def _check_name(field: str, name: str | None) -> None:
    if name is None:
        return
    if not name.strip():
        raise InvalidValue(field, name, "a non-empty text")
    check_text(field, name)


def _plan(settings: Settings, name: str) -> Plan:
    if name not in settings.plans:
        raise UnknownName("plan", name, settings.plans)
    wanted = settings.plans[name]
    return Plan.from_mapping(
        {
            "name": name,
            "steps": wanted.steps,
            "min_requests": wanted.min_requests,
            "min_stage_seconds": wanted.min_stage_minutes * 60,
            "max_drop": wanted.max_drop,
            "alpha": wanted.alpha,
        }
    )
