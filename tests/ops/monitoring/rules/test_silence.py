"""A source that is not loaded any more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ops.monitoring.alerts import Policy, Reason, State, Status, Summary, Tier, Transition, step
from ops.monitoring.rules import RULES
from ops.monitoring.rules.silence import SourceSample, evaluate, together
from ops.monitoring.slack_message import as_text, render

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE, MOMENT = timedelta(minutes=1), timedelta(microseconds=1)
MONTH_AGO = NOW - timedelta(days=30)


def sample(silent: timedelta | None = None, **changes: Any) -> SourceSample:
    """Sample a source with an hour to be loaded in, watched for a month and loaded so long ago."""
    usual: dict[str, Any] = {
        "source": "gateway", "now": NOW, "limit": 60 * MINUTE, "watched_since": MONTH_AGO,
        "last_tried_at": NOW - MINUTE, "last_success_at": None if silent is None else NOW - silent,
    }  # fmt: skip
    return SourceSample(**{**usual, **changes})


@pytest.mark.parametrize(
    ("measured", "tier"),
    [
        pytest.param(sample(60 * MINUTE - MOMENT), None, id="a moment less than an hour is fine"),
        pytest.param(sample(60 * MINUTE), Tier.WARNING, id="an hour is too long"),
        pytest.param(sample(240 * MINUTE - MOMENT), Tier.WARNING, id="up to four hours it is a warning"),
        pytest.param(sample(240 * MINUTE), Tier.CRITICAL, id="four hours are critical"),
        pytest.param(sample(2 * MINUTE, limit=MINUTE), Tier.WARNING, id="its own limit holds"),
        pytest.param(sample(-MINUTE), None, id="a success after the time that is replayed is no silence"),
        pytest.param(sample(watched_since=NOW - 59 * MINUTE), None, id="a new source has its time to be loaded first"),
        pytest.param(sample(watched_since=NOW - 60 * MINUTE), Tier.WARNING, id="and no more than that"),
        pytest.param(
            sample(timedelta(days=9), watched_since=NOW - MINUTE), None, id="one that is configured again begins anew"
        ),
        pytest.param(sample(timedelta(days=9), limit=None), None, id="one that is configured no more is nobody's loss"),
        pytest.param(sample(MINUTE, failures=9), None, id="failures since a fresh success are not silence"),
    ],
)
def test_silence_is_judged_by_the_last_success(measured: SourceSample, tier: Tier | None) -> None:
    condition = evaluate(measured)
    assert condition.tier is tier
    assert condition.status is (Status.BREACH if tier else Status.OK)
    assert (condition.rule, condition.key, condition.near_limit) == ("silence", "source:gateway", False)


@pytest.mark.parametrize(
    ("measured", "value", "limit"),
    [
        pytest.param(sample(90 * MINUTE), 90.0, 60.0, id="minutes since the success, and minutes allowed"),
        pytest.param(sample(-MINUTE), 0.0, 60.0, id="never less than nothing"),
        pytest.param(sample(90 * MINUTE, limit=None), 90.0, None, id="no limit for one that is not configured"),
    ],
)
def test_silence_is_measured_in_minutes(measured: SourceSample, value: float, limit: float | None) -> None:
    condition = evaluate(measured)
    assert (condition.value, condition.limit, condition.unit) == (value, limit, "minutes")


@pytest.mark.parametrize(
    ("measured", "summary"),
    [
        pytest.param(
            sample(90 * MINUTE), Summary("Source", "silent since 2026-11-20 10:30 UTC", "60 min"), id="since when"
        ),
        pytest.param(
            sample(watched_since=NOW - 61 * MINUTE),
            Summary("Source", "never loaded, watched since 2026-11-20 10:59 UTC", "60 min"),
            id="a source that never was loaded",
        ),
        pytest.param(
            sample(MINUTE, limit=1440 * MINUTE), Summary("Source", "loaded at 2026-11-20 11:59 UTC", "24 h"), id="fine"
        ),
        pytest.param(
            sample(MINUTE, limit=150 * MINUTE), Summary("Source", "loaded at 2026-11-20 11:59 UTC", "2.5 h"), id="hours"
        ),
        pytest.param(
            sample(limit=None), Summary("Source", "no longer configured", "none"), id="gone from the settings"
        ),
    ],
)
def test_silence_says_since_when(measured: SourceSample, summary: Summary) -> None:
    assert evaluate(measured).summary == summary


def test_silence_shows_the_last_error_and_how_often_it_failed() -> None:
    condition = evaluate(sample(90 * MINUTE, failures=17, last_error="host is unavailable: 500"))
    assert condition.evidence == {
        "failures": 17, "last_try": "2026-11-20 11:59 UTC", "last_success": "2026-11-20 10:30 UTC",
        "last_error": "host is unavailable: 500",
    }  # fmt: skip


def test_silence_of_a_source_that_nothing_tried_names_the_likely_cause() -> None:
    evidence = evaluate(sample(last_tried_at=MONTH_AGO)).evidence
    assert evidence == {
        "cause": "nothing tried to load it: does ingest-usage run, and every shard?",
        "failures": 0, "last_try": "2026-10-21 12:00 UTC",
    }  # fmt: skip


def test_one_tells_of_all_that_nothing_tries_since_the_same_time() -> None:
    """A loader that died is one cause; the one whose limit is over first tells of it, and remains the one that does."""
    short, long = sample(90 * MINUTE, source="b", limit=30 * MINUTE), sample(85 * MINUTE, source="a")
    first, second = together([long, short])
    assert [(each.source, each.told_by, each.tells_of) for each in (first, second)] == [
        ("a", "b", ()), ("b", None, ("a",))
    ]  # fmt: skip
    told, tells = evaluate(first), evaluate(second)
    assert (told.status, told.tier, told.summary.value) == (
        Status.INSUFFICIENT_DATA, None, "silent since 2026-11-20 10:35 UTC"
    )  # fmt: skip
    assert (tells.status, tells.tier, tells.evidence["also"]) == (Status.BREACH, Tier.WARNING, "a")
    alone = replace(long, last_success_at=NOW - 59 * MINUTE)
    assert together([alone, short]) == [alone, short]  # before, it tells of itself alone


def silent_since(minutes: int, source: str, **changes: Any) -> SourceSample:
    return sample(minutes * MINUTE, source=source, **changes)


@pytest.mark.parametrize(
    "samples",
    [
        pytest.param([silent_since(90, "a"), silent_since(101, "b")], id="they stopped more than ten minutes apart"),
        pytest.param([silent_since(90, "a", failures=2), silent_since(90, "b")], id="one is tried and fails"),
        pytest.param([silent_since(90, "a", failures=2), silent_since(90, "b", failures=2)], id="both are"),
        pytest.param([silent_since(90, "a", limit=None), silent_since(90, "b")], id="one is configured no more"),
        pytest.param([silent_since(0, "a"), silent_since(90, "b")], id="one is loaded again"),
        pytest.param([], id="none at all"),
    ],
)
def test_each_tells_of_itself_when(samples: list[SourceSample]) -> None:
    assert together(samples) == samples


def test_one_tells_of_those_that_stopped_within_ten_minutes_of_the_first() -> None:
    found = together(silent_since(90 + 10 * k, f"s{k}") for k in range(4))
    assert [each.told_by for each in found] == ["s1", None, "s3", None]


def test_one_is_as_grave_as_the_gravest_that_it_tells_of() -> None:
    # 255 < 4 x 64 and 252 = 4 x 63; the limit of `a` was over 191 minutes ago, that of `b` 189
    first, grave = silent_since(255, "a", limit=64 * MINUTE), silent_since(252, "b", limit=63 * MINUTE)
    assert [evaluate(each).tier for each in (first, grave)] == [Tier.WARNING, Tier.CRITICAL]
    leads, told = together([first, grave])
    assert (evaluate(leads).tier, told.told_by) == (Tier.CRITICAL, "a")


def test_source_whose_events_are_missed_is_critical_from_its_limit_on() -> None:
    missed = evaluate(silent_since(60, "a", is_missed=True))
    assert (missed.tier, missed.evidence["missed"]) == (Tier.CRITICAL, "events that were due, by the data checks")
    assert evaluate(silent_since(59, "a", is_missed=True)).tier is None


def follow(*measured: SourceSample) -> list[Transition]:
    """Judge one sample after the other, as an evaluation each minute does."""
    transitions: list[Transition] = []
    for one in measured:
        before = transitions[-1].alert if transitions else None
        transitions.append(step(before, evaluate(one), RULES["silence"].policy, one.now))
    return transitions


def test_silence_is_told_once_again_when_critical_and_when_over() -> None:
    lengths = (59, 60, 61, 62, 239, 240, 241, 0, 1, 2)
    moments = [NOW + number * MINUTE for number in range(len(lengths))]
    found = follow(*(sample(now=at, last_success_at=at - m * MINUTE) for at, m in zip(moments, lengths, strict=True)))
    assert [one.reason for one in found] == [
        Reason.QUIET, Reason.FIRST_BREACH, Reason.FIRED, Reason.STILL_FIRING, Reason.STILL_FIRING,
        Reason.ESCALATED_TIER, Reason.STILL_FIRING, Reason.CLEARING, Reason.CLEARING, Reason.RESOLVED,
    ]  # fmt: skip


def test_silence_of_a_source_that_is_removed_is_over() -> None:
    silent = sample(90 * MINUTE)
    last = follow(silent, silent, *[sample(90 * MINUTE, limit=None)] * 3)[-1]
    assert last.alert is not None
    assert (last.alert.state, last.notify) == (State.RESOLVED, True)
    assert as_text(render(last.alert, NOW)).startswith(
        "RESOLVED · Source no longer configured (limit none) · source:gateway"
    )


def test_silence_is_one_line_for_whoever_is_woken() -> None:
    silent = sample(300 * MINUTE, failures=60, last_error="file '/logs/*.jsonl' not found")
    alert = follow(silent, silent)[-1].alert
    assert alert is not None
    shown = as_text(render(alert, NOW)).splitlines()
    assert shown[0] == "CRITICAL · Source silent since 2026-11-20 07:00 UTC (limit 60 min) · source:gateway"
    assert "  Last error: file '/logs/*.jsonl' not found" in shown


def test_silence_fires_at_the_second_breach() -> None:
    assert RULES["silence"].policy == Policy(fire_after=2, clear_after=3)
