"""Reports over many different requests: whatever they are told apart by, the parts add up to the events in SQL."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa

from ops.cost.breakdown import NO_CHANGE, CauseShares
from ops.cost.report import Dimension, Each
from ops.usage import UsageEvent
from ops.window import Window
from tasks.report_costs import Asked, report_costs
from tasks.settings import ComponentCost, Settings
from tasks.stores.tables import usage_events
from tests.hand_made import DAY, MIDNIGHT, MINUTE, NOW, event, load

SPAN = Window(MIDNIGHT - 9 * DAY, MIDNIGHT + DAY)  # of two months
MODELS = (("openai", "gpt-4o"), ("openai", "gpt-4o-mini"), ("anthropic", "claude-sonnet-4-5"), ("openai", "mystery"))


def any_event(draw: Random) -> UsageEvent:
    vendor, model = draw.choice(MODELS)
    read = draw.choice((None, 0, 1, draw.randrange(10**6)))
    fields: dict[str, Any] = {
        "vendor": vendor, "model": model, "operation": draw.choice(("chat", "embedding", "rerank")),
        "user_id": draw.choice((None, "", "ann", "bob")), "team_id": draw.choice((None, "", "core")),
        "feature": draw.choice((None, "search")), "release": draw.choice((None, "v1", "v2")),
        "tier": draw.choice((None, "batch")), "cache_hit": draw.choice((None, None, False, True)),
        "input_tokens": read, "cached_tokens": draw.randrange(read + 1) if read and draw.random() < 0.5 else None,
        "output_tokens": draw.choice((None, 0, draw.randrange(10**5))),
    }  # fmt: skip
    return event(timedelta(seconds=draw.randrange(1, 8 * 86_400)), **fields)


@pytest.fixture(scope="module")
def events() -> list[UsageEvent]:
    """Requests of all kinds, with and without a price, users, teams and token counts."""
    draw = Random(7)  # noqa: S311  no secret
    return [any_event(draw) for _ in range(400)]


def test_parts_of_every_dimension_and_step_add_up_to_the_events(
    engine: sa.Engine, settings: Settings, events: list[UsageEvent]
) -> None:
    load(engine, events)
    with engine.connect() as connection:
        of = usage_events.c
        count, priced, total = connection.execute(
            sa.select(sa.func.count(), sa.func.count(of.cost_usd), sa.func.sum(of.cost_usd))
        ).one()
    assert 100 < priced < count == len(events)
    for by in Dimension:
        for each in (None, *Each) if by is not Dimension.COMPONENT else (None,):
            report = report_costs(engine, settings, Asked(window=SPAN, by=by, each=each), NOW)
            parts = [part.spend for part in report.parts]
            assert sum((part.usd for part in parts), Decimal(0)) == report.whole.usd == total, (by, each)
            assert sum(part.events for part in parts) == count, (by, each)
            assert sum(part.unpriced_events for part in parts) == count - priced, (by, each)


@pytest.mark.parametrize("by", [by for by in Dimension if by not in {Dimension.COMPONENT, Dimension.DAY}])
def test_causes_of_the_parts_and_of_the_whole_add_up_to_the_change(
    engine: sa.Engine, settings: Settings, events: list[UsageEvent], by: Dimension
) -> None:
    load(engine, events)
    middle = MIDNIGHT - 3 * DAY
    asked = Asked(window=Window(middle, SPAN.end), by=by, before=Window(SPAN.start, middle))
    report = report_costs(engine, settings, asked, NOW)
    assert report.before is not None
    assert report.causes is not None
    change = report.whole.usd - report.before.usd
    assert report.causes.change_usd == change
    changes: dict[str | None, Decimal] = defaultdict(Decimal)
    for part in report.parts:
        assert part.causes is not None
        assert part.before is not None
        assert part.causes.change_usd == part.spend.usd - part.before.usd
        changes[part.key] += part.causes.change_usd
    assert sum(changes.values(), Decimal(0)) == change
    assert report.mix is not None
    assert report.mix.change_usd == 0
    in_rows = sum((part.causes.requests_usd for part in report.parts if part.causes), report.mix.requests_usd)
    assert in_rows == report.causes.requests_usd == by_model(engine, settings, asked).requests_usd
    assert (report.mix == NO_CHANGE) is (by in {Dimension.MODEL, Dimension.VENDOR})


def test_configured_component_costs_as_much_of_today_as_has_passed(engine: sa.Engine, settings: Settings) -> None:
    load(engine, [event(DAY), event(MINUTE)])
    rates = [ComponentCost(component="compute", usd_per_day=Decimal(24), usd_per_query=Decimal(1))]
    asked = Asked(window=Window(MIDNIGHT - DAY, MIDNIGHT + DAY), by=Dimension.COMPONENT)
    report = report_costs(engine, settings.model_copy(update={"component_costs": rates}), asked, NOW)  # it is noon
    assert report.components == {"compute": 24 + 12 + 1 + 1}


def by_model(engine: sa.Engine, settings: Settings, asked: Asked) -> CauseShares:
    """Add up the causes of the rows of a report by model."""
    found = NO_CHANGE
    for part in report_costs(engine, settings, replace(asked, by=Dimension.MODEL), NOW).parts:
        assert part.causes is not None
        found = found.plus(part.causes)
    return found
