"""Drift: a pinned baseline for each metric, model, prompt and judge, whose history stays.

Every key begins with `tenant_id`, as in the foundation.
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# How many series and days there are: else the planner expects a group for each score, and sorts all of them on disk.
DAYS = """
CREATE STATISTICS watchkeeper.scores_by_day (ndistinct)
    ON metric, model, prompt_version, judge_version, (CAST(timezone('UTC', occurred_at) AS date))
  FROM watchkeeper.scores;
"""

BASELINES = """
-- What was pinned by itself was of all models together: it is pinned again, for each of them.
DELETE FROM watchkeeper.quality_baselines WHERE reason LIKE 'first % days of scores';
ALTER TABLE watchkeeper.quality_baselines
    DROP CONSTRAINT quality_baselines_pkey,
    ADD model text, -- NULL: the scores do not tell
    ADD prompt_version text,
    ADD judge_version text,
    ADD accepted_by text NOT NULL DEFAULT 'unknown',
    ADD starts_at timestamptz, -- the scores that it describes: [starts_at, ends_at)
    ADD ends_at timestamptz,
    ADD days integer NOT NULL DEFAULT 1, -- with scores
    ADD day_sigma double precision NOT NULL DEFAULT 0, -- of a day's mean, beyond what its number of scores explains
    ADD weekdays double precision[] NOT NULL DEFAULT '{}', -- usual distance from the mean, Monday first
    -- The newest row is the one in force. Nothing is changed or deleted: the rows are their own audit log.
    ADD CONSTRAINT quality_baselines_key
        UNIQUE NULLS NOT DISTINCT (tenant_id, metric, model, prompt_version, judge_version, accepted_at);
UPDATE watchkeeper.quality_baselines SET starts_at = accepted_at, ends_at = accepted_at;
ALTER TABLE watchkeeper.quality_baselines
    ALTER starts_at SET NOT NULL, ALTER ends_at SET NOT NULL, ALTER accepted_by DROP DEFAULT, ALTER days DROP DEFAULT,
    ALTER day_sigma DROP DEFAULT, ALTER weekdays DROP DEFAULT;
"""
ONE_EACH = """
DELETE FROM watchkeeper.quality_baselines AS b USING watchkeeper.quality_baselines AS other
 WHERE other.tenant_id = b.tenant_id AND other.metric = b.metric
   AND (other.accepted_at, other.ctid) > (b.accepted_at, b.ctid);
ALTER TABLE watchkeeper.quality_baselines
    DROP CONSTRAINT quality_baselines_key,
    DROP model, DROP prompt_version, DROP judge_version, DROP accepted_by, DROP starts_at, DROP ends_at, DROP days,
    DROP day_sigma, DROP weekdays,
    ADD PRIMARY KEY (tenant_id, metric);
"""


def upgrade() -> None:
    op.execute(DAYS)
    op.execute(BASELINES)


def downgrade() -> None:
    op.execute(ONE_EACH)
    op.execute("DROP STATISTICS watchkeeper.scores_by_day")
