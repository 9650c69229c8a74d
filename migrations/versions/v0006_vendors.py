"""Vendors: what their status pages say, and who stands in.

Every key begins with `tenant_id`, as in the foundation. The rule `vendor` takes over the open alerts about vendors.
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLE = """
-- One row per vendor of the settings, as they were at the last reading.
CREATE TABLE watchkeeper.vendor_statuses (
    tenant_id text NOT NULL,
    vendor text NOT NULL, -- as usage events name it
    status_url text,
    components jsonb NOT NULL, -- of the page, that count; none: all
    fallback text, -- vendor/model
    tried_at timestamptz,
    error text, -- of the last try; NULL: it succeeded
    read_at timestamptz, -- when page was there last
    page jsonb, -- what it said then: ops/monitoring/vendor_status.py
    etag text, -- of that answer, to ask whether it has changed
    last_modified text,
    PRIMARY KEY (tenant_id, vendor)
);
"""
HAND_OVER = """
UPDATE watchkeeper.alerts SET rule = '{to}' WHERE rule = '{of}' AND key LIKE 'vendor:%' AND state <> 'resolved'
"""


def upgrade() -> None:
    op.execute(TABLE)
    op.execute(HAND_OVER.format(of="availability", to="vendor"))


def downgrade() -> None:
    op.execute(HAND_OVER.format(of="vendor", to="availability"))
    op.execute("DROP TABLE watchkeeper.vendor_statuses")
