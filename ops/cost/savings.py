"""How much cheaper it could be: every lever alone, and each on what the levers before it left.

Before it: `levers.py` says what a lever does to a cell. After it: `tasks/advise_savings.py` keeps and tells the advice;
`holdout.py` compares it with what came of a lever that was switched on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from random import Random

from ops.cost.levers import Cell, Lever, Plan, Prices, pull
from ops.money import stored

BLOCK_DAYS = 7
FEWEST_DAYS = 2 * BLOCK_DAYS
_DRAWS = 1000
_SEED = 20
_TAIL = 0.1  # on either side of an 80 % interval
_ZERO = Decimal(0)
_Step = tuple[Sequence[Cell], Sequence[Cell]]  # before and after a lever


@dataclass(frozen=True, slots=True)
class Interval:
    """The bounds of 80 % of what so many days like these would save."""

    low: Decimal
    high: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """What one lever saves; None where it cannot be judged, for the reason."""

    lever: Lever
    base_usd: Decimal  # what the calls cost that it is about
    alone_usd: Decimal | None
    saved_usd: Decimal | None  # of what the levers before it left
    interval: Interval | None  # of `saved_usd`; None under 14 days
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Advice:
    """What some days cost, and what every lever would have left of it: the total is C0 - C_last, never a sum."""

    days: Sequence[date]
    cost_usd: Decimal
    left_usd: Decimal
    savings: Sequence[Saving]
    interval: Interval | None  # of the total

    @property
    def total_usd(self) -> Decimal:
        """What all levers save together."""
        return self.cost_usd - self.left_usd


def advise(cells: Iterable[Cell], plan: Plan, unknown: Mapping[Lever, str], prices: Prices) -> Advice:
    """Pull one lever after the other; one that is unknown, for a reason, changes nothing and has no figures."""
    left = whole = list(cells)
    days = sorted({cell.day for cell in whole})
    savings = []
    for lever in Lever:
        base = [cell for cell in whole if lever.is_about(cell.operation)]
        reason = unknown.get(lever)
        if reason is not None:
            nothing = dict.fromkeys(("alone_usd", "saved_usd", "interval"))
            savings.append(Saving(lever=lever, base_usd=_cost(base), reason=reason, **nothing))
            continue
        alone, after = (_pulled(lever, those, plan, prices) for those in (base, left))
        savings.append(_saving(lever, days, (base, alone), (left, after)))
        left = after
    return Advice(days, _cost(whole), _cost(left), savings, _interval(days, (whole, left)))


def _saving(lever: Lever, days: Sequence[date], alone: _Step, step: _Step) -> Saving:
    base, saved = _cost(alone[0]), _cost(step[0]) - _cost(step[1])
    interval = _interval(days, step)
    return Saving(lever=lever, base_usd=base, alone_usd=base - _cost(alone[1]), saved_usd=saved, interval=interval)


def _pulled(lever: Lever, cells: Iterable[Cell], plan: Plan, prices: Prices) -> list[Cell]:
    return [left for cell in cells if (left := pull(lever, cell, plan, prices)) is not None]


def _by_day(cells: Iterable[Cell]) -> dict[date, Decimal]:
    found: dict[date, Decimal] = {}
    for cell in cells:
        found[cell.day] = found.get(cell.day, _ZERO) + stored(cell.cost_usd)
    return found


def _cost(cells: Iterable[Cell]) -> Decimal:
    return sum((stored(cell.cost_usd) for cell in cells), _ZERO)


def _interval(days: Sequence[date], step: _Step) -> Interval | None:
    """Draw the days anew in blocks of a week, which keep weekdays together; always the same draws.

    The circular block bootstrap of Politis and Romano (1992).
    """
    if len(days) < FEWEST_DAYS:
        return None
    before, after = map(_by_day, step)
    saved = [float(before.get(day, _ZERO) - after.get(day, _ZERO)) for day in days]
    draw = Random(_SEED)  # noqa: S311  no secret
    sums = sorted(_drawn(saved, draw) for _ in range(_DRAWS))
    low, high = sums[int(_TAIL * _DRAWS)], sums[int((1 - _TAIL) * _DRAWS) - 1]
    return Interval(stored(Decimal(low)), stored(Decimal(high)))


def _drawn(saved: Sequence[float], draw: Random) -> float:
    n = len(saved)
    starts = [draw.randrange(n) for _ in range(-(-n // BLOCK_DAYS))]
    days = [saved[(start + step) % n] for start in starts for step in range(BLOCK_DAYS)]
    return sum(days[:n])
