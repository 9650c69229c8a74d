from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal

import pytest
import sqlalchemy as sa

from ops.vendor_usage import VendorCost, VendorUsage
from ops.window import Window
from tasks.sources.interface import Batch
from tasks.stores import ingest
from tests.vendor_reports import DAY, HOUR, MIDNIGHT, NOW, TENANT, reports
from tests.waiting import are_waiting

DAYS = Window(MIDNIGHT - DAY, MIDNIGHT + DAY)


def usage(model: str, day: datetime = MIDNIGHT, tokens: int = 10) -> VendorUsage:
    return VendorUsage(
        vendor="openai", endpoint="completions", window=Window(day, day + DAY), model=model, input_tokens=tokens
    )


def cost(item: str, usd: str = "1", day: datetime = MIDNIGHT) -> VendorCost:
    return VendorCost(vendor="openai", window=Window(day, day + DAY), cost_usd=Decimal(usd), line_item=item)


def batch(*rows: VendorUsage | VendorCost, covers: Window | None = DAYS) -> Batch:
    return Batch(
        usage=[row for row in rows if isinstance(row, VendorUsage)],
        costs=[row for row in rows if isinstance(row, VendorCost)],
        covers=covers,
    )


def replaced(engine: sa.Engine, given: Batch, now: datetime = NOW) -> tuple[int, int]:
    with engine.begin() as connection:
        return ingest.replace_reports(connection, TENANT, "openai", given, now)


def names(engine: sa.Engine) -> set[str]:
    return {str(row.get("model") or row.get("line_item")) for row in reports(engine)}


def test_new_rows_and_changed_ones_are_counted(engine: sa.Engine) -> None:
    assert replaced(engine, batch(usage("a"), usage("b"), cost("x"))) == (3, 0)
    assert replaced(engine, batch(usage("a"), usage("b"), cost("x"))) == (0, 0)
    assert replaced(engine, batch(usage("a", tokens=11), usage("c"), cost("x", "2"))) == (1, 2)
    assert names(engine) == {"a", "c", "x"}


def test_amount_in_other_digits_is_no_change(engine: sa.Engine) -> None:
    replaced(engine, batch(cost("x", "0.5")))
    assert replaced(engine, batch(cost("x", "0.500"))) == (0, 0)


def test_days_that_are_not_covered_stay(engine: sa.Engine) -> None:
    after = MIDNIGHT + DAY
    rows = [make(name, day=day) for make in (usage, cost) for name, day in (("today", MIDNIGHT), ("after", after))]
    before = [usage("before", MIDNIGHT - DAY), cost("before", day=MIDNIGHT - DAY)]
    replaced(engine, batch(*before, *rows, covers=Window(MIDNIGHT - DAY, after + DAY)))
    replaced(engine, batch(covers=Window(MIDNIGHT, after)))
    assert (names(engine), len(reports(engine))) == ({"before", "after"}, 4)


def test_batch_that_covers_nothing_replaces_nothing(engine: sa.Engine) -> None:
    replaced(engine, batch(usage("a")))
    assert replaced(engine, batch(covers=None)) == (0, 0)
    assert names(engine) == {"a"}


@pytest.mark.parametrize("late", [NOW - HOUR, NOW], ids=["asked for earlier", "asked for at the same time"])
def test_only_a_report_asked_for_earlier_is_ignored(engine: sa.Engine, late: datetime) -> None:
    replaced(engine, batch(usage("first", MIDNIGHT - DAY)))
    replaced(engine, batch(usage("second")), late)
    assert names(engine) == ({"first"} if late < NOW else {"second"})


def test_reader_sees_the_days_before_or_after_and_nothing_between(engine: sa.Engine) -> None:
    replaced(engine, batch(usage("old"), usage("old", MIDNIGHT - DAY), cost("old")))
    with engine.begin() as connection:
        ingest.replace_reports(connection, TENANT, "openai", batch(usage("new"), cost("new")), NOW)
        assert (names(engine), len(reports(engine))) == ({"old"}, 3)
    assert (names(engine), len(reports(engine))) == ({"new"}, 2)


def test_transaction_that_is_rolled_back_leaves_the_days_as_they_were(engine: sa.Engine) -> None:
    replaced(engine, batch(usage("old")))
    with engine.connect() as connection:
        ingest.replace_reports(connection, TENANT, "openai", batch(usage("new")), NOW)
        connection.rollback()
    assert names(engine) == {"old"}


def test_two_loaders_at_once_leave_one_report_and_no_mixture(engine: sa.Engine, database_url: str) -> None:
    replaced(engine, batch(usage("old")))
    first, second = batch(usage("a"), usage("only first")), batch(usage("a", tokens=20), usage("only second"))
    with ThreadPoolExecutor(1) as pool:
        with engine.begin() as connection:
            ingest.replace_reports(connection, TENANT, "openai", first, NOW)
            other = pool.submit(replaced, engine, second, NOW + HOUR)
            assert are_waiting(database_url, 1)
        assert other.result() == (1, 1)
    assert names(engine) == {"a", "only second"}


def test_two_loaders_of_days_without_rows_leave_no_mixture_either(engine: sa.Engine, database_url: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        with engine.begin() as connection:
            ingest.replace_reports(connection, TENANT, "openai", batch(usage("first")), NOW)
            other = pool.submit(replaced, engine, batch(usage("second")), NOW + HOUR)
            assert are_waiting(database_url, 1)
        assert other.result() == (1, 0)
    assert names(engine) == {"second"}


def test_other_source_does_not_wait(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        ingest.replace_reports(connection, TENANT, "openai", batch(usage("a")), NOW)
        with engine.begin() as beside:
            assert ingest.replace_reports(beside, TENANT, "anthropic", batch(usage("b")), NOW) == (1, 0)
    assert names(engine) == {"a", "b"}
