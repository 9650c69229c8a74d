"""The tables as SQLAlchemy Core sees them; `migrations/` makes them, and a test holds the two equal."""

from __future__ import annotations

from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = sa.MetaData(schema="watchkeeper")
_TIME = sa.DateTime(timezone=True)


def _usd(digits: int = 24) -> sa.Numeric[Decimal]:
    return sa.Numeric(digits, 12)


usage_events = sa.Table(
    "usage_events", metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("event_id", sa.Text, primary_key=True),
    sa.Column("occurred_at", _TIME, primary_key=True),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("source", "vendor", "model", "operation", "status")),
    *(sa.Column(name, sa.Text) for name in (
        "error_type", "user_id", "team_id", "feature", "service", "release", "prompt_version", "tier")),
    *(sa.Column(name, sa.BigInteger) for name in (
        "input_tokens", "cached_tokens", "cache_write_tokens", "cache_write_1h_tokens", "output_tokens",
        "reasoning_tokens")),
    sa.Column("latency_ms", sa.Double), sa.Column("ttft_ms", sa.Double), sa.Column("cache_hit", sa.Boolean),
    sa.Column("cost_usd", _usd(20)), sa.Column("reported_cost_usd", _usd(20)),
    sa.Column("price_source", sa.Text), sa.Column("price_snapshot", sa.Text), sa.Column("prompt_hash", sa.Text),
    sa.Column("ingested_at", _TIME, nullable=False, server_default=sa.func.now()),
)  # fmt: skip

usage_hourly = sa.Table(
    "usage_hourly", metadata,
    sa.Column("tenant_id", sa.Text, nullable=False), sa.Column("hour", _TIME, nullable=False),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("vendor", "model", "operation")),
    *(sa.Column(name, sa.Text) for name in ("service", "release", "feature", "team_id")),
    *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("events", "failures", "unpriced_events")),
    sa.Column("cost_usd", _usd(), nullable=False), sa.Column("reported_cost_usd", _usd(), nullable=False),
    *(sa.Column(name, sa.BigInteger, nullable=False) for name in (
        "input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens", "cache_hits", "cache_eligible")),
    # Of the events that have both costs.
    sa.Column("compared_cost_usd", _usd(), nullable=False), sa.Column("compared_reported_usd", _usd(), nullable=False),
)  # fmt: skip

latency_hourly = sa.Table(
    "latency_hourly", metadata,
    sa.Column("tenant_id", sa.Text, nullable=False), sa.Column("hour", _TIME, nullable=False),
    sa.Column("vendor", sa.Text, nullable=False), sa.Column("model", sa.Text, nullable=False),
    sa.Column("service", sa.Text), sa.Column("release", sa.Text),
    sa.Column("bin", sa.SmallInteger, nullable=False), sa.Column("n", sa.BigInteger, nullable=False),
)  # fmt: skip

usage_daily_users = sa.Table(
    "usage_daily_users", metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True), sa.Column("day", _TIME, primary_key=True),
    sa.Column("user_id", sa.Text, primary_key=True),
    sa.Column("events", sa.BigInteger, nullable=False), sa.Column("unpriced_events", sa.BigInteger, nullable=False),
    sa.Column("cost_usd", _usd(), nullable=False),
    sa.Column("input_tokens", sa.BigInteger, nullable=False), sa.Column("output_tokens", sa.BigInteger, nullable=False),
)  # fmt: skip

rate_cards = sa.Table(
    "rate_cards", metadata,
    sa.Column("vendor", sa.Text, nullable=False), sa.Column("model", sa.Text, nullable=False),
    sa.Column("tier", sa.Text), sa.Column("valid_from", _TIME, nullable=False),
    sa.Column("valid_to", _TIME, nullable=False),
    sa.Column("from_input_tokens", sa.BigInteger, nullable=False), sa.Column("to_input_tokens", sa.BigInteger),
    *(sa.Column(name, sa.Numeric) for name in (
        "input_usd", "cached_usd", "cache_write_usd", "cache_write_1h_usd", "output_usd", "request_usd")),
    sa.Column("price_source", sa.Text, nullable=False), sa.Column("price_snapshot", sa.Text, nullable=False),
)  # fmt: skip

ingest_files = sa.Table(
    "ingest_files", metadata,
    *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant_id", "source", "file_id")),
    sa.Column("head", sa.Text, nullable=False), sa.Column("path", sa.Text, nullable=False),
    sa.Column("byte_offset", sa.BigInteger, nullable=False), sa.Column("lines", sa.BigInteger, nullable=False),
    sa.Column("chain", sa.Text, nullable=False), sa.Column("tail", sa.Text, nullable=False),
    sa.Column("file_size", sa.BigInteger), sa.Column("updated_at", _TIME, nullable=False),
)  # fmt: skip

ingest_sources = sa.Table(
    "ingest_sources", metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True), sa.Column("source", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False), sa.Column("first_tried_at", _TIME, nullable=False),
    sa.Column("last_tried_at", _TIME, nullable=False),
    *(sa.Column(name, _TIME) for name in ("last_success_at", "last_new_at", "newest_event_at", "cursor_at")),
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"), sa.Column("last_error", sa.Text),
    sa.Column("silent_after_minutes", sa.Integer),
)  # fmt: skip

ingest_chunks = sa.Table(
    "ingest_chunks", metadata,
    *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant_id", "source", "place")),
    sa.Column("starts_at", _TIME, primary_key=True), sa.Column("ends_at", _TIME, primary_key=True),
    sa.Column("rows", sa.BigInteger, nullable=False), sa.Column("done_at", _TIME, nullable=False),
)  # fmt: skip

usage_rejects = sa.Table(
    "usage_rejects", metadata,
    *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant_id", "source", "reject_id")),
    sa.Column("kind", sa.Text, nullable=False), sa.Column("place", sa.Text, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False), sa.Column("field", sa.Text),
    sa.Column("reason", sa.Text, nullable=False), sa.Column("raw", sa.Text, nullable=False),
    sa.Column("cut", sa.Boolean, nullable=False), sa.Column("header", sa.Text),
    sa.Column("rejected_at", _TIME, nullable=False, server_default=sa.func.now()),
)  # fmt: skip

vendor_usage = sa.Table(
    "vendor_usage", metadata,
    *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant_id", "source", "bucket_key")),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("vendor", "endpoint")),
    sa.Column("starts_at", _TIME, nullable=False), sa.Column("ends_at", _TIME, nullable=False),
    sa.Column("model", sa.Text), sa.Column("dimensions", JSONB, nullable=False),
    *(sa.Column(name, sa.BigInteger) for name in (
        "requests", "input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens")),
    sa.Column("fetched_at", _TIME, nullable=False),
)  # fmt: skip

vendor_costs = sa.Table(
    "vendor_costs", metadata,
    *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant_id", "source", "bucket_key")),
    sa.Column("vendor", sa.Text, nullable=False), sa.Column("starts_at", _TIME, nullable=False),
    sa.Column("ends_at", _TIME, nullable=False), sa.Column("line_item", sa.Text),
    sa.Column("dimensions", JSONB, nullable=False), sa.Column("cost_usd", _usd(), nullable=False),
    sa.Column("fetched_at", _TIME, nullable=False),
)  # fmt: skip

reconciliations = sa.Table(
    "reconciliations", metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True), sa.Column("vendor", sa.Text, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True), sa.Column("model", sa.Text, primary_key=True),
    sa.Column("is_final", sa.Boolean, nullable=False),
    *(sa.Column(f"{side}_{name}", sa.BigInteger) for side in ("our", "their") for name in (
        "requests", "input_tokens", "cached_tokens", "output_tokens")),
    sa.Column("our_cost_usd", _usd()), sa.Column("their_cost_usd", _usd()),
    sa.Column("in_logs", sa.Boolean, nullable=False), sa.Column("in_report", sa.Boolean, nullable=False),
    sa.Column("computed_at", _TIME, nullable=False),
)  # fmt: skip

budget_events = sa.Table(
    "budget_events", metadata,
    *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant_id", "scope", "key", "period")),
    sa.Column("starts_at", _TIME, primary_key=True), sa.Column("event", sa.Text, primary_key=True),
    sa.Column("budget_usd", _usd(), nullable=False), sa.Column("spent_usd", _usd(), nullable=False),
    sa.Column("projected_usd", _usd()), sa.Column("exhausted_on", sa.Date),
    sa.Column("occurred_at", _TIME, nullable=False),
)  # fmt: skip

prompt_texts = sa.Table(
    "prompt_texts", metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True), sa.Column("prompt_hash", sa.Text, primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
)  # fmt: skip

scores = sa.Table(
    "scores", metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True), sa.Column("score_id", sa.Text, primary_key=True),
    sa.Column("occurred_at", _TIME, nullable=False), sa.Column("event_id", sa.Text),
    sa.Column("metric", sa.Text, nullable=False), sa.Column("value", sa.Double, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    *(sa.Column(name, sa.Text) for name in ("judge_version", "release", "model", "feature", "prompt_version")),
    sa.Column("tags", JSONB(none_as_null=True)),
)  # fmt: skip

watermarks = sa.Table(
    "watermarks", metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True), sa.Column("step", sa.Text, primary_key=True),
    sa.Column("reached_at", _TIME, nullable=False),
)  # fmt: skip

cost_projections = sa.Table(
    "cost_projections", metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True), sa.Column("month", sa.Date, primary_key=True),
    sa.Column("as_of", _TIME, primary_key=True), sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    *(sa.Column(name, _usd(), nullable=False) for name in (
        "spent_usd", "month_end_usd", "low80_usd", "high80_usd", "low95_usd", "high95_usd")),
    sa.Column("method", sa.Text, nullable=False), sa.Column("history_days", sa.Integer, nullable=False),
    sa.Column("low_history", sa.Boolean, nullable=False), sa.Column("unpriced_events", sa.BigInteger, nullable=False),
    *(sa.Column(name, _usd()) for name in (
        "week_usd", "week_low80_usd", "week_high80_usd", "week_low95_usd", "week_high95_usd")),
    sa.Column("blocked_by", sa.Text),
)  # fmt: skip

quality_checks = sa.Table(
    "quality_checks", metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True), sa.Column("suite", sa.Text, primary_key=True),
    sa.Column("as_of", _TIME, primary_key=True), sa.Column("name", sa.Text, primary_key=True),
    sa.Column("severity", sa.Text, nullable=False), sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("observed", sa.Text), sa.Column("detail", sa.Text), sa.Column("told_by", sa.Text),
)  # fmt: skip

event_profiles = sa.Table(
    "event_profiles", metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True), sa.Column("hour", _TIME, primary_key=True),
    sa.Column("source", sa.Text, primary_key=True), sa.Column("size", sa.SmallInteger, primary_key=True),
    sa.Column("events", sa.BigInteger, nullable=False),
)  # fmt: skip

quality_baselines = sa.Table(
    "quality_baselines", metadata,
    sa.Column("tenant_id", sa.Text, nullable=False), sa.Column("metric", sa.Text, nullable=False),
    *(sa.Column(name, sa.Text) for name in ("model", "prompt_version", "judge_version")),
    sa.Column("mean", sa.Double, nullable=False), sa.Column("sigma", sa.Double, nullable=False),
    sa.Column("n", sa.BigInteger, nullable=False), sa.Column("accepted_at", _TIME, nullable=False),
    sa.Column("reason", sa.Text, nullable=False), sa.Column("accepted_by", sa.Text, nullable=False),
    sa.Column("starts_at", _TIME, nullable=False), sa.Column("ends_at", _TIME, nullable=False),
    sa.Column("days", sa.Integer, nullable=False), sa.Column("day_sigma", sa.Double, nullable=False),
    sa.Column("weekdays", ARRAY(sa.Double), nullable=False),
)  # fmt: skip

rollouts = sa.Table(
    "rollouts", metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True), sa.Column("rollout_id", sa.Text, primary_key=True),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("service", "control_release", "canary_release")),
    sa.Column("plan", JSONB, nullable=False), sa.Column("state", sa.Text, nullable=False),
    sa.Column("stage", sa.Integer, nullable=False), sa.Column("started_at", _TIME, nullable=False),
    sa.Column("stage_started_at", _TIME, nullable=False), sa.Column("reason", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
)  # fmt: skip

rollout_events = sa.Table(
    "rollout_events", metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True), sa.Column("rollout_id", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True), sa.Column("decided_at", _TIME, nullable=False),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("action", "verdict", "reason")),
    sa.Column("weight", sa.Integer, nullable=False), sa.Column("evidence", JSONB, nullable=False),
)  # fmt: skip

traffic_splits = sa.Table(
    "traffic_splits", metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True), sa.Column("service", sa.Text, primary_key=True),
    sa.Column("control_release", sa.Text, nullable=False), sa.Column("canary_release", sa.Text),
    sa.Column("canary_percent", sa.Integer, nullable=False), sa.Column("salt", sa.Text, nullable=False),
    sa.Column("algorithm", sa.Text, nullable=False), sa.Column("updated_at", _TIME, nullable=False),
)  # fmt: skip

scaling_recommendations = sa.Table(
    "scaling_recommendations", metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True), sa.Column("service", sa.Text, primary_key=True),
    sa.Column("desired", sa.Integer), sa.Column("reason", sa.Text, nullable=False),
    sa.Column("computed_at", _TIME, nullable=False),
)  # fmt: skip

alerts = sa.Table(
    "alerts", metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True), sa.Column("alert_id", sa.Text, primary_key=True),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("rule", "key", "tier", "state")),
    sa.Column("since", _TIME, nullable=False), sa.Column("fired_at", _TIME), sa.Column("resolved_at", _TIME),
    sa.Column("revision", sa.Integer, nullable=False), sa.Column("body", JSONB, nullable=False),
)  # fmt: skip

outbox = sa.Table(
    "outbox", metadata,
    *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant_id", "dedup_key", "destination")),
    sa.Column("tier", sa.Text, nullable=False), sa.Column("payload", JSONB, nullable=False),
    sa.Column("desired_rev", sa.Integer, nullable=False),
    sa.Column("sent_rev", sa.Integer, nullable=False, server_default="0"),
    sa.Column("state", sa.Text, nullable=False, server_default="waiting"),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("first_sent_at", _TIME), sa.Column("lease_until", _TIME),
    sa.Column("not_before", _TIME, nullable=False),
    sa.Column("channel_id", sa.Text), sa.Column("message_ts", sa.Text), sa.Column("last_error", sa.Text),
    sa.Column("created_at", _TIME, nullable=False),
)  # fmt: skip

outbox_destinations = sa.Table(
    "outbox_destinations", metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True), sa.Column("destination", sa.Text, primary_key=True),
    sa.Column("not_before", _TIME, nullable=False),
)  # fmt: skip

embedding_cache = sa.Table(
    "embedding_cache", metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True), sa.Column("model", sa.Text, primary_key=True),
    sa.Column("dimensions", sa.Integer, primary_key=True), sa.Column("text_hash", sa.Text, primary_key=True),
    sa.Column("vector", sa.LargeBinary, nullable=False), sa.Column("warmed", sa.Boolean, nullable=False),
    sa.Column("created_at", _TIME, nullable=False), sa.Column("expires_at", _TIME, nullable=False),
)  # fmt: skip

warm_entries = sa.Table(
    "warm_entries", metadata,
    *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant_id", "prompt_hash", "model")),
    sa.Column("warmed_on", sa.Date, primary_key=True), sa.Column("state", sa.Text, nullable=False),
    sa.Column("cost_usd", _usd(20), nullable=False), sa.Column("warmed_at", _TIME, nullable=False),
)  # fmt: skip

evaluations = sa.Table(
    "evaluations", metadata,
    *(sa.Column(name, sa.Text, primary_key=True) for name in (
        "tenant_id", "route", "item_id", "judge_version", "model", "variant")),
    sa.Column("passed", sa.Boolean, nullable=False), sa.Column("score", sa.Double),
    sa.Column("evaluated_at", _TIME, nullable=False), sa.Column("cost_usd", _usd(20)),
)  # fmt: skip

savings_advice = sa.Table(
    "savings_advice", metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True), sa.Column("as_of", _TIME, primary_key=True),
    sa.Column("lever", sa.Text, primary_key=True), sa.Column("days", sa.Integer, nullable=False),
    sa.Column("base_usd", _usd(), nullable=False),
    *(sa.Column(name, _usd()) for name in ("alone_usd", "saved_usd", "low80_usd", "high80_usd")),
    sa.Column("reason", sa.Text), sa.Column("detail", JSONB, nullable=False),
)  # fmt: skip

vendor_statuses = sa.Table(
    "vendor_statuses", metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True), sa.Column("vendor", sa.Text, primary_key=True),
    sa.Column("status_url", sa.Text), sa.Column("components", JSONB, nullable=False), sa.Column("fallback", sa.Text),
    sa.Column("tried_at", _TIME), sa.Column("error", sa.Text), sa.Column("read_at", _TIME),
    sa.Column("page", JSONB(none_as_null=True)), sa.Column("etag", sa.Text), sa.Column("last_modified", sa.Text),
    sa.Column("failing_since", _TIME),
)  # fmt: skip

evaluation_runs = sa.Table(
    "evaluation_runs", metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True), sa.Column("run_id", sa.Text, primary_key=True),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("name", "fingerprint", "state")),
    sa.Column("started_at", _TIME, nullable=False), sa.Column("finished_at", _TIME),
    sa.Column("items", sa.Integer, nullable=False),
    *(sa.Column(name, sa.Text) for name in ("model", "judge_version")),
    sa.Column("budget_usd", _usd(), nullable=False), sa.Column("spent_usd", _usd(), nullable=False),
    sa.Column("assumed_usd", _usd()), sa.Column("outcomes", JSONB), sa.Column("results", JSONB),
    sa.Column("claims", sa.Integer),
)  # fmt: skip

evaluation_calls = sa.Table(
    "evaluation_calls", metadata,
    *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant_id", "run_id", "item_id", "step")),
    sa.Column("outcome", sa.Text), sa.Column("reserved_usd", _usd(), nullable=False),
    sa.Column("cost_usd", _usd(), nullable=False), sa.Column("is_assumed", sa.Boolean, nullable=False),
    sa.Column("answer", sa.Text), sa.Column("detail", sa.Text), sa.Column("scores", JSONB, nullable=False),
    sa.Column("item", JSONB(none_as_null=True)), sa.Column("claim", sa.Text),
)  # fmt: skip
