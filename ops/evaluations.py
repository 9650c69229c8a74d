"""A verdict on one answer of one model to one item of a test set: what model selection and right-sizing rest on.

Before it: `tasks/import_evaluations.py` reads rows. After it: rows of `evaluations`, paired by `ops.cost`.
"""

from __future__ import annotations

import math
import re
from datetime import datetime
from decimal import Decimal

import msgspec

from ops.errors import InvalidValue
from ops.money import stored
from ops.usage import EARLIEST, MAX_DECIMALS, MAX_SKEW, check_text

FULL = "full"
MAX_KEY_BYTES = 512  # four such texts and the tenant are one key; Postgres allows it 2,704 bytes
_TRIMMED = re.compile(r"trimmed-([1-9]\d{0,8})")
_TEXTS = ("route", "item_id", "judge_version", "model", "variant")


class Evaluation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """One verdict. Two of the same route, item and judge are a pair: of two models, or of two variants of one."""

    route: str  # the feature, as usage events name it
    item_id: str
    model: str  # vendor/model
    judge_version: str
    passed: bool
    evaluated_at: datetime
    variant: str = FULL  # or `trimmed-4000`: the context was cut to so many tokens
    score: float | None = None
    cost_usd: Decimal | None = None

    @property
    def key(self) -> tuple[str, ...]:
        """What makes it this verdict and no other."""
        return tuple(getattr(self, name) for name in _TEXTS)


def trimmed_to(variant: str) -> int | None:
    """Return how many tokens of context a variant keeps; None for the full context."""
    found = _TRIMMED.fullmatch(variant)
    return int(found[1]) if found else None


def validate(evaluation: Evaluation, now: datetime) -> Evaluation:
    """Return `evaluation` when every field keeps its limit; `now` bounds clock skew to a day.

    Raises:
        InvalidValue: naming the first field that breaks its limit.
    """
    for field in _TEXTS:
        value = getattr(evaluation, field)
        if not value:
            raise InvalidValue(field, value, "a non-empty text")
        check_text(field, value)
        if len(value.encode()) > MAX_KEY_BYTES:
            raise InvalidValue(field, value, f"at most {MAX_KEY_BYTES} bytes of UTF-8")
    vendor, _, model = evaluation.model.partition("/")
    if not (vendor and model):
        raise InvalidValue("model", evaluation.model, "vendor/model, such as openai/gpt-4o-mini")
    if evaluation.variant != FULL and trimmed_to(evaluation.variant) is None:
        raise InvalidValue("variant", evaluation.variant, "full, or trimmed- and a number of tokens: trimmed-4000")
    _check_time(evaluation.evaluated_at, now)
    return _checked_numbers(evaluation)


def _check_time(when: datetime, now: datetime) -> None:
    if when.tzinfo is None or not EARLIEST <= when <= now + MAX_SKEW:
        limit = f"a time with a zone, between {EARLIEST:%Y-%m-%d} and a day from now"
        raise InvalidValue("evaluated_at", when.isoformat(), limit)


def _checked_numbers(evaluation: Evaluation) -> Evaluation:
    score, cost = evaluation.score, evaluation.cost_usd
    if score is not None and not math.isfinite(score):
        raise InvalidValue("score", score, "a finite number")
    if cost is not None and not _is_storable(cost):
        limit = f"an amount between 0 and a hundred million dollars, of at most {MAX_DECIMALS} decimals"
        raise InvalidValue("cost_usd", cost, limit)
    return evaluation


def _is_storable(cost: Decimal) -> bool:
    """Whether it is an amount, also when it is rounded to the decimals that are kept."""
    is_amount = cost.is_finite() and 0 <= cost < 10**8 and -int(cost.as_tuple().exponent) <= MAX_DECIMALS
    return is_amount and stored(cost) < 10**8
