"""What a lever really saved: the users for whom it is on against a permanent hold-out of users for whom it is not.

Before it: `tasks/advise_savings.py` adds up the users' cost since the switch. After it: the realised share stands
beside the estimate from before the switch.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from math import sqrt
from statistics import NormalDist
from typing import Any

from ops.cost.levers import Lever
from ops.money import stored

FEWEST_USERS = 30  # on either side
LOWEST, HIGHEST = 0.8, 1.25  # realised to predicted, within which the estimate holds
_CONFIDENCE = 0.9  # on each side of an 80 % interval


class Calibration(StrEnum):
    """How the realised saving stands to the predicted one."""

    HOLDS = "holds"
    RECALIBRATE = "recalibrate"
    NO_ESTIMATE = "no estimate from before the switch"
    TOO_LITTLE = "too few users, or too little cost, to compare"


class Group:
    """The sums of some users' calls and cost: enough for the cost of a call and how sure it is."""

    def __init__(self) -> None:
        self.users = 0
        self.calls = 0
        self.cost_usd = Decimal(0)
        self._squares = (0.0, 0.0, 0.0)  # of the cost, of cost times calls, of the calls

    def add(self, calls: int, cost_usd: Decimal) -> None:
        """Count one user."""
        self.users += 1
        self.calls += calls
        self.cost_usd += cost_usd
        cost = float(cost_usd)
        cc, cn, nn = self._squares
        self._squares = (cc + cost * cost, cn + cost * calls, nn + calls * calls)

    @property
    def per_call(self) -> float:
        """The cost of one call in USD; 0 without any."""
        return float(self.cost_usd) / self.calls if self.calls else 0.0

    @property
    def variance(self) -> float:
        """That of `per_call`, as a ratio of sums over users drawn at random (Cochran 1977, 2.11)."""
        ratio, (cc, cn, nn) = self.per_call, self._squares
        residuals = max(0.0, cc - 2 * ratio * cn + ratio * ratio * nn)
        return residuals * self.users / ((self.users - 1) * self.calls**2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Realised:
    """A lever's saving since it was switched on, as shares of what the calls would have cost without it."""

    lever: Lever
    users: int
    held_out_users: int
    predicted: float | None
    realised: float | None
    low80: float | None
    high80: float | None
    saved_usd: Decimal | None
    calibration: Calibration

    @property
    def ratio(self) -> float | None:
        """Realised to predicted."""
        return self.realised / self.predicted if self.predicted and self.realised is not None else None


def realised(lever: Lever, treated: Group, held_out: Group, predicted: float | None) -> Realised:
    """Compare the cost of a call: 1 - treated / held out, with an 80 % interval by the delta method."""
    counts: dict[str, Any] = {
        "lever": lever,
        "users": treated.users,
        "held_out_users": held_out.users,
        "predicted": predicted,
    }
    if min(treated.users, held_out.users) < FEWEST_USERS or not held_out.per_call:
        nothing: dict[str, Any] = dict.fromkeys(("realised", "low80", "high80", "saved_usd"))
        return Realised(**counts, **nothing, calibration=Calibration.TOO_LITTLE)
    quotient = treated.per_call / held_out.per_call
    deviation = sqrt(treated.variance + quotient**2 * held_out.variance) / held_out.per_call
    spread = NormalDist().inv_cdf(_CONFIDENCE) * deviation
    saved = stored(Decimal(held_out.per_call) * treated.calls) - treated.cost_usd
    return Realised(
        **counts, realised=1 - quotient, low80=1 - quotient - spread, high80=1 - quotient + spread, saved_usd=saved,
        calibration=_calibration(1 - quotient, predicted),
    )  # fmt: skip


def _calibration(share: float, predicted: float | None) -> Calibration:
    if predicted is None:
        return Calibration.NO_ESTIMATE
    if LOWEST * predicted <= share <= HIGHEST * predicted:
        return Calibration.HOLDS
    return Calibration.RECALIBRATE
