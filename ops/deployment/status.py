"""What `watchkeeper status` says of rollouts.

Before it: `tasks/read_status.py` reads those that are open, or ended a short while ago. After it: `cli/status.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ops.deployment.canary import Rollout, RolloutState
from ops.status import Level, Row
from ops.window import in_one_unit

_LEVELS = {
    RolloutState.RUNNING: Level.INFO, RolloutState.PAUSED: Level.WARNING, RolloutState.PROMOTED: Level.OK,
    RolloutState.ROLLED_BACK: Level.WARNING, RolloutState.ABORTED: Level.INFO,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seen:
    """A rollout, why it stands where it does, and when that was decided last."""

    rollout: Rollout
    reason: str
    decided_at: datetime


def rollout_rows(found: Iterable[Seen], now: datetime) -> list[Row]:
    """Say where every rollout stands."""
    return [_row(seen, now) for seen in found] or [Row(Level.NONE, "", "no rollout is open, none ended in a day")]


def _row(seen: Seen, now: datetime) -> Row:
    rollout = seen.rollout
    is_open = rollout.state in (RolloutState.RUNNING, RolloutState.PAUSED)
    state = rollout.state.replace("_", " ")
    since = in_one_unit(now - (rollout.stage_started_at if is_open else seen.decided_at))
    place = f"{state} at {rollout.canary_percent} % for {since}" if is_open else f"{state} {since} ago"
    text = f"{rollout.control_release} → {rollout.canary_release} {place}: {seen.reason}"
    facts = {
        "rollout_id": rollout.rollout_id, "state": rollout.state, "control_release": rollout.control_release,
        "canary_release": rollout.canary_release, "canary_percent": rollout.canary_percent, "reason": seen.reason,
    }  # fmt: skip
    return Row(_LEVELS[rollout.state], rollout.service, text, facts)
