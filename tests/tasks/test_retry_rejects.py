"""Rejected rows once more: each becomes a record exactly once, however it comes in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ops.window import Window
from tasks.load_file import load_file
from tasks.load_window import load_window
from tasks.log_file import LogFile
from tasks.refuse_rows import Origin
from tasks.retry_rejects import Retried, retry_rejects
from tasks.settings import Source
from tasks.sources import KINDS
from tasks.sources.interface import Batch, Reject
from tasks.stores import ingest, retention
from tasks.stores.tables import scores, usage_events, usage_rejects
from tasks.write_usage import Loaded, Target, Writer
from tests import polled_vendor
from tests.polled_vendor import Vendor, vendor
from tests.recount import differences

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
NAIVE = {
    "csv": b"occurred_at,input_tokens\n2026-03-02T12:00:00,1\n2026-03-02T13:00:00,22\n",
    "jsonl": b'{"occurred_at":"2026-03-02T12:00:00","input_tokens":1}\n'
    b'{"occurred_at":"2026-03-02T13:00:00","input_tokens":22}\n',
}
QUOTED = b'occurred_at,feature\n2026-03-02T12:00:00,"two\nlines"\n'
FIXED = {"vendor": "openai", "model": "gpt-4o-mini"}
FALLBACK = Source(name="manual", path="(rejects)")
AWAY = Source(name="manual", path="(rejects)", values=FIXED, timezone="UTC")


@pytest.fixture
def target(engine: sa.Engine) -> Target:
    return Target(engine, "t")


def source(kind: str, **changes: Any) -> Source:
    return Source(**{"name": "trace", "kind": kind, "path": "x", "values": FIXED, **changes})


def load(target: Target, asked: Source, content: bytes, folder: Path, *, resume: bool = False) -> Loaded:
    path = folder / f"log.{asked.kind}"
    path.write_bytes(content)
    return load_file(target, asked, LogFile(str(path)), NOW, resume=resume)


def retry(target: Target, *sources: Source, fallback: Source = FALLBACK, name: str | None = None) -> Retried:
    return retry_rejects(target, {one.name: one for one in sources}, fallback, NOW, name)


def values(engine: sa.Engine, *columns: sa.Column[Any]) -> list[Any]:
    with engine.connect() as connection:
        return sorted(tuple(row) for row in connection.execute(sa.select(*columns)))


def reasons(engine: sa.Engine) -> list[str]:
    return [reason for (reason,) in values(engine, usage_rejects.c.reason)]


def counts(done: Retried) -> tuple[int, int, int, int]:
    return done.tried, done.inserted, done.duplicates, done.rejected


@pytest.mark.parametrize("kind", NAIVE)
@pytest.mark.parametrize("resume", [False, True], ids=["loaded from its start", "loaded where it ended"])
def test_row_that_was_tried_again_is_found_when_its_file_is_loaded_again(
    kind: str, resume: bool, target: Target, tmp_path: Path
) -> None:
    assert load(target, source(kind), NAIVE[kind], tmp_path, resume=resume).rejected == 2
    ids = values(target.engine, usage_rejects.c.reject_id)
    zoned = source(kind, timezone="UTC")
    assert counts(retry(target, zoned)) == (2, 2, 0, 0)
    assert values(target.engine, usage_events.c.event_id) == ids
    assert reasons(target.engine) == []
    again = load(target, zoned, NAIVE[kind], tmp_path)
    assert (again.read, again.inserted, again.duplicates, again.rejected) == (2, 0, 2, 0)
    assert counts(retry(target, zoned)) == (0, 0, 0, 0)
    assert differences(target.engine) == []


@pytest.mark.parametrize("kind", NAIVE)
def test_row_whose_file_was_loaded_again_before_is_a_duplicate(kind: str, target: Target, tmp_path: Path) -> None:
    load(target, source(kind), NAIVE[kind], tmp_path)
    zoned = source(kind, timezone="UTC")
    assert load(target, zoned, NAIVE[kind], tmp_path).inserted == 2
    assert counts(retry(target, zoned)) == (2, 0, 2, 0)
    assert reasons(target.engine) == []
    assert differences(target.engine) == []


def test_record_of_several_lines_is_one_row_again(target: Target, tmp_path: Path) -> None:
    load(target, source("csv"), QUOTED, tmp_path)
    zoned = source("csv", timezone="UTC")
    assert counts(retry(target, zoned)) == (1, 1, 0, 0)
    assert values(target.engine, usage_events.c.feature) == [("two\nlines",)]
    assert load(target, zoned, QUOTED, tmp_path).duplicates == 1


def test_row_with_an_id_of_its_own_keeps_it(target: Target, tmp_path: Path) -> None:
    load(target, source("jsonl"), b'{"event_id":"mine","occurred_at":"2026-03-02T12:00:00"}\n', tmp_path)
    retry(target, source("jsonl", timezone="UTC"))
    assert values(target.engine, usage_events.c.event_id) == [("mine",)]


def test_row_that_still_is_none_stays_with_its_reason_of_now(target: Target, tmp_path: Path) -> None:
    mixed = NAIVE["jsonl"] + b'{"occurred_at":"2026-03-02T14:00:00","input_tokens":-1}\n'
    load(target, source("jsonl"), mixed, tmp_path)
    done = retry(target, source("jsonl", timezone="UTC"))
    assert counts(done) == (3, 2, 0, 1)
    [reason] = reasons(target.engine)
    assert reason.startswith("input_tokens: -1 is not of the right type")
    assert done.first_reject == f"{tmp_path}/log.jsonl, 3: {reason}"


def test_settings_of_another_kind_are_not_those_of_the_row(target: Target, tmp_path: Path) -> None:
    load(target, source("csv"), NAIVE["csv"], tmp_path)
    load(target, source("jsonl"), NAIVE["jsonl"], tmp_path)
    present = source("csv", timezone="UTC")
    unzoned = AWAY.model_copy(update={"timezone": None})
    assert counts(retry(target, present, fallback=unzoned)) == (4, 2, 0, 2)
    assert all("not a time with a zone" in reason for reason in reasons(target.engine))
    assert counts(retry(target, present, fallback=AWAY)) == (2, 2, 0, 0)
    assert values(target.engine, usage_events.c.source) == [("trace",)] * 4


@pytest.mark.parametrize("kind", NAIVE)
def test_source_without_settings_is_read_by_its_kept_kind_and_the_options(
    kind: str, target: Target, tmp_path: Path
) -> None:
    load(target, source(kind, name="manual", timezone=None), NAIVE[kind], tmp_path)
    assert counts(retry(target)) == (2, 0, 0, 2)
    assert counts(retry(target, fallback=AWAY)) == (2, 2, 0, 0)
    assert values(target.engine, usage_events.c.source) == [("manual",), ("manual",)]


def test_only_one_source_is_tried_when_it_is_named(target: Target, tmp_path: Path) -> None:
    for name in ("a", "b"):
        load(target, source("jsonl", name=name), NAIVE["jsonl"], tmp_path)
    assert counts(retry(target, fallback=AWAY, name="a")) == (2, 2, 0, 0)
    assert values(target.engine, usage_rejects.c.source) == [("b",), ("b",)]
    assert counts(retry(target, fallback=AWAY)) == (2, 0, 2, 0)  # the same rows of the same file


def test_each_header_of_a_source_is_read_as_its_own(target: Target, tmp_path: Path) -> None:
    load(target, source("csv"), NAIVE["csv"], tmp_path)
    load(target, source("csv"), b"input_tokens,occurred_at\n333,2026-03-02T15:00:00\n", tmp_path)
    retry(target, source("csv", timezone="UTC"))
    assert values(target.engine, usage_events.c.input_tokens) == [(1,), (22,), (333,)]


WRONG = {
    "a column that the file does not have": ({"columns": {"feature": "f"}}, "column of feature: 'f' is not one of"),
    "a field that events do not have": ({"values": {"vendr": "x"}}, "sources.trace.values: 'vendr' is not one of"),
}


@pytest.mark.parametrize(("changes", "reason"), WRONG.values(), ids=WRONG)
def test_settings_that_do_not_fit_become_the_reason(
    changes: dict[str, Any], reason: str, target: Target, tmp_path: Path
) -> None:
    load(target, source("csv"), NAIVE["csv"], tmp_path)
    assert counts(retry(target, source("csv", **changes))) == (2, 0, 0, 2)
    assert all(one.startswith(reason) for one in reasons(target.engine))


def rejected(target: Target, raw: bytes, kind: str) -> None:
    origin = Origin("trace", kind, "log")
    Writer(target).write(Batch(rejects=[Reject(1, "line", "bad", raw)]), origin, NOW)


def test_csv_row_that_was_kept_without_a_header_needs_its_file(target: Target) -> None:
    rejected(target, b"2026-03-02T12:00:00,1", "csv")
    assert counts(retry(target, source("csv", timezone="UTC"))) == (1, 0, 0, 1)
    assert reasons(target.engine) == ["header: None is not kept with this row; load its file again"]


def test_row_of_a_kind_that_is_no_more_stays(target: Target) -> None:
    rejected(target, b"{}", "gone")
    assert counts(retry(target)) == (1, 0, 0, 1)
    assert reasons(target.engine)[0].startswith("kind: 'gone' is not one of anthropic, csv,")


def test_rows_of_one_kind_alone_are_tried(target: Target, tmp_path: Path) -> None:
    load(target, source("csv"), NAIVE["csv"], tmp_path)
    rejected(target, b"{", "jsonl")
    assert counts(retry_rejects(target, {"trace": source("csv", timezone="UTC")}, FALLBACK, NOW, None, "csv")) == (
        2, 2, 0, 0
    )  # fmt: skip
    assert len(reasons(target.engine)) == 1


def test_row_older_than_what_is_kept_stays_with_that_reason(target: Target, tmp_path: Path) -> None:
    load(target, source("jsonl"), NAIVE["jsonl"], tmp_path)
    kept = values(target.engine, usage_rejects.c.reject_id, usage_rejects.c.raw)
    with target.engine.begin() as connection:
        ingest.set_watermark(connection, "t", "retention", datetime(2026, 3, 2, 13, tzinfo=UTC))
    assert counts(retry(target, source("jsonl", timezone="UTC"))) == (2, 1, 0, 1)
    assert values(target.engine, usage_rejects.c.reject_id, usage_rejects.c.raw) == kept[:1] or kept[1:]
    assert "older than what is kept" in reasons(target.engine)[0]


def test_row_whose_day_is_dropped_in_the_very_moment_stays_too(target: Target, tmp_path: Path) -> None:
    load(target, source("jsonl"), NAIVE["jsonl"], tmp_path)
    kept = values(target.engine, usage_rejects.c.raw)
    other = sa.create_engine(target.engine.url)
    dropped: list[datetime] = []

    @sa.event.listens_for(target.engine, "before_cursor_execute")
    def drop(_: Any, __: Any, statement: str, *rest: Any) -> None:
        if statement.startswith("LOCK TABLE ONLY watchkeeper.usage_events") and not dropped:
            dropped.append(datetime(2026, 3, 2, 13, tzinfo=UTC))
            with other.begin() as connection:
                retention.raise_floor(connection, "t", dropped[0])

    done = retry(target, source("jsonl", timezone="UTC"))
    other.dispose()
    assert dropped
    assert counts(done) == (2, 1, 0, 1)
    [reason] = reasons(target.engine)
    assert "older than what is kept" in reason
    assert values(target.engine, usage_rejects.c.raw) == kept[:1]
    assert values(target.engine, usage_events.c.input_tokens) == [(22,)]


def test_event_of_a_dropped_day_is_no_row_to_try_again(target: Target, tmp_path: Path) -> None:
    with target.engine.begin() as connection:
        ingest.set_watermark(connection, "t", "retention", NOW)
    zoned = source("litellm_rows", timezone="UTC")
    old = polled_vendor.parse({**ROW, "at": "2026-03-02T11:00:00+00:00"})
    Writer(target).write(Batch(events=list(old)), Origin("trace", zoned.kind, "log"), NOW)
    before = reasons(target.engine)
    done = retry(target, zoned)
    assert (*counts(done), done.cut) == (0, 0, 0, 0, 1)
    assert reasons(target.engine) == before
    assert "older than what is kept" in before[0]


def test_row_that_is_not_kept_whole_is_left_alone(target: Target, tmp_path: Path) -> None:
    whole = NAIVE["csv"].replace(b",22", b",\xff22")  # no UTF-8; as text it would be another row
    load(target, source("csv"), whole, tmp_path)
    before = reasons(target.engine)
    done = retry(target, source("csv", timezone="UTC"))
    assert (*counts(done), done.cut) == (1, 1, 0, 0, 1)
    assert reasons(target.engine) == [one for one in before if "UTF-8" in one] != []


def test_scores_are_tried_again_too(target: Target, tmp_path: Path) -> None:
    line = b'{"score_id":"s","occurred_at":"2026-03-08T12:00:00Z","metric":"thumb","value":1,"source":"user"}\n'
    asked = source("scores", values={})
    assert load(target, asked, line, tmp_path).rejected == 1  # more than a day ahead
    assert counts(retry(target, asked)) == (1, 0, 0, 1)
    later = retry_rejects(target, {"trace": asked}, FALLBACK, NOW + timedelta(days=3))
    assert counts(later) == (1, 1, 0, 0)
    assert values(target.engine, scores.c.score_id) == [("s",)]


def test_reject_and_record_change_in_one_transaction(target: Target, tmp_path: Path) -> None:
    load(target, source("jsonl"), NAIVE["jsonl"], tmp_path)
    with target.engine.begin() as connection:  # nothing can be forgotten any more
        connection.execute(sa.text(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$; "
            "CREATE TRIGGER refuse BEFORE DELETE ON watchkeeper.usage_rejects FOR EACH ROW EXECUTE FUNCTION refuse()"
        ))  # fmt: skip
    with pytest.raises(sa.exc.DatabaseError, match="no"):
        retry(target, source("jsonl", timezone="UTC"))
    assert values(target.engine, usage_events.c.event_id) == []
    assert len(reasons(target.engine)) == 2


def test_many_rejects_go_page_by_page(target: Target, tmp_path: Path) -> None:
    lines = b"".join(b'{"occurred_at":"2026-03-02T12:00:00","input_tokens":%d}\n' % number for number in range(1201))
    load(target, source("jsonl"), lines, tmp_path)
    assert counts(retry(target, source("jsonl", timezone="UTC"))) == (1201, 1201, 0, 0)
    assert reasons(target.engine) == []
    assert differences(target.engine) == []


def test_alerts_are_told_that_something_was_loaded(target: Target, tmp_path: Path) -> None:
    load(target, source("jsonl"), NAIVE["jsonl"], tmp_path)
    retry(target, source("jsonl", timezone="UTC"))
    with target.engine.connect() as connection:
        assert ingest.watermark(connection, "t", "load") == NOW


# Rows of a page


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendor]:
    with vendor(monkeypatch) as served:
        yield served


def page_reject(target: Target, raw: bytes, seen_at: datetime = NOW) -> None:
    reject = Reject(1, "row", "bad", raw)
    Writer(target, corrects=True).write(Batch(rejects=[reject]), Origin("vendor", "vendor", "a window"), seen_at)


ROW = {"id": "a", "at": "2026-03-05T11:00:00+00:00", "tokens": 7}


def test_row_of_a_page_is_read_by_its_kinds_own_parser(
    target: Target, api: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.rows = [{**ROW, "at": (NOW - HOUR).isoformat()}, {"at": (NOW - HOUR).isoformat(), "name": "b", "tokens": 9}]
    loaded = load_window(target, api.source(), Window(NOW - 2 * HOUR, NOW), lambda: NOW)
    assert (loaded.inserted, loaded.rejected) == (1, 1)
    assert counts(retry(target, api.source())) == (1, 0, 0, 1)

    def read(_: Source, row: Any) -> Any:  # the kind learns to read rows that have a name instead of an id
        return polled_vendor.parse({**row, "id": row.get("id") or row.get("name")})

    monkeypatch.setitem(KINDS, "vendor", replace(polled_vendor.KIND, row=read))
    assert counts(retry(target, api.source())) == (1, 1, 0, 0)
    assert values(target.engine, usage_events.c.event_id, usage_events.c.input_tokens) == [("a", 7), ("b", 9)]


def page_event(target: Target, row: dict[str, Any], seen_at: datetime) -> None:
    events = list(polled_vendor.parse(row))
    Writer(target, corrects=True).write(Batch(events=events), Origin("vendor", "vendor", "a window"), seen_at)


def test_row_of_a_page_that_is_no_usage_any_more_is_said_to_be_skipped(
    target: Target, api: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    page_reject(target, b"{}")
    monkeypatch.setitem(KINDS, "vendor", replace(polled_vendor.KIND, row=lambda *_: ()))
    done = retry(target, api.source())
    assert (*counts(done), done.skipped) == (1, 0, 0, 0, 1)
    assert reasons(target.engine) == []


def test_row_of_a_page_is_read_without_what_it_takes_to_ask_its_source(target: Target, api: Vendor) -> None:
    page_reject(target, msgspec.json.encode(ROW))
    assert counts(retry(target)) == (1, 1, 0, 0)


def test_row_of_a_page_that_was_corrected_since_stays_corrected(target: Target, api: Vendor) -> None:
    page_reject(target, msgspec.json.encode(ROW), NOW)
    page_event(target, {**ROW, "tokens": 8, "at": "2026-03-05T11:00:01+00:00"}, NOW + HOUR)
    done = retry(target, api.source())
    assert counts(done) == (1, 0, 1, 0)
    assert values(target.engine, usage_events.c.input_tokens) == [(8,)]
    assert differences(target.engine) == []


def test_row_of_a_page_corrects_what_was_stored_before_it_was_rejected(target: Target, api: Vendor) -> None:
    page_reject(target, b'{"id":"of an earlier page"}', NOW)
    page_event(target, {**ROW, "tokens": 1}, NOW + HOUR)
    page_reject(target, msgspec.json.encode(ROW), NOW + 2 * HOUR)
    done = retry(target, api.source())
    assert (done.tried, done.corrected, done.rejected) == (2, 1, 1)
    assert values(target.engine, usage_events.c.input_tokens) == [(7,)]
    assert differences(target.engine) == []


def test_of_several_rows_of_one_event_the_one_that_was_seen_last_counts(target: Target, api: Vendor) -> None:
    for tokens, seen_at in ((2, NOW + HOUR), (3, NOW + 2 * HOUR), (1, NOW)):
        page_reject(target, msgspec.json.encode({**ROW, "tokens": tokens}), seen_at)
    twice = [Reject(at, "row", "bad", msgspec.json.encode({**ROW, "id": "b", "tokens": at})) for at in (2, 3, 1)]
    Writer(target, corrects=True).write(Batch(rejects=twice), Origin("vendor", "vendor", "a window"), NOW)
    done = retry(target, api.source())
    assert (done.tried, done.rejected) == (6, 0)
    assert values(target.engine, usage_events.c.event_id, usage_events.c.input_tokens) == [("a", 3), ("b", 3)]
    assert differences(target.engine) == []


def test_kind_whose_rows_say_nothing_by_themselves_leaves_them(
    target: Target, api: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "vendor", replace(polled_vendor.KIND, row=None))
    page_reject(target, b"{}")
    assert counts(retry(target, api.source())) == (1, 0, 0, 1)
    assert reasons(target.engine) == [
        "kind: 'vendor' is not one whose rows can be read by themselves; load their time again"
    ]


@pytest.mark.uncounted
@hypothesis_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=200) | st.just("[" * 60_000))
def test_any_kept_row_is_a_record_or_gets_a_reason(raw: str, target: Target, api: Vendor) -> None:
    with target.engine.begin() as connection:
        connection.execute(sa.delete(usage_rejects))
    for kind in ("litellm", "jsonl", "scores", "vendor"):
        reject = Reject(1, "line", "bad", raw.encode())
        Writer(target).write(Batch(rejects=[reject]), Origin(kind, kind, "log", b"a,b"), NOW)
    done = retry(target, api.source(), fallback=AWAY)
    assert done.tried == 4
    assert len(reasons(target.engine)) == done.rejected
