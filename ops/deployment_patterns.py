"""Show the deployment patterns at work on simulated traffic: canary, blue-green, feature flag.

Run `python ops/deployment_patterns.py`: no services, a few seconds. The canaries pass through the real plan, gate and
decisions; only the requests are simulated, from a seed, so every run prints the same.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ops.deployment.bucketing import BUCKETS, Split, assign, bucket
from ops.deployment.canary import Action, Decision, Rollout, RolloutState, apply, decide
from ops.deployment.gates import StageCounts, Verdict, success_rate_gate
from ops.deployment.plan import CAREFUL
from ops.plain_text import plain_table
from ops.proportions import Share

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LOOK_EVERY = timedelta(minutes=10)
REQUESTS_PER_LOOK = 600
CONTROL_SUCCESS = 0.97
USERS = [f"user-{number}" for number in range(1000)]

Look = tuple[datetime, Rollout, Verdict, Decision]


def main() -> None:
    """Print a promoted and a rolled-back canary, a blue-green switch and a growing flag."""
    show_canary("A good canary: 97 % succeed, as in the control", canary_success=0.97)
    show_canary("A bad canary: 88 % succeed, the control 97 %", canary_success=0.88)
    show_blue_green()
    show_flag()


def show_canary(title: str, canary_success: float) -> None:
    """Print each look at a simulated rollout as one row."""
    rows = [("time", "canary", "verdict", "decision", "reason")]
    for now, rollout, verdict, decision in run_rollout(canary_success, random.Random(7)):  # noqa: S311  (a simulation)
        move = f"{rollout.canary_percent} %"
        rows.append((f"{now:%H:%M}", move, verdict.value, _label(decision), decision.reason))
    print(f"{title}\n{plain_table(rows, numbers=False)}\n")


def run_rollout(canary_success: float, rng: random.Random) -> Iterator[Look]:
    """Yield every look until the rollout ends: the time, the rollout before, the verdict and the decision."""
    now = START
    rollout = Rollout(
        rollout_id="answers-42",
        service="answers",
        control_release="2026.02",
        canary_release="2026.03",
        plan=CAREFUL,
        stage_started_at=now,
    )
    finished: list[StageCounts] = []
    current = StageCounts(Share(0, 0), Share(0, 0))
    while rollout.state is RolloutState.RUNNING:
        now += LOOK_EVERY
        recent = _serve(rollout, canary_success, rng)
        current = StageCounts(_sum(current.control, recent.control), _sum(current.canary, recent.canary))
        failures = Share(recent.canary.n - recent.canary.hits, recent.canary.n)
        gate = success_rate_gate([*finished, current], rollout.plan, failures)
        decision = decide(rollout, gate, now)
        yield now, rollout, gate.verdict, decision
        rollout = apply(rollout, decision, now)
        if decision.action is Action.ADVANCE:
            finished, current = [*finished, current], StageCounts(Share(0, 0), Share(0, 0))


def show_blue_green() -> None:
    """Print where all users are before a switch, after it, and after going back: one value changes."""
    blue = Split(service="answers", control_release="blue", canary_release="green", salt="answers")
    print("Blue-green: everybody at once, and back as fast")
    for moment, percent in (("before", 0), ("switched", 100), ("back", 0)):
        seen = {assign(replace(blue, canary_percent=percent), user) for user in USERS}
        print(f"  {moment:<9} {len(USERS)} users see {', '.join(sorted(seen))}")
    print()


def show_flag() -> None:
    """Print who has a feature at growing percentages: nobody who has it loses it."""
    print("Feature flag `streaming-answers`: growing never takes it from anyone")
    before: set[str] = set()
    for percent in (5, 25, 50, 100):
        on = {user for user in USERS if bucket("streaming-answers", user) < percent * BUCKETS // 100}
        print(f"  {percent:>3} %  {len(on):>4} users, {len(on - before):>3} new, {len(before - on)} lost")
        before = on


def _serve(rollout: Rollout, canary_success: float, rng: random.Random) -> StageCounts:
    """Send one interval's requests of random users through the rollout's split."""
    outcomes: dict[str, list[bool]] = {rollout.control_release: [], rollout.canary_release: []}
    rates = {rollout.control_release: CONTROL_SUCCESS, rollout.canary_release: canary_success}
    for _ in range(REQUESTS_PER_LOOK):
        release = assign(rollout.split, f"user-{rng.randrange(100_000)}")
        outcomes[release].append(rng.random() < rates[release])
    control, canary = (Share(sum(results), len(results)) for results in outcomes.values())
    return StageCounts(control, canary)


def _sum(one: Share, two: Share) -> Share:
    return Share(one.hits + two.hits, one.n + two.n)


def _label(decision: Decision) -> str:
    return decision.action.value.replace("_", " ") + f" -> {decision.canary_percent} %"


if __name__ == "__main__":
    main()
