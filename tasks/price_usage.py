"""Look up the rate cards that staged events need; the insert that follows applies them, set-wise, in SQL.

Before it: `tasks/stores/usage.py` stages a block. After it: the same store inserts, prices and rolls up.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from ops.cost.pricing import RateCard, rate_cards
from tasks.stores import usage


def price_staged(connection: sa.Connection) -> list[str]:
    """Store the rate cards that are missing, and return the models that the price book does not know."""
    unknown = []
    for row in usage.staged_models(connection):
        vendor, model, tier, day = row.vendor, row.model, row.tier, row.day
        cards = _cards(vendor, model, tier, day)
        if not cards:
            unknown.append(f"{vendor}/{model}")
        usage.add_rate_cards(connection, [_row(card) for card in cards])
    return sorted(set(unknown))


@lru_cache(maxsize=20_000)
def _cards(vendor: str, model: str, tier: str | None, day: date) -> tuple[RateCard, ...]:
    return rate_cards(vendor, model, tier, day)


def _row(card: RateCard) -> dict[str, Any]:
    row = asdict(card)
    row["price_snapshot"] = row.pop("snapshot")
    return row
