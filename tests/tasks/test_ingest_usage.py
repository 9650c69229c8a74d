from __future__ import annotations

import gzip
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ops.errors import InvalidValue, NotFound, Refused, Unavailable, UnknownName
from tasks.evaluate_alerts import evaluate_alerts
from tasks.find_due import evaluation_due
from tasks.ingest_usage import PartlyLoaded, choose, ingest_source, report, watch_sources
from tasks.settings import Settings, Source, Warming
from tasks.stores import source_states
from tasks.stores.tables import ingest_files, prompt_texts, usage_events
from tasks.write_usage import Loaded
from tests.api_server import Fault
from tests.polled_vendor import Vendor, row, vendor

NOW = datetime(2026, 3, 3, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
LINE = (
    b'{"id":"%s","startTime":1772452800,"model":"gpt-4o","status":"success","call_type":"embedding","messages":"%s"}\n'
)
AT = datetime.fromtimestamp(1772452800, UTC)  # 2026-03-02 12:00


def source(pattern: str, **changes: Any) -> Source:
    return Source(**{"name": "gateway", "path": pattern, **changes})


def ingest(engine: sa.Engine, settings: Settings, asked: Source, now: datetime = NOW) -> Loaded:
    loaded: Loaded = ingest_source.fn(engine, settings, asked, now, lambda: now)
    return loaded


def state(engine: sa.Engine, name: str = "gateway") -> Any:
    with engine.connect() as connection:
        return source_states.states(connection, "default").get(name)


def ids(engine: sa.Engine) -> list[str]:
    with engine.connect() as connection:
        return sorted(connection.execute(sa.select(usage_events.c.event_id)).scalars())


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    (tmp_path / "logs" / "old").mkdir(parents=True)
    for name, event in (("2.jsonl", b"b"), ("1.jsonl", b"a"), ("old/0.jsonl", b"c")):
        (tmp_path / "logs" / name).write_bytes(LINE % (event, event))
    return tmp_path / "logs"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendor]:
    with vendor(monkeypatch) as served:
        yield served


# Which sources

NAMES = [Source(name=name) for name in ("a", "b", "c", "d")]


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        pytest.param(None, "abcd", id="all by default"),
        pytest.param(["c", "a"], "ac", id="those that are named, in the settings' order"),
        pytest.param([], "", id="none when none is named"),
    ],
)
def test_sources_are_chosen_by_name(names: list[str] | None, chosen: str) -> None:
    assert "".join(one.name for one in choose(NAMES, names, None)) == chosen


def test_unknown_source_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="sources: 'z' is not one of a, b, c, d"):
        choose(NAMES, ["a", "z"], None)


def test_shards_divide_the_sources_among_them() -> None:
    shards = [[one.name for one in choose(NAMES, None, f"{number}/3")] for number in (1, 2, 3)]
    assert sorted(name for shard in shards for name in shard) == ["a", "b", "c", "d"]
    assert [choose(NAMES, ["a"], f"{number}/3") for number in (1, 2, 3)].count([]) == 2


def test_shard_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidValue, match="shard: '5/4'"):
        choose(NAMES, None, "5/4")


# Files


def test_source_brings_what_is_new_in_all_its_files(logs: Path, engine: sa.Engine, settings: Settings) -> None:
    found = [ingest(engine, settings, source(f"{logs}/*.jsonl")) for _ in range(2)]
    assert [(loaded.read, loaded.inserted) for loaded in found] == [(2, 2), (0, 0)]
    with (logs / "1.jsonl").open("ab") as stream:
        stream.write(LINE % (b"d", b"d"))
    loaded = ingest(engine, settings, source(f"{logs}/*.jsonl"))
    assert (loaded.read, loaded.inserted, loaded.duplicates) == (1, 1, 0)


def test_same_file_is_new_to_another_source(logs: Path, engine: sa.Engine, settings: Settings) -> None:
    loaded = [ingest(engine, settings, source(f"{logs}/1.jsonl", name=name)) for name in ("a", "b")]
    assert [(one.inserted, one.duplicates) for one in loaded] == [(1, 0), (0, 1)]


def test_path_that_names_no_file_is_not_found(logs: Path, engine: sa.Engine, settings: Settings) -> None:
    with pytest.raises(NotFound, match=r"source gateway: file .*missing.* not found"):
        ingest(engine, settings, source(f"{logs}/missing*"))


def test_damaged_file_stops_no_other_file_and_is_named(logs: Path, engine: sa.Engine, settings: Settings) -> None:
    (logs / "0.jsonl.gz").write_bytes(b"no gzip")
    (logs / "1.jsonl.zst").write_bytes(b"no zstd")
    with pytest.raises(PartlyLoaded, match=r"source gateway: files: 2 of 4 failed: .*0\.jsonl\.gz.*; .*1\.jsonl\.zst"):
        ingest(engine, settings, source(f"{logs}/*.jsonl*"))
    assert ids(engine) == ["a", "b"]
    with engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(ingest_files)).scalar() == 2


def test_what_stood_before_the_damage_is_counted(logs: Path, engine: sa.Engine, settings: Settings) -> None:
    lines = b"".join(LINE % (b"%d" % number, b"x" * 3000) for number in range(7000))  # more than a block
    packed = gzip.compress(lines, 1)
    (logs / "0.jsonl.gz").write_bytes(packed[: len(packed) - 9])
    with pytest.raises(PartlyLoaded) as raised:
        ingest(engine, settings, source(f"{logs}/*.jsonl*"))
    assert raised.value.loaded.inserted == len(ids(engine)) > 2


def test_file_that_vanished_meanwhile_stops_no_other_file(logs: Path, engine: sa.Engine, settings: Settings) -> None:
    (logs / "0.jsonl").symlink_to(logs / "nowhere")  # listed, and not there when it is opened
    with pytest.raises(PartlyLoaded, match=r"1 of 3 failed: file .*0\.jsonl' not found"):
        ingest(engine, settings, source(f"{logs}/*.jsonl"))
    assert ids(engine) == ["a", "b"]


@pytest.mark.parametrize(
    ("store_texts", "texts"),
    [pytest.param(False, [], id="not by default"), pytest.param(True, ["a"], id="when the settings ask for it")],
)
def test_prompts_are_kept(
    store_texts: bool, texts: list[str], logs: Path, engine: sa.Engine, settings: Settings
) -> None:
    asked = settings.model_copy(update={"warming": Warming(store_texts=store_texts)})
    ingest(engine, asked, source(f"{logs}/1.jsonl"))
    with engine.connect() as connection:
        assert connection.execute(sa.select(prompt_texts.c.text)).scalars().all() == texts


# Polled sources


def test_polled_source_brings_what_is_new_since_its_last_poll(
    api: Vendor, engine: sa.Engine, settings: Settings
) -> None:
    asked = api.source(since=NOW - 2 * HOUR, look_back_minutes=30)
    api.rows = [row("a", NOW - 90 * MINUTE), row("b", NOW - MINUTE)]
    assert ingest(engine, settings, asked).inserted == 2
    api.rows += [row("late", NOW - 20 * MINUTE), row("too late", NOW - 40 * MINUTE), row("new", NOW + MINUTE)]
    later = ingest(engine, settings, asked, NOW + HOUR)
    assert (later.inserted, later.duplicates) == (2, 1)  # late and new; b
    assert ids(engine) == ["a", "b", "late", "new"]
    assert state(engine, "vendor").cursor_at == NOW + HOUR


def test_polled_source_that_refuses_is_remembered_with_its_reason(
    api: Vendor, engine: sa.Engine, settings: Settings
) -> None:
    asked = api.source(api_key="wrong", since=NOW - HOUR)
    with pytest.raises(Refused, match="401"):
        ingest(engine, settings, asked)
    found = state(engine, "vendor")
    assert (found.failures, found.last_success_at, found.last_tried_at) == (1, None, NOW)
    assert "127.0.0.1/rows refused: 401" in found.last_error
    assert "wrong" not in found.last_error


def test_kind_that_lacks_a_setting_is_a_failure_that_is_remembered(
    api: Vendor, engine: sa.Engine, settings: Settings
) -> None:
    with pytest.raises(InvalidValue, match=r"sources\.vendor\.api_key"):
        ingest(engine, settings, api.source(api_key=""))
    assert state(engine, "vendor").last_error.startswith("sources.vendor.api_key: '' is not set")


# What is remembered


def test_success_is_remembered_and_whether_it_brought_news(logs: Path, engine: sa.Engine, settings: Settings) -> None:
    asked = source(f"{logs}/*.jsonl")
    watch_sources(engine, settings.model_copy(update={"sources": (asked,)}), NOW)
    for number in range(2):
        ingest(engine, settings, asked, NOW + number * HOUR)
    found = state(engine)
    assert (found.last_success_at, found.last_new_at, found.newest_event_at) == (NOW + HOUR, NOW, AT)
    assert (found.failures, found.last_error, found.silent_after_minutes) == (0, None, 60)


def test_failures_are_counted_until_one_succeeds(logs: Path, engine: sa.Engine, settings: Settings) -> None:
    for number in range(3):
        with pytest.raises(NotFound):
            ingest(engine, settings, source(f"{logs}/later.jsonl"), NOW + number * MINUTE)
    found = state(engine)
    assert (found.failures, found.first_tried_at, found.last_tried_at) == (3, NOW, NOW + 2 * MINUTE)
    (logs / "later.jsonl").write_bytes(LINE % (b"l", b"l"))
    ingest(engine, settings, source(f"{logs}/later.jsonl"), NOW + HOUR)
    assert (state(engine).failures, state(engine).last_error) == (0, None)


def test_success_is_remembered_with_the_time_when_it_ended(logs: Path, engine: sa.Engine, settings: Settings) -> None:
    ingest_source.fn(engine, settings, source(f"{logs}/1.jsonl"), NOW, lambda: NOW + HOUR)
    assert state(engine).last_success_at == NOW + HOUR


def test_error_of_the_database_is_remembered_without_its_statement(
    logs: Path, engine: sa.Engine, settings: Settings
) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE watchkeeper.ingest_files"))
    with pytest.raises(sa.exc.ProgrammingError):
        ingest(engine, settings, source(f"{logs}/1.jsonl"))
    assert state(engine).last_error == (
        'ProgrammingError: (psycopg.errors.UndefinedTable) relation "watchkeeper.ingest_files" does not exist'
    )


# What people and alerts see


def test_report_shows_what_each_source_brought_and_how_far_behind_it_is(
    logs: Path, engine: sa.Engine, settings: Settings
) -> None:
    asked = source(f"{logs}/*.jsonl")
    watch_sources(engine, settings.model_copy(update={"sources": (asked, source("x", name="new"))}), NOW)
    loaded = ingest(engine, settings, asked)
    outcomes = {"gateway": loaded, "new": Unavailable("host", "500"), "unseen": NotFound("file", "f")}
    assert report(engine, "default", outcomes, NOW) == [
        {"source": "gateway", "state": "loaded", "read": 2, "inserted": 2, "corrected": 0, "duplicates": 0,
         "rejected": 0, "lag": "12:00:00", "last success": "2026-03-03 00:00 UTC", "error": None},
        {"source": "new", "state": "failed", "read": None, "inserted": None, "corrected": None, "duplicates": None,
         "rejected": None, "lag": None, "last success": None, "error": "host is unavailable: 500"},
        {"source": "unseen", "state": "failed", "read": None, "inserted": None, "corrected": None, "duplicates": None,
         "rejected": None, "lag": None, "last success": None, "error": "file 'f' not found"},
    ]  # fmt: skip


def test_report_counts_what_the_sound_files_of_a_failed_source_brought(
    logs: Path, engine: sa.Engine, settings: Settings
) -> None:
    (logs / "3.jsonl.gz").write_bytes(b"no gzip")
    with pytest.raises(PartlyLoaded) as raised:
        ingest(engine, settings, source(f"{logs}/*.jsonl*"))
    [shown] = report(engine, "default", {"gateway": raised.value}, NOW)
    assert (shown["state"], shown["inserted"], shown["last success"]) == ("failed", 2, None)


def test_source_that_never_was_loaded_becomes_an_alert_without_any_usage(
    engine: sa.Engine, settings: Settings, tmp_path: Path
) -> None:
    gone = source(f"{tmp_path}/gone.jsonl")
    configured = settings.model_copy(update={"sources": (gone,)})
    assert not evaluation_due(engine, configured, NOW)
    watch_sources(engine, configured, NOW)
    assert evaluation_due(engine, configured, NOW)
    with pytest.raises(NotFound):
        ingest(engine, configured, gone)
    firing = [evaluate_alerts.fn(engine, configured, NOW + minute * MINUTE).firing for minute in (59, 60, 61)]
    assert firing == [(), (), ("silence source:gateway",)]

    watch_sources(engine, settings, NOW + 62 * MINUTE)  # the source is taken out of the settings
    for minute in (63, 64, 65):
        assert evaluation_due(engine, settings, NOW + minute * MINUTE)
        found = evaluate_alerts.fn(engine, settings, NOW + minute * MINUTE)
    assert found.firing == ()
    assert not evaluation_due(engine, settings, NOW + 99 * HOUR)


@pytest.mark.parametrize(
    ("faults", "runs", "inserted"),
    [
        pytest.param([], 1, 1, id="once when all is well"),
        pytest.param([Fault(503, {"retry-after": "999"})] * 2, 3, 1, id="three times when the vendor is away twice"),
        pytest.param([Fault(503, {"retry-after": "999"})] * 3, 3, None, id="no more than three times"),
        pytest.param([Fault(401)], 1, None, id="once when it says no"),
    ],
)
def test_task_tries_again_what_may_pass(
    faults: list[Fault],
    runs: int,
    inserted: int | None,
    api: Vendor,
    engine: sa.Engine,
    settings: Settings,
    prefect_api: str,
) -> None:
    api.rows = [row("a", NOW - MINUTE)]
    api.server.faults = list(faults)
    asked = api.source(since=NOW - HOUR)
    at_once = ingest_source.with_options(retry_delay_seconds=0)
    ended = at_once(engine, settings, asked, NOW, lambda: NOW, return_state=True)
    assert ended.is_completed() is (inserted is not None)
    assert len(api.server.asked) == runs
    assert ids(engine) == (["a"] if inserted else [])
    assert state(engine, "vendor").failures == (0 if inserted else runs)
