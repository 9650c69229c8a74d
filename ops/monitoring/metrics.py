"""The catalogue of metrics: what each is, from how many observations on it says anything, and how it is worked out.

Before it: `tasks/stores/metrics.py` sums up a window. After it: `tasks/read_metrics.py` reads them. Alert rules take
their limits and least numbers from here; METRICS.md and `watchkeeper metrics list` show what is here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

from ops.errors import UnknownName
from ops.monitoring.baselines import sufficient_n
from ops.monitoring.histogram import Histogram
from ops.monitoring.measured import (
    InUse,
    MonthEnd,
    Pages,
    RequestSums,
    Sample,
    ScoreSums,
    SentSums,
    UserSums,
    rate,
)
from ops.monitoring.readings import FULL_DAYS, Better, Dimension, Group, Metric, Source, Unit
from ops.proportions import Share
from ops.usage import ErrorType

ERROR_LIMIT = 0.05  # the specification's tiers
FAILURE_BUDGET = 0.005  # the share of requests that may fail: availability 99.5 %
CACHE_LIMIT = 0.70
MIN_MEAN = 30  # fewer, and a mean is not yet normally distributed
MIN_ELIGIBLE = 50  # with fewer requests there is little to save, and nothing worth a message
MIN_HISTORY_DAYS = 14  # of a projection: what has fewer says "low history"
MIN_ERRORS_OF, MIN_AVAILABLE_OF = sufficient_n(ERROR_LIMIT), sufficient_n(FAILURE_BUDGET)

WINDOWS: Mapping[str, timedelta] = {
    "5m": timedelta(minutes=5), "1h": timedelta(hours=1), "6h": timedelta(hours=6), "1d": timedelta(days=1),
    "3d": timedelta(days=3),
}  # fmt: skip

_QUALITY, _PERFORMANCE, _COST, _SYSTEM = Group
_HIGHER, _LOWER, _NEITHER = Better
_REQUESTS, _SENT_ONES, _LATENCY = Source.REQUESTS, Source.SENT, Source.LATENCY
_SENT = "sent requests"  # those that our own cache did not answer
_SCORED = (Dimension.MODEL, Dimension.RELEASE, Dimension.FEATURE)  # what a score tells of its answer
_USER_DAYS = FULL_DAYS[Source.USER_DAY], FULL_DAYS[Source.USER_MONTH]


def find(name: str) -> Metric:
    """Return the metric of that name.

    Raises:
        UnknownName: listing the known ones.
    """
    try:
        return METRICS[name]
    except KeyError:
        raise UnknownName("metric", name, METRICS) from None


def _of_scores(
    name: str, score: str, formula: str, sample: Callable[[ScoreSums], Sample] = lambda scores: scores.mean,
    unit: Unit = Unit.SCORE, better: Better = _HIGHER,
) -> Metric:  # fmt: skip
    """Make a metric of the scores of that name; an evaluation run and every source write them under it."""
    return Metric(name, _QUALITY, unit, better, MIN_MEAN, Source.SCORES, formula, sample, _SCORED, score)


def _requests(of: Callable[[RequestSums], Share]) -> Callable[[RequestSums], Sample]:
    return lambda sums: rate(of(sums))


def _of_sent(of: Callable[[SentSums], Share]) -> Callable[[SentSums], Sample]:
    return lambda sums: rate(of(sums))


def _quantiles(prefix: str, of: str, source: Source) -> Iterator[Metric]:
    for percentile in (50, 95, 99):
        share = percentile / 100
        yield Metric(
            f"{prefix}_p{percentile}_ms", _PERFORMANCE, Unit.MS, _LOWER, max(MIN_MEAN, sufficient_n(1 - share)), source,
            f"the {of} that {percentile} % of successful {_SENT} do not exceed, within 1 %", _quantile(share),
        )  # fmt: skip


def _quantile(share: float) -> Callable[[Histogram], Sample]:
    return lambda histogram: Sample(histogram.quantile(share), histogram.n)


def _largest(histogram: Histogram) -> Sample:
    return Sample(histogram.maximum, histogram.n)


def _error_rate(error_type: ErrorType) -> Metric:
    return Metric(
        f"error_rate_{error_type}", _PERFORMANCE, Unit.SHARE, _LOWER, MIN_ERRORS_OF, _SENT_ONES,
        f"failures of type `{error_type}` / {_SENT}", _of_sent(lambda sums: sums.failed(error_type)),
    )  # fmt: skip


def _prompts_cached(sent: SentSums) -> Sample:
    return sent.prompts_from_cache


def _in_flight(sent: SentSums) -> Sample:
    return sent.in_flight


def _per_user(users: UserSums) -> Sample:
    return users.mean


def _projected(month: MonthEnd) -> Sample:
    return Sample(month.usd, month.history_days)


def _versions(used: InUse) -> Sample:
    return used.versions


def _gravest(pages: Pages) -> Sample:
    return pages.gravest


_LIST = (
    _of_scores("task_success_rate", "task_success", "mean of the scores `task_success` (0 or 1)", unit=Unit.SHARE),
    _of_scores("thumbs_up_rate", "thumb", "scores `thumb` above 0 / scores `thumb`",
               lambda thumbs: rate(thumbs.above), Unit.SHARE),
    _of_scores("thumbs_down_rate", "thumb", "scores `thumb` of 0 and below / scores `thumb`",
               lambda thumbs: rate(thumbs.not_above), Unit.SHARE, _LOWER),
    _of_scores("retrieval_mrr", "retrieval_mrr",
               "mean of the scores `retrieval_mrr`: 1 / rank of the first relevant document"),
    _of_scores("retrieval_ndcg", "retrieval_ndcg", "mean of the scores `retrieval_ndcg`, each k apart"),
    _of_scores("factuality", "judge_factuality", "mean of the scores `judge_factuality`"),
    _of_scores("relevance", "judge_relevance", "mean of the scores `judge_relevance`"),

    *_quantiles("latency", "latency", _LATENCY),
    Metric("latency_max_ms", _PERFORMANCE, Unit.MS, _LOWER, 1, _LATENCY,
           f"the largest latency of successful {_SENT}, exactly", _largest),
    *_quantiles("ttft", "time to first token", Source.FIRST_TOKEN),
    Metric("requests_per_minute", _PERFORMANCE, Unit.PER_MINUTE, _NEITHER, 1, _REQUESTS,
           "requests / minutes of the window since usage began", lambda sums: sums.per_minute),
    Metric("error_rate", _PERFORMANCE, Unit.SHARE, _LOWER, MIN_ERRORS_OF, _SENT_ONES,
           f"failures of any type / {_SENT}", _of_sent(lambda sums: sums.failed(*ErrorType))),
    *map(_error_rate, ErrorType),
    Metric("availability", _PERFORMANCE, Unit.SHARE, _HIGHER, MIN_AVAILABLE_OF, _SENT_ONES,
           f"1 - failures of other types than `client` and `content_filter` / {_SENT}",
           _of_sent(lambda sums: sums.available)),

    Metric("cost_total_usd", _COST, Unit.USD, _LOWER, 1, _REQUESTS,
           "cost of the requests that have a price", lambda sums: sums.cost),
    Metric("cost_per_request_usd", _COST, Unit.USD, _LOWER, 1, _REQUESTS,
           "cost / requests that have a price", lambda sums: sums.cost_per_request),
    Metric("unpriced_share", _COST, Unit.SHARE, _LOWER, 1, _REQUESTS,
           "requests without a price / requests", _requests(lambda sums: sums.unpriced)),
    Metric("cost_per_user_day_usd", _COST, Unit.USD, _LOWER, _USER_DAYS[0], Source.USER_DAY,
           "cost of the last full UTC day / its known users; n: days since usage began", _per_user, ()),
    Metric("cost_per_user_month_usd", _COST, Unit.USD, _LOWER, _USER_DAYS[1], Source.USER_MONTH,
           "cost of the last 30 full UTC days / their known users; n: days since usage began", _per_user, ()),
    Metric("cost_projected_month_usd", _COST, Unit.USD, _LOWER, MIN_HISTORY_DAYS, Source.PROJECTION,
           "what the month was last projected to cost; n: days of history", _projected, (Dimension.FEATURE,)),

    Metric("response_cache_hit_rate", _SYSTEM, Unit.SHARE, _HIGHER, MIN_ELIGIBLE, _REQUESTS,
           "chats and completions that our cache answered / those that went through it (all, if only hits are told)",
           _requests(lambda sums: sums.answers_cached)),
    Metric("embedding_cache_hit_rate", _SYSTEM, Unit.SHARE, _HIGHER, MIN_ELIGIBLE, _REQUESTS,
           "embedding calls that our cache answered / those that went through it (all, if only hits are told)",
           _requests(lambda sums: sums.embeddings_cached)),
    Metric("prompt_cache_hit_rate", _SYSTEM, Unit.SHARE, _HIGHER, MIN_ELIGIBLE, _SENT_ONES,
           "input tokens that the vendor had cached / input tokens of the requests that tell",
           _prompts_cached),
    Metric("requests_in_flight", _SYSTEM, Unit.REQUESTS, _NEITHER, 1, _SENT_ONES,
           "latencies added up / the window since usage began: how many were waited for at once on average (Little)",
           _in_flight),
    Metric("models_in_use", _SYSTEM, Unit.VERSIONS, _NEITHER, 1, Source.MODELS,
           "models of the requests, with their shares", _versions),
    Metric("prompt_versions_in_use", _SYSTEM, Unit.VERSIONS, _NEITHER, 1, Source.PROMPTS,
           "prompt versions that requests name, with their shares", _versions),
    Metric("vendor_status", _SYSTEM, Unit.STATE, _NEITHER, 1, Source.PAGES,
           "the gravest state that a vendor's status page says; n: pages that could be read", _gravest,
           (Dimension.VENDOR,)),
)  # fmt: skip

METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _LIST}
SCORES = tuple(dict.fromkeys(metric.score for metric in _LIST if metric.score))
