"""What was spent and by whom, as a person and as a script see it."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from math import log
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from cli.main import watchkeeper
from ops.cost.report import Dimension
from ops.errors import InvalidValue
from ops.window import Window
from tasks.report_costs import Asked, report_costs
from tasks.settings import Settings
from tests.hand_made import DAY, HOUR, MIDNIGHT, event, load

SPAN = ("--from", "2026-03-04", "--to", "2026-03-06")  # NOW's day and the one before
TEN_CENTS: dict[str, Any] = {"model": "gpt-4o", "input_tokens": 40_000, "output_tokens": 0}  # x $2.50 / 1,000,000


@pytest.fixture(autouse=True)
def _place(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")


def report(*words: str, span: tuple[str, ...] = SPAN) -> Result:
    return CliRunner().invoke(watchkeeper, ["cost", "report", *span, *words], catch_exceptions=False)


def document(*words: str, span: tuple[str, ...] = SPAN) -> dict[str, Any]:
    result = report(*words, "--json", span=span)
    assert result.exit_code == 0
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def parts(found: dict[str, Any], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(part[name] for name in ("key", *names)) for part in found["by"]]


@pytest.fixture
def spent(engine: sa.Engine) -> None:
    """Today 2 x $0.10 of team a and $0.10 of nobody's, yesterday $0.10 of team b, and two without a price."""
    a, b = {"team_id": "a", "user_id": "ann", "feature": "search"}, {"team_id": "b", "user_id": "bob"}
    load(engine, [
        event(HOUR, **TEN_CENTS, **a), event(2 * HOUR, **TEN_CENTS, **a), event(HOUR, **TEN_CENTS),
        event(DAY, **TEN_CENTS, **b, release="v1"), event(HOUR, model="mystery", **a), event(HOUR, model="mystery"),
    ])  # fmt: skip


def test_report_of_nothing_is_zero_requests_and_an_unknown_price_of_one() -> None:
    found = document()
    assert (found["total_usd"], found["events"], found["by"], found["usd_per_request"]) == (0, 0, [], None)
    assert (
        report().stdout
        == "2026-03-04 to before 2026-03-06: $0.00 for 0 requests (0 without a price), unknown a request\n"
    )


def test_report_counts_what_has_no_price_and_names_its_model(spent: None) -> None:
    found = document()
    assert (found["total_usd"], found["events"], found["unpriced_events"]) == (0.4, 6, 2)
    assert found["usd_per_request"] == 0.1
    assert found["unpriced_models"] == {"openai/mystery": 2}
    assert parts(found, "usd", "events", "unpriced_events", "share", "usd_per_request") == [
        ("openai/gpt-4o", 0.4, 4, 0, 1.0, 0.1), ("openai/mystery", None, 2, 2, None, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("team", [("a", 0.2), ("b", 0.1), (None, 0.1)]),
        ("user", [("ann", 0.2), ("bob", 0.1), (None, 0.1)]),
        ("feature", [("search", 0.2), (None, 0.2)]),
        ("release", [(None, 0.3), ("v1", 0.1)]),
        ("operation", [("chat", 0.4)]),
        ("vendor", [("openai", 0.4)]),
        ("day", [("2026-03-04", 0.1), ("2026-03-05", 0.3)]),
        ("month", [("2026-03", 0.4)]),
    ],
)
def test_report_by_each_dimension_adds_up_with_what_is_unknown(spent: None, by: str, expected: list[Any]) -> None:
    found = document("--by", by)
    assert parts(found, "usd") == expected
    assert sum(part["events"] for part in found["by"]) == found["events"] == 6


def test_report_by_user_and_day_tells_the_means_of_users(spent: None) -> None:
    found = document("--by", "user", "--each", "day")
    assert parts(found, "day", "usd") == [
        ("bob", "2026-03-04", 0.1), ("ann", "2026-03-05", 0.2), (None, "2026-03-05", 0.1),
    ]  # fmt: skip
    assert (found["users"], found["user_days"]) == (2, 2)
    assert (found["usd_per_user_day"], found["usd_per_user"]) == (0.3 / 2, 0.3 / 2)
    assert "2 known users: $0.15 a user and day, $0.15 a user\n" in report("--by", "user").stdout


@pytest.mark.parametrize(
    ("start", "end", "months"),
    [
        pytest.param("2026-03-04", "2026-03-06", None, id="two days are no month"),
        pytest.param("2026-02-01", "2026-04-01", 3, id="of whole months: ann in both, bob in one"),
        pytest.param("2026-02-02", "2026-04-01", None, id="begun within a month"),
        pytest.param("2026-02-01", "2999-01-01", None, id="a month that is not over"),
    ],
)
def test_report_tells_a_month_of_a_user_by_whole_months(
    engine: sa.Engine, settings: Settings, start: str, end: str, months: int | None
) -> None:
    load(engine, [event(HOUR, **TEN_CENTS, user_id=name) for name in ("ann", "bob")])
    load(engine, [event(20 * DAY, **TEN_CENTS, user_id="ann")])
    span = Window(*(datetime.fromisoformat(f"{day}T00:00:00+00:00") for day in (start, end)))
    found = report_costs(engine, settings, Asked(window=span, by=Dimension.USER), MIDNIGHT + 60 * DAY).as_json()
    assert (found["user_months"], found["usd_per_user_month"]) == (months, Decimal("0.3") / 3 if months else None)


def test_report_by_user_of_a_month_tells_what_one_costs_in_it(spent: None) -> None:
    text = report("--by", "user", span=("--from", "2026-03-01", "--to", "2026-04-01")).stdout
    assert "2 known users: $0.15 a user and day, $0.15 a user and month\n" in text


def test_table_shows_what_has_no_price_as_unknown_and_not_as_free(spent: None) -> None:
    [line] = [line for line in report().stdout.splitlines() if line.startswith("openai/mystery")]
    assert line.split()[:2] == ["openai/mystery", "unknown"]


def test_report_by_team_and_month_has_one_part_of_each(spent: None) -> None:
    found = document("--by", "team", "--each", "month")
    assert parts(found, "month") == [("a", "2026-03"), ("b", "2026-03"), (None, "2026-03")]


def test_report_by_component_adds_what_is_configured(
    engine: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedding = event(HOUR, operation="embedding", model="text-embedding-3-small", input_tokens=500_000)
    load(engine, [event(HOUR, **TEN_CENTS), embedding, event(HOUR, operation="rerank", **TEN_CENTS)])
    (tmp_path / "watchkeeper.yaml").write_text("""component_costs:
  - {component: compute, usd_per_day: 0.01, from: 2026-03-05}
  - {component: vector_database, usd_per_query: 0.02}
""")
    found = document("--by", "component")
    assert parts(found, "usd", "note") == [
        ("generation", 0.1, "below the typical 70% to 80%"), ("other models", 0.1, ""),
        ("vector_database", 0.02, ""), ("compute", 0.01, "below the typical 5% to 10%"),
        ("embeddings", 0.01, "below the typical 10% to 20%"),
    ]  # fmt: skip
    assert (found["total_usd"], found["requests_usd"]) == (0.24, 0.21)
    assert found["configured_usd"] == {"compute": 0.01, "vector_database": 0.02}
    head = report("--by", "component").stdout.splitlines()[0]
    assert head.startswith("2026-03-04 to before 2026-03-06: $0.24, of that $0.21 for 3 requests (0 without a price)")
    assert sum(Decimal(str(part["usd"])) for part in found["by"]) == Decimal("0.24")


def test_report_by_component_names_what_it_does_not_know(spent: None) -> None:
    text = report("--by", "component").stdout
    assert "vector_database: unknown, and in no share; `component_costs` sets its rate" in text
    assert "compute: unknown" in text


def test_report_compared_says_why_it_changed(engine: sa.Engine) -> None:
    twice = {**TEN_CENTS, "input_tokens": 80_000}
    load(engine, [event(DAY, **TEN_CENTS), event(HOUR, **twice), event(HOUR, **twice)])
    today = ("--from", "2026-03-05", "--to", "2026-03-06")
    found = document("--compare-to", "previous", span=today)
    assert found["compared_to"]["from"] == (MIDNIGHT - DAY).isoformat()
    assert (found["before_usd"], found["change_usd"]) == (0.1, pytest.approx(0.3))  # $0.10 -> 2 x $0.20
    assert found["causes"] == {  # twice the requests, twice the tokens: half of the change each
        "requests_usd": pytest.approx(0.15), "tokens_per_request_usd": pytest.approx(0.15),
        "price_per_token_usd": pytest.approx(0, abs=1e-11),
    }  # fmt: skip
    assert found["by"][0]["causes"] == found["causes"]
    again = document("--compare-to", "2026-03-04..2026-03-05", span=today)
    assert again == found
    text = " ".join(report("--compare-to", "previous", span=today).stdout.split())
    assert "$0.10 before; the change of +$0.30: +$0.15 more or fewer requests, +$0.15 tokens per request" in text


TEN_SMALL: dict[str, Any] = {"input_tokens": 400_000, "output_tokens": 0}  # x $0.15 / 1,000,000 = $0.06


def test_report_names_no_change_of_price_when_a_cheap_feature_begins(engine: sa.Engine) -> None:
    load(engine, [event(DAY, **TEN_CENTS, feature="ask"), event(HOUR, **TEN_CENTS, feature="ask"),
                  *(event(HOUR, **TEN_SMALL, feature="new") for _ in range(5))])  # fmt: skip
    today = ("--from", "2026-03-05", "--to", "2026-03-06")
    for by in ("model", "feature", "team"):
        found = document("--by", by, "--compare-to", "previous", span=today)
        assert found["causes"] == {  # 5 x $0.06 that were not asked for before
            "requests_usd": pytest.approx(0.3), "tokens_per_request_usd": 0, "price_per_token_usd": 0,
        }  # fmt: skip
        assert found["mix"] == {"requests_usd": 0, "tokens_per_request_usd": 0, "price_per_token_usd": 0}
    assert "in no row" not in report("--by", "feature", "--compare-to", "previous", span=today).stdout


def test_report_tells_of_what_only_moved_between_parts(engine: sa.Engine) -> None:
    twice = {**TEN_CENTS, "input_tokens": 80_000}
    load(engine, [event(DAY, **TEN_CENTS, feature="short"), event(HOUR, **TEN_CENTS, feature="short"),
                  event(HOUR, **twice, feature="long")])  # fmt: skip
    words = ("--by", "feature", "--compare-to", "previous")
    found = document(*words, span=("--from", "2026-03-05", "--to", "2026-03-06"))
    assert [part["causes"]["requests_usd"] for part in found["by"]] == [0.2, 0]
    # Of the model's $0.10 -> $0.30: twice the requests, and 1.5 times the tokens in each.
    assert found["causes"]["requests_usd"] == pytest.approx(0.2 * log(2) / log(3))
    assert found["causes"]["tokens_per_request_usd"] == pytest.approx(0.2 * log(1.5) / log(3))
    assert found["mix"]["requests_usd"] == pytest.approx(0.2 * log(2) / log(3) - 0.2)
    text = report(*words, span=("--from", "2026-03-05", "--to", "2026-03-06")).stdout
    assert "of that in no row, as it only moved between features: -$0.07 more or fewer requests, +$0.07" in text


def test_report_by_user_compares_with_models_of_no_price_too(spent: None) -> None:
    found = document("--by", "user", "--compare-to", "previous", span=("--from", "2026-03-05", "--to", "2026-03-06"))
    assert parts(found, "before_usd", "usd") == [("ann", 0, 0.2), (None, 0, 0.1), ("bob", 0.1, 0)]


def test_report_tells_where_sources_say_otherwise(engine: sa.Engine) -> None:
    load(engine, [event(HOUR, **TEN_CENTS, reported_cost_usd=Decimal("0.08")), event(HOUR, **TEN_CENTS),
                  event(HOUR, input_tokens=10**6, output_tokens=0, reported_cost_usd=Decimal("0.15")),
                  event(HOUR, model="mystery", reported_cost_usd=Decimal(5))])  # fmt: skip
    [found] = document()["divergences"]
    assert (found["model"], found["usd"], found["reported_usd"]) == ("openai/gpt-4o", 0.1, 0.08)
    assert found["share"] == pytest.approx((0.1 - 0.08) / 0.08)
    assert "openai/gpt-4o: our cost is 25.0% above what its sources report" in report().stdout
    load(engine, [event(HOUR, **TEN_CENTS, reported_cost_usd=Decimal("0.17"))])  # $0.20 against $0.08 + $0.17
    assert "openai/gpt-4o: our cost is 20.0% below what its sources report" in report().stdout


def test_report_shows_the_dearest_and_how_many_more_there_are(spent: None) -> None:
    lines = report("--by", "team", "--top", "1").stdout.splitlines()
    assert lines[0] == "2026-03-04 to before 2026-03-06: $0.40 for 6 requests (2 without a price), $0.10 a request"
    assert [line.split()[:3] for line in lines[-3:]] == [
        ["a", "$0.20", "50.0%"], ["and", "2", "more"], ["without", "a", "price:"],
    ]  # fmt: skip
    assert lines[-1] == "without a price: 2 requests of openai/mystery"


def test_report_by_day_shows_every_day_in_order(engine: sa.Engine) -> None:
    load(engine, [event(number * DAY, **TEN_CENTS) for number in range(25) for _ in range(1 + number % 3)])
    words, span = ("--by", "day"), ("--from", "2026-02-01", "--to", "2026-03-06")
    days = [line.split()[0] for line in report(*words, span=span).stdout.splitlines()[2:]]
    assert days == [f"{MIDNIGHT - number * DAY:%Y-%m-%d}" for number in range(24, -1, -1)]
    assert report(*words, "--top", "3", span=span).stdout.splitlines()[-1] == "and 22 more (--top)"


def test_report_by_step_shows_the_dearest_of_each(spent: None) -> None:
    lines = report("--by", "user", "--each", "day", "--top", "1").stdout.splitlines()
    found = [line.split()[:2] for line in lines if line.startswith("2026-03-0") and " to " not in line]
    assert found == [["2026-03-04", "bob"], ["2026-03-05", "ann"]]
    assert "and 1 more (--top)" in lines


def test_report_by_default_is_of_this_month() -> None:
    assert document(span=())["from"].endswith("-01T00:00:00+00:00")


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("--compare-to", "previous", "--by", "day"), id="days of two spans"),
        pytest.param(("--compare-to", "previous", "--each", "day"), id="steps of two spans"),
        pytest.param(("--by", "component", "--each", "day"), id="rates by the day"),
        pytest.param(("--compare-to", "yesterday"), id="a word that is no span"),
    ],
)
def test_report_refuses(words: tuple[str, ...]) -> None:
    assert report(*words).exit_code == 2


def test_report_refuses_a_span_that_ends_before_it_begins() -> None:
    with pytest.raises(InvalidValue, match="--to"):
        report(span=("--from", "2026-03-06", "--to", "2026-03-05"))
