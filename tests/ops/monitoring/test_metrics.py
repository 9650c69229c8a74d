"""The catalogue: each metric's value by arithmetic, and its documentation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

import ops.monitoring
from ops.errors import InvalidValue, UnknownName
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
    cached,
    known_part,
)
from ops.monitoring.metrics import METRICS, WINDOWS, find
from ops.monitoring.metrics import SCORES as SCORES_READ
from ops.monitoring.readings import Dimension, Reading, ReadingStatus, Source, span_of
from ops.monitoring.vendor_status import PageState, StatusPage
from ops.monitoring.vendor_status import Reading as StatusReading
from ops.proportions import Share
from ops.rollup import latency_bin
from ops.window import Window

END = datetime(2026, 3, 5, 12, 30, tzinfo=UTC)
HOUR = Window.before(END, timedelta(hours=1))
DAY = timedelta(days=1)

REQUESTS = RequestSums(
    known=Known(HOUR), requests=1200, cost_usd=Decimal(6), priced=1100, answers=500, answers_told=100, answer_hits=60,
    embeddings=90, embeddings_told=80, embedding_hits=70,
)  # fmt: skip
SENT = SentSums(
    known=Known(HOUR), sent=1000, busy_ms=1_800_000.0, timed=900, prompts_cached=Share(250, 1000), prompts=400,
    failures={"timeout": 1, "rate_limit": 2, "content_filter": 3, "server": 4, "client": 5, "other": 6},
)  # fmt: skip
LATENCY = Histogram({latency_bin(100): 900, latency_bin(2000): 100}, 2005.0)
SCORES = {
    "task_success": ScoreSums(50, 40.0, 40), "thumb": ScoreSums(40, 10.0, 25),
    "retrieval_mrr": ScoreSums(30, 15.0, 20), "retrieval_ndcg": ScoreSums(30, 12.0, 20),
    "judge_factuality": ScoreSums(30, 27.0, 30), "judge_relevance": ScoreSums(30, 24.0, 30),
}  # fmt: skip
READ = StatusReading(now=END, read_at=END, page=StatusPage(state=PageState.OPERATIONAL, description="fine"))
OUT = StatusReading(now=END, read_at=END, page=StatusPage(state=PageState.PARTIAL_OUTAGE, description="slow"))
PAGES = Pages({"anthropic": READ, "google": StatusReading(now=END, error="timed out"), "openai": OUT})
VALUES = {
    "task_success_rate": (SCORES["task_success"], 40 / 50, 50), "thumbs_up_rate": (SCORES["thumb"], 25 / 40, 40),
    "thumbs_down_rate": (SCORES["thumb"], (40 - 25) / 40, 40),
    "retrieval_mrr": (SCORES["retrieval_mrr"], 15 / 30, 30), "retrieval_ndcg": (SCORES["retrieval_ndcg"], 12 / 30, 30),
    "factuality": (SCORES["judge_factuality"], 27 / 30, 30), "relevance": (SCORES["judge_relevance"], 24 / 30, 30),
    "latency_p50_ms": (LATENCY, 100, 1000), "latency_p95_ms": (LATENCY, 2000, 1000),
    "latency_p99_ms": (LATENCY, 2000, 1000), "latency_max_ms": (LATENCY, 2005.0, 1000),
    "ttft_p50_ms": (LATENCY, 100, 1000), "ttft_p95_ms": (LATENCY, 2000, 1000), "ttft_p99_ms": (LATENCY, 2000, 1000),
    "requests_per_minute": (REQUESTS, 1200 / 60, 1200),
    "error_rate": (SENT, (1 + 2 + 3 + 4 + 5 + 6) / 1000, 1000),
    "error_rate_timeout": (SENT, 1 / 1000, 1000), "error_rate_rate_limit": (SENT, 2 / 1000, 1000),
    "error_rate_content_filter": (SENT, 3 / 1000, 1000), "error_rate_server": (SENT, 4 / 1000, 1000),
    "error_rate_client": (SENT, 5 / 1000, 1000), "error_rate_other": (SENT, 6 / 1000, 1000),
    "availability": (SENT, (1000 - 1 - 2 - 4 - 6) / 1000, 1000),
    "cost_total_usd": (REQUESTS, Decimal(6), 1100), "cost_per_request_usd": (REQUESTS, Decimal(6) / 1100, 1100),
    "unpriced_share": (REQUESTS, (1200 - 1100) / 1200, 1200),
    "cost_per_user_day_usd": (UserSums(Decimal(9), 4, 1), Decimal(9) / 4, 1),
    "cost_per_user_month_usd": (UserSums(Decimal(9), 4, 30), Decimal(9) / 4, 30),
    "cost_projected_month_usd": (MonthEnd(Decimal(300), 20), Decimal(300), 20),
    "response_cache_hit_rate": (REQUESTS, 60 / 100, 100), "embedding_cache_hit_rate": (REQUESTS, 70 / 80, 80),
    "prompt_cache_hit_rate": (SENT, 250 / 1000, 400),
    "requests_in_flight": (SENT, 1_800_000 / 3_600_000, 900),
    "vendor_status": (PAGES, "partial outage", 2),
    "models_in_use": (InUse({"a": 3, "b": 1}), 2, 4), "prompt_versions_in_use": (InUse({"p1": 5}), 1, 5),
}  # fmt: skip


def test_values_are_of_every_metric_and_of_every_score_that_is_read() -> None:
    assert set(VALUES) == set(METRICS)
    assert set(SCORES) == set(SCORES_READ)


@pytest.mark.parametrize("name", VALUES)
def test_metric_is(name: str) -> None:
    sums, value, n = VALUES[name]
    found = find(name).read("gpt-4o", sums, HOUR)
    assert (found.key, found.n, found.status) == ("gpt-4o", n, ReadingStatus.MEASURED)
    if isinstance(value, str):
        assert (found.value, found.words()) == (value, value)
    else:
        rel = 0.01 if isinstance(sums, Histogram) else 1e-12
        assert float(found.value or 0) == pytest.approx(float(value), rel=rel)


@pytest.mark.parametrize("name", METRICS)
def test_metric_without_data_is_insufficient_never_zero(name: str) -> None:
    found = find(name).read(None, None, HOUR)
    assert (found.value, found.n, found.status) == (None, 0, ReadingStatus.INSUFFICIENT_DATA)
    assert found.words() == f"insufficient data (0 of {find(name).min_n})"
    assert found.as_json()["value"] is None


EMPTY = {
    Source.REQUESTS: RequestSums(known=Known(HOUR)), Source.SENT: SentSums(known=Known(HOUR)),
    Source.LATENCY: Histogram(), Source.FIRST_TOKEN: Histogram(),
    Source.SCORES: ScoreSums(), Source.USER_DAY: UserSums(), Source.USER_MONTH: UserSums(),
    Source.PROJECTION: MonthEnd(), Source.MODELS: InUse(), Source.PROMPTS: InUse(), Source.PAGES: Pages(),
}  # fmt: skip


@pytest.mark.parametrize("name", METRICS)
def test_metric_of_sums_of_nothing_is_insufficient_too(name: str) -> None:
    assert find(name).read(None, EMPTY[find(name).source], HOUR).status is ReadingStatus.INSUFFICIENT_DATA


@pytest.mark.parametrize(
    ("name", "least"),
    [
        pytest.param("error_rate", 52, id="as many as none failing shows to be within 5 %"),
        pytest.param("availability", 539, id="as many as none failing shows to be within 99.5 %"),
        pytest.param("latency_p50_ms", 30, id="a median as a mean"),
        pytest.param("latency_p95_ms", 52, id="one in 20 is slower"),
        pytest.param("latency_p99_ms", 268, id="one in 100 is slower: 1.645^2 x 99"),
        pytest.param("relevance", 30, id="a mean that is normally distributed"),
        pytest.param("cost_projected_month_usd", 14, id="two weeks of history"),
    ],
)
def test_metric_needs(name: str, least: int) -> None:
    assert find(name).min_n == least


def test_one_observation_less_than_needed_gives_no_value() -> None:
    metric = find("error_rate")
    enough, fewer = (SentSums(known=Known(HOUR), sent=n, failures={"server": 1}) for n in (52, 51))
    assert metric.read(None, enough, HOUR).value == 1 / 52
    assert metric.read(None, fewer, HOUR).words() == "insufficient data (51 of 52)"


@pytest.mark.parametrize(
    ("hits", "told", "share"),
    [
        pytest.param(3, 5, Share(3, 5), id="of those that are told hit or miss"),
        pytest.param(0, 5, Share(0, 5), id="misses alone are told: it answers nothing"),
        pytest.param(3, 3, Share(3, 20), id="of all, where hits alone are told"),
        pytest.param(0, 0, Share(0, 0), id="unknown where nothing is told: perhaps there is no cache"),
    ],
)
def test_cached_is(hits: int, told: int, share: Share) -> None:
    assert cached(hits, told, 20) == share


def test_cost_says_how_many_requests_have_no_price() -> None:
    assert find("cost_total_usd").read(None, REQUESTS, HOUR).detail == "100 requests have no price"  # 1,200 - 1,100
    assert find("cost_per_request_usd").read(None, REQUESTS, HOUR).detail == "100 requests have no price"
    assert find("cost_total_usd").read(None, RequestSums(known=Known(HOUR), requests=2, priced=2), HOUR).detail == ""


def test_cost_of_requests_without_a_price_is_not_zero() -> None:
    free, unpriced = (RequestSums(known=Known(HOUR), requests=2, priced=priced) for priced in (2, 0))
    assert find("cost_per_request_usd").read(None, free, HOUR).value == 0
    assert find("cost_per_request_usd").read(None, unpriced, HOUR).value is None
    assert find("cost_total_usd").read(None, unpriced, HOUR).value is None


# Windows that are longer than the data


def at(hour: int, minute: int = 0) -> datetime:
    return END.replace(hour=hour, minute=minute)


LONG = Window(at(8, 30), at(12, 30))


@pytest.mark.parametrize(
    ("began", "kept_from", "is_rolled_up", "part"),
    [
        pytest.param(None, None, True, (at(8, 30), at(12, 30)), id="nothing is known"),
        pytest.param(at(7), at(8, 30), False, (at(8, 30), at(12, 30)), id="usage began before it"),
        pytest.param(at(10, 10), None, True, (at(10, 10), at(12, 30)), id="usage began in it"),
        pytest.param(at(13), None, True, (at(12, 30), at(12, 30)), id="usage began after it"),
        pytest.param(at(7), at(10), False, (at(10), at(12, 30)), id="events were dropped"),
        pytest.param(at(7), at(13), False, (at(12), at(12)), id="all of them"),
        pytest.param(at(7), at(10), True, (at(9), at(12, 30)), id="whole hours of roll-ups stay"),
        pytest.param(at(7), at(13), True, (at(9), at(12)), id="at either end"),
        pytest.param(at(10, 10), at(13), True, (at(11), at(12)), id="the first hour was part of one"),
        pytest.param(at(12, 10), at(13), True, (at(12), at(12)), id="no hour is whole"),
    ],
)
def test_known_part_of_a_window(
    began: datetime | None, kept_from: datetime | None, is_rolled_up: bool, part: tuple[datetime, datetime]
) -> None:
    found = known_part(LONG, began, kept_from, is_rolled_up=is_rolled_up)
    assert (found.part, found.is_whole) == (Window(*part), part == (LONG.start, LONG.end))


def test_what_grows_with_the_window_says_which_part_of_it_is_known() -> None:
    known = Known(Window(at(12), END), is_whole=False)  # 30 minutes
    requests = RequestSums(known=known, requests=60, cost_usd=Decimal(6), priced=50)
    found = [find(name).read(None, requests, HOUR) for name in ("requests_per_minute", "cost_total_usd")]
    assert [(reading.value, reading.detail) for reading in found] == [
        (60 / 30, "only 2026-03-05 12:00 to 2026-03-05 12:30"),
        (6, "10 requests have no price; only 2026-03-05 12:00 to 2026-03-05 12:30"),
    ]
    waiting = find("requests_in_flight").read(None, SentSums(known=known, busy_ms=900_000, timed=9), HOUR)
    assert (waiting.value, waiting.detail) == (900 / (30 * 60), "only 2026-03-05 12:00 to 2026-03-05 12:30")


def test_a_month_of_users_is_none_until_its_last_day_is_there() -> None:
    metric = find("cost_per_user_month_usd")
    found = [metric.read(None, UserSums(Decimal(9), 4, days), HOUR) for days in (29, 30)]
    assert [(reading.words(), reading.detail) for reading in found] == [
        ("insufficient data (29 of 30)", ""), ("$2.25", "4 users"),
    ]  # fmt: skip


# Scores


def test_scores_of_two_scorers_are_never_in_one_mean() -> None:
    judge, golden = Scorer("judge", "rubric-1"), Scorer("evaluation", "rubric-1")
    scores = {"judge_relevance": {judge: ScoreSums(30, 24.0, 30), golden: ScoreSums(29, 29.0, 29)}}
    found = find("relevance").readings("m", scores, HOUR)
    assert [(reading.scorer, reading.value, reading.n) for reading in found] == [
        (judge, 24 / 30, 30),
        (golden, None, 29),
    ]
    assert [(row["source"], row["judge_version"]) for row in map(Reading.as_json, found)] == [judge, golden]
    assert [str(scorer) for scorer in (judge, Scorer("user", None))] == ["judge rubric-1", "user"]


@pytest.mark.parametrize("scores", [None, {}, {"judge_relevance": {Scorer("judge", None): ScoreSums(30, 24.0, 30)}}])
def test_scores_of_nobody_are_one_reading_without_a_value(scores: object) -> None:
    [found] = find("thumbs_up_rate").readings(None, scores, HOUR)
    assert (found.scorer, found.status) == (None, ReadingStatus.INSUFFICIENT_DATA)


def test_metric_of_no_scores_has_one_reading() -> None:
    assert find("error_rate").readings("m", SENT, HOUR) == [find("error_rate").read("m", SENT, HOUR)]


def test_largest_latency_that_nobody_knows_is_unknown() -> None:
    found = find("latency_max_ms").read(None, Histogram({10: 5}), HOUR)
    assert (found.status, found.words()) == (ReadingStatus.UNKNOWN, "unknown")


def test_vendor_status_names_every_page_and_those_that_cannot_be_read() -> None:
    found = find("vendor_status").read(None, PAGES, HOUR)
    assert found.detail == "anthropic: operational: fine; google: unknown: timed out; openai: partial outage: slow"
    unread = find("vendor_status").read(None, Pages({"google": StatusReading(now=END)}), HOUR)
    assert unread.words() == "insufficient data (0 of 1)"


def test_versions_are_named_with_their_shares_the_most_used_first() -> None:
    found = find("models_in_use").read(None, InUse({"b": 1, "c": 1, "a": 6}), HOUR)
    assert (found.value, found.detail) == (3, "a 75 %, b 12.5 %, c 12.5 %")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("error_rate", 0.1234, "12.34 %"), ("relevance", 0.7814, "0.781"), ("latency_p95_ms", 1234.5, "1,234 ms"),
        ("latency_p95_ms", 3.456, "3.46 ms"), ("requests_per_minute", 12.345, "12.35 a minute"),
        ("requests_in_flight", 0.5, "0.5 requests"), ("cost_total_usd", Decimal("12.5"), "$12.50"),
        ("models_in_use", 2, "2"),
    ],
)  # fmt: skip
def test_words_of_a_value_have_its_unit(name: str, value: float, words: str) -> None:
    assert Reading(metric=find(name), key=None, window=HOUR, value=value, n=1000).words() == words


def test_reading_as_json_tells_unit_direction_and_what_it_rests_on() -> None:
    assert find("error_rate_server").read("openai", SENT, HOUR).as_json() == {
        "metric": "error_rate_server", "key": "openai", "value": 4 / 1000, "status": "measured", "unit": "share",
        "better": "lower", "n": 1000, "min_n": 52, "from": END - timedelta(hours=1), "to": END, "detail": "",
        "source": None, "judge_version": None,
    }  # fmt: skip


def test_facts_of_a_metric_are_what_the_catalogue_shows() -> None:
    assert find("relevance").facts() == {
        "name": "relevance", "group": "quality", "unit": "score", "better": "higher", "min_n": 30,
        "by": ["model", "release", "feature"], "apart": ["source", "judge_version"],
        "formula": "mean of the scores `judge_relevance`",
    }  # fmt: skip


def test_users_are_of_full_days_before_the_end() -> None:
    midnight = datetime(2026, 3, 5, tzinfo=UTC)
    assert span_of(Source.USER_DAY, HOUR) == Window(midnight - DAY, midnight)
    assert span_of(Source.USER_MONTH, HOUR) == Window(midnight - 30 * DAY, midnight)
    assert span_of(Source.REQUESTS, HOUR) == HOUR


def test_windows_are_the_five_of_the_specification() -> None:
    assert [window.total_seconds() / 60 for window in WINDOWS.values()] == [5, 60, 6 * 60, 24 * 60, 3 * 24 * 60]


def test_find_lists_the_known_metrics() -> None:
    with pytest.raises(UnknownName, match="'speed' is not one of availability, cost_per_request_usd"):
        find("speed")


def test_metric_refuses_what_it_is_not_told_apart_by() -> None:
    find("relevance").check_dimension(Dimension.MODEL)
    with pytest.raises(InvalidValue, match="'vendor' is not what relevance is told apart by: model, release, feature"):
        find("relevance").check_dimension(Dimension.VENDOR)
    with pytest.raises(InvalidValue, match="told apart by: nothing"):
        find("cost_per_user_day_usd").check_dimension(Dimension.MODEL)


def test_documentation_lists_the_catalogue() -> None:
    page = (Path(ops.monitoring.__file__).parent / "METRICS.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert rows == [
        f"| `{m.name}` | {m.unit} | {m.better} | {m.min_n} | {', '.join(m.dimensions)} | {m.formula} |"
        for m in METRICS.values()
    ]
