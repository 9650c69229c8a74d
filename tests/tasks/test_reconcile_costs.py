"""Our events beside what OpenAI and Anthropic report of the same days."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from ops.cost.reconciliation import Agreement, Line
from ops.usage import UsageEvent
from ops.vendor_usage import VendorCost, VendorUsage
from ops.window import Window
from tasks.reconcile_costs import Reconciled, reconcile_costs, report_markdown, summary
from tasks.settings import Settings
from tasks.sources.interface import Batch
from tasks.stores import ingest, measures, reconciliations
from tasks.stores.tables import reconciliations as table
from tests.hand_made import DAY, HOUR, MIDNIGHT, NOW, TENANT, event, load, rows_of

TUESDAY = MIDNIGHT - 2 * DAY
WEDNESDAY = MIDNIGHT - DAY


def reported(
    engine: sa.Engine, *, usage: list[dict[str, Any]], costs: list[dict[str, Any]], days: Window | None = None,
    vendor: str = "openai", source: str = "bill", at: timedelta = timedelta(0),
) -> None:  # fmt: skip
    """Store a report as a poll does, fetched `at` after NOW; every row is of Tuesday unless it says so."""
    window = Window(TUESDAY, TUESDAY + DAY)
    batch = Batch(
        usage=[VendorUsage(**{"vendor": vendor, "endpoint": "completions", "window": window, **row}) for row in usage],
        costs=[VendorCost(**{"vendor": vendor, "window": window, **row}) for row in costs],
        covers=days or window,
    )
    with engine.begin() as connection:
        ingest.replace_reports(connection, TENANT, source, batch, NOW + at)


def used(model: str, tokens: int, **row: Any) -> dict[str, Any]:
    return {"model": model, "input_tokens": tokens, "output_tokens": 0, "requests": 1, **row}


def billed(line_item: str, dollars: str, **row: Any) -> dict[str, Any]:
    return {"line_item": line_item, "cost_usd": Decimal(dollars), **row}


def on_tuesday(**fields: Any) -> UsageEvent:
    return event(NOW - TUESDAY - HOUR, **{"input_tokens": 1_000_000, "output_tokens": 0, **fields})


def reconcile(engine: sa.Engine, settings: Settings, **options: Any) -> Reconciled:
    return reconcile_costs.fn(engine, settings, NOW, **options)


def shows(done: Reconciled) -> dict[tuple[date, str], Agreement]:
    return {(line.day, line.model): line.agreement(done.tolerance) for line in done.lines}


def test_reconciled_day_adds_up_by_model(engine: sa.Engine, settings: Settings) -> None:
    # gpt-4o-mini: .15 $ per million input tokens; gpt-4o: 2.50 $
    load(engine, [on_tuesday(), on_tuesday(), on_tuesday(model="gpt-4o")])
    reported(
        engine,
        usage=[used("gpt-4o-mini-2024-07-18", 2_000_000, requests=2), used("gpt-4o-2024-08-06", 2_000_000)],
        costs=[
            billed("gpt-4o-mini-2024-07-18, input", "0.30"), billed("gpt-4o-2024-08-06, input", "5.00"),
            billed("web search", "0.10"),
        ],
    )  # fmt: skip
    done = reconcile(engine, settings)
    by_model = {line.model: line for line in done.lines}
    assert sorted(by_model) == ["", "gpt-4o", "gpt-4o-mini"]
    mini, gpt, whole = by_model["gpt-4o-mini"], by_model["gpt-4o"], by_model[""]
    assert (mini.coverage, mini.usd_difference, mini.agreement(0.05)) == (1, 0, Agreement.AGREES)
    assert (gpt.coverage, gpt.usd_difference) == (0.5, Decimal("2.5") - 5)
    assert gpt.agreement(0.05) is Agreement.LOGS_MISS
    assert whole.theirs is not None
    assert whole.ours is not None
    assert (whole.theirs.cost_usd, whole.ours.cost_usd) == (Decimal("5.40"), Decimal("2.80"))
    assert (whole.ours.requests, whole.theirs.requests) == (3, 3)
    assert summary(done) == "1 days of vendors compared, 1 differ: openai 2026-03-03"


def test_reconciled_day_leaves_out_what_the_vendor_never_saw(engine: sa.Engine, settings: Settings) -> None:
    load(engine, [on_tuesday(), on_tuesday(cache_hit=True), on_tuesday(vendor="azure"), event(HOUR)])
    reported(engine, usage=[used("gpt-4o-mini", 1_000_000)], costs=[])
    assert shows(reconcile(engine, settings)) == {
        (TUESDAY.date(), ""): Agreement.AGREES,
        (TUESDAY.date(), "gpt-4o-mini"): Agreement.AGREES,
    }


def test_reconciled_dollars_are_unknown_when_one_of_ours_is(engine: sa.Engine, settings: Settings) -> None:
    load(engine, [on_tuesday(), on_tuesday(model="nobody-knows-it")])
    reported(
        engine, usage=[used("gpt-4o-mini", 1_000_000), used("nobody-knows-it", 1_000_000)], costs=[billed("x", "9")]
    )
    done = reconcile(engine, settings)
    [note] = done.notes()
    assert note == "openai 2026-03-03: our dollars are unknown, as requests have no price: nobody-knows-it"
    assert note in report_markdown(done, NOW)
    [whole, *_] = done.lines
    assert whole.ours is not None
    assert (whole.ours.cost_usd, whole.agreement(0.05)) == (None, Agreement.AGREES)


def test_reconciled_day_counts_what_has_no_output_by_its_input(engine: sa.Engine, settings: Settings) -> None:
    small = "text-embedding-3-small"
    load(
        engine, [on_tuesday(output_tokens=500_000), on_tuesday(model=small, operation="embedding", output_tokens=None)]
    )
    embedded = used(small, 1_000_000, endpoint="embeddings", output_tokens=None, cached_tokens=None)
    reported(engine, usage=[used("gpt-4o-mini", 1_000_000, output_tokens=500_000, cached_tokens=0), embedded], costs=[])
    done = reconcile(engine, settings)
    assert {line.model: line.coverage for line in done.lines} == {"": 1, "gpt-4o-mini": 1, small: 1}
    [whole, *_] = done.lines
    assert whole.theirs is not None
    assert (whole.theirs.tokens, whole.theirs.cached_tokens) == (1_500_000 + 1_000_000, 0)
    assert done.differing == []


def test_reconciled_tokens_are_unknown_where_the_vendor_leaves_out_an_output(
    engine: sa.Engine, settings: Settings
) -> None:
    load(engine, [on_tuesday(output_tokens=500_000), on_tuesday(model="gpt-4o", output_tokens=500_000)])
    told, untold = used("gpt-4o", 1_000_000, output_tokens=500_000), used("gpt-4o-mini", 1_000_000, output_tokens=None)
    reported(engine, usage=[told, untold], costs=[])
    assert {line.model: line.coverage for line in reconcile(engine, settings).lines} == {
        "": None, "gpt-4o": 1, "gpt-4o-mini": None,
    }  # fmt: skip


def test_summary_names_the_newest_days_that_differ(engine: sa.Engine, settings: Settings) -> None:
    for back in range(2, 6):  # 3, 2 and 1 March, 28 February
        day = Window(MIDNIGHT - back * DAY, MIDNIGHT - (back - 1) * DAY)
        reported(engine, usage=[used("gpt-4o-mini", 10, window=day)], costs=[], days=day)
    assert summary(reconcile(engine, settings)) == (
        "4 days of vendors compared, 4 differ: openai 2026-03-03, openai 2026-03-02, openai 2026-03-01 and 1 more"
    )


def test_day_without_a_row_is_compared_when_the_vendor_reported_its_neighbours(
    engine: sa.Engine, settings: Settings
) -> None:
    load(engine, [event(NOW - WEDNESDAY - HOUR)])
    days = Window(TUESDAY, MIDNIGHT)
    today = Window(MIDNIGHT, MIDNIGHT + DAY)
    load(engine, [on_tuesday()])
    reported(engine, usage=[used("gpt-4o-mini", 1_000_000)], costs=[], days=days)
    assert {day for day, _ in shows(reconcile(engine, settings))} == {TUESDAY.date()}
    reported(
        engine, usage=[used("gpt-4o-mini", 1_000_000), used("gpt-4o-mini", 1, window=today)], costs=[],
        days=Window(TUESDAY, MIDNIGHT + DAY), at=2 * DAY,
    )  # fmt: skip
    later = reconcile_costs.fn(engine, settings, NOW + 2 * DAY)
    assert shows(later)[WEDNESDAY.date(), ""] is Agreement.ONLY_HERE


def test_reconciled_day_is_final_a_day_after_its_end(engine: sa.Engine, settings: Settings) -> None:
    load(engine, [on_tuesday(), event(NOW - WEDNESDAY - HOUR)])
    wednesday = Window(WEDNESDAY, MIDNIGHT)
    reported(engine, usage=[used("gpt-4o-mini", 10, window=wednesday)], costs=[], days=wednesday)
    assert shows(reconcile(engine, settings))[WEDNESDAY.date(), ""] is Agreement.NOT_FINAL
    assert reconcile(engine, settings).differing == []


def test_several_sources_of_a_vendor_are_one_bill(engine: sa.Engine, settings: Settings) -> None:
    load(engine, [on_tuesday(), on_tuesday()])
    for source in ("one-organisation", "another"):
        reported(engine, usage=[used("gpt-4o-mini", 1_000_000)], costs=[], source=source)
    assert shows(reconcile(engine, settings))[TUESDAY.date(), ""] is Agreement.AGREES


def test_reconciliation_run_again_replaces_what_it_kept(engine: sa.Engine, settings: Settings) -> None:
    load(engine, [on_tuesday()])
    reported(engine, usage=[used("gpt-4o-mini", 1_000_000), used("o3", 5)], costs=[billed("o3", "1")])
    first = reconcile(engine, settings)
    assert [row.model for row in rows_of(engine, table)] == ["", "gpt-4o-mini", "o3"]
    assert kept(engine) == first.lines
    assert reconcile(engine, settings) == first
    reported(engine, usage=[used("gpt-4o-mini", 1_000_000)], costs=[], at=HOUR)
    reconcile(engine, settings)
    assert [row.model for row in rows_of(engine, table)] == ["", "gpt-4o-mini"]


def kept(engine: sa.Engine) -> list[Line]:
    with engine.connect() as connection:
        return reconciliations.lines(connection, TENANT, Window(TUESDAY - 9 * DAY, MIDNIGHT))


def test_days_whose_events_were_dropped_are_not_compared(engine: sa.Engine, settings: Settings) -> None:
    reported(engine, usage=[used("gpt-4o-mini", 1_000_000)], costs=[])
    with engine.begin() as connection:
        ingest.set_watermark(connection, TENANT, "retention", WEDNESDAY)
    assert reconcile(engine, settings).lines == []


def test_report_lists_every_line(engine: sa.Engine, settings: Settings) -> None:
    assert "No vendor has reported" in report_markdown(reconcile(engine, settings), NOW)
    load(engine, [on_tuesday()])
    reported(engine, usage=[used("gpt-4o-mini", 2_000_000)], costs=[billed("gpt-4o-mini, input", "0.30")])
    text = report_markdown(reconcile(engine, settings), NOW)
    assert (
        "| 2026-03-03 | openai | (all) | 1,000,000 | 2,000,000 | 50.0% | $0.15 | $0.30 | -$0.15 | our logs miss" in text
    )


@pytest.mark.parametrize(
    ("theirs", "unit"),
    [
        pytest.param([billed("gpt-4o-mini, input", "9")], "USD", id="in dollars where both sides have them"),
        pytest.param([], "tokens", id="else in tokens"),
    ],
)
def test_alert_measures_the_last_final_day(
    engine: sa.Engine, settings: Settings, theirs: list[dict[str, Any]], unit: str
) -> None:
    load(engine, [on_tuesday()])
    reported(engine, usage=[used("gpt-4o-mini", 2_000_000)], costs=theirs)
    wednesday = Window(WEDNESDAY, MIDNIGHT)
    reported(engine, usage=[used("gpt-4o-mini", 5, window=wednesday)], costs=[], days=wednesday)
    reconcile(engine, settings)
    with engine.connect() as connection:
        [sample] = measures.reconciliation(connection, TENANT, NOW, settings.alerting)
    assert (sample.vendor, sample.day, sample.unit) == ("openai", TUESDAY.date(), unit)
    assert sample.worst == {"gpt-4o-mini": "our logs miss usage"}


def test_alert_without_a_final_day_knows_nothing(engine: sa.Engine, settings: Settings) -> None:
    wednesday = Window(WEDNESDAY, MIDNIGHT)
    reported(engine, usage=[used("gpt-4o-mini", 5, window=wednesday)], costs=[], days=wednesday)
    reconcile(engine, settings)
    with engine.connect() as connection:
        [sample] = measures.reconciliation(connection, TENANT, NOW, settings.alerting)
    assert (sample.day, sample.ours) == (None, None)
