"""Verdicts on answers, and the pairs that they make.

Before it: `tasks/import_evaluations.py` reads them. After it: `tasks/judge_routes.py` chooses by them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from ops.evaluations import Evaluation, trimmed_to
from ops.proportions import Pairs
from tasks.stores.sql import statement
from tasks.stores.tables import evaluations

_KEY = ("tenant_id", "route", "item_id", "judge_version", "model", "variant")


@dataclass(frozen=True, slots=True)
class RoutePairs:
    """What the evaluations of one route pair: by (model, other model), and by model and tokens of context."""

    models: dict[tuple[str, str], Pairs] = field(default_factory=dict)
    contexts: dict[str, dict[int, Pairs]] = field(default_factory=lambda: defaultdict(dict))


def save(connection: sa.Connection, tenant: str, found: Iterable[Evaluation]) -> tuple[int, int]:
    """Keep verdicts, and return how many were new, and how many put another in its place; the later one stands."""
    newest: dict[tuple[str, ...], Evaluation] = {}
    for each in found:
        if each.key not in newest or newest[each.key].evaluated_at <= each.evaluated_at:
            newest[each.key] = each
    if not newest:
        return 0, 0
    new = insert(evaluations)
    names = [column.name for column in evaluations.c if column.name not in _KEY]
    excluded = [new.excluded[name] for name in names]
    differs = sa.tuple_(*(evaluations.c[name] for name in names)).is_distinct_from(sa.tuple_(*excluded))
    upsert: sa.Executable = new.on_conflict_do_update(
        index_elements=_KEY, set_=dict(zip(names, excluded, strict=True)),
        where=sa.and_(new.excluded.evaluated_at >= evaluations.c.evaluated_at, differs),
    ).returning(sa.literal_column("xmax = 0").label("is_new"))  # fmt: skip
    rows = [{"tenant_id": tenant, **msgspec.structs.asdict(newest[key])} for key in sorted(newest)]
    is_new = list(connection.execute(upsert, rows).scalars())
    return sum(is_new), len(is_new) - sum(is_new)


def pairs(connection: sa.Connection, tenant: str) -> dict[str, RoutePairs]:
    """Return the pairs of every route."""
    found: dict[str, RoutePairs] = defaultdict(RoutePairs)
    for row in connection.execute(statement("evaluation_pairs"), {"tenant": tenant}):
        _add(found[row.route], row)
    return dict(found)


def _add(route: RoutePairs, row: Any) -> None:
    made = Pairs(row.wins, row.losses, row.n)
    size = trimmed_to(row.variant)
    if size is None:
        route.models[row.first_model, row.second_model] = made
    else:
        route.contexts[row.first_model][size] = made
