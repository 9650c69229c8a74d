from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ops.window import Window
from tasks.settings import Source
from tasks.stores import ingest, profiles, source_states, usage
from tasks.stores.tables import event_profiles
from tests.hand_made import DAY, HOUR, MIDNIGHT, NOW, event, insert, load, rows_of


def test_profiles_are_counted_again_where_the_rollup_knows_more(engine: sa.Engine) -> None:
    def refresh() -> list[datetime]:
        with engine.begin() as connection:
            return profiles.refresh(connection, "default", NOW)

    load(engine, [event(HOUR), event(HOUR, input_tokens=None), event(2 * DAY)])
    assert refresh() == [MIDNIGHT - 2 * DAY, MIDNIGHT]
    assert refresh() == []
    load(engine, [event(2 * DAY, input_tokens=1024)])
    assert refresh() == [MIDNIGHT - 2 * DAY]
    rows = rows_of(engine, event_profiles)
    # 10 tokens: from 2^3 on; 1,024: from 2^10 on
    assert [(row.hour, row.size, row.events) for row in rows] == [
        (NOW - 2 * DAY, 4, 1), (NOW - 2 * DAY, 11, 1), (NOW - HOUR, -1, 1), (NOW - HOUR, 4, 1)
    ]  # fmt: skip


def test_profiles_of_dropped_days_stay_until_they_are_old(engine: sa.Engine) -> None:
    kept, old = ({"source": "log", "size": 4, "events": 7, "hour": NOW - days * DAY} for days in (20, 61))
    insert(engine, event_profiles, [kept, old])
    with engine.begin() as connection:
        ingest.set_watermark(connection, "default", usage.RETENTION, MIDNIGHT - 10 * DAY)
        assert profiles.refresh(connection, "default", NOW) == []
    assert [(row.hour, row.events) for row in rows_of(engine, event_profiles)] == [(NOW - 20 * DAY, 7)]


def test_watched_hours_are_those_of_watched_sources(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        sources = [Source(name=name, kind="jsonl", path="x") for name in ("log", "mute")]
        source_states.watch(connection, "default", sources, NOW)
    rows = [("log", 4, 7, HOUR), ("log", -1, 2, HOUR), ("log", 4, 1, DAY), ("by-hand", 4, 9, HOUR)]
    names = ("source", "size", "events")
    insert(engine, event_profiles, [{**dict(zip(names, row[:3], strict=True)), "hour": NOW - row[3]} for row in rows])
    with engine.connect() as connection:
        found = profiles.watched_hours(connection, "default", Window(NOW - 2 * HOUR, NOW))
    assert found == {"log": {NOW - HOUR: 7 + 2}, "mute": {}}


def test_sized_sources_brought_enough_before_and_since(engine: sa.Engine) -> None:
    def brought(source: str, before: int, since: int) -> list[dict[str, Any]]:
        hours = ((NOW - 2 * DAY, before), (NOW - DAY, since))
        return [{"source": source, "size": 4, "hour": hour, "events": events} for hour, events in hours]

    insert(engine, event_profiles, [*brought("b", 1000, 1000), *brought("a", 5000, 5000), *brought("new", 999, 9000),
                                    *brought("gone", 9000, 999)])  # fmt: skip
    with engine.connect() as connection:
        assert profiles.sized(connection, "default", Window(NOW - 3 * DAY, NOW - DAY), NOW) == ["a", "b"]
