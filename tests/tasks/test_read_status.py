"""The state of everything on a real database: each section in the states that somebody must see."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ops.monitoring.alerts import Alert, State, Summary, Tier
from ops.monitoring.vendor_status import PageState, StatusPage
from ops.status import Level, told_once
from tasks.advance_rollout import abort_rollout, start_rollout
from tasks.check_budgets import check_budgets
from tasks.read_status import Page, read_status
from tasks.settings import Budget, Evaluation, Settings, Source, Vendor
from tasks.stores import alerts, ingest, outbox, schema, source_states, vendor_statuses
from tasks.stores import tables as t
from tests.hand_made import DAY, HOUR, MIDNIGHT, MINUTE, NOW, event, failed, hour_row, insert, load, score_row

CRON = {"keep-watch": "* * * * *", "project-costs": "10 * * * *"}
FINE = {Level.OK, Level.NONE}
UP = ": `watchkeeper up` runs them"
UNKNOWN_OF_EMPTY = {"alerts", "data checks", "steps"}  # whoever should have looked never did


def read(settings: Settings, now: datetime = NOW, **changes: Any) -> Page:
    return read_status(settings.model_copy(update=changes), now, CRON)


def told(page: Page, section: str) -> list[tuple[str, str, str]]:
    """Return the rows of a section as level, subject and words."""
    [found] = [each for each in page.sections if each.name == section]
    return [(row.level.value, row.about, row.text) for row in found.rows]


def watched(engine: sa.Engine, *names: str, since: datetime) -> tuple[Source, ...]:
    found = tuple(Source(name=name, path="log") for name in names)
    with engine.begin() as connection:
        source_states.watch(connection, "default", found, since)
    return found


def fired(
    engine: sa.Engine, key: str, state: State = State.FIRING, tenant: str = "default", *, rule: str = "spend"
) -> None:  # fmt: skip
    with engine.begin() as connection:
        alerts.save(
            connection, tenant,
            Alert(
                alert_id=key, rule=rule, key=key, tier=Tier.CRITICAL, state=state, since=NOW - HOUR, revision=1,
                resolved_at=NOW - MINUTE if state is State.RESOLVED else None, value=2.5, limit=2.0,
                summary=Summary("Spend", "$5.00", "$2.00"), evidence={},
            ),
        )  # fmt: skip


def enqueued(engine: sa.Engine, key: str, before: Any, tier: str = "warning") -> None:
    with engine.begin() as connection:
        outbox.enqueue(
            connection, tenant="default", dedup_key=key, destination="ops", tier=tier, payload={}, revision=1,
            now=NOW - before,
        )  # fmt: skip


def projected(expected: int, low: int, high: int, scope: str = "total", key: str = "") -> Mapping[str, Any]:
    ends = {"low80_usd": low, "high80_usd": high, "low95_usd": low, "high95_usd": high}
    return {
        "month": datetime(2026, 3, 1, tzinfo=UTC).date(), "as_of": NOW - HOUR, "scope": scope, "key": key,
        "spent_usd": 1, "month_end_usd": expected, **ends, "method": "wpr-cp", "history_days": 40,
        "low_history": False, "unpriced_events": 0,
    }  # fmt: skip


def unknown(page: Page) -> set[str]:
    return {section.name for section in page.sections if section.level is Level.UNKNOWN}


def watermarks(engine: sa.Engine, before: timedelta, *steps: str) -> None:
    with engine.begin() as connection:
        for step in steps:
            ingest.set_watermark(connection, "default", step, NOW - before)


def baseline(metric: str, mean: float, **series: str) -> dict[str, Any]:
    return {
        "metric": metric, "mean": mean, "sigma": 0.1, "n": 700, "accepted_at": NOW - DAY, "reason": "x",
        "accepted_by": "ann", "starts_at": MIDNIGHT - 9 * DAY, "ends_at": MIDNIGHT - 2 * DAY, "days": 7,
        "day_sigma": 0.01, "weekdays": [0.0] * 7, **series,
    }  # fmt: skip


def test_empty_database_says_that_nobody_has_looked_at_it(settings: Settings, engine: sa.Engine) -> None:
    page = read(settings)
    assert {section.level for section in page.sections} == {*FINE, Level.UNKNOWN}
    assert unknown(page) == UNKNOWN_OF_EMPTY
    assert told(page, "sources") == [("none", "", "none is configured")]
    assert told(page, "spend") == [("none", "today", "no requests"), ("none", "this month", "no requests")]
    assert told(page, "budgets") == [("none", "", "none is set")]
    assert told(page, "alerts") == [("unknown", "rules", "never evaluated: nobody is told of anything")]
    assert told(page, "last hour") == [("none", "", "no requests in the last hour")]
    assert told(page, "scores")[0] == ("none", "judge_relevance", "Quality unknown: no scores")
    assert told(page, "evaluations") == [("none", "", "no golden set is configured")]
    assert told(page, "data checks") == [("unknown", "", "the data were never checked")]
    assert told(page, "steps") == [
        ("unknown", "2 never ran", "no flow ever did by its schedule: `watchkeeper up` runs them")
    ]
    [(level, _, words)] = told(page, "database")
    assert (level, words.endswith(f"MB, schema {schema.head()}")) == ("ok", True)


def test_database_loaded_by_hand_shows_its_data_and_that_nobody_watches_them(
    settings: Settings, engine: sa.Engine
) -> None:
    load(engine, [event(7 * MINUTE) for _ in range(40)])
    page = read(settings)
    assert unknown(page) == UNKNOWN_OF_EMPTY
    assert told(page, "spend")[1][0] == "ok"
    assert [row[1] for row in told(page, "last hour")] == ["requests", "latency", "cost"]


def test_system_whose_scheduler_died_says_what_nobody_knows_since(settings: Settings, engine: sa.Engine) -> None:
    watermarks(engine, 5 * HOUR, "keep-watch", "evaluate_alerts", "project-costs")
    insert(engine, t.quality_checks, [checked("ids", "passed", 5 * HOUR)])
    page = read_status(settings, NOW, {**CRON, "check-quality": "20 * * * *"})
    assert told(page, "alerts") == [
        ("unknown", "rules", "last evaluated 5 h ago (every 5 min): what came since is unknown")
    ]
    assert told(page, "data checks") == [
        ("unknown", "", "1 of 1 passed, 5 h ago (every 60 min): how they are now is unknown")
    ]
    assert told(page, "steps") == [
        ("critical", "keep-watch", "last ran 5 h ago, is to run every 60 s"),
        ("warning", "project-costs", "last ran 5 h ago, is to run every 60 min"),
        ("none", "1 never ran", "check-quality"),
    ]


def test_sources_tell_their_lag_their_rejects_and_their_silence(settings: Settings, engine: sa.Engine) -> None:
    sources = watched(engine, "gateway", "trace", since=NOW - DAY)
    with engine.begin() as connection:
        ingest.record_success(connection, "default", "gateway", "litellm", NOW - 2 * MINUTE, found_new=True)
        source_states.see(connection, "default", "gateway", NOW - 3 * MINUTE)
        ingest.record_failure(connection, "default", "trace", "litellm", NOW, "connection refused")
    reject = {"source": "gateway", "kind": "litellm", "place": "log", "reason": "no time", "raw": "{}", "cut": False}
    insert(engine, t.usage_rejects, [{**reject, "reject_id": f"r{number}", "position": number} for number in range(3)])
    assert told(read(settings, sources=sources), "sources") == [
        ("ok", "gateway", "loaded 2 min ago, newest event 3 min old, 3 rejected rows kept"),
        ("critical", "trace", "silent, failed 1x: connection refused"),  # a day is 24 times its hour
    ]


def test_spend_is_that_of_the_day_and_the_month_with_the_projection(settings: Settings, engine: sa.Engine) -> None:
    insert(engine, t.usage_hourly, [
        hour_row(NOW - MIDNIGHT - HOUR, "2", events=4), hour_row(HOUR, "1", events=2, unpriced_events=1),
        hour_row(40 * DAY, "100"),
    ])  # fmt: skip
    insert(engine, t.cost_projections, [
        {**projected(90, 80, 100), "as_of": NOW - 2 * HOUR}, projected(30, 25, 40), projected(9, 9, 9, "team", "a"),
    ])  # fmt: skip
    assert told(read(settings), "spend") == [
        ("info", "today", "$3.00 for 6 requests, 1 of them without a price"),
        ("info", "this month", "$3.00 for 6 requests, 1 of them without a price; "
         "$30.00 (80 %: $25.00 to $40.00) projected 60 min ago"),
    ]  # fmt: skip


def test_budgets_are_crossed_or_foretold(settings: Settings, engine: sa.Engine) -> None:
    insert(engine, t.usage_hourly, [
        hour_row(HOUR, "12", team_id="a"), hour_row(2 * HOUR, "3", team_id="b"), hour_row(2 * DAY, "1", team_id="b"),
    ])  # fmt: skip
    insert(engine, t.usage_daily_users, [
        {"day": MIDNIGHT, "user_id": user, "events": 1, "unpriced_events": 0, "cost_usd": usd, "input_tokens": 1,
         "output_tokens": 1} for user, usd in (("u1", 3), ("u2", 13))
    ])  # fmt: skip
    insert(engine, t.cost_projections, [projected(30, 25, 40), projected(20, 16, 30, "team", "b")])
    budgets = (
        Budget(monthly_usd=10), Budget(monthly_usd=1000), Budget(scope="team", key="b", monthly_usd=15),
        Budget(scope="user", key="u2", daily_usd=5), Budget(scope="feature", key="*", daily_usd=5),
    )  # fmt: skip
    assert told(read(settings, budgets=budgets), "budgets") == [
        ("critical", "total, month", "100 % spent: $16.00 of $10.00 spent (160%), $30.00 (80 %: $25.00 to $40.00) "
         "projected"),
        ("ok", "total, month", "$16.00 of $1,000 spent (2%), $30.00 (80 %: $25.00 to $40.00) projected"),
        ("warning", "team:b, month", "will be crossed: $4.00 of $15.00 spent (27%), $20.00 (80 %: $16.00 to $30.00) "
         "projected"),
        ("critical", "user:u2, day", "100 % spent: $13.00 of $5.00 spent (260%)"),
        ("ok", "feature:*, day", "nobody has spent anything"),
    ]  # fmt: skip


def test_budgets_of_each_are_compared_without_those_that_have_their_own(settings: Settings, engine: sa.Engine) -> None:
    insert(engine, t.usage_hourly, [
        hour_row(HOUR, "12", team_id="a"), hour_row(HOUR, "3", team_id="b"), hour_row(HOUR, "9", team_id=""),
        hour_row(HOUR, "2", team_id="", vendor="anthropic", model="claude"), hour_row(HOUR + DAY, "7", team_id="a"),
    ])  # fmt: skip
    budgets = (
        Budget(scope="team", key="*", daily_usd=4), Budget(scope="team", key="a", daily_usd=100),
        Budget(scope="model", key="*", monthly_usd=10), Budget(scope="team", key="c", daily_usd=4),
    )  # fmt: skip
    assert told(read(settings, budgets=budgets), "budgets") == [
        ("info", "team:b, day", "50 % spent: $3.00 of $4.00 spent (75%)"),
        ("ok", "team:a, day", "$12.00 of $100.00 spent (12%)"),
        ("critical", "model:openai/gpt-4o-mini, month",  # 12 + 3 + 9 + 7
         "100 % spent: $31.00 of $10.00 spent (310%); the worst of several, 1 over"),
        ("ok", "team:c, day", "$0.00 of $4.00 spent (0%)"),
    ]  # fmt: skip


def test_budget_of_each_user_is_as_it_was_checked_last(settings: Settings, engine: sa.Engine) -> None:
    budgets = (Budget(scope="user", key="*", daily_usd=5), Budget(scope="user", key="boss", daily_usd=100))
    chosen = settings.model_copy(update={"budgets": budgets})
    assert told(read(chosen), "budgets")[0] == (
        "unknown", "user:*, day", "never checked: `watchkeeper run check-budgets`"
    )  # fmt: skip
    insert(engine, t.usage_daily_users, [
        {"day": MIDNIGHT, "user_id": user, "events": 1, "unpriced_events": 0, "cost_usd": usd, "input_tokens": 1,
         "output_tokens": 1} for user, usd in (("u1", 3), ("u2", 13), ("u3", 6), ("u4", 1), ("boss", 90))
    ])  # fmt: skip
    check_budgets.fn(engine, chosen, NOW - 3 * MINUTE)
    watermarks(engine, 3 * MINUTE, "check-budgets")
    assert told(read(chosen), "budgets") == [
        ("critical", "user:*, day", "100 % spent: 2 of $5.00 each, the most u2 $13.00; checked 3 min ago"),
        ("warning", "user:boss, day", "80 % spent: $90.00 of $100.00 spent (90%)"),
    ]


def test_alerts_that_fire_are_told_and_others_are_counted(settings: Settings, engine: sa.Engine) -> None:
    watermarks(engine, MINUTE, "evaluate_alerts")
    assert told(read(settings), "alerts") == [("ok", "rules", "evaluated 60 s ago: none is firing")]
    fired(engine, "total")
    fired(engine, "team:a", State.RESOLVED)
    fired(engine, "team:b", tenant="other")
    fired(engine, "team:c", State.PENDING)
    assert told(read(settings), "alerts") == [
        ("critical", "total", "Spend $5.00 (limit $2.00), for 60 min"),
        ("ok", "rules", "evaluated 60 s ago: 1 firing, 1 pending, 1 resolved in a day"),
    ]


def test_vendors_tell_what_their_pages_said_last(settings: Settings, engine: sa.Engine) -> None:
    url = "https://status.example/api/v2/summary.json"
    vendors = (Vendor(name="openai", status_url=url), Vendor(name="anthropic"))
    page = StatusPage(state=PageState.PARTIAL_OUTAGE, description="Some are out", incidents=("Errors (major impact)",))
    with engine.begin() as connection:
        vendor_statuses.watch(connection, "default", vendors)
        vendor_statuses.record_page(connection, "default", "openai", page, NOW, etag=None, last_modified=None)
    added = (*vendors, Vendor(name="mistral", status_url=url))
    assert told(read(settings, vendors=added), "vendors") == [
        ("warning", "openai", "partial outage: Errors (major impact)"),
        ("none", "anthropic", "no status page is configured"),
        ("unknown", "mistral", "unknown: not read yet"),
    ]


def test_backlog_counts_what_nobody_got(settings: Settings, engine: sa.Engine) -> None:
    enqueued(engine, "fresh", MINUTE, "critical")
    enqueued(engine, "late", 10 * MINUTE)
    enqueued(engine, "late for others", 2 * HOUR)
    enqueued(engine, "given up", HOUR)
    enqueued(engine, "given up long ago", 2 * DAY)
    states = {"late for others": {"sent_rev": 1}, "given up": {"state": "failed", "last_error": "not_in_channel"},
              "given up long ago": {"state": "failed"}}  # fmt: skip
    with engine.begin() as connection:
        for key, values in states.items():
            connection.execute(sa.update(t.outbox).where(t.outbox.c.dedup_key == key).values(**values))
    words = "3 waiting, the oldest for 10 min, 1 given up, not_in_channel"
    assert told(read(settings), "outbox") == [("warning", "ops", words)]
    enqueued(engine, "page", 10 * MINUTE, "critical")
    assert told(read(settings), "outbox")[0][0] == "critical"


def test_rollouts_under_way_and_those_of_the_last_day_are_told(settings: Settings, engine: sa.Engine) -> None:
    def start(service: str, canary: str, when: datetime) -> str:
        found = start_rollout(engine, settings, service=service, canary=canary, plan="careful", now=when, control="v1")
        return found.rollout_id

    for service, ended in (("old", NOW - 2 * DAY), ("search", NOW - HOUR)):
        abort_rollout(engine, settings, start(service, "v2", NOW - 3 * DAY), "wrong prompt", ended)
    start("chat", "v3", NOW - 40 * MINUTE)
    assert told(read(settings), "rollouts") == [
        ("info", "search", "v1 → v2 aborted 60 min ago: wrong prompt"),
        ("info", "chat", "v1 → v3 running at 10 % for 40 min: started"),
    ]


def test_metrics_are_those_of_the_last_hour(settings: Settings, engine: sa.Engine) -> None:
    served = [event(7 * MINUTE) for _ in range(540)]
    load(engine, [*served, *(failed(7 * MINUTE, latency_ms=None) for _ in range(60)), failed(2 * HOUR)])
    requests, errors, latency, *_ = told(read(settings), "last hour")
    assert requests == ("ok", "requests", "10 a minute, error rate 10 %, availability 90 %")
    assert errors == ("ok", "errors", "timeout 10 %")
    assert latency[2].startswith("p50 100 ms, p95 100 ms, p99 ")


def test_scores_below_their_baseline_are_a_warning(settings: Settings, engine: sa.Engine) -> None:
    insert(engine, t.scores, [score_row(MINUTE * number, 0.5) for number in range(1, 41)])
    insert(engine, t.quality_baselines, [baseline("thumb", 1.0)])
    assert sorted(told(read(settings), "scores")) == [
        ("none", "judge_relevance", "Quality unknown: no scores"),
        ("warning", "thumb", "Quality 0.500 in 24 h, 50.0 % below its baseline"),
    ]


def test_what_an_alert_tells_of_is_shown_once(settings: Settings, engine: sa.Engine) -> None:
    insert(engine, t.quality_checks, [checked("ids", "failed", HOUR), checked("rows", "failed", HOUR)])
    fired(engine, "check:events/ids", rule="data_quality")
    page = read(settings)
    assert told(page, "data checks")[0] == ("critical", "events/ids", "failed")
    [checks] = [section for section in told_once(page.sections) if section.name == "data checks"]
    assert [row.about or row.text for row in checks.rows][::2] == ["events/rows", "1 more: see the alerts"]
    assert page.levels.count(Level.CRITICAL) == 2  # the alert and the other check


def test_golden_sets_are_told_with_their_scores_beside_the_baseline(settings: Settings, engine: sa.Engine) -> None:
    started, series = NOW - HOUR, {"model": "gpt-4o", "prompt_version": "p1", "judge_version": None}
    golden = {"name": "faq", "run_id": "faq:2", "fingerprint": "f", "state": "done", "started_at": started, "items": 50,
              "finished_at": NOW, "budget_usd": 1, "spent_usd": "0.5"}  # fmt: skip
    insert(engine, t.evaluation_runs, [
        golden, {**golden, "run_id": "faq:1", "started_at": NOW - DAY}, {**golden, "name": "gone", "run_id": "gone:1"},
    ])  # fmt: skip
    call = {"run_id": "faq:2", "step": "answer", "reserved_usd": 0, "cost_usd": 0, "is_assumed": False}
    insert(engine, t.evaluation_calls, [
        *({**call, "item_id": f"i{n}", "outcome": "ok", "scores": {"exact": 0.5, "regex": 1}} for n in range(40)),
        {**call, "item_id": "i40", "outcome": "timeout", "scores": {}},
        {**call, "item_id": "other", "run_id": "faq:1", "outcome": "ok", "scores": {"exact": 1}},
    ])  # fmt: skip
    insert(engine, t.scores, [
        {"score_id": f"evaluation:{run}:i{n}:{metric}", "occurred_at": started, "metric": metric, "value": value,
         "source": "evaluation", **series}
        for run, metric, value in (("faq:2", "exact", 0.5), ("faq:2", "regex", 1.0), ("gone:1", "exact", 0.0))
        for n in range(40)
    ])  # fmt: skip
    insert(engine, t.quality_baselines, [baseline("exact", 0.8, model="gpt-4o", prompt_version="p1")])
    chosen = golden_sets(settings, "faq", "new")
    assert told(read_status(chosen, NOW, {"run-evaluations": "0 4 * * *"}), "evaluations") == [
        ("warning", "faq", "done 60 min ago: 40 of 50 scored, 1 failed, 9 not asked, "
         "exact 0.500 (37.5 % below its baseline), regex 1.000 (no baseline), $0.50 of $1.00"),  # 0.5 / 0.8 - 1
        ("unknown", "new", "never ran"),
    ]  # fmt: skip


def test_judges_probes_are_a_golden_set_of_their_own(settings: Settings, engine: sa.Engine) -> None:
    evaluation = {"judge": {"url": "http://127.0.0.1:1/v1", "model": "judge"}}
    found = read(settings, evaluation=Evaluation.model_validate(evaluation))
    assert told(found, "evaluations") == [("unknown", "judge-probes", "never ran")]


def golden_sets(settings: Settings, *names: str) -> Settings:
    endpoint = {"url": "http://127.0.0.1:1/v1", "model": "gpt-4o", "usd_per_call": 0}
    sets = [{"name": name, "path": "x.jsonl", "endpoint": endpoint, "scorers": ["exact"]} for name in names]
    return settings.model_copy(update={"evaluation": Evaluation.model_validate({"sets": sets})})


def checked(name: str, outcome: str, before: Any, detail: str | None = None) -> dict[str, Any]:
    fields = {"suite": "events", "severity": "critical", "as_of": NOW - before, "detail": detail}
    return {"name": name, "outcome": outcome, **fields}


def test_data_checks_are_those_of_the_last_run(settings: Settings, engine: sa.Engine) -> None:
    insert(engine, t.quality_checks, [
        checked("ids", "passed", 2 * HOUR), checked("ids", "failed", HOUR, "12 rows break it"),
        checked("rows", "failed", 2 * HOUR), checked("rows", "passed", HOUR), checked("gone", "failed", 2 * DAY),
    ])  # fmt: skip
    assert told(read(settings), "data checks") == [
        ("critical", "events/ids", "failed: 12 rows break it"),
        ("ok", "", "1 of 2 passed, 60 min ago"),
    ]


def test_watch_that_stands_still_is_critical(settings: Settings, engine: sa.Engine) -> None:
    watermarks(engine, HOUR, "keep-watch")
    assert told(read(settings), "steps") == [
        ("critical", "keep-watch", "last ran 60 min ago, is to run every 60 s"),
        ("none", "1 never ran", "project-costs"),
    ]


def test_section_that_cannot_be_read_says_why_and_the_others_are_told(settings: Settings, engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE watchkeeper.alerts DROP COLUMN body"))
        connection.execute(sa.text("UPDATE watchkeeper.alembic_version SET version_num = '0001'"))
    page = read(settings)
    [row] = told(page, "alerts")
    assert row == ("unreadable", "", "column alerts.body does not exist")
    [(level, _, words)] = told(page, "database")
    assert level == "warning"
    assert words.endswith(f"schema 0001, this version's is {schema.head()}: `watchkeeper db upgrade`")
    others = [section for section in page.sections if section.name not in ("alerts", "database")]
    assert {section.level for section in others if section.name not in UNKNOWN_OF_EMPTY} == FINE


def test_plan_of_another_version_is_told_and_not_guessed(settings: Settings, engine: sa.Engine) -> None:
    insert(engine, t.rollouts, [
        {"rollout_id": "r", "service": "chat", "control_release": "v1", "canary_release": "v2", "state": "running",
         "plan": {"pace": 3}, "stage": 0, "started_at": NOW, "stage_started_at": NOW, "reason": "", "version": 0}
    ])  # fmt: skip
    [(level, _, words)] = told(read(settings), "rollouts")
    assert (level, words.startswith("plan field: 'pace' is not one of")) == ("unreadable", True)


def test_rows_of_another_version_are_told_and_hide_nothing_else(settings: Settings, engine: sa.Engine) -> None:
    insert(engine, t.quality_checks, [
        {"suite": "events", "as_of": NOW, "name": "x", "severity": "gravest", "outcome": "failed"}
    ])  # fmt: skip
    insert(engine, t.vendor_statuses, [
        {"vendor": "openai", "status_url": "http://x", "components": [], "read_at": NOW, "page": {"mood": "fine"}}
    ])  # fmt: skip
    page = read(settings)
    [(level, _, words)] = told(page, "data checks")
    assert (level, words) == ("unreadable", "ValueError: 'gravest' is not a valid Level")
    [(level, _, words)] = told(page, "vendors")
    assert (level, words.startswith("ValidationError: Object missing required field")) == ("unreadable", True)
    others = [section for section in page.sections if section.name not in ("data checks", "vendors")]
    assert {section.level for section in others if section.name not in UNKNOWN_OF_EMPTY} == FINE


def test_locked_tables_are_not_waited_for(settings: Settings, engine: sa.Engine) -> None:
    tables = ", ".join(table.fullname for table in t.metadata.tables.values())
    with engine.connect() as other, other.begin():
        other.execute(sa.text(f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE"))
        page = read(golden_sets(settings, "faq"), budgets=(Budget(monthly_usd=10),))
    assert {told(page, section.name)[0][2] for section in page.sections if section.name != "database"} == {
        "canceling statement due to lock timeout"
    }


def test_database_that_is_away_is_critical_and_all_there_is_to_say(settings: Settings) -> None:
    page = read(settings, database_url=_secret("postgresql://nobody@127.0.0.1:1/nothing"))
    [section] = page.sections
    assert (section.name, section.level) == ("database", Level.CRITICAL)
    assert section.rows[0].text.startswith("database is unavailable: connection failed")


def test_database_without_a_schema_is_left_as_it_is(settings: Settings, server_url: str) -> None:
    page = read(settings, database_url=_secret(server_url))
    assert told(page, "database") == [("unreadable", "", "it has no schema yet: `watchkeeper db upgrade` makes it")]
    engine = sa.create_engine(server_url)
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT to_regnamespace('watchkeeper')")).scalar() is None
    engine.dispose()


def test_embedded_database_that_was_never_made_is_not_made_to_look(settings: Settings, tmp_path: Path) -> None:
    home = tmp_path / "nothing"
    page = read(settings, database_url=None, home=home)
    assert told(page, "database") == [("unreadable", "", "there is none yet: `watchkeeper up` makes one")]
    assert not home.exists()


def _secret(url: str) -> Any:
    return Settings(database_url=url).database_url  # type: ignore[arg-type]  pydantic makes it a secret
