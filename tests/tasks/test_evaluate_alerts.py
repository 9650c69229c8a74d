from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ops.monitoring.alerts import Alert, State, Summary, Tier
from ops.window import Window
from tasks.evaluate_alerts import Evaluated, evaluate_alerts
from tasks.load_file import load_file
from tasks.log_file import LogFile
from tasks.reprice_usage import reprice_usage
from tasks.settings import Alerting, Channel, Price, Settings, Source, Vendor
from tasks.simulate_traffic import simulate
from tasks.simulator import Scenario, Traffic
from tasks.stores import alerts, ingest, vendor_statuses
from tasks.stores import tables as t
from tasks.write_usage import Target
from tests.hand_made import DAY, HOUR, NOW, alert_row, event, failed, hour_row, insert, load, rows_of, score_row
from tests.waiting import are_waiting

MINUTE = timedelta(minutes=1)
APART = 7 * HOUR  # so that no window of the one evaluation reaches back to another's requests
REQUESTS = 60
BAD, GOOD, SILENT = 30, 0, None  # failures among the requests before an evaluation; none: no requests

Evaluate = Callable[[datetime], Evaluated]


@pytest.fixture
def evaluate(engine: sa.Engine, settings: Settings) -> Evaluate:
    return lambda now: evaluate_alerts.fn(engine, settings, now)


def times(count: int, start: datetime = NOW) -> list[datetime]:
    return [start + number * APART for number in range(count)]


def traffic(engine: sa.Engine, now: datetime, failures: int | None) -> None:
    if failures is not None:
        # The service's own trouble, and no outage of its vendor.
        made = [failed(MINUTE, now=now, error_type="rate_limit") for _ in range(failures)]
        load(engine, made + [event(MINUTE, now=now) for _ in range(REQUESTS - failures)])


def live(engine: sa.Engine, evaluate: Evaluate, days: Iterable[int | None]) -> list[Evaluated]:
    plan = list(days)
    found = []
    for now, failures in zip(times(len(plan)), plan, strict=True):
        traffic(engine, now, failures)
        found.append(evaluate(now))
    return found


def states(engine: sa.Engine, key: str = "assistant") -> list[str]:
    return [row.state for row in rows_of(engine, t.alerts, t.alerts.c.key == key)]


def messages(engine: sa.Engine) -> list[tuple[str, int, str]]:
    """Return whom each message is for, its revision and its tier."""
    rows = rows_of(engine, t.outbox)
    return [(row.dedup_key.rsplit(":", 1)[0], row.desired_rev, row.tier) for row in rows]


@pytest.mark.parametrize(
    ("days", "state", "notified"),
    [
        pytest.param([GOOD], [], [0], id="nothing is wrong"),
        pytest.param([BAD], ["pending"], [0], id="one breach tells nobody"),
        pytest.param([BAD, BAD], ["firing"], [0, 1], id="the second one does"),
        pytest.param([BAD, BAD, BAD], ["firing"], [0, 1, 0], id="once"),
        pytest.param([BAD, GOOD], ["resolved"], [0, 0], id="a breach that subsided tells nobody"),
        pytest.param([BAD, BAD, GOOD, GOOD], ["firing"], [0, 1, 0, 0], id="two good looks are not the end"),
        pytest.param([BAD, BAD, *[GOOD] * 3], ["resolved"], [0, 1, 0, 0, 1], id="the third is, and is told"),
        pytest.param([BAD, BAD, GOOD, BAD, GOOD, GOOD], ["firing"], [0, 1, 0, 0, 0, 0], id="a relapse starts anew"),
        pytest.param([BAD, BAD, *[SILENT] * 3], ["firing"], [0, 1, 0, 0, 0], id="silence resolves nothing"),
        pytest.param([BAD, SILENT, BAD], ["firing"], [0, 0, 1], id="silence forgets nothing"),
        pytest.param(
            [BAD, BAD, *[GOOD] * 3, BAD, BAD],
            ["resolved", "firing"],
            [0, 1, 0, 0, 1, 0, 1],
            id="what comes back is a new incident",
        ),
    ],
)
def test_alert_lives_across_evaluations(
    engine: sa.Engine, evaluate: Evaluate, days: list[int | None], state: list[str], notified: list[int]
) -> None:
    found = live(engine, evaluate, days)
    assert (states(engine), states(engine, "vendor:openai")) == (state, [])
    assert [each.notified for each in found] == notified


def test_alert_that_fired_has_one_message_which_its_end_changes(engine: sa.Engine, evaluate: Evaluate) -> None:
    live(engine, evaluate, [BAD, BAD])
    assert messages(engine) == [("availability:assistant", 1, "critical")]
    first = rows_of(engine, t.outbox)[0]
    assert first.dedup_key == rows_of(engine, t.alerts)[0].alert_id
    assert first.payload["text"] == "CRITICAL · Error rate 50 % (limit 5 %) · assistant"
    for now in times(3, NOW + 2 * APART):
        traffic(engine, now, GOOD)
        evaluate(now)
    assert [revision for _, revision, _ in messages(engine)] == [2]
    assert rows_of(engine, t.outbox)[0].payload["text"].startswith("RESOLVED · ")


def test_evaluation_says_what_it_found(engine: sa.Engine, evaluate: Evaluate) -> None:
    found = live(engine, evaluate, [BAD, BAD])[-1]
    assert found.firing == ("availability assistant",)
    assert found.reasons == {"fired": 1, "held_no_data": 5, "quiet": 1}  # quiet: the model's price
    unknown = ("latency gpt-4o-mini", "quality judge_relevance", "quality thumb", "spend total", "vendor vendor:openai")
    assert (found.conditions, tuple(sorted(found.insufficient))) == (1 + 5 + 1, unknown)


def test_evaluation_of_nothing_finds_nothing(engine: sa.Engine, evaluate: Evaluate) -> None:
    found = evaluate(NOW)
    assert (found.notified, found.firing) == (0, ())
    assert found.insufficient == ("quality judge_relevance", "quality thumb")
    with engine.connect() as connection:
        assert ingest.watermark(connection, "default", "evaluate_alerts") == NOW


def test_evaluation_counts_as_the_settings_say(engine: sa.Engine, settings: Settings) -> None:
    quick = settings.model_copy(update={"alerting": Alerting(fire_after=1, clear_after=1)})
    found = live(engine, lambda now: evaluate_alerts.fn(engine, quick, now), [BAD, GOOD])
    assert [each.notified for each in found] == [1, 1]


def test_evaluation_is_of_one_tenant(engine: sa.Engine, settings: Settings, evaluate: Evaluate) -> None:
    live(engine, evaluate, [BAD, BAD])
    found = evaluate_alerts.fn(engine, settings.model_copy(update={"tenant": "other"}), NOW + APART)
    assert found.firing == ()
    assert states(engine) == ["firing"]


# One transaction


@pytest.mark.parametrize(
    "table",
    [
        pytest.param("outbox", id="the outbox row fails"),
        pytest.param("watermarks", id="what comes after the outbox row fails"),
    ],
)
def test_evaluation_that_fails_leaves_no_trace(engine: sa.Engine, evaluate: Evaluate, table: str) -> None:
    live(engine, evaluate, [BAD])
    before = rows_of(engine, t.alerts)
    traffic(engine, NOW + APART, BAD)
    rename(engine, table, "gone")
    with pytest.raises(sa.exc.ProgrammingError, match=table):
        evaluate(NOW + APART)
    rename(engine, "gone", table)
    assert (rows_of(engine, t.alerts), messages(engine)) == (before, [])
    assert [row.reached_at for row in rows_of(engine, t.watermarks, t.watermarks.c.step == "evaluate_alerts")] == [NOW]
    assert evaluate(NOW + APART).notified == 1


def test_evaluation_whose_message_breaks_a_constraint_does_not_save_the_alert(
    engine: sa.Engine, evaluate: Evaluate
) -> None:
    live(engine, evaluate, [BAD])
    traffic(engine, NOW + APART, BAD)
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE watchkeeper.outbox ADD CHECK (tier <> 'critical')"))
    with pytest.raises(sa.exc.IntegrityError):
        evaluate(NOW + APART)
    assert (states(engine), messages(engine)) == (["pending"], [])


def rename(engine: sa.Engine, table: str, name: str) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text(f"ALTER TABLE watchkeeper.{table} RENAME TO {name}"))


# Again, and at once


def test_evaluation_repeated_for_the_same_time_tells_once(engine: sa.Engine, evaluate: Evaluate) -> None:
    live(engine, evaluate, [BAD, BAD])
    again = [evaluate(NOW + APART) for _ in range(3)]
    assert [each.notified for each in again] == [0, 0, 0]
    assert [revision for _, revision, _ in messages(engine)] == [1]


def test_evaluations_at_once_tell_once(engine: sa.Engine, evaluate: Evaluate) -> None:
    live(engine, evaluate, [BAD])
    traffic(engine, NOW + APART, BAD)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(evaluate, [NOW + APART + number * MINUTE for number in range(4)]))
    assert sorted(each.notified for each in found) == [0, 0, 0, 1]
    assert (states(engine), len(messages(engine))) == (["firing"], 1)


def test_evaluations_at_once_open_one_incident(engine: sa.Engine, evaluate: Evaluate, database_url: str) -> None:
    traffic(engine, NOW, BAD)
    with ThreadPoolExecutor(2) as pool:
        with engine.begin() as blocker:  # neither can write before both have begun
            blocker.execute(sa.text("LOCK TABLE watchkeeper.alerts IN SHARE MODE"))
            looks = [pool.submit(evaluate, NOW + number * MINUTE) for number in range(2)]
            assert are_waiting(database_url, 2)
        opened = [look.result().reasons.get("first_breach", 0) for look in looks]
    assert (sorted(opened), len(rows_of(engine, t.alerts))) == ([0, 1], 1)


# Each rule, from rows to a message


def test_spend_fires_in_the_minutes_after_its_hour_with_its_cause(engine: sa.Engine, evaluate: Evaluate) -> None:
    usual = [hour_row(hours * HOUR, "2", events=10, tokens=1000) for hours in range(2, 24 * 20)]
    insert(engine, t.usage_hourly, [*usual, hour_row(HOUR, "10", events=50, tokens=5000)])
    found = [evaluate(NOW + minutes * MINUTE) for minutes in (5, 6, 7)]
    assert [each.notified for each in found] == [0, 1, 0]
    [message] = rows_of(engine, t.outbox)
    ratio = (10 + 1) / (2 + 1)
    assert message.payload["text"] == f"CRITICAL · Spend $10.00 in an hour, {ratio:.1f}x normal (limit 2x) · total"
    assert "*Cause*\nrequests, $8.00 more than normal" in str(message.payload["attachments"]).replace("\\n", "\n")


def test_quality_is_pinned_then_a_drop_is_told(engine: sa.Engine, evaluate: Evaluate) -> None:
    insert(engine, t.scores, [score_row(7 * DAY, value) for value in [1.0] * 180 + [0.0] * 20])
    assert evaluate(NOW).insufficient[-1] == "quality thumb"  # pinned at 0.9, and nothing to compare yet
    insert(engine, t.scores, [score_row(-MINUTE, value) for value in [1.0] * 120 + [0.0] * 80])
    found = [evaluate(NOW + HOUR + number * MINUTE) for number in range(2)]
    assert found[-1].firing == ("quality thumb",)
    [alert] = rows_of(engine, t.alerts)
    assert (alert.tier, alert.body["value"], alert.body["limit"]) == ("warning", 0.6, pytest.approx(0.9 * 0.9))


def test_quality_that_slides_is_told_before_it_is_a_drop_with_the_days_it_has_left(
    engine: sa.Engine, evaluate: Evaluate
) -> None:
    sliding = [0.85 - 0.00121 * max(0, number - 28) for number in range(28 + 57)]  # 1 % of .85 a week
    for number, level in enumerate(sliding):
        values = [level - 0.05, level + 0.05] * 10
        rows = [score_row((len(sliding) - number) * DAY, value, prompt_version="v3") for value in values]
        insert(engine, t.scores, rows)
    for day in (77, 56, 0):  # the first week is over, the first four weeks are, today
        found = evaluate(NOW - day * DAY)
    assert found.reasons["first_breach"] == 1
    evaluate(NOW + MINUTE)
    text = [row.payload["text"] for row in rows_of(engine, t.outbox) if row.tier == "warning"]
    told = "Quality sliding to 0.782, 8.0 % below its baseline (limit 10 % below, reached in ~14 d)"
    assert text == [f"WARNING · {told} · thumb prompt:v3"]


def test_cache_is_told_when_it_stayed_cold_for_half_an_hour(engine: sa.Engine, evaluate: Evaluate) -> None:
    load(engine, [event(MINUTE, operation="embedding", cache_hit=n < 40, now=NOW + HOUR / 2) for n in range(100)])
    found = [evaluate(NOW + minutes * MINUTE) for minutes in (30, 45, 59, 60)]
    assert [each.notified for each in found] == [0, 0, 0, 1]
    [alert] = rows_of(engine, t.alerts)
    assert (alert.rule, alert.key, alert.tier, alert.body["value"]) == ("cache", "embedding", "warning", 40 / 100)


def test_latency_is_told_when_the_model_slows_down(engine: sa.Engine, evaluate: Evaluate) -> None:
    load(engine, [event(DAY, latency_ms=100.0) for _ in range(1000)])
    load(engine, [event(MINUTE, latency_ms=250.0 if n < 40 else 100.0) for n in range(200)])
    found = [evaluate(NOW + number * MINUTE) for number in range(2)]
    assert found[-1].firing == ("latency gpt-4o-mini",)
    [alert] = rows_of(engine, t.alerts)
    assert (alert.tier, alert.body["value"]) == ("critical", 40 / 200)
    load(engine, [event(MINUTE, latency_ms=100.0) for _ in range(2000)])
    told = [evaluate(NOW + number * MINUTE).notified for number in range(2, 12)]
    assert told == [0] * 9 + [1]  # its own rule: ten good looks in a row


def test_unknown_model_is_told_once_as_information_until_a_reprice_knows_it(
    engine: sa.Engine, settings: Settings, evaluate: Evaluate
) -> None:
    load(engine, [event(HOUR, model="mystery")])
    told = [evaluate(NOW + number * MINUTE).notified for number in range(4)]
    assert (told, messages(engine)) == ([0, 1, 0, 0], [("prices:model:openai/mystery", 1, "info")])
    deal = {"contract": "deal", "vendor": "openai", "model": "mystery", "input": 1, "output": 1}
    priced = settings.model_copy(update={"prices": (Price.model_validate(deal),)})
    reprice_usage(engine, priced, Window(NOW - DAY, NOW + DAY), lambda *_: None)
    told = [evaluate(NOW + number * MINUTE).notified for number in range(4, 8)]
    assert (told, states(engine, "model:openai/mystery")) == ([0, 0, 1, 0], ["resolved"])


def test_outage_of_a_simulated_vendor_is_told_under_its_name(
    engine: sa.Engine, settings: Settings, evaluate: Evaluate, tmp_path: Path
) -> None:
    hours = Window(NOW - HOUR, NOW)
    outage = Scenario("vendor-outage", hours, {"vendor": "anthropic"})
    written = simulate(Traffic(seed=3, requests_per_hour=500), hours, tmp_path, scenarios=[outage])
    source = Source(name="gateway", path=str(written.usage))
    load_file(Target(engine, settings.tenant), source, LogFile(str(written.usage)), NOW)
    found = [evaluate(NOW + number * timedelta(seconds=1)) for number in range(2)]
    assert found[-1].firing == ("vendor vendor:anthropic",)  # and none of the services that use it


@pytest.mark.parametrize("fire_after", [1, 2])
def test_outage_of_a_vendor_pages_once_for_all_that_depends_on_it(
    engine: sa.Engine, settings: Settings, fire_after: int
) -> None:
    quick = settings.model_copy(update={"alerting": Alerting(fire_after=fire_after)})
    with engine.begin() as connection:
        vendor_statuses.watch(connection, "default", [Vendor(name="openai", fallback="google/gemini-x")])
    for number, bad in enumerate([True, True, True, False, False, False]):
        now = NOW + number * APART
        for service in ("assistant", "search-api"):
            made = failed if bad else event
            load(engine, [made(MINUTE, now=now, service=service) for _ in range(REQUESTS)])
            load(engine, [event(MINUTE, now=now, service=service, vendor="google") for _ in range(REQUESTS)])
        evaluate_alerts.fn(engine, quick, now)
        pages = rows_of(engine, t.outbox, t.outbox.c.tier == "critical")
        revisions = [] if number + 1 < fire_after else [2] if number == 5 else [1]
        assert [page.desired_rev for page in pages] == revisions
    [alert] = rows_of(engine, t.alerts, t.alerts.c.tier == "critical")
    assert (alert.rule, alert.key, alert.state) == ("vendor", "vendor:openai", "resolved")
    evidence = alert.body["evidence"]
    assert evidence["blast_radius"] == "120 of 120 requests failed in 5 min: assistant 60 of 60, search-api 60 of 60"
    assert evidence["models"] == "gpt-4o-mini 120 of 120"
    assert evidence["fallback"] == "google/gemini-x; 0 of 120 requests to google failed in 1 h"


@pytest.mark.parametrize(
    ("rule", "key"),
    [("availability", "old-api"), ("availability", "unknown service"), ("latency", "gpt-3"), ("cache", "embedding"),
     ("vendor", "vendor:acme")],
)  # fmt: skip
def test_alert_about_what_nobody_asks_any_more_is_over_after_a_week(
    engine: sa.Engine, evaluate: Evaluate, rule: str, key: str
) -> None:
    start = NOW - 8 * DAY
    last = {"vendor": "acme", "model": "gpt-3", "service": None if key == "unknown service" else "old-api"}
    load(engine, [event(HOUR, now=start, operation="embedding", **last)], at=start)
    told = Alert(
        alert_id="a", rule=rule, key=key, tier=Tier.CRITICAL, state=State.FIRING, since=start, revision=1, value=1.0,
        limit=0.05, summary=Summary("It", "is bad", "5 %"), evidence={},
    )  # fmt: skip
    with engine.begin() as connection:
        alerts.save(connection, "default", told)
    for number in range(10):
        evaluate(start + 6 * DAY + number * MINUTE)
    for number in range(10):
        evaluate(NOW + number * MINUTE)
    assert states(engine, key) == ["firing"]  # nothing came at all: nobody knows what is asked
    others = {"vendor": "other", "model": "other", "service": "new-api", "operation": "chat"}
    load(engine, [event(HOUR, **others)], at=NOW)
    insert(engine, t.alerts, [alert_row("silence", "source:gateway")])
    for number in range(10, 20):
        evaluate(NOW + number * MINUTE)
    assert states(engine, key) == ["firing"]  # nor while a source is silent
    with engine.begin() as connection:
        connection.execute(sa.update(t.alerts).where(t.alerts.c.rule == "silence").values(state="resolved"))
    for number in range(20, 30):
        evaluate(NOW + number * MINUTE)
    assert states(engine, key) == ["resolved"]


def test_message_goes_to_the_channels_that_want_its_tier(engine: sa.Engine, settings: Settings) -> None:
    channels = (
        Channel(name="pager", kind="console", tiers=frozenset({"critical"})),
        Channel(name="log", kind="console"),
        Channel(name="review", kind="console", tiers=frozenset({"warning", "info"})),
    )
    told = settings.model_copy(update={"channels": channels})
    live(engine, lambda now: evaluate_alerts.fn(engine, told, now), [BAD, BAD])
    found: list[Any] = rows_of(engine, t.outbox, t.outbox.c.dedup_key.like("availability:assistant%"))
    assert [row.destination for row in found] == ["log", "pager"]
    with engine.connect() as connection:
        assert len(alerts.all_alerts(connection, "default")) == 1
