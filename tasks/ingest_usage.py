"""Load what is new in one configured source: every file its path names, from where the last load ended."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from prefect import task
from prefect.cache_policies import NO_CACHE

from ops.errors import NotFound
from tasks.load_file import load_file
from tasks.log_file import files_of
from tasks.settings import Settings, Source
from tasks.write_usage import Loaded, Target


@task(cache_policy=NO_CACHE, persist_result=False)
def ingest_source(engine: sa.Engine, settings: Settings, source: Source, now: datetime) -> Loaded:
    """Load the new lines of a source's files, in the order of their names.

    Raises:
        NotFound: the source's path names no file.
    """
    total = Loaded()
    target = Target(engine, settings.tenant, keep_texts=settings.warming.store_texts)
    files = files_of(source.path)
    if not files:
        raise NotFound(f"source {source.name}: file", source.path)
    for file in files:
        total = total.plus(load_file(target, source, file, now, resume=True))
    return total
