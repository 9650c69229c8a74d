"""Postgres, table by table: SQLAlchemy Core in `tables.py`, longer statements in `sql/`."""
