"""A rollout's plan: which weights the canary passes through, and what it must show before each next one.

Before it: a person names a plan, or it is read from the settings. After it: `gates.py` judges a stage by the plan,
`canary.py` moves along its steps. The plan is stored with the rollout, so that editing a setting never changes a
rollout that is under way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any, Self

from ops.errors import InvalidValue, UnknownName

_LONGEST_STAGE = timedelta(days=365)
_FIELDS = ("name", "steps", "min_requests", "min_stage_seconds", "max_drop", "alpha")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The steps of a rollout and the limits of its gate."""

    name: str
    steps: tuple[int, ...]  # canary weights in percent; there is a stage at every weight but the last, which is 100
    min_requests: int  # per arm in the current stage, before a verdict counts
    min_stage: timedelta
    max_drop: float = 0.05  # success rate that the canary may lose (non-inferiority margin), 0.05 = five points
    alpha: float = 0.05  # chance that an equally good canary is ever rolled back, over all looks at it

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise InvalidValue("plan.name", self.name, "a non-empty text")
        _check_steps(self.steps)
        if not _is_whole(self.min_requests) or self.min_requests < 1:
            raise InvalidValue("plan.min_requests", self.min_requests, "a whole number of at least 1")
        if not timedelta(0) <= self.min_stage <= _LONGEST_STAGE:
            raise InvalidValue("plan.min_stage", self.min_stage, "between zero and 365 days")
        _check_between("plan.max_drop", self.max_drop, 0, 1)
        _check_between("plan.alpha", self.alpha, 0, 0.5)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Read what `to_mapping` wrote; every field but `max_drop` and `alpha` is required.

        Raises:
            UnknownName: for a field that plans do not have.
            InvalidValue: for a missing field, or one that breaks its limit.
        """
        for field in mapping.keys() - set(_FIELDS):
            raise UnknownName("plan field", field, _FIELDS)
        return cls(
            name=_required(mapping, "name"),
            steps=_tuple(_required(mapping, "steps")),
            min_requests=_required(mapping, "min_requests"),
            min_stage=_seconds(_required(mapping, "min_stage_seconds")),
            **{field: mapping[field] for field in ("max_drop", "alpha") if field in mapping},
        )

    def to_mapping(self) -> dict[str, object]:
        """Return plain JSON values."""
        return {
            "name": self.name,
            "steps": list(self.steps),
            "min_requests": self.min_requests,
            "min_stage_seconds": self.min_stage.total_seconds(),
            "max_drop": self.max_drop,
            "alpha": self.alpha,
        }


def _check_steps(steps: tuple[int, ...]) -> None:
    if len(steps) < 2 or not all(map(_is_whole, steps)):
        raise InvalidValue("plan.steps", steps, "two or more whole percents")
    rising = all(low < high for low, high in pairwise(steps))
    if not rising or steps[0] < 1 or steps[-1] != 100:
        raise InvalidValue("plan.steps", steps, "strictly increasing from at least 1 to 100")


def _check_between(field: str, value: Any, low: float, high: float) -> None:
    if not _is_number(value) or not low < value < high:
        raise InvalidValue(field, value, f"a number between {low} and {high}, both excluded")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_whole(value) or isinstance(value, float)


def _required(mapping: Mapping[str, Any], field: str) -> Any:
    if field not in mapping:
        raise InvalidValue(f"plan.{field}", None, "present")
    return mapping[field]


def _tuple(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple):
        raise InvalidValue("plan.steps", value, "a list of percents")
    return tuple(value)


def _seconds(value: Any) -> timedelta:
    longest = _LONGEST_STAGE.total_seconds()
    if not _is_number(value) or math.isnan(value) or not 0 <= value <= longest:
        raise InvalidValue("plan.min_stage_seconds", value, f"a number between 0 and {longest:.0f}")
    return timedelta(seconds=value)


CAREFUL = Plan(name="careful", steps=(10, 25, 50, 100), min_requests=100, min_stage=timedelta(minutes=30))
