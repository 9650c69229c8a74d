"""Savings: evaluations that pair models, and the advice that was given.

Every key begins with `tenant_id`, as in the foundation.
"""

from __future__ import annotations

import re

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = """
-- One verdict on one model's answer to one item; two rows of an item under the same judge are a pair.
CREATE TABLE watchkeeper.evaluations (
    tenant_id text NOT NULL,
    route text NOT NULL, -- as usage events name it: feature
    item_id text NOT NULL,
    judge_version text NOT NULL,
    model text NOT NULL, -- vendor/model
    variant text NOT NULL, -- full, or the context cut to so many tokens: trimmed-4000
    passed boolean NOT NULL,
    score double precision,
    evaluated_at timestamptz NOT NULL,
    cost_usd numeric(20, 12),
    PRIMARY KEY (tenant_id, route, item_id, judge_version, model, variant)
);

-- What each lever would have saved on the days before as_of; lever `total` is all of them together.
CREATE TABLE watchkeeper.savings_advice (
    tenant_id text NOT NULL,
    as_of timestamptz NOT NULL,
    lever text NOT NULL,
    days integer NOT NULL,
    base_usd numeric(24, 12) NOT NULL, -- the cost of the calls that the lever is about
    alone_usd numeric(24, 12), -- NULL: unknown, for the reason
    saved_usd numeric(24, 12), -- of what the levers before it left
    low80_usd numeric(24, 12),
    high80_usd numeric(24, 12),
    reason text,
    detail jsonb NOT NULL,
    PRIMARY KEY (tenant_id, as_of, lever)
);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    for table in re.findall(r"CREATE TABLE (\S+)", TABLES):
        op.execute(f"DROP TABLE {table}")
