"""Cost: projections of parts and of seven days, both sides of a vendor's bill, what was told of a budget.

Every key begins with `tenant_id`, as in the foundation.
"""

from __future__ import annotations

import re

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = """
-- What each user's calls of a UTC day cost; calls that name no user are in no row.
CREATE TABLE watchkeeper.usage_daily_users (
    tenant_id text NOT NULL,
    day timestamptz NOT NULL, -- its midnight, UTC
    user_id text NOT NULL,
    events bigint NOT NULL,
    unpriced_events bigint NOT NULL,
    cost_usd numeric(24, 12) NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    PRIMARY KEY (tenant_id, day, user_id)
) WITH (fillfactor = 60); -- room on the page: a user's row is added to all day long
-- The users of the days before this table.
INSERT INTO watchkeeper.usage_daily_users
SELECT tenant_id, date_trunc('day', occurred_at, 'UTC'), user_id, count(*), count(*) - count(cost_usd),
       coalesce(sum(cost_usd), 0), coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0)
  FROM watchkeeper.usage_events WHERE user_id IS NOT NULL GROUP BY 1, 2, 3;

-- Both sides of a vendor's UTC day and model, as of the newest report; model '' is the whole day.
CREATE TABLE watchkeeper.reconciliations (
    tenant_id text NOT NULL,
    vendor text NOT NULL,
    day date NOT NULL,
    model text NOT NULL,
    is_final boolean NOT NULL, -- the report was read long enough after the day's end
    our_requests bigint,
    our_input_tokens bigint,
    our_cached_tokens bigint,
    our_output_tokens bigint,
    their_requests bigint,
    their_input_tokens bigint,
    their_cached_tokens bigint,
    their_output_tokens bigint,
    our_cost_usd numeric(24, 12),
    their_cost_usd numeric(24, 12),
    in_logs boolean NOT NULL, -- without it our side has no row at all
    in_report boolean NOT NULL,
    computed_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, vendor, day, model)
);

-- What somebody was told of a budget, once for each period.
CREATE TABLE watchkeeper.budget_events (
    tenant_id text NOT NULL,
    scope text NOT NULL,
    key text NOT NULL,
    period text NOT NULL,
    starts_at timestamptz NOT NULL,
    event text NOT NULL,
    budget_usd numeric(24, 12) NOT NULL,
    spent_usd numeric(24, 12) NOT NULL,
    projected_usd numeric(24, 12),
    exhausted_on date,
    occurred_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, scope, key, period, starts_at, event)
);
"""

PROJECTIONS = """
ALTER TABLE watchkeeper.cost_projections
    ADD scope text NOT NULL DEFAULT 'total', -- or team, feature, model
    ADD key text NOT NULL DEFAULT '', -- which of them
    ADD week_usd numeric(24, 12), -- the seven days after as_of; NULL in rows from before there was such a column
    ADD week_low80_usd numeric(24, 12),
    ADD week_high80_usd numeric(24, 12),
    ADD week_low95_usd numeric(24, 12),
    ADD week_high95_usd numeric(24, 12),
    DROP CONSTRAINT cost_projections_pkey,
    ADD PRIMARY KEY (tenant_id, month, as_of, scope, key);
ALTER TABLE watchkeeper.cost_projections ALTER scope DROP DEFAULT, ALTER key DROP DEFAULT;
"""
WITHOUT = """
DELETE FROM watchkeeper.cost_projections WHERE scope <> 'total';
ALTER TABLE watchkeeper.cost_projections
    DROP CONSTRAINT cost_projections_pkey,
    DROP scope, DROP key, DROP week_usd, DROP week_low80_usd, DROP week_high80_usd, DROP week_low95_usd,
    DROP week_high95_usd,
    ADD PRIMARY KEY (tenant_id, month, as_of);
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(PROJECTIONS)


def downgrade() -> None:
    op.execute(WITHOUT)
    for table in re.findall(r"CREATE TABLE (\S+)", TABLES):
        op.execute(f"DROP TABLE {table}")
