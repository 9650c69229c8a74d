from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from ops.cost.components import Component, DayUse, Rate, component_of, configured_costs, note

QUERIES = {date(2026, 11, 1): DayUse(100), date(2026, 11, 2): DayUse(0), date(2026, 11, 3): DayUse(50)}


@pytest.mark.parametrize(
    ("operation", "component"),
    [("embedding", "embeddings"), ("chat", "generation"), ("completion", "generation"), ("rerank", "other models")],
)
def test_component_of_an_operation(operation: str, component: str) -> None:
    assert component_of(operation) == component


def test_rates_of_a_component_add_up_over_the_days_and_queries_they_are_of() -> None:
    rates = [
        Rate(component=Component.COMPUTE, usd_per_day=Decimal(12)),
        Rate(component=Component.COMPUTE, usd_per_day=Decimal(3), start=date(2026, 11, 2), end=date(2026, 11, 3)),
        Rate(component=Component.VECTOR_DATABASE, usd_per_query=Decimal("0.001"), start=date(2026, 11, 2)),
    ]
    assert configured_costs(rates, QUERIES) == {
        Component.COMPUTE: 3 * 12 + 3, Component.VECTOR_DATABASE: (0 + 50) * Decimal("0.001"),
    }  # fmt: skip


def test_rate_of_today_is_of_as_much_of_it_as_has_passed() -> None:
    rate = Rate(component=Component.COMPUTE, usd_per_day=Decimal(12), usd_per_query=Decimal("0.01"))
    uses = {date(2026, 11, 1): DayUse(100), date(2026, 11, 2): DayUse(30, passed=Decimal("0.25"))}
    assert rate.cost(uses) == (12 + 1) + (12 // 4 + Decimal("0.30"))


def test_component_without_a_rate_is_unknown_not_free() -> None:
    assert configured_costs([], QUERIES) == {}


@pytest.mark.parametrize(
    ("component", "share", "expected"),
    [
        pytest.param(Component.EMBEDDINGS, 0.15, "", id="within"),
        pytest.param(Component.EMBEDDINGS, 0.2, "", id="at its end"),
        pytest.param(Component.GENERATION, 0.81, "above the typical 70% to 80%", id="above"),
        pytest.param(Component.COMPUTE, 0.01, "below the typical 5% to 10%", id="below"),
        pytest.param(Component.OTHER_MODELS, 0.9, "", id="one without typical shares"),
        pytest.param(Component.COMPUTE, None, "", id="unknown"),
    ],
)
def test_note_names_the_typical_range_of_a_share_outside_it(component: Component, share: float, expected: str) -> None:
    assert note(component, share) == expected
