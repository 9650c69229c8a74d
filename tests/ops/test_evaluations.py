from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from ops.errors import InvalidValue
from ops.evaluations import Evaluation, trimmed_to, validate

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)


def evaluation(**fields: Any) -> Evaluation:
    usual = {"route": "search", "item_id": "q1", "model": "openai/gpt-4o", "judge_version": "j1", "passed": True}
    return Evaluation(**{**usual, "evaluated_at": NOW, **fields})


def test_right_evaluation_is_returned() -> None:
    whole = evaluation(variant="trimmed-4000", score=0.5, cost_usd=Decimal("0.01"))
    assert validate(whole, NOW) is whole
    assert whole.key == ("search", "q1", "j1", "openai/gpt-4o", "trimmed-4000")


WRONG = {
    "a text that is empty": ({"item_id": ""}, "item_id: '' is not a non-empty text"),
    "a text that is too long": ({"route": "x" * 513}, "is not at most 512 characters"),
    "a model without its vendor": ({"model": "gpt-4o"}, "model: 'gpt-4o' is not vendor/model"),
    "a vendor without a model": ({"model": "openai/"}, "model: 'openai/' is not vendor/model"),
    "another variant": ({"variant": "short"}, "variant: 'short' is not full, or trimmed- and a number"),
    "a time without a zone": ({"evaluated_at": datetime(2026, 3, 5)}, "is not a time with a zone"),  # noqa: DTZ001
    "a time to come": ({"evaluated_at": NOW + timedelta(days=2)}, "evaluated_at: '2026-03-07"),
    "a score that is no number": ({"score": float("nan")}, "score: nan is not a finite number"),
    "a cost below nothing": ({"cost_usd": Decimal(-1)}, "cost_usd: Decimal('-1') is not an amount"),
    "a text of too many bytes": ({"item_id": "語" * 171}, "is not at most 512 bytes of UTF-8"),
    "a cost that rounds to too much": ({"cost_usd": Decimal("99999999.9999999999999")}, "is not an amount"),
    "a cost of endless decimals": ({"cost_usd": Decimal("1e-99999")}, "cost_usd: Decimal('1E-99999') is not an amount"),
    "a cost that is no number": ({"cost_usd": Decimal("nan")}, "cost_usd: Decimal('NaN') is not an amount"),
}


@pytest.mark.parametrize(("fields", "said"), WRONG.values(), ids=WRONG)
def test_evaluation_is_refused_for(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidValue, match=re.escape(said)):
        validate(msgspec.structs.replace(evaluation(), **fields), NOW)


@pytest.mark.parametrize(
    ("variant", "size"), [("trimmed-4000", 4000), ("full", None), ("trimmed-0", None), ("trimmed-04", None)]
)
def test_variant_says_how_many_tokens_are_kept(variant: str, size: int | None) -> None:
    assert trimmed_to(variant) == size
