from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ops.cost.overrides import PriceOverride
from ops.errors import UnknownName
from ops.monitoring.data_quality import SUITES
from ops.usage import MAX_TOKENS
from ops.window import Window
from tasks.check_quality import as_rows, check_quality, report_markdown, summary
from tasks.load_file import load_file
from tasks.log_file import LogFile
from tasks.project_costs import project_costs
from tasks.settings import Settings, Source
from tasks.simulate_traffic import simulate
from tasks.simulator import Traffic
from tasks.stores import profiles, source_states, usage
from tasks.stores.tables import cost_projections, event_profiles, quality_checks, scores, usage_events, usage_hourly
from tasks.validate_suites import Checked
from tasks.write_usage import Target
from tests.checked_month import LATELY, bring, bring_lately, copied, fill, let_faults_in, steady
from tests.hand_made import DAY, HOUR, MIDNIGHT, MINUTE, MOMENT, NOW, event, hour_row, insert, load, rows_of, score_row
from tests.loaded_days import execute

ALL = sum(len(suite.checks) for suite in SUITES.values())
CLEAN = 40  # sound events beside each faulty one
TEN_TIMES = PriceOverride(
    contract="typed-wrong", vendor="openai", model="gpt-4o-mini", tier=None, start=NOW.date(), end=NOW.date() + 9 * DAY,
    input=Decimal("1.5"), cached=None, cache_write=None, cache_write_1h=None, output=Decimal(6),
    per_thousand_requests=None,
)  # fmt: skip


def outcomes(results: list[Checked]) -> dict[str, str]:
    """Return what did not pass."""
    return {f"{result.suite}: {result.name}": result.outcome for result in results if result.outcome != "passed"}


def check(engine: sa.Engine, *suites: str, now: datetime = NOW, tenant: str = "default") -> list[Checked]:
    return check_quality.fn(engine, Settings(tenant=tenant), now, suites or None)


# Days without a fault


def test_checks_all_pass_on_a_clean_simulated_day(engine: sa.Engine, settings: Settings, tmp_path: Path) -> None:
    written = simulate(Traffic(seed=2, requests_per_hour=40), Window(MIDNIGHT - DAY, MIDNIGHT), tmp_path)
    source = Source(name="gateway", path=str(written.usage))
    load_file(Target(engine, settings.tenant), source, LogFile(str(written.usage)), NOW)
    results = check_quality.fn(engine, settings, MIDNIGHT)
    assert outcomes(results) == {}
    assert [(result.suite, result.name) for result in results] == [
        (suite.name, check.name) for suite in SUITES.values() for check in suite.checks
    ]
    assert next(result for result in results if result.name == "vendor is known").observed == str(written.requests)
    stored = rows_of(engine, quality_checks)
    assert {(row.suite, row.name): (row.as_of, row.outcome, row.severity) for row in stored} == {
        (result.suite, result.name): (MIDNIGHT, "passed", result.severity) for result in results
    }


def test_checks_of_nothing_pass(engine: sa.Engine) -> None:
    """Where nothing is expected nothing is missing: a new installation pages nobody."""
    load(engine, [event(timedelta(0)), event(DAY + MOMENT)])
    load(engine, [event(HOUR, model="nobody-knows-it")], tenant="other")
    results = check(engine)
    assert (len(results), outcomes(results)) == (ALL, {})


def test_checks_see_the_first_moment_of_their_window(engine: sa.Engine) -> None:
    load(engine, [event(DAY), event(MOMENT), event(DAY + MOMENT)])
    assert check(engine, "events")[0].observed == "2"


def test_checks_of_a_suite_are_of_that_alone(engine: sa.Engine) -> None:
    assert {result.suite for result in check(engine, "prices", "rollups")} == {"prices", "rollups"}
    with pytest.raises(UnknownName, match="'logs' is not one of events, prices"):
        check(engine, "logs")


def test_checks_that_cannot_be_evaluated_are_errors_not_failures(engine: sa.Engine) -> None:
    load(engine, [event(HOUR)])
    execute(engine, "ALTER TABLE watchkeeper.usage_events RENAME latency_ms TO gone")
    execute(engine, "ALTER TABLE watchkeeper.usage_events ADD latency_ms text")
    execute(engine, "ALTER TABLE watchkeeper.scores RENAME TO gone")
    results = check(engine, "events")
    assert outcomes(results) == {
        "events: latency_ms within 0 to 86400000": "errored", "events: no score is older than its event": "errored"
    }  # fmt: skip
    assert results[-1].detail == '(psycopg.errors.UndefinedTable) relation "watchkeeper.scores" does not exist'


def test_checks_leave_no_connection_open(engine: sa.Engine) -> None:
    check(engine, "events")
    engine.dispose()
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # A backend that was told to end may take a moment.
        assert any(connection.execute(sa.text(others)).scalar() == 0 for _ in range(500))


def test_checks_repeated_are_stored_once_per_time(engine: sa.Engine) -> None:
    check(engine, "events")
    load(engine, [event(MINUTE)])
    check(engine, "events")
    rows = rows_of(engine, quality_checks, quality_checks.c.name == "vendor is known")
    assert [(row.as_of, row.outcome, row.observed) for row in rows] == [(NOW, "passed", "1")]
    assert len(rows_of(engine, quality_checks)) == len(SUITES["events"].checks)


def test_checks_keep_to_a_tenant_whose_name_has_a_colon(engine: sa.Engine, settings: Settings) -> None:
    load(engine, [event(HOUR)], tenant="a:b/c-d")
    results = check_quality.fn(engine, settings.model_copy(update={"tenant": "a:b/c-d"}), NOW)
    assert (results[0].observed, outcomes(results)) == ("1", {})


def test_checks_take_a_source_whose_name_looks_like_a_parameter(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        source_states.watch(connection, "default", [Source(name=":log", kind="jsonl", path="x")], NOW)
    bring(engine, ":log", [event(HOUR)])
    assert outcomes(check(engine, "traffic")) == {}


# Faults, each by the way it comes about


@pytest.fixture(scope="module")
def month(server_url: str, template: str) -> Iterator[str]:
    """The name of a database with the weeks before LATELY."""
    with copied(server_url, template) as engine:
        let_faults_in(engine)
        fill(engine)
        engine.dispose()
        yield str(engine.url.database)


@pytest.fixture
def weeks(server_url: str, month: str) -> Iterator[sa.Engine]:
    """A copy of it."""
    with copied(server_url, month) as engine:
        yield engine


def nulls(engine: sa.Engine) -> None:
    bring_lately(engine)
    execute(engine, "UPDATE watchkeeper.usage_events SET model = NULL WHERE occurred_at >= :at", at=NOW - HOUR)


def negative_tokens(engine: sa.Engine) -> None:
    bring_lately(engine)
    bring(engine, "gateway", [event(HOUR, input_tokens=-5, output_tokens=20)])


def future_times(engine: sa.Engine) -> None:
    bring_lately(engine)
    bring(engine, "gateway", [event(-6 * HOUR)])
    execute(engine, "UPDATE watchkeeper.usage_events SET ingested_at = :now WHERE occurred_at > :now", now=NOW)


def duplicate_ids(engine: sa.Engine) -> None:
    """A log that is told again, its times cut to the minute: the key of the table has the time in it."""
    bring_lately(engine)
    for late in (1, 2):
        bring(engine, "gateway", [event(HOUR - late * MOMENT, event_id="twice")])


def silent_source(engine: sa.Engine) -> None:
    bring_lately(engine, brings=lambda source, when: source == "gateway" or when < NOW - 8 * HOUR)


def nothing_at_all(engine: sa.Engine) -> None:
    bring_lately(engine, brings=lambda _, when: when < NOW - 8 * HOUR)


def missing_day(engine: sa.Engine) -> None:
    bring_lately(engine, brings=lambda source, when: source == "gateway" or not LATELY + DAY <= when < LATELY + 2 * DAY)


def missing_yesterday(engine: sa.Engine) -> None:
    bring_lately(engine, brings=lambda _, when: not MIDNIGHT - DAY <= when < MIDNIGHT)


def ten_times_the_price(engine: sa.Engine) -> None:
    """A price typed in a wrong unit, since this midnight: every cost is price times tokens."""
    bring_lately(engine, brings=lambda _, when: when < MIDNIGHT)
    for source in ("gateway", "batch"):
        bring(engine, source, steady(source, MIDNIGHT, NOW), overrides=(TEN_TIMES,))


def three_times_the_traffic(engine: sa.Engine) -> None:
    bring_lately(engine)
    bring(engine, "batch", steady("batch", NOW - DAY + MINUTE, NOW, every=6 * MINUTE))


def other_card(engine: sa.Engine) -> None:
    bring_lately(engine)
    execute(engine, "UPDATE watchkeeper.rate_cards SET input_usd = 2 * input_usd WHERE valid_from = :day", day=MIDNIGHT)


def lost_cards(engine: sa.Engine) -> None:
    bring_lately(engine)
    execute(engine, "DELETE FROM watchkeeper.rate_cards WHERE valid_from = :day", day=MIDNIGHT)


def lost_rollup(engine: sa.Engine) -> None:
    bring_lately(engine)
    execute(
        engine, "DELETE FROM watchkeeper.usage_hourly WHERE hour = :hour AND feature = 'batch'", hour=NOW - 3 * HOUR
    )


def no_price(engine: sa.Engine) -> None:
    bring_lately(engine)
    bring(engine, "gateway", [event(HOUR, model="nobody-knows-it") for _ in range(20)])  # of 240 + 20: 7.7 %


def dear_request(engine: sa.Engine) -> None:
    bring_lately(engine)
    bring(engine, "gateway", [event(HOUR, model="gpt-4", input_tokens=40_000_000)])  # at $30 a million: $1,200


def wrong_clock(engine: sa.Engine) -> None:
    bring_lately(engine)
    bring(engine, "gateway", [event(HOUR, event_id="scored")])
    insert(engine, scores, [score_row(3 * HOUR, 1.0, event_id="scored")])


@pytest.mark.parametrize(
    ("inject", "named"),
    [
        (lambda engine: bring_lately(engine), []),
        (nulls, ["events: model is known"]),
        (negative_tokens, ["events: input_tokens within 0 to 4294967296"]),
        (future_times, ["events: no event is ahead of the clock"]),
        (duplicate_ids, ["events: an event is stored once"]),
        (wrong_clock, ["events: no score is older than its event"]),
        (silent_source, ["traffic: no source is silent while others speak"]),
        (nothing_at_all, ["traffic: events are fresh"]),
        (missing_day, ["traffic: no day of a source is missing"]),
        (missing_yesterday, ["traffic: no day of a source is missing"]),
        (three_times_the_traffic, ["traffic: a source brings as many events as usual"]),
        (ten_times_the_price, ["prices: no price is 5 times that of a day of the week before"]),
        (other_card, ["prices: cost is price times tokens"]),
        (lost_cards, ["prices: every price is on a card that is kept"]),
        (no_price, ["prices: at least 95 % of events are priced"]),
        (dear_request, ["prices: cost_usd within 0 to 1000"]),
        (lost_rollup, ["rollups: roll-ups equal their events"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_fault_is_caught_by_exactly_the_check_that_names_it(
    weeks: sa.Engine, inject: Callable[[sa.Engine], None], named: list[str]
) -> None:
    inject(weeks)
    project_costs.fn(weeks, Settings(), NOW)
    assert outcomes(check(weeks)) == dict.fromkeys(named, "failed")


def test_what_was_found_is_told_in_words(weeks: sa.Engine) -> None:
    silent_source(weeks)
    told = {result.name: result.detail for result in check(weeks, "traffic")}
    assert told["no source is silent while others speak"] == "batch: none since 2026-03-05 03:00 UTC"


def test_late_rows_of_a_missing_day_heal_it(weeks: sa.Engine) -> None:
    missing_day(weeks)
    missing = "traffic: no day of a source is missing"
    [failed] = [result for result in check(weeks, "traffic") if result.outcome == "failed"]
    assert (failed.name, failed.detail) == (missing.partition(": ")[2], "batch: 2026-03-03")
    bring(weeks, "batch", steady("batch", LATELY + DAY, LATELY + 2 * DAY))
    assert outcomes(check(weeks, "traffic")) == {}


def test_source_that_is_no_longer_configured_is_not_silent(weeks: sa.Engine) -> None:
    silent_source(weeks)
    execute(weeks, "UPDATE watchkeeper.ingest_sources SET silent_after_minutes = NULL WHERE source = 'batch'")
    assert outcomes(check(weeks, "traffic")) == {}


def test_price_that_was_wrong_is_none_once_it_is_put_right(weeks: sa.Engine) -> None:
    """The wrong card is kept; what matters is what the events cost."""
    ten_times_the_price(weeks)
    assert len(outcomes(check(weeks, "prices"))) == 1
    names = "UPDATE watchkeeper.usage_events SET price_snapshot = :book WHERE price_source LIKE 'contract:%'"
    [book] = {row.price_snapshot for row in rows_of(weeks, usage_events) if row.price_source == "genai-prices"}
    assert execute(weeks, names, book=book) == 2 * 12 * 5
    assert "5 times" not in str(outcomes(check(weeks, "prices")))


# Faults of single rows


@pytest.fixture(scope="module")
def lax(server_url: str, template: str) -> Iterator[sa.Engine]:
    """A database without the constraints of `usage_events`."""
    with copied(server_url, template) as engine:
        let_faults_in(engine)
        usage.ensure_partitions(engine, [MIDNIGHT.date()])
        yield engine


def row(number: int, **changes: Any) -> dict[str, Any]:
    usual = {
        "event_id": str(number), "occurred_at": NOW - MINUTE, "source": "log",
        "vendor": "openai", "model": "gpt-4o-mini", "operation": "chat", "status": "success", "error_type": None,
        "input_tokens": 10, "cached_tokens": 5, "output_tokens": 3, "reasoning_tokens": 1, "latency_ms": 100.0,
        "ttft_ms": 50.0, "cost_usd": None,
    }  # fmt: skip
    return {**usual, **changes}


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        *(
            pytest.param({column: None}, f"{column} is known", id=f"{column} is missing")
            for column in ("event_id", "vendor", "status")
        ),
        pytest.param({"status": "perhaps"}, "status is a name we know", id="an unknown status"),
        pytest.param({"operation": "dance"}, "operation is a name we know", id="an unknown operation"),
        pytest.param({"error_type": "gremlin"}, "error_type is a name we know", id="an unknown error"),
        pytest.param({"latency_ms": -1}, "latency_ms within 0 to 86400000", id="latency below zero"),
        pytest.param({"output_tokens": MAX_TOKENS + 1}, f"output_tokens within 0 to {MAX_TOKENS}", id="endless output"),
        pytest.param({"cached_tokens": 11}, "cached tokens are part of the input", id="more cached than sent"),
        pytest.param({"reasoning_tokens": 4}, "reasoning tokens are part of the output", id="more thought than said"),
    ],
)
def test_fault_of_a_row_fails_the_check_that_names_it_alone(
    lax: sa.Engine, request: pytest.FixtureRequest, fault: dict[str, Any], named: str
) -> None:
    tenant = request.node.callspec.id.replace(" ", "-")
    rows = [row(number) for number in range(CLEAN)] + [row(-number, **fault) for number in range(1, 4)]
    insert(lax, usage_events, [{**each, "tenant_id": tenant} for each in rows])
    assert outcomes(check(lax, "events", tenant=tenant)) == {f"events: {named}": "failed"}


# Sizes and projections


def sized(engine: sa.Engine, present: dict[int, int], past: dict[int, int]) -> None:
    """Let a source bring inputs of these sizes yesterday at noon, and a week before."""
    for before, sizes in ((DAY, present), (7 * DAY, past)):
        insert(engine, usage_hourly, [hour_row(before, "0", events=sum(sizes.values()))])
        rows = [{"source": "log", "hour": NOW - before, "size": size, "events": n} for size, n in sizes.items()]
        insert(engine, event_profiles, rows)


@pytest.mark.parametrize(
    ("present", "named"),
    [
        pytest.param({8: 500, 9: 500}, {}, id="as before"),
        pytest.param({8: 700, 9: 300}, {}, id="a little smaller: .2 * ln(.7/.3 * .5/.5) = .17"),
        pytest.param({8: 300, 9: 300, -1: 400}, {"traffic: a source's requests are as large as usual": "failed"},
                     id="two in five tell no tokens any more"),
        pytest.param({18: 500, 19: 500}, {"traffic: a source's requests are as large as usual": "failed"},
                     id="a thousand times as large"),
        pytest.param({18: 499, 19: 500}, {}, id="999 events are too few"),
    ],
)  # fmt: skip
def test_sizes_are_held_to_those_of_the_weeks_before(
    engine: sa.Engine, present: dict[int, int], named: dict[str, str]
) -> None:
    sized(engine, present, {8: 500, 9: 500})
    assert outcomes(check(engine, "traffic")) == named


def projected(engine: sa.Engine, as_of: datetime = NOW, **changes: Any) -> None:
    usual: dict[str, Any] = {
        "month": MIDNIGHT.date().replace(day=1), "as_of": as_of, "scope": "total", "key": "", "spent_usd": 10,
        "low95_usd": 20, "low80_usd": 25, "month_end_usd": 30, "high80_usd": 35, "high95_usd": 40, "method": "run-rate",
        "history_days": 30, "low_history": False, "unpriced_events": 0,
    }  # fmt: skip
    insert(engine, cost_projections, [{**usual, **changes}])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, None),
        ({"low80_usd": 31}, "intervals hold what they are of"),
        ({"spent_usd": 31}, "intervals hold what they are of"),
        ({"as_of": NOW - 3 * HOUR}, None),
        ({"as_of": NOW - 3 * HOUR - MOMENT}, "they are at most 3 hours old"),
        ({"scope": "team", "key": "nobody"}, "every part is known to the roll-ups"),
        ({"scope": "feature", "key": "search"}, None),
        ({"scope": "model", "key": "openai/gpt-4o-mini"}, None),
    ],
)
def test_projection_is_held_to_its_checks(engine: sa.Engine, changes: dict[str, Any], named: str | None) -> None:
    insert(engine, usage_hourly, [hour_row(DAY, "1", feature="search")])
    projected(engine, **changes)
    expected = {} if named is None else {f"projections: {named}": "failed"}
    assert outcomes(check(engine, "projections")) == expected


@pytest.mark.parametrize(("before", "fails"), [(9.9, True), (10, False), (90, False), (91, True)])
def test_projection_may_be_three_times_that_of_the_day_before(engine: sa.Engine, before: float, fails: bool) -> None:
    spread = dict.fromkeys(("low95_usd", "low80_usd", "month_end_usd", "high80_usd", "high95_usd"), before)
    projected(engine, NOW - DAY, spent_usd=1, **spread)
    projected(engine)
    name = "projections: the month is within 3 times that of the day before"
    assert outcomes(check(engine, "projections")) == ({name: "failed"} if fails else {})


# What people see


PASSED = Checked("events", "vendor is known", "critical", "passed", "5", None)
ERRORED = Checked("events", "odd", "critical", "errored", None, "no result")
FAILED = Checked("traffic", "bad", "warning", "failed", "5", "a|b: 3 rows break it")


def test_report_shows_what_failed_first() -> None:
    lines = report_markdown([PASSED, ERRORED, FAILED], NOW).splitlines()
    assert lines[0] == "# Data quality, as of 2026-03-05 12:00 UTC"
    assert lines[4:] == [
        r"| ❌ failed | warning | traffic | bad | 5 | a\|b: 3 rows break it |",
        "| ⚠️ errored | critical | events | odd |  | no result |",
        "| ✅ passed | critical | events | vendor is known | 5 |  |",
    ]
    assert Counter(line.replace(r"\|", "").count("|") for line in lines[2:]) == {7: 5}
    assert as_rows([PASSED])[0] == ("passed", "critical", "events", "vendor is known", "5", "")


def test_summary_names_what_did_not_pass() -> None:
    assert summary([PASSED, FAILED, ERRORED]) == (
        "1 of 3 checks passed; not: traffic: bad (failed), events: odd (errored)"
    )


def test_docs_are_pages_with_every_check(engine: sa.Engine, settings: Settings, tmp_path: Path) -> None:
    load(engine, [event(HOUR)])
    check_quality.fn(engine, settings, NOW, ["rollups"], docs=tmp_path / "site")
    pages = list((tmp_path / "site" / "validations").rglob("*.html"))
    assert (tmp_path / "site" / "index.html").is_file()
    assert len(pages) == 1
    assert [check.name for check in SUITES["rollups"].checks if check.name not in pages[0].read_text()] == []


def test_profiles_are_counted_again_where_the_rollup_knows_more(engine: sa.Engine) -> None:
    def refresh() -> list[datetime]:
        with engine.begin() as connection:
            return profiles.refresh(connection, "default", NOW)

    load(engine, [event(HOUR), event(HOUR, input_tokens=None), event(2 * DAY)])
    assert refresh() == [MIDNIGHT - 2 * DAY, MIDNIGHT]
    assert refresh() == []
    load(engine, [event(2 * DAY, input_tokens=1024)])
    assert refresh() == [MIDNIGHT - 2 * DAY]
    rows = rows_of(engine, event_profiles)
    # 10 tokens: from 2^3 on; 1,024: from 2^10 on
    assert [(row.hour, row.size, row.events) for row in rows] == [
        (NOW - 2 * DAY, 4, 1), (NOW - 2 * DAY, 11, 1), (NOW - HOUR, -1, 1), (NOW - HOUR, 4, 1)
    ]  # fmt: skip
