"""Sums of metrics, as the database reads them, beside what was loaded by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from ops.monitoring.histogram import Histogram
from ops.monitoring.measured import (
    InUse,
    Known,
    MonthEnd,
    Pages,
    RequestSums,
    Scorer,
    ScoreSums,
    SentSums,
    UserSums,
)
from ops.monitoring.readings import Dimension, Source
from ops.monitoring.vendor_status import PageState
from ops.proportions import Share
from ops.rollup import latency_bin
from ops.usage import Status, UsageEvent
from ops.window import Window
from tasks.sources.interface import Batch
from tasks.stores import metrics
from tasks.stores.retention import raise_floor
from tasks.stores.tables import cost_projections, scores, usage_daily_users, usage_events, vendor_statuses
from tasks.write_usage import Origin, Target, Writer
from tests.hand_made import DAY, HOUR, MINUTE, MOMENT, NOW, event, failed, insert, load, score_row

WINDOW = Window.before(NOW, HOUR)
OF_A_WINDOW = [
    Source.REQUESTS, Source.SENT, Source.LATENCY, Source.FIRST_TOKEN, Source.SCORES, Source.MODELS, Source.PROMPTS,
]  # fmt: skip
HALVES = Window(NOW - 4 * HOUR - 30 * MINUTE, NOW - 30 * MINUTE)  # whole hours, and a half at either end


def read(engine: sa.Engine, source: Source, window: Window = WINDOW, by: Dimension | None = None) -> Any:
    with engine.connect() as connection:
        return metrics.read(connection, "default", source, window, by)


def histogram(latencies: Sequence[float]) -> Histogram:
    return Histogram(Counter(map(latency_bin, latencies)), max(latencies, default=None))


# Requests and failures

KINDS = ("timeout", "rate_limit", "content_filter", "server", "client", "other", None, "unheard-of")
FAILED = {"timeout": 1, "rate_limit": 1, "content_filter": 1, "server": 1, "client": 1, "other": 3}


def test_requests_are_summed_up(engine: sa.Engine) -> None:
    load(engine, [
        event(HOUR, cached_tokens=4, cache_hit=False),  # 10 input tokens each
        event(MINUTE, cached_tokens=0, latency_ms=None),
        event(MINUTE, input_tokens=None, cached_tokens=None),
        event(MINUTE, cache_hit=True, cached_tokens=9, latency_ms=1.0),
        failed(MINUTE, cache_hit=True),
        event(MINUTE, operation="embedding", cache_hit=True, model="text-embedding-3-small"),
        event(MINUTE, operation="embedding", cache_hit=False, model="mystery"),
        *(failed(MINUTE, error_type=kind, latency_ms=50.0) for kind in KINDS),
    ])  # fmt: skip
    with engine.connect() as connection:
        cost, priced = connection.execute(
            sa.select(sa.func.sum(usage_events.c.cost_usd), sa.func.count(usage_events.c.cost_usd))
        ).one()
    n = 7 + len(KINDS)
    assert 0 < priced < n
    assert read(engine, Source.REQUESTS)[None] == RequestSums(
        known=Known(WINDOW), requests=n, cost_usd=cost, priced=priced, answers=n - 2, answers_told=3, answer_hits=2,
        embeddings=2, embeddings_told=2, embedding_hits=1,
    )  # fmt: skip
    sent = 4 + len(KINDS)  # three chats, an embedding, the failures
    assert read(engine, Source.SENT)[None] == SentSums(
        known=Known(WINDOW), sent=sent, failures=FAILED, busy_ms=100 * 3 + 50 * len(KINDS), timed=sent - 1,
        prompts_cached=Share(4 + 0, 10 + 10), prompts=2,
    )  # fmt: skip


@pytest.mark.parametrize("by", Dimension)
def test_requests_are_told_apart(engine: sa.Engine, by: Dimension) -> None:
    names = {"model": "m1", "release": "r1", "feature": "f1", "vendor": "v1"}
    load(engine, [event(MINUTE, **{**names, by.value: "other"}), *(failed(2 * HOUR, **names) for _ in range(2))])
    span = Window.before(NOW, 3 * HOUR)
    requests, sent = (read(engine, source, span, by) for source in (Source.REQUESTS, Source.SENT))
    assert {key: sums.requests for key, sums in requests.items()} == {names[by.value]: 2, "other": 1}
    failed_of = {key: sums.failed("timeout") for key, sums in sent.items()}
    assert failed_of == {names[by.value]: Share(2, 2), "other": Share(0, 1)}


def test_requests_without_a_name_have_a_key_of_their_own(engine: sa.Engine) -> None:
    load(engine, [event(MINUTE, release=None), event(MINUTE, release="r1")])
    assert set(read(engine, Source.REQUESTS, by=Dimension.RELEASE)) == {None, "r1"}


# Roll-ups and events tell the same

STEPS = (
    timedelta(0), MOMENT, 17 * MINUTE, 29 * MINUTE, 59 * MINUTE, HOUR, HOUR + MOMENT, 2 * HOUR - MOMENT, 2 * HOUR,
    200 * MINUTE, 12 * HOUR, 12 * HOUR + MOMENT, 13 * HOUR,
)  # fmt: skip
AWKWARD = {
    "whole hours": Window.before(NOW, 4 * HOUR),
    "halves at either end": HALVES,
    "over midnight": Window(NOW - 13 * HOUR - 7 * MINUTE, NOW - 17 * MINUTE),
    "a moment more than an hour": Window(NOW - 2 * HOUR - MOMENT, NOW - HOUR),
    "a moment less": Window(NOW - 2 * HOUR + MOMENT, NOW - HOUR),
    "a moment over an end": Window(NOW - 2 * HOUR, NOW - HOUR + MOMENT),
    "from one request to another": Window(NOW - 200 * MINUTE, NOW - 17 * MINUTE),
    "no whole hour": Window(NOW - 100 * MINUTE, NOW - 20 * MINUTE),
    "within an hour": Window(NOW - 50 * MINUTE, NOW - 20 * MINUTE),
}


def mixed() -> list[UsageEvent]:
    """Make requests of every kind at every STEP: with and without price, hit, miss or not told, failed or not."""
    kinds: list[dict[str, Any]] = [
        {"cache_hit": False, "feature": "f1", "release": "r1"}, {"cache_hit": True, "release": "r2"},
        {"model": "mystery", "vendor": "nobody", "feature": "f2"}, {"operation": "embedding", "cache_hit": True},
        {"status": Status.FAILURE, "error_type": "server", "feature": "f1"},
        {"status": Status.FAILURE, "cache_hit": True}, {"operation": "moderation", "input_tokens": None},
    ]  # fmt: skip
    return [event(step, **kind) for step in STEPS for kind in kinds]


def counted(engine: sa.Engine, window: Window, by: Dimension | None) -> dict[str | None, tuple[Any, ...]]:
    """Count from the events alone, one by one: requests, cost, those with a price, what caches answered."""
    with engine.connect() as connection:
        rows = connection.execute(sa.select(usage_events)).all()
    found: dict[str | None, tuple[Any, ...]] = {}
    for row in rows:
        if row.occurred_at in window:
            key, sent = getattr(row, by) if by else None, row.cache_hit is not True
            answer, embedding = row.operation == "chat", row.operation == "embedding"
            one = (
                1, row.cost_usd or 0, row.cost_usd is not None, answer, answer and row.cache_hit is not None,
                answer and not sent, embedding, embedding and row.cache_hit is not None, embedding and not sent,
            )  # fmt: skip
            found[key] = tuple(a + b for a, b in zip(found.get(key, (0,) * len(one)), one, strict=True))
    return found


def summed(engine: sa.Engine, window: Window, by: Dimension | None) -> dict[str | None, tuple[Any, ...]]:
    requests: dict[str | None, RequestSums] = read(engine, Source.REQUESTS, window, by)
    return {
        key: (
            sums.requests, sums.cost_usd, sums.priced, sums.answers, sums.answers_told, sums.answer_hits,
            sums.embeddings, sums.embeddings_told, sums.embedding_hits,
        )
        for key, sums in requests.items()
    }  # fmt: skip


@pytest.fixture
def corrected(engine: sa.Engine) -> sa.Engine:
    """Load requests, some of them late, some of them corrected: moved, priced otherwise, failed after all."""
    first, *others = mixed()
    load(engine, others)
    load(engine, [first, event(90 * MINUTE, feature="late")])
    moved, renamed, broken = others[10], others[20], others[30]
    correct(engine, msgspec.structs.replace(moved, occurred_at=moved.occurred_at - 90 * MINUTE))
    correct(engine, msgspec.structs.replace(renamed, model="gpt-4o", vendor="openai", input_tokens=999))
    correct(engine, msgspec.structs.replace(broken, status=Status.FAILURE, error_type="timeout", cache_hit=None))
    return engine


def test_requests_of_rollups_and_of_events_are_the_same(corrected: sa.Engine) -> None:
    for name, window in AWKWARD.items():
        for by in (None, *Dimension):
            assert summed(corrected, window, by) == counted(corrected, window, by), (name, by)


def test_models_of_rollups_and_of_events_are_the_same(corrected: sa.Engine) -> None:
    for window in AWKWARD.values():
        requests = read(corrected, Source.REQUESTS, window, Dimension.MODEL)
        by_model = {model: sums.requests for model, sums in requests.items()}
        assert read(corrected, Source.MODELS, window) == {None: InUse(by_model)}
        assert read(corrected, Source.MODELS, window, Dimension.MODEL) == {
            model: InUse({model: n}) for model, n in by_model.items()
        }


# Windows that are longer than the data


@pytest.mark.parametrize(
    ("window", "part"),
    [
        pytest.param(Window.before(NOW, 3 * HOUR), Window.before(NOW, 100 * MINUTE), id="usage began in it"),
        pytest.param(Window.before(NOW, 110 * MINUTE), Window.before(NOW, 100 * MINUTE), id="in its first hour"),
        pytest.param(Window.before(NOW, 90 * MINUTE), Window.before(NOW, 90 * MINUTE), id="usage began before it"),
    ],
)
def test_window_is_known_from_the_first_request_on(engine: sa.Engine, window: Window, part: Window) -> None:
    load(engine, [event(100 * MINUTE, now=NOW), event(MINUTE)])
    load(engine, [event(3 * HOUR)], tenant="other")
    for source in (Source.REQUESTS, Source.SENT):
        assert read(engine, source, window)[None].known == Known(part, part == window)


def test_hours_whose_events_are_no_longer_kept_are_known_by_their_rollups_alone(engine: sa.Engine) -> None:
    load(engine, [event(when) for when in (4 * HOUR, 3 * HOUR)] + [failed(when) for when in (DAY, 2 * HOUR, MINUTE)])
    with engine.begin() as connection:
        raise_floor(connection, "default", NOW - 3 * HOUR + 30 * MINUTE)
        connection.execute(sa.delete(usage_events).where(usage_events.c.occurred_at < NOW - 3 * HOUR + 30 * MINUTE))
    kept = Window(NOW - 3 * HOUR + 30 * MINUTE, NOW)
    found = read(engine, Source.REQUESTS, Window.before(NOW, 4 * HOUR + 30 * MINUTE))[None]
    assert (found.requests, found.known) == (4, Known(Window.before(NOW, 4 * HOUR), is_whole=False))
    sent = read(engine, Source.SENT, Window.before(NOW, 4 * HOUR))[None]
    assert (sent.failed("timeout"), sent.known) == (Share(2, 2), Known(kept, is_whole=False))


@pytest.mark.parametrize(
    ("before", "is_part"),
    [
        pytest.param(timedelta(0), False, id="the end is not part of the window"),
        pytest.param(MOMENT, True, id="the moment before is"),
        pytest.param(HOUR, True, id="and the beginning"),
        pytest.param(HOUR + MOMENT, False, id="and nothing before"),
    ],
)
@pytest.mark.parametrize("source", OF_A_WINDOW)
def test_window_is_half_open(engine: sa.Engine, source: Source, before: timedelta, is_part: bool) -> None:
    load(engine, [event(before, ttft_ms=5.0, prompt_version="p1")])
    insert(engine, scores, [score_row(before, 1)])
    assert set(read(engine, source)) == ({None} if is_part else set())


@pytest.mark.parametrize("source", Source)
def test_nothing_and_what_others_have_is_nothing(engine: sa.Engine, source: Source) -> None:
    load(engine, [event(MINUTE, ttft_ms=5.0, user_id="u", prompt_version="p1")], tenant="other")
    insert(engine, scores, [score_row(MINUTE, 1, tenant_id="other")])
    insert(engine, cost_projections, [projection(MINUTE, tenant_id="other")])
    span = Window(NOW - DAY, NOW + DAY)
    assert read(engine, source, span) == {}


# Latency


LATENCIES = (80.0, 95.5, 101.0, 250.0, 3000.0, 12.25)
TIMES = [timedelta(minutes=minutes) for minutes in (29, 31, 59, 60, 61, 125, 180, 239, 240, 269, 270, 271)]


def spread() -> list[UsageEvent]:
    """Make requests of two models, at the edges of hours and of HALVES."""
    return [
        event(when, model=f"m{number % 2}", latency_ms=LATENCIES[number % 6] + number)
        for number, when in enumerate([*TIMES, *TIMES])
    ]


def within(events: Sequence[UsageEvent], window: Window) -> list[float]:
    return [each.latency_ms for each in events if each.occurred_at in window and each.latency_ms is not None]


@pytest.mark.parametrize(
    "window",
    [
        pytest.param(HALVES, id="hours with a half at either end"),
        pytest.param(Window.before(NOW, 4 * HOUR), id="whole hours"),
        pytest.param(Window(NOW - 70 * MINUTE, NOW - 20 * MINUTE), id="no whole hour"),
        pytest.param(Window.before(NOW - HOUR, 90 * MINUTE), id="a half at the beginning"),
    ],
)
def test_latency_of_hours_and_the_rest_is_that_of_the_events(engine: sa.Engine, window: Window) -> None:
    events = spread()
    load(engine, events)
    assert read(engine, Source.LATENCY, window) == {None: histogram(within(events, window))}
    by_model = read(engine, Source.LATENCY, window, Dimension.MODEL)
    for model in ("m0", "m1"):
        assert by_model[model] == histogram(within([each for each in events if each.model == model], window))


@pytest.mark.parametrize("by", Dimension)
def test_latency_is_told_apart(engine: sa.Engine, by: Dimension) -> None:
    names = {"model": "m1", "release": "r1", "feature": "f1", "vendor": "v1"}
    load(engine, [event(when, latency_ms=100.0, **names) for when in TIMES])
    load(engine, [event(2 * HOUR, latency_ms=900.0, **{**names, by.value: "other"})])
    found = read(engine, Source.LATENCY, HALVES, by)
    inside = [when for when in TIMES if NOW - when in HALVES]
    assert found == {names[by.value]: histogram([100.0] * len(inside)), "other": histogram([900.0])}


def test_latency_is_of_successes_that_no_cache_answered(engine: sa.Engine) -> None:
    others = [failed(when, latency_ms=9e3) for when in TIMES]
    others += [event(when, latency_ms=9e3, cache_hit=True) for when in TIMES]
    load(engine, [*others, event(2 * HOUR, latency_ms=70.0), event(40 * MINUTE, latency_ms=None)])
    assert read(engine, Source.LATENCY, HALVES) == {None: histogram([70.0])}


def test_latency_follows_late_and_corrected_events(engine: sa.Engine) -> None:
    first, slow = event(2 * HOUR, latency_ms=100.0), event(3 * HOUR, latency_ms=5000.0)
    load(engine, [first, slow])
    load(engine, [event(4 * HOUR, latency_ms=200.0)])  # late
    correct(engine, event(3 * HOUR, event_id=slow.event_id, latency_ms=50.0))
    assert read(engine, Source.LATENCY, HALVES) == {None: histogram([100.0, 200.0, 50.0])}


SEEN = datetime(2100, 1, 1, tzinfo=UTC)  # after it was stored


def correct(engine: sa.Engine, corrected: UsageEvent) -> None:
    writer = Writer(Target(engine, "default"), corrects=True)
    loaded = writer.write(Batch(events=[corrected]), Origin("log", "jsonl", "by hand"), SEEN)
    assert loaded.corrected == 1


def test_largest_latency_is_unknown_where_events_are_no_longer_kept(engine: sa.Engine) -> None:
    load(engine, [event(2 * HOUR, latency_ms=100.0)])
    with engine.begin() as connection:
        connection.execute(sa.delete(usage_events))
    assert read(engine, Source.LATENCY, HALVES) == {None: Histogram({latency_bin(100): 1}, None)}


def test_first_token_is_counted(engine: sa.Engine) -> None:
    load(engine, [event(MINUTE, ttft_ms=20.0), event(MINUTE, ttft_ms=30.5), event(MINUTE), failed(MINUTE, ttft_ms=9e3)])
    assert read(engine, Source.FIRST_TOKEN) == {None: histogram([20.0, 30.5])}


# The others


LOG = Scorer("log", None)


def test_scores_are_summed_up_by_name(engine: sa.Engine) -> None:
    insert(engine, scores, [
        score_row(MINUTE, 1, model="m1"), score_row(MINUTE, 0, model="m1"), score_row(MINUTE, -1, model="m2"),
        score_row(MINUTE, 0.25, "judge_relevance", model="m1"),
        score_row(MINUTE, 9, "probe:judge_relevance", model="m3"),
    ])  # fmt: skip
    assert read(engine, Source.SCORES) == {
        None: {"thumb": {LOG: ScoreSums(3, 1 + 0 - 1, 1)}, "judge_relevance": {LOG: ScoreSums(1, 0.25, 1)}}
    }
    assert read(engine, Source.SCORES, by=Dimension.MODEL) == {
        "m1": {"thumb": {LOG: ScoreSums(2, 1, 1)}, "judge_relevance": {LOG: ScoreSums(1, 0.25, 1)}},
        "m2": {"thumb": {LOG: ScoreSums(1, -1)}},
    }  # fmt: skip


def test_scores_of_traffic_and_of_golden_sets_of_two_judges_and_of_two_rubrics_stay_apart(engine: sa.Engine) -> None:
    scorers = [
        Scorer("judge", "rubric-1"), Scorer("judge", "rubric-2"), Scorer("judge", None),
        Scorer("evaluation", "rubric-1"),
    ]  # fmt: skip
    insert(engine, scores, [
        score_row(MINUTE, number, "judge_relevance", **scorer._asdict()) for number, scorer in enumerate(scorers)
    ])  # fmt: skip
    assert read(engine, Source.SCORES)[None]["judge_relevance"] == {
        scorer: ScoreSums(1, number, number > 0) for number, scorer in enumerate(scorers)
    }


def test_users_of_some_days_are_counted_once(engine: sa.Engine) -> None:
    days = [NOW.replace(hour=0) - number * DAY for number in (0, 1, 2, 3)]
    rows = [
        (1, "ann", 1, 0), (2, "ann", 2, 0), (2, "bob", 5, 1), (1, "unpriced", 0, 2), (0, "late", 9, 0),
        (3, "old", 9, 0),
    ]  # fmt: skip
    insert(engine, usage_daily_users, [
        {"day": days[ago], "user_id": user, "cost_usd": usd, "events": 2, "unpriced_events": unpriced,
         "input_tokens": 0, "output_tokens": 0}
        for ago, user, usd, unpriced in rows
    ])  # fmt: skip
    span = Window(days[2], days[0])
    assert read(engine, Source.USER_MONTH, span) == {None: UserSums(Decimal(1 + 2 + 5), 2)}


@pytest.mark.parametrize(
    ("before", "days"),
    [
        pytest.param(31 * DAY, 30, id="usage began long ago"),
        pytest.param(12 * HOUR + 30 * DAY, 30, id="at the first midnight"),
        pytest.param(11 * HOUR + 30 * DAY, 29, id="an hour later: the first day is not whole"),
        pytest.param(12 * HOUR + DAY, 1, id="yesterday, at midnight"),
        pytest.param(12 * HOUR + MOMENT, 0, id="at the end of yesterday"),
    ],
)
def test_users_are_of_so_many_full_days_since_usage_began(engine: sa.Engine, before: timedelta, days: int) -> None:
    load(engine, [event(before, user_id="ann"), event(12 * HOUR + MOMENT, user_id="ann")])
    load(engine, [event(40 * DAY)], tenant="other")
    midnight = NOW.replace(hour=0)
    assert read(engine, Source.USER_MONTH, Window.before(midnight, 30 * DAY))[None].days == days


def projection(before: timedelta, usd: int = 300, scope: str = "total", key: str = "", **fields: Any) -> dict[str, Any]:
    amounts = dict.fromkeys(("spent_usd", "low80_usd", "high80_usd", "low95_usd", "high95_usd"), 0)
    made = {"month": NOW.date().replace(day=1), "as_of": NOW - before, "scope": scope, "key": key, **amounts}
    made |= {"method": "m", "history_days": 20, "low_history": False, "unpriced_events": 0, "month_end_usd": usd}
    return {**made, **fields}


def test_projection_is_the_last_one_of_the_day(engine: sa.Engine) -> None:
    parts = [projection(HOUR, 200, "feature", "chat"), projection(HOUR, 100, "feature", "search")]
    insert(engine, cost_projections, [
        projection(2 * HOUR, 290), projection(HOUR), projection(-MINUTE, 310), *parts,
        projection(HOUR, 9, "team", "core"),
    ])  # fmt: skip
    assert read(engine, Source.PROJECTION) == {None: MonthEnd(Decimal(300), 20)}
    assert read(engine, Source.PROJECTION, by=Dimension.FEATURE) == {
        "chat": MonthEnd(Decimal(200), 20), "search": MonthEnd(Decimal(100), 20),
    }  # fmt: skip
    assert read(engine, Source.PROJECTION, Window.before(NOW + DAY + HOUR, HOUR)) == {}


def test_pages_are_as_they_stand_at_the_end_of_the_window(engine: sa.Engine) -> None:
    page = {"state": "degraded performance", "description": "slow"}
    row = {"components": [], "status_url": "https://status.openai.com", "read_at": NOW - MINUTE, "page": page}
    insert(engine, vendor_statuses, [
        {**row, "vendor": "openai"}, {**row, "vendor": "anthropic", "status_url": None, "page": None},
        {**row, "vendor": "google", "tenant_id": "other"},
    ])  # fmt: skip
    found = read(engine, Source.PAGES)
    assert found[None].readings["openai"].state is PageState.DEGRADED
    assert list(found[None].readings) == ["openai"]
    assert read(engine, Source.PAGES, by=Dimension.VENDOR) == {"openai": Pages(found[None].readings)}
    later = read(engine, Source.PAGES, Window(NOW, NOW + HOUR))
    assert later[None].readings["openai"].state is PageState.UNKNOWN


def test_versions_in_use_are_counted_with_failures(engine: sa.Engine) -> None:
    load(engine, [
        event(MINUTE, prompt_version="p1", release="r1"), event(MINUTE, prompt_version="p2", release="r2", model="m2"),
        event(MINUTE, release="r1"), event(MINUTE, status=Status.FAILURE, prompt_version="p2", release="r2"),
    ])  # fmt: skip
    assert read(engine, Source.MODELS) == {None: InUse({"gpt-4o-mini": 3, "m2": 1})}
    assert read(engine, Source.PROMPTS, by=Dimension.RELEASE) == {"r1": InUse({"p1": 1}), "r2": InUse({"p2": 2})}
