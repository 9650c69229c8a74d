"""A source's past: part by part, several at once, each exactly once, and on from where it was stopped."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa

from ops.errors import InvalidValue, NotFound, UnknownName
from ops.window import Window
from tasks.backfill import Backfilled, backfill, plan, source_named
from tasks.load_file import load_file
from tasks.load_window import poll
from tasks.log_file import LogFile
from tasks.settings import Settings, Source
from tasks.sources import KINDS
from tasks.sources.interface import Pager
from tasks.stores import ingest
from tasks.stores.tables import ingest_chunks, ingest_files, usage_events
from tasks.unused_fields import Unused
from tasks.write_usage import Target
from tests import polled_vendor
from tests.api_server import Fault
from tests.polled_vendor import Vendor, row, vendor
from tests.recount import differences

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SPAN = Window(NOW - 6 * HOUR, NOW - 2 * HOUR)  # of four windows of an hour
AWAY = Fault(503, {"retry-after": "999"})


@pytest.fixture
def target(engine: sa.Engine) -> Target:
    return Target(engine, "t")


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendor]:
    """An API with three rows an hour, from eight hours ago to now."""
    with vendor(monkeypatch) as served:
        served.rows = [row(f"e{n}", NOW - 8 * HOUR + n * HOUR / 3) for n in range(24)]
        yield served


def run(target: Target, source: Source, span: Window = SPAN, *, again: bool = False, **options: Any) -> Backfilled:
    todo, before = plan(target, source, span, NOW, again=again)
    return backfill(target, source, todo, before, lambda: NOW, **options)


def ids(target: Target) -> list[str]:
    with target.engine.connect() as connection:
        return sorted(connection.execute(sa.select(usage_events.c.event_id)).scalars())


def done(target: Target) -> list[Any]:
    with target.engine.connect() as connection:
        return sorted(connection.execute(sa.select(ingest_chunks.c.starts_at, ingest_chunks.c.rows)).tuples())


def hours(*numbers: int) -> list[datetime]:
    return [SPAN.start + number * HOUR for number in numbers]


INSIDE = sorted(f"e{number}" for number in range(6, 18))  # two hours before the span hold 6, its four hours 12


# A polled source


@pytest.mark.parametrize("workers", [1, 4, 8])
def test_span_of_a_polled_source_is_loaded_window_by_window(workers: int, target: Target, api: Vendor) -> None:
    found = run(target, api.source(), workers=workers)
    assert ids(target) == INSIDE
    assert (found.parts, found.done_before, found.failures) == (4, 0, ())
    assert (found.loaded.read, found.loaded.inserted) == (12, 12)
    assert api.asked == [(start, start + HOUR) for start in hours(0, 1, 2, 3)]
    assert done(target) == [(start, 3) for start in hours(0, 1, 2, 3)]
    assert differences(target.engine) == []


def test_parts_run_at_once(target: Target, api: Vendor) -> None:
    at_once = Barrier(4, timeout=30)  # no window is answered before all four are asked for
    api.rows = []
    api.before_answer = lambda: at_once.wait()
    assert run(target, api.source(), workers=4).failures == ()


def test_all_workers_together_keep_the_sources_rate(target: Target, api: Vendor) -> None:
    api.rows = []
    source = api.source(requests_per_minute=600)  # one in 0.1 s
    found = run(target, source, workers=4)
    assert len(api.server.asked) == 4
    assert found.loaded.seconds >= 0.3  # the fourth comes three turns after the first


def test_cursor_stays_where_the_poll_left_it(target: Target, api: Vendor) -> None:
    source = api.source(since=NOW - HOUR, look_back_minutes=0)
    poll(target, source, NOW, lambda: NOW)
    run(target, source)
    with target.engine.connect() as connection:
        assert ingest.cursor(connection, "t", "vendor") == NOW
    run(target, api.source("other"))
    with target.engine.connect() as connection:
        assert ingest.cursor(connection, "t", "other") is None


def test_span_ends_now_at_the_latest(target: Target, api: Vendor) -> None:
    found = run(target, api.source(), Window(NOW - HOUR / 2, NOW + 5 * DAY))
    assert (found.parts, ids(target)) == (1, ["e23"])
    assert api.asked == [(NOW - HOUR / 2, NOW)]
    assert run(target, api.source(), Window(NOW + DAY, NOW + 2 * DAY)).parts == 0


def test_rows_that_are_there_already_are_not_doubled(target: Target, api: Vendor) -> None:
    poll(target, api.source(since=NOW - 4 * HOUR), NOW, lambda: NOW)
    found = run(target, api.source())
    assert (found.loaded.inserted, found.loaded.duplicates) == (6, 6)
    assert differences(target.engine) == []


# Stopped, failed, run again


def test_part_that_is_done_is_not_asked_for_again(target: Target, api: Vendor) -> None:
    run(target, api.source(), Window(SPAN.start, SPAN.start + 2 * HOUR))
    api.server.asked.clear()
    found = run(target, api.source())
    assert (found.parts, found.done_before, found.loaded.read) == (4, 2, 6)
    assert [start for start, _ in api.asked] == hours(2, 3)
    api.server.asked.clear()
    assert run(target, api.source()).done_before == 4
    assert api.asked == []


def test_parts_are_loaded_again_when_that_is_asked_for(target: Target, api: Vendor) -> None:
    run(target, api.source())
    api.rows.append(row("late", SPAN.start))
    found = run(target, api.source(), again=True)
    assert (found.done_before, found.loaded.read, found.loaded.inserted) == (0, 13, 1)


def test_part_that_fails_once_is_tried_again(target: Target, api: Vendor) -> None:
    api.server.faults = [AWAY]
    found = run(target, api.source(), workers=1)
    assert (found.failures, ids(target)) == ((), INSIDE)
    assert len(api.server.asked) == 1 + 4 * 2  # a window's three rows are two pages


def test_part_that_fails_twice_is_named_and_the_others_go_on(target: Target, api: Vendor) -> None:
    api.server.faults = [AWAY, AWAY]
    found = run(target, api.source(), workers=1)
    [(part, error)] = found.failures
    assert part == "2026-03-05 06:00 to 2026-03-05 07:00 UTC"
    assert error == "127.0.0.1/rows is unavailable: it asks to wait 999 s"
    assert found.loaded.inserted == 9
    assert [start for start, _ in done(target)] == hours(1, 2, 3)
    again = run(target, api.source())
    assert (again.failures, again.done_before, again.loaded.inserted, ids(target)) == ((), 3, 3, INSIDE)


def test_part_that_is_refused_is_not_tried_again(target: Target, api: Vendor) -> None:
    api.refused = dict.fromkeys(hours(1, 3), 403)
    found = run(target, api.source())
    assert [part[:16] for part, _ in found.failures] == ["2026-03-05 07:00", "2026-03-05 09:00"]
    assert len(api.server.asked) == 2 * 2 + 2
    assert found.as_json()["failed"][0]["error"].startswith("127.0.0.1/rows refused: 403")


def test_part_whose_connection_breaks_is_named_and_the_others_go_on(target: Target, api: Vendor) -> None:
    with target.engine.begin() as connection:  # the database breaks off whoever stores one of its rows
        connection.execute(sa.text(
            "CREATE FUNCTION break() RETURNS trigger LANGUAGE plpgsql AS $$ "
            "BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$; "
            "CREATE TRIGGER break BEFORE INSERT ON watchkeeper.usage_events FOR EACH ROW "
            "WHEN (NEW.event_id = 'e6') EXECUTE FUNCTION break()"
        ))  # fmt: skip
    found = run(target, api.source())
    [(part, error)] = found.failures
    assert part == "2026-03-05 06:00 to 2026-03-05 07:00 UTC"
    assert error.startswith("OperationalError: (psycopg.errors.AdminShutdown) terminating connection")
    assert (found.loaded.inserted, len(done(target))) == (9, 3)


def test_part_that_fails_by_a_mistake_of_ours_is_named_and_its_traceback_logged(
    target: Target, api: Vendor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def mistaken(source: Source, window: Window) -> Pager:
        if window.start == SPAN.start:
            raise KeyError("prompt_tokens")
        return (yield from polled_vendor.pages(source, window))

    monkeypatch.setitem(KINDS, "vendor", replace(polled_vendor.KIND, pages=mistaken))
    found = run(target, api.source())
    assert found.failures == (("2026-03-05 06:00 to 2026-03-05 07:00 UTC", "KeyError: 'prompt_tokens'"),)
    assert found.loaded.inserted == 9
    assert 'raise KeyError("prompt_tokens")' in caplog.text


def test_lack_of_memory_ends_a_backfill(target: Target, api: Vendor) -> None:
    def clock() -> datetime:
        raise MemoryError

    todo, before = plan(target, api.source(), SPAN, NOW)
    with pytest.raises(MemoryError):
        backfill(target, api.source(), todo, before, clock)


def test_part_that_broke_off_in_the_middle_is_not_done(target: Target, api: Vendor) -> None:
    api.server.faults = [None, AWAY, None, AWAY]  # the first page of the first window comes, its second does not
    found = run(target, api.source(), workers=1)
    assert len(found.failures) == 1
    assert done(target) == [(start, 3) for start in hours(1, 2, 3)]
    assert {"e6", "e7"} <= set(ids(target))
    found = run(target, api.source())
    assert (found.loaded.inserted, found.loaded.duplicates, ids(target)) == (1, 2, INSIDE)
    assert differences(target.engine) == []


def test_progress_counts_the_parts_that_are_behind_us(target: Target, api: Vendor) -> None:
    run(target, api.source(), Window(SPAN.start, SPAN.start + HOUR))
    seen: list[tuple[int, int, int]] = []
    run(target, api.source(), progress=lambda number, so_far: seen.append((number, so_far.parts, so_far.loaded.read)))
    assert seen == [(2, 4, 3), (3, 4, 6), (4, 4, 9)]


# Files


def line(number: int, at: datetime) -> str:
    return json.dumps({"event_id": f"f{number}", "occurred_at": at.isoformat(), "input_tokens": 1}) + "\n"


@pytest.fixture
def logs(tmp_path: Path) -> Source:
    """Two logs of twelve hours each, one event an hour: the span is in the second one."""
    for name, first in (("a.jsonl", 24), ("b.jsonl.gz", 12)):
        text = "".join(line(n, NOW - n * HOUR) for n in range(first, first - 12, -1)).encode()
        (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    fixed = {"vendor": "openai", "model": "gpt-4o-mini"}
    return Source(name="logs", kind="jsonl", path=f"{tmp_path}/*.jsonl*", values=fixed)


def test_span_of_files_holds_what_lies_in_it(target: Target, logs: Source) -> None:
    found = run(target, logs)
    assert ids(target) == ["f3", "f4", "f5", "f6"]  # from six hours ago, up to but without two hours ago
    assert (found.parts, found.loaded.read, found.loaded.inserted, found.loaded.skipped) == (2, 4, 4, 20)
    assert differences(target.engine) == []


def test_span_of_files_tells_the_fields_that_nothing_uses(target: Target, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text(f"occurred_at,vendor,model,input_token\n{(NOW - 4 * HOUR).isoformat()},openai,gpt-4o-mini,1\n")
    told = run(target, Source(name="csv", kind="csv", path=str(log))).loaded.unused_fields
    assert told == (Unused(str(log), {"input_token": "input_tokens"}),)


def test_file_is_resumed_as_if_there_had_been_no_backfill(target: Target, logs: Source, tmp_path: Path) -> None:
    run(target, logs)
    with target.engine.connect() as connection:
        assert connection.execute(sa.select(ingest_files)).all() == []
    loaded = load_file(target, logs, LogFile(f"{tmp_path}/b.jsonl.gz"), NOW, resume=True)
    assert (loaded.inserted, loaded.duplicates) == (8, 4)


def test_row_without_an_id_is_the_same_in_a_backfill_and_in_a_load(target: Target, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text(
        "occurred_at,input_tokens\n" + "".join(f"{(NOW - n * HOUR).isoformat()},{n}\n" for n in range(9, 0, -1))
    )
    source = Source(name="csv", kind="csv", path=str(log), values={"vendor": "openai", "model": "gpt-4o-mini"})
    assert run(target, source).loaded.inserted == 4
    loaded = load_file(target, source, LogFile(str(log)), NOW)
    assert (loaded.inserted, loaded.duplicates) == (5, 4)


def test_file_that_has_grown_is_another_part(target: Target, logs: Source, tmp_path: Path) -> None:
    run(target, logs)
    with (tmp_path / "a.jsonl").open("a") as stream:
        stream.write(line(99, SPAN.start))
    found = run(target, logs)
    assert (found.parts, found.done_before, found.loaded.inserted) == (2, 1, 1)
    assert run(target, logs, Window(SPAN.start, SPAN.end + HOUR)).done_before == 0  # another span


def test_damaged_file_is_named_and_the_others_go_on(target: Target, logs: Source, tmp_path: Path) -> None:
    (tmp_path / "c.jsonl.gz").write_bytes(b"no gzip")
    found = run(target, logs)
    assert [part for part, _ in found.failures] == [f"{tmp_path}/c.jsonl.gz"]
    assert (found.loaded.inserted, len(done(target))) == (4, 2)


def test_rejects_of_a_file_are_kept_and_half_a_line_waits(target: Target, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text(f"occurred_at,input_tokens\nnever,1\n{SPAN.start.isoformat()},2\n{SPAN.start.isoformat()},3")
    source = Source(name="csv", kind="csv", path=str(log), values={"vendor": "openai", "model": "gpt-4o-mini"})
    found = run(target, source)
    assert (found.loaded.inserted, found.loaded.rejected) == (1, 1)
    assert found.loaded.first_reject == "line 2: occurred_at: 'never' is not an ISO 8601 time or seconds since 1970"


def test_empty_file_holds_nothing(target: Target, tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").touch()
    found = run(target, Source(name="logs", kind="jsonl", path=f"{tmp_path}/log.jsonl"))
    assert (found.parts, found.loaded.read, found.failures) == (1, 0, ())


def test_path_that_names_no_file_is_refused(target: Target) -> None:
    with pytest.raises(NotFound, match="source logs: file 'nowhere' not found"):
        run(target, Source(name="logs", kind="jsonl", path="nowhere"))


# Which source


def test_source_is_one_of_the_settings(settings: Settings) -> None:
    sources = tuple(Source(name=name) for name in ("a", "b"))
    configured = settings.model_copy(update={"sources": sources})
    assert source_named(configured, "b") == sources[1]
    with pytest.raises(UnknownName, match="source: 'c' is not one of a, b"):
        source_named(configured, "c")


def test_source_that_lacks_a_setting_is_refused(target: Target, api: Vendor) -> None:
    with pytest.raises(InvalidValue, match=r"sources\.vendor\.api_key"):
        run(target, api.source(api_key=""))
