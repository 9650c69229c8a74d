"""Ingestion: what is known of files and sources, what was rejected, and what vendors report.

Every key begins with `tenant_id`, as in the foundation.
"""

from __future__ import annotations

import re

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = """
-- How far each file was read. A file is known again by its first record (head) and what stands before the offset.
CREATE TABLE watchkeeper.ingest_files (
    tenant_id text NOT NULL,
    source text NOT NULL,
    file_id text NOT NULL,
    head text NOT NULL,
    path text NOT NULL,
    byte_offset bigint NOT NULL,
    lines bigint NOT NULL,
    chain text NOT NULL,
    tail text NOT NULL,
    file_size bigint,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, source, file_id)
);
CREATE INDEX ingest_files_by_head ON watchkeeper.ingest_files (tenant_id, source, head);

-- How every source is doing, and how far one that is polled has been read. Without `silent_after_minutes` it is none of
-- the settings' sources (any more), and nobody is told of its silence.
CREATE TABLE watchkeeper.ingest_sources (
    tenant_id text NOT NULL,
    source text NOT NULL,
    kind text NOT NULL,
    first_tried_at timestamptz NOT NULL,
    last_tried_at timestamptz NOT NULL,
    last_success_at timestamptz,
    last_new_at timestamptz,
    newest_event_at timestamptz,
    cursor_at timestamptz,
    failures integer NOT NULL DEFAULT 0,
    last_error text,
    silent_after_minutes integer,
    PRIMARY KEY (tenant_id, source)
);

-- The parts of a backfill that are done: a window of a polled source, or a file (`place`) of the whole span.
CREATE TABLE watchkeeper.ingest_chunks (
    tenant_id text NOT NULL,
    source text NOT NULL,
    place text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    rows bigint NOT NULL,
    done_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, source, place, starts_at, ends_at)
);

CREATE TABLE watchkeeper.usage_rejects (
    tenant_id text NOT NULL,
    source text NOT NULL,
    reject_id text NOT NULL,
    kind text NOT NULL,
    place text NOT NULL,
    position bigint NOT NULL,
    field text,
    reason text NOT NULL,
    raw text NOT NULL,
    cut boolean NOT NULL, -- `raw` is not the whole row, byte for byte: it cannot be tried again
    header text,
    rejected_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, source, reject_id)
);

-- What vendors say was used and what they charge: to reconcile with, never added to events.
CREATE TABLE watchkeeper.vendor_usage (
    tenant_id text NOT NULL,
    source text NOT NULL,
    bucket_key text NOT NULL,
    vendor text NOT NULL,
    endpoint text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    model text,
    dimensions jsonb NOT NULL,
    requests bigint,
    input_tokens bigint,
    cached_tokens bigint,
    cache_write_tokens bigint,
    output_tokens bigint,
    fetched_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, source, bucket_key)
);
CREATE TABLE watchkeeper.vendor_costs (
    tenant_id text NOT NULL,
    source text NOT NULL,
    bucket_key text NOT NULL,
    vendor text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    line_item text,
    dimensions jsonb NOT NULL,
    cost_usd numeric(24, 12) NOT NULL,
    fetched_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, source, bucket_key)
);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    for table in re.findall(r"CREATE TABLE (\S+)", TABLES):
        op.execute(f"DROP TABLE {table}")
