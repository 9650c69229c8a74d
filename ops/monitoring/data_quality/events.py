"""The checks of raw events: what every row of the window must keep, whichever source it came from."""

from __future__ import annotations

from ops.monitoring.alerts import Tier
from ops.monitoring.data_quality.checks import Check, Kind, Suite, Use, at_most, between, complete, no_findings, one_of
from ops.usage import MAX_TOKENS, ErrorType, Status

OPERATIONS = ("chat", "embedding", "completion", "rerank", "image", "audio", "other")
DAY_MS = 86_400_000
_TOKENS = ("input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")

EVENTS = Suite(
    "events",
    (
        *(complete(column) for column in ("event_id", "source", "vendor", "model", "operation", "status")),
        Check("an event is stored once", "event_id", Kind.UNIQUE),
        one_of("status", tuple(status.value for status in Status)),
        one_of("operation", OPERATIONS, Tier.WARNING),
        one_of("error_type", tuple(error.value for error in ErrorType), Tier.WARNING),
        *(between(column, 0, MAX_TOKENS) for column in _TOKENS),
        *(between(column, 0, DAY_MS) for column in ("latency_ms", "ttft_ms")),
        at_most("cached tokens are part of the input", "cached_tokens", "input_tokens"),
        at_most("reasoning tokens are part of the output", "reasoning_tokens", "output_tokens"),
        no_findings("no event is ahead of the clock", "events_ahead", Tier.WARNING),
        no_findings("no score is older than its event", "scores_before_events", Tier.WARNING),
    ),
    frozenset(Use),
)
