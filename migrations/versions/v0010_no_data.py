"""A data check that had nothing to look at has an outcome of its own; one whose cause has an alert names that."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE watchkeeper.quality_checks DROP CONSTRAINT quality_checks_outcome_check;
ALTER TABLE watchkeeper.quality_checks ADD CHECK (outcome IN ('passed', 'failed', 'errored', 'no_data'));
ALTER TABLE watchkeeper.quality_checks ADD COLUMN told_by text;
"""

# To the version before it, what said nothing could not be evaluated.
DOWN = """
ALTER TABLE watchkeeper.quality_checks DROP COLUMN told_by;
UPDATE watchkeeper.quality_checks SET outcome = 'errored' WHERE outcome = 'no_data';
ALTER TABLE watchkeeper.quality_checks DROP CONSTRAINT quality_checks_outcome_check;
ALTER TABLE watchkeeper.quality_checks ADD CHECK (outcome IN ('passed', 'failed', 'errored'));
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
