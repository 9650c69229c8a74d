"""What every flow opens first: one reading of the clock, and the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa

from flows.ingest_usage import ingest_usage
from flows.keep_watch import keep_watch
from flows.watch import skipped, watch
from ops.errors import UnknownName
from tasks.settings import Settings
from tasks.stores.tables import watermarks
from tests.hand_made import rows_of

NOON = datetime(2026, 3, 5, 12)  # noqa: DTZ001  as a person types it


@pytest.mark.parametrize(
    ("as_of", "now"),
    [
        pytest.param(NOON, NOON.replace(tzinfo=UTC), id="a time without a zone is UTC"),
        pytest.param(NOON.replace(tzinfo=UTC), NOON.replace(tzinfo=UTC), id="a time in UTC is itself"),
        pytest.param(
            NOON.replace(tzinfo=timezone(timedelta(hours=9))),
            NOON.replace(hour=12 - 9, tzinfo=UTC),
            id="noon in Tokyo is three in UTC",
        ),
    ],
)
def test_watch_reads_the_time_that_is_given(settings: Settings, as_of: datetime, now: datetime) -> None:
    with watch(as_of) as w:
        assert (w.now, w.now.tzinfo) == (now, UTC)
        assert w.clock() == w.clock() == now  # a replay: the clock stands still


def test_watch_reads_the_clock_once_and_lets_it_go_on(settings: Settings) -> None:
    before = datetime.now(UTC)
    with watch(None) as w:
        assert before <= w.now <= w.clock() <= w.clock() <= datetime.now(UTC)
        assert w.clock() > w.now
        assert w.clock().tzinfo is UTC


def test_watch_opens_the_database_and_settings_of_the_environment(settings: Settings, engine: sa.Engine) -> None:
    with watch(None) as w:
        assert w.engine.url.database == engine.url.database
        assert w.settings.home == settings.home
        with w.engine.connect() as connection:
            assert connection.execute(sa.text("SELECT count(*) FROM watchkeeper.usage_events")).scalar_one() == 0


def test_flow_that_ran_to_its_end_is_remembered_with_the_time_it_began(
    settings: Settings, engine: sa.Engine, prefect_api: str
) -> None:
    before = datetime.now(UTC)
    keep_watch()
    keep_watch(as_of=before - timedelta(days=1))  # a day that is replayed is no run
    with pytest.raises(UnknownName):
        ingest_usage(sources=["nobody's"])
    [row] = rows_of(engine, watermarks)
    assert row.step == "keep-watch"
    assert before <= row.reached_at <= datetime.now(UTC)


def test_skipped_counts_as_done_and_says_why() -> None:
    state = skipped("nothing was due")
    assert (state.name, state.message, state.is_completed()) == ("Skipped", "nothing was due", True)
