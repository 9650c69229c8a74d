"""A cause is told once: what dies is a collector, and both its silence and what is missing without it are seen."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from flows.check_quality import check_quality
from flows.keep_watch import keep_watch
from tasks.settings import Settings
from tasks.stores import ingest
from tasks.stores.tables import alerts, ingest_sources, outbox
from tests.checked_month import SOURCES, bring, bring_lately, fill, outcomes, steady
from tests.hand_made import DAY, HOUR, MINUTE, NOW, rows_of

FRESH = "check:traffic/events are fresh"
DIED = NOW - 8 * HOUR


def loaded(engine: sa.Engine, when: datetime, *sources: str) -> None:
    with engine.begin() as connection:
        for source in sources:
            ingest.record_success(connection, "default", source, "jsonl", when, found_new=False)


def firing(engine: sa.Engine, now: datetime) -> set[str]:
    """Check the data and keep watch for three minutes; return what is told then."""
    check_quality(as_of=now)
    for minute in range(3):
        keep_watch(as_of=now + minute * MINUTE)
    return {row.key for row in rows_of(engine, alerts) if row.state == "firing"}


def test_dead_collector_is_one_page_and_nothing_else_is_lost(
    prefect_api: str, settings: Settings, engine: sa.Engine
) -> None:
    fill(engine)
    with engine.begin() as connection:
        connection.execute(sa.update(ingest_sources).values(first_tried_at=NOW - 30 * DAY))
    bring_lately(engine, brings=lambda _, when: when < DIED)
    loaded(engine, DIED, *SOURCES)
    assert firing(engine, NOW) == {"source:batch"}
    [page] = rows_of(engine, outbox)
    assert page.tier == "critical"  # as the check is that leaves it to this one
    assert "source:batch" in page.payload["text"]
    assert "gateway" in str(page.payload)

    loaded(engine, NOW + HOUR, "gateway")  # it is loaded again, and brings nothing: nobody else tells of that
    assert firing(engine, NOW + HOUR) == {"source:batch", FRESH}

    later = NOW + 2 * HOUR
    loaded(engine, later, *SOURCES)
    for source in SOURCES:
        bring(engine, source, steady(source, NOW, later))
    assert outcomes(check_quality(as_of=later)) == {}
    assert firing(engine, later) == set()


def test_dead_collector_of_one_source_is_told_once_while_another_speaks(
    prefect_api: str, settings: Settings, engine: sa.Engine
) -> None:
    fill(engine)
    with engine.begin() as connection:
        connection.execute(sa.update(ingest_sources).values(first_tried_at=NOW - 30 * DAY))
    bring_lately(engine, brings=lambda source, when: source == "gateway" or when < DIED)
    loaded(engine, DIED, "batch")
    loaded(engine, NOW, "gateway")
    assert outcomes(check_quality(as_of=NOW)) == {"traffic: no source is silent while others speak": "failed"}
    assert firing(engine, NOW) == {"source:batch"}
