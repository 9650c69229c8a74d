"""What the items of an evaluation run said, and the usage that an endpoint told and nobody believes.

And since when a vendor's status page cannot be read.
"""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
ALTER TABLE watchkeeper.evaluation_runs
    ADD COLUMN claims integer; -- calls whose usage is not believed; NULL while it runs
ALTER TABLE watchkeeper.evaluation_calls
    ADD COLUMN item jsonb, -- of an item's first call: what the golden set said, until its texts are no longer kept
    ADD COLUMN claim text; -- the usage that is not believed
ALTER TABLE watchkeeper.vendor_statuses
    ADD COLUMN failing_since timestamptz; -- the first of the tries in a row that failed
""")


def downgrade() -> None:
    op.execute("""
ALTER TABLE watchkeeper.evaluation_runs DROP COLUMN claims;
ALTER TABLE watchkeeper.evaluation_calls DROP COLUMN item, DROP COLUMN claim;
ALTER TABLE watchkeeper.vendor_statuses DROP COLUMN failing_since;
""")
