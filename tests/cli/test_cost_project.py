"""Projections and budgets, as a person and as a script see them; nothing is stored by looking."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from cli.main import watchkeeper
from tasks.settings import Settings
from tasks.stores.tables import budget_events, cost_projections, outbox, quality_checks, usage_daily_users, usage_hourly
from tests.hand_made import DAY, HOUR, MIDNIGHT, NOW, hour_row, insert, rows_of, spend_daily

BUDGETS = [
    {"monthly_usd": 200}, {"daily_usd": 100}, {"scope": "feature", "key": "*", "monthly_usd": 100},
    {"scope": "feature", "key": "chat", "monthly_usd": 1000}, {"scope": "user", "key": "ann", "monthly_usd": 5},
]  # fmt: skip


@pytest.fixture
def month(engine: sa.Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """28 days of $6 for search and $4 for chat, two of $10 for launch, and an event of today that has no price."""
    spend_daily(engine, 28, "6", feature="search")
    spend_daily(engine, 28, "4", feature="chat")
    spend_daily(engine, 2, "10", feature="launch", model="gpt-4o")
    insert(engine, usage_hourly, [hour_row(2 * HOUR, "0", unpriced_events=1, model="new")])
    sums = {"events": 1, "unpriced_events": 0, "input_tokens": 0, "output_tokens": 0}
    insert(engine, usage_daily_users, [{"user_id": "ann", "day": MIDNIGHT - DAY, "cost_usd": 6, **sums}])
    monkeypatch.setenv("WATCHKEEPER_BUDGETS", json.dumps(BUDGETS))


def cost(*words: str) -> str:
    command = ["cost", *words, "--as-of", "2026-03-05T12:00"]
    return CliRunner().invoke(watchkeeper, command, catch_exceptions=False).stdout


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def by_name(document: dict[str, Any], name: str) -> dict[str, Any]:
    return {f"{each['scope']}:{each['key']}".rstrip(":"): each for each in document[name]}


def test_projections_are_a_table_of_the_total_and_its_parts(engine: sa.Engine, month: None) -> None:
    found = lines(cost("project"))
    assert found[0].startswith("$60.00 spent, $")  # 4 days of 6 and 4, 2 of 10
    assert found[1] == "Scope Spent Month end 80 % Next 7 days Budget Crossed on Method"
    assert found[2].startswith("total $60.00 $")
    # 2 days of $10, $5 of today's second half, then 8 days
    assert " $70.00 $100.00 2026-03-13 wpr-cp, low history" in next(line for line in found if "feature:launch" in line)
    # 4 days of $6, none today, 26 days to come; 24 + 13 x 6 = 102 on the 18th
    [search] = [line for line in found if line.startswith("feature:search")]
    assert search.startswith("feature:search $24.00 $180.00 $1")
    assert search.endswith(" $42.00 $100.00 2026-03-18 wpr-cp")
    assert found[-1] == "1 of 11 events have no price and are missing"
    assert rows_of(engine, cost_projections) == []


def test_projections_are_documents_by_the_names_of_their_table(month: None) -> None:
    document = json.loads(cost("project", "--json"))
    assert (document["as_of"], document["events"], document["unpriced_events"]) == ("2026-03-05T12:00:00+00:00", 11, 1)
    found = by_name(document, "projections")
    names = {column.name for column in cost_projections.columns} - {"tenant_id", "month", "as_of", "blocked_by"}
    assert all(names <= each.keys() for each in found.values())
    launch, chat = found["feature:launch"], found["feature:chat"]
    assert (launch["low_history"], launch["history_days"], launch["budget"]["exhausted_on"]) == (True, 2, "2026-03-13")
    assert (chat["month_end_usd"], chat["budget"]["budget_usd"]) == (4 * 4 + 26 * 4, 1000)
    assert (found["model:openai/gpt-4o"]["budget"], found["total"]["unpriced_events"]) == (None, 1)


def test_only_the_dearest_are_shown_and_the_rest_is_counted(month: None) -> None:
    found = lines(cost("project", "--top", "2"))
    assert found[-2:] == ["and 4 more (--top)", "1 of 11 events have no price and are missing"]
    assert len(found) == 1 + 1 + 2 + 2


def test_budgets_stand_the_gravest_first(engine: sa.Engine, month: None) -> None:
    found = lines(cost("budgets"))
    assert found[0] == "Budget Each USD Spent Share Projected 80 % Crossed on State"
    assert found[1] == "user:ann month $5.00 $6.00 120% crossed crossed"
    assert [line.split()[0] for line in found[2:]] == [
        "total", "feature:search", "feature:launch", "feature:chat", "total"
    ]  # fmt: skip
    assert found[3].startswith("feature:search month $100.00 $24.00 24% $180.00 $1")
    assert found[3].endswith(" 2026-03-18 will be crossed")
    assert found[4].endswith(" 2026-03-13 will be crossed (low history)")
    assert found[5].endswith(" will be kept")
    assert found[6] == "total day $100.00 $0.00 0% not projected"
    assert rows_of(engine, budget_events) == rows_of(engine, outbox) == []


def test_budgets_are_documents_with_null_for_what_nobody_projects(month: None) -> None:
    document = json.loads(cost("budgets", "--json"))
    found = {(each["scope"], each["key"], each["period"]): each for each in document["budgets"]}
    day = found["total", "", "day"]
    assert (day["from"], day["to"]) == (MIDNIGHT.isoformat(), (MIDNIGHT + timedelta(days=1)).isoformat())
    assert [day[name] for name in ("state", "projected_usd", "low_history", "exhausted_on")] == [None] * 4
    search = found["feature", "search", "month"]
    assert (search["share"], search["projected_usd"], search["state"]) == (0.24, 180, "will be crossed")
    assert search["low80_usd"] > 100


def test_data_that_fails_a_check_foretells_nothing(engine: sa.Engine, month: None) -> None:
    failed = {"suite": "prices", "name": "sum", "severity": "critical", "detail": "x"}
    insert(engine, quality_checks, [{**failed, "as_of": NOW - HOUR, "outcome": "failed"}])
    assert "; do not rely on it: data check failed: prices" in lines(cost("project"))[0]
    assert json.loads(cost("project", "--json"))["blocked_by"].startswith("data check failed: prices")
    found = lines(cost("budgets"))
    assert found[-1].startswith("nothing is foretold: data check failed: prices")
    assert "total month $200.00 $60.00 30% not projected" in found
    assert json.loads(cost("budgets", "--json"))["held"].startswith("data check failed: prices")


def test_nothing_is_said_to_be_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lines(cost("project")) == ["no cost is known yet"]
    assert lines(cost("budgets")) == ["no budgets are configured"]
    monkeypatch.setenv("WATCHKEEPER_BUDGETS", json.dumps([{"scope": "team", "key": "*", "daily_usd": 1}]))
    assert lines(cost("budgets")) == ["no budget has anything to count yet"]
    assert json.loads(cost("budgets", "--json"))["budgets"] == []
