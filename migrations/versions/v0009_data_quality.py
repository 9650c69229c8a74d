"""Data quality: checks in suites, what each source usually brings, and projections that rest on data that failed.

Every key begins with `tenant_id`, as in the foundation.
"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE watchkeeper.quality_checks ADD COLUMN suite text NOT NULL DEFAULT 'events';
ALTER TABLE watchkeeper.quality_checks ALTER COLUMN suite DROP DEFAULT;
ALTER TABLE watchkeeper.quality_checks DROP CONSTRAINT quality_checks_pkey;
ALTER TABLE watchkeeper.quality_checks ADD PRIMARY KEY (tenant_id, suite, as_of, name);

-- The roll-up does not know sources; this does, and of what sizes their requests are.
CREATE TABLE watchkeeper.event_profiles (
    tenant_id text NOT NULL,
    hour timestamptz NOT NULL,
    source text NOT NULL,
    size smallint NOT NULL, -- of the input: -1 unknown, 0 none, k from 2^(k-1) tokens on
    events bigint NOT NULL,
    PRIMARY KEY (tenant_id, hour, source, size)
);

-- NULL: made from data that passed its critical checks.
ALTER TABLE watchkeeper.cost_projections ADD COLUMN blocked_by text;
"""

DOWN = """
ALTER TABLE watchkeeper.cost_projections DROP COLUMN blocked_by;
DROP TABLE watchkeeper.event_profiles;
DELETE FROM watchkeeper.quality_checks WHERE suite <> 'events';
ALTER TABLE watchkeeper.quality_checks DROP CONSTRAINT quality_checks_pkey;
ALTER TABLE watchkeeper.quality_checks DROP COLUMN suite;
ALTER TABLE watchkeeper.quality_checks ADD PRIMARY KEY (tenant_id, as_of, name);
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
