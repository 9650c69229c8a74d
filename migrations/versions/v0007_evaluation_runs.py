"""Evaluation runs: each call of a run, reserved before it is made; scores have a prompt's version and tags.

Every key begins with `tenant_id`, as in the foundation.
"""

from __future__ import annotations

import re

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SCORES = """
ALTER TABLE watchkeeper.scores
    ADD COLUMN prompt_version text,
    ADD COLUMN tags jsonb; -- an object of texts: language, route, …
"""

TABLES = """
-- A golden set asked once; one that died is gone on with.
CREATE TABLE watchkeeper.evaluation_runs (
    tenant_id text NOT NULL,
    run_id text NOT NULL,
    name text NOT NULL, -- of the set
    fingerprint text NOT NULL, -- of its content and of whom it asks how: only the same is gone on with
    state text NOT NULL CHECK (state IN ('running', 'done', 'out of budget', 'abandoned')),
    started_at timestamptz NOT NULL, -- its scores' time too
    finished_at timestamptz,
    items integer NOT NULL,
    model text,
    judge_version text,
    budget_usd numeric(24, 12) NOT NULL,
    spent_usd numeric(24, 12) NOT NULL, -- the sum of its calls' cost_usd, always
    assumed_usd numeric(24, 12), -- of it; this and what follows: NULL while it runs
    outcomes jsonb, -- step -> outcome -> calls
    results jsonb, -- metric -> n and mean of what was scored
    PRIMARY KEY (tenant_id, run_id)
);
CREATE INDEX evaluation_runs_by_time ON watchkeeper.evaluation_runs (tenant_id, started_at);

-- A call is written before it is made: one whose process died is never made again.
CREATE TABLE watchkeeper.evaluation_calls (
    tenant_id text NOT NULL,
    run_id text NOT NULL,
    item_id text NOT NULL,
    step text NOT NULL,
    outcome text, -- NULL: on its way
    reserved_usd numeric(24, 12) NOT NULL,
    cost_usd numeric(24, 12) NOT NULL, -- what was reserved, until it is known
    is_assumed boolean NOT NULL,
    answer text,
    detail text, -- what went wrong
    scores jsonb NOT NULL, -- metric -> value, as in scores
    PRIMARY KEY (tenant_id, run_id, item_id, step)
);
"""


def upgrade() -> None:
    op.execute(SCORES)
    op.execute(TABLES)


def downgrade() -> None:
    for table in re.findall(r"CREATE TABLE (\S+)", TABLES):
        op.execute(f"DROP TABLE {table}")
    op.execute("ALTER TABLE watchkeeper.scores DROP COLUMN IF EXISTS prompt_version, DROP COLUMN IF EXISTS tags")
