from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa

from ops.cost.overrides import PriceOverride
from ops.errors import UnknownName
from ops.monitoring.data_quality import SUITES
from ops.monitoring.data_quality.checks import Outcome
from ops.window import Window
from tasks.check_quality import as_rows, check_quality, report_markdown, summary
from tasks.load_file import load_file
from tasks.log_file import LogFile
from tasks.project_costs import project_costs
from tasks.settings import Settings, Source
from tasks.simulate_traffic import simulate
from tasks.simulator import Traffic
from tasks.stores import source_states
from tasks.stores.tables import quality_checks, scores, usage_events
from tasks.validate_suites import Checked
from tasks.write_usage import Target
from tests.checked_month import (
    LATELY,
    bring,
    bring_lately,
    check,
    copied,
    fill,
    let_faults_in,
    outcomes,
    steady,
    unknown,
)
from tests.hand_made import DAY, HOUR, MIDNIGHT, MINUTE, MOMENT, NOW, event, insert, load, rows_of, score_row
from tests.loaded_days import execute

OF_WATCHED = [
    f"traffic: {name}" for name in (
        "events are fresh", "no source is silent while others speak", "no day of a source is missing",
        "a source brings as many events as usual",
    )
]  # fmt: skip
FRESH = OF_WATCHED[0]
SIZES = "traffic: a source's requests are as large as usual"
UNSIZED = "no source brought 1,000 events both in the last day and in the weeks before"

TEN_TIMES = PriceOverride(
    contract="typed-wrong", vendor="openai", model="gpt-4o-mini", tier=None, start=NOW.date(), end=NOW.date() + 9 * DAY,
    input=Decimal("1.5"), cached=None, cache_write=None, cache_write_1h=None, output=Decimal(6),
    per_thousand_requests=None,
)  # fmt: skip


# Days without a fault


def test_checks_all_pass_on_a_clean_simulated_day(engine: sa.Engine, settings: Settings, tmp_path: Path) -> None:
    written = simulate(Traffic(seed=2, requests_per_hour=40), Window(MIDNIGHT - DAY, MIDNIGHT), tmp_path)
    source = Source(name="gateway", path=str(written.usage))
    load_file(Target(engine, settings.tenant), source, LogFile(str(written.usage)), NOW)
    project_costs.fn(engine, settings, MIDNIGHT)
    results = check_quality.fn(engine, settings, MIDNIGHT)
    assert outcomes(results) == {}
    assert unknown(results) == {**dict.fromkeys(OF_WATCHED, "no source is watched"), SIZES: UNSIZED}  # loaded by hand
    assert [(result.suite, result.name) for result in results] == [
        (suite.name, check.name) for suite in SUITES.values() for check in suite.checks
    ]
    assert next(result for result in results if result.name == "vendor is known").observed == str(written.requests)
    stored = rows_of(engine, quality_checks)
    assert {(row.suite, row.name): (row.as_of, row.outcome, row.severity) for row in stored} == {
        (result.suite, result.name): (MIDNIGHT, result.outcome, result.severity) for result in results
    }


def test_checks_of_nothing_have_no_data(engine: sa.Engine) -> None:
    """Where nothing is expected nothing is missing: a new installation pages nobody, and nobody says it is fine."""
    load(engine, [event(-2 * HOUR)])
    load(engine, [event(HOUR, model="nobody-knows-it")], tenant="other")
    results = check(engine)
    assert {result.outcome for result in results} == {Outcome.NO_DATA}
    assert unknown(results) == {
        **{f"{suite.name}: {each.name}": "no rows" for suite in SUITES.values() for each in suite.checks},
        **dict.fromkeys(OF_WATCHED, "no source is watched"), SIZES: UNSIZED,
    }  # fmt: skip
    assert {row.outcome for row in rows_of(engine, quality_checks)} == {"no_data"}


def test_checks_of_traffic_have_no_data_before_a_source_is_known(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        source_states.watch(connection, "default", [Source(name="gateway", kind="jsonl", path="x")], NOW)
    bring(engine, "gateway", steady("gateway", MIDNIGHT - 13 * DAY, NOW))
    results = check(engine, "traffic")
    assert (outcomes(results), {*unknown(results)}) == ({}, {*OF_WATCHED, SIZES} - {FRESH})  # events do come
    assert {reason for reason in unknown(results).values() if "two weeks" not in str(reason)} == {
        "no watched source brought events in the last day of which it is known how many are usual", UNSIZED
    }  # fmt: skip
    bring(engine, "gateway", steady("gateway", MIDNIGHT - 15 * DAY, MIDNIGHT - 13 * DAY))
    assert unknown(check(engine, "traffic")) == {SIZES: UNSIZED}


def test_events_are_not_known_to_be_fresh_where_none_came_lately_and_none_is_due(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        source_states.watch(connection, "default", [Source(name="gateway", kind="jsonl", path="x")], NOW)
    for before, known in ((DAY, False), (HOUR + MOMENT, False), (HOUR, True)):
        bring(engine, "gateway", [event(before)])
        assert (FRESH not in unknown(check(engine, "traffic"))) is known


def test_fault_outside_of_an_empty_window_is_a_failure(engine: sa.Engine) -> None:
    """Nothing in the window is no data, unless what stands outside of it breaks the promise."""
    load(engine, [event(-HOUR)])
    execute(engine, "UPDATE watchkeeper.usage_events SET ingested_at = :now", now=NOW)
    assert outcomes(check(engine, "events")) == {"events: no event is ahead of the clock": "failed"}


def test_checks_see_the_first_moment_of_their_window(engine: sa.Engine) -> None:
    load(engine, [event(DAY), event(MOMENT), event(DAY + MOMENT)])
    assert check(engine, "events")[0].observed == "2"


def test_checks_of_a_suite_are_of_that_alone(engine: sa.Engine) -> None:
    assert {result.suite for result in check(engine, "prices", "rollups")} == {"prices", "rollups"}
    with pytest.raises(UnknownName, match="'logs' is not one of events, prices"):
        check(engine, "logs")


def test_checks_repeated_are_stored_once_per_time(engine: sa.Engine) -> None:
    check(engine, "events")
    load(engine, [event(MINUTE)])
    check(engine, "events")
    rows = rows_of(engine, quality_checks, quality_checks.c.name == "vendor is known")
    assert [(row.as_of, row.outcome, row.observed, row.detail) for row in rows] == [(NOW, "passed", "1", None)]
    assert len(rows_of(engine, quality_checks)) == len(SUITES["events"].checks)


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


def test_clean_day_leaves_no_check_without_data_but_that_of_sizes(weeks: sa.Engine) -> None:
    bring_lately(weeks)
    project_costs.fn(weeks, Settings(), NOW)
    assert unknown(check(weeks)) == {SIZES: UNSIZED}  # 120 events a day of each source


def test_inputs_of_other_sizes_are_caught_where_there_are_enough(weeks: sa.Engine) -> None:
    bring_lately(weeks)
    bring(weeks, "gateway", [event(HOUR, input_tokens=5000) for _ in range(1000)])
    results = check(weeks, "traffic")
    assert outcomes(results)[SIZES] == "failed"
    assert unknown(results) == {}


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


# What people see


NOTHING = Checked("prices", "dear", "critical", Outcome.NO_DATA, None, "no rows")
PASSED = Checked("events", "vendor is known", "critical", Outcome.PASSED, "5", None)
ERRORED = Checked("events", "odd", "critical", Outcome.ERRORED, None, "no result")
FAILED = Checked("traffic", "bad", "warning", Outcome.FAILED, "5", "a|b: 3 rows break it")


def test_report_shows_what_failed_first() -> None:
    lines = report_markdown([PASSED, NOTHING, ERRORED, FAILED], NOW).splitlines()
    assert lines[0] == "# Data quality, as of 2026-03-05 12:00 UTC"
    assert lines[4:] == [
        r"| ❌ failed | warning | traffic | bad | 5 | a\|b: 3 rows break it |",
        "| ⚠️ errored | critical | events | odd |  | no result |",
        "| ❔ no data | critical | prices | dear |  | no rows |",
        "| ✅ passed | critical | events | vendor is known | 5 |  |",
    ]
    assert Counter(line.replace(r"\|", "").count("|") for line in lines[2:]) == {7: 6}
    assert as_rows([PASSED])[0] == ("passed", "critical", "events", "vendor is known", "5", "")


def test_summary_names_what_did_not_pass() -> None:
    assert summary([PASSED, FAILED, ERRORED]) == (
        "1 of 3 checks passed; not: traffic: bad (failed), events: odd (errored)"
    )
    assert summary([NOTHING, FAILED, NOTHING]) == "0 of 3 checks passed, 2 had no data; not: traffic: bad (failed)"
