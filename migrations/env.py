"""Run by Alembic: applies the versions on the connection that `tasks/stores/schema.py` hands over."""

from __future__ import annotations

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table_schema="watchkeeper", transaction_per_migration=False)
with context.begin_transaction():
    context.run_migrations()
