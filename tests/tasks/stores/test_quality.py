from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from tasks.stores import quality
from tasks.stores.tables import quality_checks
from tests.hand_made import DAY, NOW, rows_of


def outcome(**changes: Any) -> dict[str, Any]:
    usual = {"as_of": NOW, "name": "there are rows", "severity": "critical", "outcome": "failed"}
    return {"tenant_id": "default", "observed": "0", "detail": None, **usual, **changes}


def save(engine: sa.Engine, *rows: dict[str, Any]) -> None:
    with engine.begin() as connection:
        quality.save_checks(connection, rows)


def test_checks_repeated_for_the_same_time_replace_their_outcomes(engine: sa.Engine) -> None:
    save(engine, outcome(), outcome(name="vendor is known"))
    save(engine, outcome(outcome="passed", observed="5"))
    save(engine, outcome(as_of=NOW + DAY, outcome="errored", detail="why"))
    found = [(row.as_of, row.name, row.outcome, row.observed, row.detail) for row in rows_of(engine, quality_checks)]
    assert found == [
        (NOW, "there are rows", "passed", "5", None),
        (NOW, "vendor is known", "failed", "0", None),
        (NOW + DAY, "there are rows", "errored", "0", "why"),
    ]


def test_checks_of_nothing_store_nothing(engine: sa.Engine) -> None:
    save(engine)
    assert rows_of(engine, quality_checks) == []
