"""The foundation: usage, its roll-ups, and the state of everything that decides.

Every key begins with `tenant_id`, so that a distributed Postgres can shard by it. `usage_events` is partitioned by
UTC day; partitions are made by the loader, there is no default one. Nothing has a foreign key to or from events.
"""

from __future__ import annotations

import re

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

USAGE = """
CREATE TABLE watchkeeper.usage_events (
    tenant_id text NOT NULL,
    event_id text NOT NULL,
    occurred_at timestamptz NOT NULL,
    source text NOT NULL,
    vendor text NOT NULL,
    model text NOT NULL,
    operation text NOT NULL,
    status text NOT NULL CHECK (status IN ('success', 'failure')),
    error_type text,
    user_id text,
    team_id text,
    feature text,
    service text,
    release text,
    prompt_version text,
    tier text,
    input_tokens bigint CHECK (input_tokens >= 0),
    cached_tokens bigint CHECK (cached_tokens >= 0),
    cache_write_tokens bigint CHECK (cache_write_tokens >= 0),
    cache_write_1h_tokens bigint CHECK (cache_write_1h_tokens >= 0),
    output_tokens bigint CHECK (output_tokens >= 0),
    reasoning_tokens bigint CHECK (reasoning_tokens >= 0),
    latency_ms double precision CHECK (latency_ms >= 0 AND latency_ms < 'Infinity'),
    ttft_ms double precision CHECK (ttft_ms >= 0 AND ttft_ms < 'Infinity'),
    cache_hit boolean,
    cost_usd numeric(20, 12) CHECK (cost_usd >= 0 AND cost_usd < 1e8),
    reported_cost_usd numeric(20, 12) CHECK (reported_cost_usd >= 0 AND reported_cost_usd < 1e8),
    price_source text,
    price_snapshot text,
    prompt_hash text,
    ingested_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, event_id, occurred_at)
) PARTITION BY RANGE (occurred_at);
CREATE INDEX usage_events_occurred_at ON watchkeeper.usage_events USING brin (occurred_at)
    WITH (pages_per_range = 16);

CREATE TABLE watchkeeper.usage_hourly (
    tenant_id text NOT NULL,
    hour timestamptz NOT NULL,
    vendor text NOT NULL,
    model text NOT NULL,
    operation text NOT NULL,
    service text,
    release text,
    feature text,
    team_id text,
    events bigint NOT NULL,
    failures bigint NOT NULL,
    unpriced_events bigint NOT NULL,
    cost_usd numeric(24, 12) NOT NULL,
    reported_cost_usd numeric(24, 12) NOT NULL,
    input_tokens bigint NOT NULL,
    cached_tokens bigint NOT NULL,
    cache_write_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cache_hits bigint NOT NULL,
    cache_eligible bigint NOT NULL,
    UNIQUE NULLS NOT DISTINCT (tenant_id, hour, vendor, model, operation, service, release, feature, team_id)
);

CREATE TABLE watchkeeper.latency_hourly (
    tenant_id text NOT NULL,
    hour timestamptz NOT NULL,
    vendor text NOT NULL,
    model text NOT NULL,
    service text,
    release text,
    bin smallint NOT NULL,
    n bigint NOT NULL,
    UNIQUE NULLS NOT DISTINCT (tenant_id, hour, vendor, model, service, release, bin)
);

CREATE TABLE watchkeeper.rate_cards (
    vendor text NOT NULL,
    model text NOT NULL,
    tier text,
    valid_from timestamptz NOT NULL,
    valid_to timestamptz NOT NULL,
    from_input_tokens bigint NOT NULL,
    to_input_tokens bigint,
    input_usd numeric(20, 15),
    cached_usd numeric(20, 15),
    cache_write_usd numeric(20, 15),
    cache_write_1h_usd numeric(20, 15),
    output_usd numeric(20, 15),
    request_usd numeric(20, 15),
    price_source text NOT NULL,
    price_snapshot text NOT NULL,
    UNIQUE NULLS NOT DISTINCT (vendor, model, tier, valid_from, from_input_tokens)
);

-- No tokens cost nothing, whatever the price; tokens without a price cost an unknown amount.
CREATE FUNCTION watchkeeper.tokens_cost(tokens bigint, usd_per_token numeric) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN coalesce(tokens, 0) = 0 THEN 0 ELSE tokens * usd_per_token END;

-- DDSketch's logarithmic mapping at a relative accuracy of 1 %: gamma = 1.01 / 0.99 (Masson, Rim, Lee, VLDB 2019).
CREATE FUNCTION watchkeeper.latency_bin(latency_ms double precision) RETURNS smallint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ceil(ln(greatest(latency_ms, 0.001)) / ln(1.01::double precision / 0.99))::smallint;
CREATE FUNCTION watchkeeper.latency_of_bin(bin smallint) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 2 * power(1.01::double precision / 0.99, bin) / (1 + 1.01::double precision / 0.99);
"""

INGEST = """
CREATE TABLE watchkeeper.prompt_texts (
    tenant_id text NOT NULL,
    prompt_hash text NOT NULL,
    text text NOT NULL,
    PRIMARY KEY (tenant_id, prompt_hash)
);

CREATE TABLE watchkeeper.scores (
    tenant_id text NOT NULL,
    score_id text NOT NULL,
    occurred_at timestamptz NOT NULL,
    event_id text,
    metric text NOT NULL,
    value double precision NOT NULL CHECK (value BETWEEN -1e9 AND 1e9),
    source text NOT NULL,
    judge_version text,
    release text,
    model text,
    feature text,
    PRIMARY KEY (tenant_id, score_id)
);
CREATE INDEX scores_by_time ON watchkeeper.scores (tenant_id, metric, occurred_at);

CREATE TABLE watchkeeper.watermarks (
    tenant_id text NOT NULL,
    step text NOT NULL,
    reached_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, step)
);
"""

DECISIONS = """
CREATE TABLE watchkeeper.cost_projections (
    tenant_id text NOT NULL,
    month date NOT NULL,
    as_of timestamptz NOT NULL,
    spent_usd numeric(24, 12) NOT NULL,
    month_end_usd numeric(24, 12) NOT NULL,
    low80_usd numeric(24, 12) NOT NULL,
    high80_usd numeric(24, 12) NOT NULL,
    low95_usd numeric(24, 12) NOT NULL,
    high95_usd numeric(24, 12) NOT NULL,
    method text NOT NULL,
    history_days integer NOT NULL,
    low_history boolean NOT NULL,
    unpriced_events bigint NOT NULL,
    PRIMARY KEY (tenant_id, month, as_of)
);

CREATE TABLE watchkeeper.quality_checks (
    tenant_id text NOT NULL,
    as_of timestamptz NOT NULL,
    name text NOT NULL,
    severity text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('passed', 'failed', 'errored')),
    observed text,
    detail text,
    PRIMARY KEY (tenant_id, as_of, name)
);

CREATE TABLE watchkeeper.quality_baselines (
    tenant_id text NOT NULL,
    metric text NOT NULL,
    mean double precision NOT NULL,
    sigma double precision NOT NULL,
    n bigint NOT NULL,
    accepted_at timestamptz NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (tenant_id, metric)
);

CREATE TABLE watchkeeper.rollouts (
    tenant_id text NOT NULL,
    rollout_id text NOT NULL,
    service text NOT NULL,
    control_release text NOT NULL,
    canary_release text NOT NULL,
    plan jsonb NOT NULL,
    state text NOT NULL,
    stage integer NOT NULL,
    started_at timestamptz NOT NULL,
    stage_started_at timestamptz NOT NULL,
    reason text NOT NULL,
    version integer NOT NULL,
    PRIMARY KEY (tenant_id, rollout_id)
);
CREATE UNIQUE INDEX rollouts_one_open_per_service ON watchkeeper.rollouts (tenant_id, service)
    WHERE state IN ('running', 'paused');

CREATE TABLE watchkeeper.rollout_events (
    tenant_id text NOT NULL,
    rollout_id text NOT NULL,
    version integer NOT NULL,
    decided_at timestamptz NOT NULL,
    action text NOT NULL,
    verdict text NOT NULL,
    reason text NOT NULL,
    weight integer NOT NULL,
    evidence jsonb NOT NULL,
    PRIMARY KEY (tenant_id, rollout_id, version)
);

CREATE TABLE watchkeeper.traffic_splits (
    tenant_id text NOT NULL,
    service text NOT NULL,
    control_release text NOT NULL,
    canary_release text,
    canary_percent integer NOT NULL CHECK (canary_percent BETWEEN 0 AND 100),
    salt text NOT NULL,
    algorithm text NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, service)
);

CREATE TABLE watchkeeper.scaling_recommendations (
    tenant_id text NOT NULL,
    service text NOT NULL,
    desired integer,
    reason text NOT NULL,
    computed_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, service)
);
"""

ALERTS = """
CREATE TABLE watchkeeper.alerts (
    tenant_id text NOT NULL,
    alert_id text NOT NULL,
    rule text NOT NULL,
    key text NOT NULL,
    tier text NOT NULL,
    state text NOT NULL CHECK (state IN ('pending', 'firing', 'resolved')),
    since timestamptz NOT NULL,
    fired_at timestamptz,
    resolved_at timestamptz,
    revision integer NOT NULL,
    body jsonb NOT NULL,
    PRIMARY KEY (tenant_id, alert_id)
);
CREATE UNIQUE INDEX alerts_one_open ON watchkeeper.alerts (tenant_id, rule, key) WHERE state <> 'resolved';

CREATE TABLE watchkeeper.outbox (
    tenant_id text NOT NULL,
    dedup_key text NOT NULL,
    destination text NOT NULL,
    tier text NOT NULL,
    payload jsonb NOT NULL,
    desired_rev integer NOT NULL,
    sent_rev integer NOT NULL DEFAULT 0,
    state text NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'sending', 'ambiguous', 'sent', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    first_sent_at timestamptz,
    lease_until timestamptz,
    not_before timestamptz NOT NULL,
    channel_id text,
    message_ts text,
    last_error text,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, dedup_key, destination)
);
CREATE INDEX outbox_open ON watchkeeper.outbox (tenant_id, not_before) WHERE state <> 'sent';

CREATE TABLE watchkeeper.outbox_destinations (
    tenant_id text NOT NULL,
    destination text NOT NULL,
    not_before timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, destination)
);
"""

CACHE = """
CREATE TABLE watchkeeper.embedding_cache (
    tenant_id text NOT NULL,
    model text NOT NULL,
    dimensions integer NOT NULL,
    text_hash text NOT NULL,
    vector bytea NOT NULL,
    warmed boolean NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, model, dimensions, text_hash)
);

CREATE TABLE watchkeeper.warm_entries (
    tenant_id text NOT NULL,
    prompt_hash text NOT NULL,
    model text NOT NULL,
    warmed_on date NOT NULL,
    state text NOT NULL CHECK (state IN ('reserved', 'warmed', 'failed')),
    cost_usd numeric(20, 12) NOT NULL,
    warmed_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, prompt_hash, model, warmed_on)
);
"""


PARTS = (USAGE, INGEST, DECISIONS, ALERTS, CACHE)


def upgrade() -> None:
    for part in PARTS:
        op.execute(part)


def downgrade() -> None:
    for kind in ("TABLE", "FUNCTION"):  # the schema stays: in it Alembic remembers how far it is
        for name in re.findall(rf"CREATE {kind} ([\w.]+)", "".join(PARTS)):
            op.execute(f"DROP {kind} {name}")
