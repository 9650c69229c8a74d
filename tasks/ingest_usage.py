"""Load what is new in one configured source: every file its path names, from where the last load ended."""

from __future__ import annotations

import glob
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from prefect import task
from prefect.cache_policies import NO_CACHE

from ops.errors import NotFound
from tasks.load_file import Loaded, Target, load_file
from tasks.settings import Settings, Source


@task(cache_policy=NO_CACHE, persist_result=False)
def ingest_source(engine: sa.Engine, settings: Settings, source: Source, now: datetime) -> Loaded:
    """Load the new lines of a source's files, in the order of their names.

    Raises:
        NotFound: the source's path names no file.
    """
    total = Loaded()
    target = Target(engine, settings.tenant, keep_texts=settings.warming.store_texts)
    for path in files_of(source):
        total = total.plus(load_file(target, source, path, now, resume=True))
    return total


def files_of(source: Source) -> list[Path]:
    """Return the files that a source's path or glob names.

    Raises:
        NotFound: none.
    """
    found = sorted(Path(name) for name in glob.glob(source.path, recursive=True))  # noqa: PTH207  absolute globs
    if not found:
        raise NotFound(f"source {source.name}: file", source.path)
    return found
