"""Gather the day's page on quality as a piece of work of the Prefect UI; `tasks/read_quality.py` says what is on it."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.read_quality import QualityReport, read_quality
from tasks.settings import Settings


@task(cache_policy=NO_CACHE, persist_result=False)
def report_quality(engine: sa.Engine, settings: Settings, now: datetime, *, show_texts: bool = False) -> QualityReport:
    """Read one snapshot; texts of requests are left out unless they are asked for."""
    return read_quality(engine, settings, now, show_texts=show_texts)
