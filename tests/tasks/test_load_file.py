from __future__ import annotations

import gzip
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from functools import reduce
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ops.errors import NotFound, Unavailable, UnknownName
from tasks import csv_records, read_lines
from tasks.load_file import load_file
from tasks.log_file import LogFile
from tasks.read_lines import BLOCK_BYTES, MAX_LINE_BYTES
from tasks.settings import Source
from tasks.stores import ingest
from tasks.stores.rejects import RAW_LIMIT
from tasks.stores.tables import ingest_files, prompt_texts, scores, usage_events, usage_rejects
from tasks.unused_fields import MAX_FILES, Unused
from tasks.write_usage import Loaded, Target
from tests.otlp import START_NS, attributes, line, span
from tests.recount import differences
from tests.waiting import are_waiting

NOW = datetime(2026, 12, 1, tzinfo=UTC)
GATEWAY = Source(name="gateway", kind="litellm", path="log")
ROWS = Source(name="rows", kind="jsonl", path="log", values={"vendor": "openai", "model": "gpt-4o"})
TRACE = Source(
    name="trace",
    kind="csv",
    path="log",
    columns={"occurred_at": "timestamp"},
    values={"vendor": "openai", "model": "gpt-4o"},
    timezone="UTC",
)


@pytest.fixture
def load(engine: sa.Engine):
    def loaded(source: Source, path: Path, *, tenant: str = "t", **options: Any) -> Loaded:
        return load_file(Target(engine, tenant), source, LogFile(str(path)), NOW, **options)

    return loaded


@pytest.fixture
def write(tmp_path: Path):
    def written(content: bytes, name: str = "log.jsonl") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return written


@pytest.fixture
def rows(engine: sa.Engine):
    def found(table: sa.Table, *columns: str) -> list[Any]:
        with engine.connect() as connection:
            chosen = [table.c[name] for name in columns] or table.c
            order = [table.c.position] if table is usage_rejects else table.primary_key
            return [tuple(row) for row in connection.execute(sa.select(*chosen).order_by(*order))]

    return found


def row(number: int, **fields: Any) -> bytes:
    when = f"2026-03-02T{number % 24:02}:00:00Z"
    return msgspec.json.encode({"event_id": f"e-{number:03}", "occurred_at": when, "input_tokens": number, **fields})


def counts(loaded: Loaded) -> tuple[int, int, int, int]:
    return loaded.read, loaded.inserted, loaded.duplicates, loaded.rejected


def test_real_gateway_log_costs_what_the_gateway_says_and_counts_once(
    shared_data: Path, load, rows, engine: sa.Engine
) -> None:
    path = shared_data / "litellm" / "standard_logging_payload.jsonl"
    assert counts(load(GATEWAY, path)) == (8, 8, 0, 0)
    assert counts(load(GATEWAY, path)) == (8, 0, 8, 0)
    costs = rows(usage_events, "cost_usd", "reported_cost_usd")
    assert len(costs) == 8
    assert all(ours == reported for ours, reported in costs)
    assert differences(engine) == []


def test_real_trace_in_csv_counts_once(shared_data: Path, load, rows, engine: sa.Engine) -> None:
    path = shared_data / "azure_conv_2023.csv.gz"
    assert counts(load(TRACE, path)) == (9754, 9754, 0, 0)
    assert counts(load(TRACE, path)) == (9754, 0, 9754, 0)
    with gzip.open(path, "rt") as stream:
        tokens = [line.strip().split(",")[1:] for line in list(stream)[1:]]
    cost = sum(int(given) * Decimal("2.5e-6") + int(made) * Decimal("10e-6") for given, made in tokens)
    assert sum(found for (found,) in rows(usage_events, "cost_usd")) == cost
    assert differences(engine) == []


BAD = {
    "no JSON": (b"GET / HTTP/1.1", "line", "malformed"),
    "half a line": (row(1)[:-9], "line", "truncated"),
    "NaN": (b'{"input_tokens":NaN}', "line", "malformed"),
    "1e400": (b'{"input_tokens":1e400}', "line", "Number out of range"),
    "invalid UTF-8": (row(1).replace(b"e-001", b"\xff\xfe"), "line", "is not a JSON object"),
    "half a character": (row(1).replace(b"e-001", rb"\ud83d"), "line", "is not a JSON object"),
    "a NUL byte": (row(1).replace(b"e-001", b"\x00"), "line", "is not a JSON object"),
    "a NUL, escaped": (row(1, user_id="a\x00"), "user_id", "text that UTF-8 and Postgres can hold"),
    "20,000 levels": (b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}", "line", "recursion"),
    "a field of 10 MB": (row(1, user_id=10_000_000 * "x"), "user_id", "Expected `str` of length <= 512"),
    "a status of 10 MB": (row(1, status=10_000_000 * "x"), "status", "xxx… is not of the right type"),
    "2^63 tokens": (
        row(1, input_tokens=2**63),
        "input_tokens",
        "9223372036854775808 is not of the right type (Expected `int` <= 4294967296",
    ),
    "2^64 tokens": (
        row(1).replace(b'input_tokens":1', b'input_tokens":18446744073709551616'),
        "input_tokens",
        "is not",
    ),
    "negative tokens": (row(1, output_tokens=-1), "output_tokens", "-1 is not of the right type (Expected `int` >= 0"),
    "more cached than input": (row(1, cached_tokens=2), "cached_tokens", "2 is not at most input_tokens = 1"),
    "an endless latency": (row(1, latency_ms="inf"), "latency_ms", "inf"),
    "a cost that is not a number": (row(1, reported_cost_usd="NaN"), "reported_cost_usd", "is not between 0 and"),
    "a cost of 20,000 decimals": (row(1, reported_cost_usd="1e-20000"), "reported_cost_usd", "at most 400 decimals"),
    "a naive time": (row(1, occurred_at="2026-03-02T12:00:00"), "occurred_at", "a time with a zone"),
    "year 0": (row(1, occurred_at="0000-01-01T00:00:00Z"), "occurred_at", "an ISO 8601 time"),
    "year 1": (row(1, occurred_at="0001-01-01T00:00:00+14:00"), "occurred_at", "an ISO 8601 time"),
    "the past": (row(1, occurred_at="1999-12-31T00:00:00Z"), "occurred_at", "between 2015-01-01 and a day from now"),
    "the future": (row(1, occurred_at="2026-12-02T00:00:01Z"), "occurred_at", "a day from now"),
    "no time": (b'{"event_id":"e"}', "occurred_at", "in the row: column 'occurred_at' is missing or empty there"),
}


def test_bad_lines_are_kept_with_field_and_reason_and_good_ones_beside_them_count(load, rows, write) -> None:
    lines = [line for number, (bad, _, _) in enumerate(BAD.values()) for line in (row(number + 100), bad)]
    path = write(b"\n".join(lines) + b"\n")
    assert counts(load(ROWS, path)) == (2 * len(BAD), len(BAD), 0, len(BAD))
    assert counts(load(ROWS, path)) == (2 * len(BAD), 0, len(BAD), len(BAD))
    kept = rows(usage_rejects, "position", "field", "reason", "raw")
    assert [line for line, *_ in kept] == [2 * number + 2 for number in range(len(BAD))]
    for (name, (bad, field, reason)), (_, found, why, raw) in zip(BAD.items(), kept, strict=True):
        assert (name, found) == (name, field)
        assert reason in why, name
        assert len(why) <= 2000, name
        assert raw == bad[:RAW_LIMIT].decode(errors="replace").replace("\x00", "\\0"), name


CSV = b"timestamp,input_tokens,output_tokens\n"
FORMS = {
    "bare": CSV + b"2026-03-02T12:00:00,1,2\n2026-03-02T13:00:00,3,4\n",
    "with a byte order mark": b"\xef\xbb\xbf" + CSV + b"2026-03-02T12:00:00,1,2\n2026-03-02T13:00:00,3,4\n",
    "with carriage returns": CSV[:-1] + b"\r\n2026-03-02T12:00:00,1,2\r\n2026-03-02T13:00:00,3,4\r\n",
    "with quotes": b'"timestamp",input_tokens,output_tokens\n"2026-03-02T12:00:00","1","2"\n2026-03-02T13:00:00,3,4\n',
    "without a last newline": CSV + b"2026-03-02T12:00:00,1,2\n2026-03-02T13:00:00,3,4",
    "with blank lines": b"\n" + CSV + b"\n2026-03-02T12:00:00,1,2\n  \n2026-03-02T13:00:00,3,4\n\n",
    "with its header again": CSV + b"2026-03-02T12:00:00,1,2\n" + CSV + b"2026-03-02T13:00:00,3,4\n",
}


@pytest.mark.parametrize("content", FORMS.values(), ids=FORMS)
def test_csv_is_read(content: bytes, load, rows, write) -> None:
    assert counts(load(TRACE, write(content, "log.csv"))) == (2, 2, 0, 0)
    assert sorted(rows(usage_events, "input_tokens", "output_tokens")) == [(1, 2), (3, 4)]


def test_csv_row_of_other_columns_is_rejected_beside_good_ones(load, rows, write) -> None:
    path = write(CSV + b"2026-03-02T12:00:00,1\n2026-03-02T13:00:00,3,4\n2026-03-02T13:00:00,3,4,5\n", "log.csv")
    assert counts(load(TRACE, path)) == (3, 1, 0, 2)
    assert [(line, field) for line, field in rows(usage_rejects, "position", "field")] == [(2, "line"), (4, "line")]


def test_mapping_that_does_not_fit_the_header_loads_nothing(load, rows, write) -> None:
    path = write(b"time,input_tokens\n2026-03-02T12:00:00Z,1\n", "log.csv")
    with pytest.raises(UnknownName, match="column of occurred_at: 'timestamp' is not one of input_tokens, time"):
        load(TRACE, path)
    assert rows(usage_events) == rows(ingest_files) == []


def test_missing_file_is_not_found(load, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        load(ROWS, tmp_path / "gone.jsonl")


@pytest.mark.parametrize(
    ("source", "content"),
    [
        pytest.param(ROWS, b"", id="an empty file"),
        pytest.param(ROWS, b"\n\n", id="blank lines"),
        pytest.param(TRACE, CSV, id="a header alone"),
    ],
)
def test_nothing_to_load_is_no_error(source: Source, content: bytes, load, write) -> None:
    for resume in (False, True):
        assert counts(load(source, write(content, "log.csv" if source is TRACE else "log"), resume=resume)) == (0,) * 4


def test_growing_file_is_read_on_where_it_ended(load, rows, write) -> None:
    lines = [row(number) + b"\n" for number in range(4)]
    steps = [b"".join(lines[:2]), b"".join(lines[:2]), b"".join(lines[:3]) + lines[3][:9], b"".join(lines)]
    found = [counts(load(ROWS, write(content), resume=True)) for content in steps]
    assert found == [(2, 2, 0, 0), (0, 0, 0, 0), (1, 1, 0, 0), (1, 1, 0, 0)]
    size = len(steps[-1])
    assert rows(ingest_files, "byte_offset", "lines", "file_size") == [(size, 4, size)]


def test_half_a_line_of_a_growing_file_waits_even_when_it_ends_in_a_brace(load, rows, write) -> None:
    line = row(1, output_tokens=2, feature="a}")
    half = line[: line.index(b"}") + 1]
    assert counts(load(ROWS, write(half), resume=True)) == (0, 0, 0, 0)
    assert counts(load(ROWS, write(line + b"\n"), resume=True)) == (1, 1, 0, 0)
    assert rows(usage_rejects) == []


def test_half_a_line_of_a_file_that_is_read_once_is_told(load, rows, write) -> None:
    assert counts(load(ROWS, write(row(1) + b"\n" + row(2)[:-1]))) == (2, 1, 0, 1)
    assert rows(usage_rejects, "position") == [(2,)]


@pytest.mark.parametrize("resume", [True, False])
def test_pretty_payload_without_a_last_newline_is_one_document(resume: bool, load, shared_data: Path, write) -> None:
    first, second, *_ = (shared_data / "litellm" / "standard_logging_payload.jsonl").read_bytes().split(b"\n")
    one = write(msgspec.json.format(first, indent=4), "one.json")
    assert counts(load(GATEWAY, one, resume=resume)) == (1, 1, 0, 0)
    both = write(msgspec.json.format(b"[%s,%s]" % (first, second), indent=4), "both.json")
    assert counts(load(GATEWAY, both, resume=resume)) == (2, 1, 1, 0)


def test_pretty_payload_that_gets_its_newline_later_counts_once(load, rows, shared_data: Path, write) -> None:
    first = (shared_data / "litellm" / "standard_logging_payload.jsonl").read_bytes().split(b"\n")[0]
    pretty = msgspec.json.format(first, indent=4)
    found = [counts(load(GATEWAY, write(text, "one.json"), resume=True)) for text in (pretty, pretty, pretty + b"\n")]
    assert found == [(1, 1, 0, 0), (0, 0, 0, 0), (1, 0, 1, 0)]
    assert rows(usage_rejects) == []


def test_last_line_that_gets_its_newline_later_counts_once(load, rows, write) -> None:
    first, second = (b'{"occurred_at":"2026-03-02T12:00:00Z","output_tokens":%d}' % n for n in (1, 2))
    found = [counts(load(ROWS, write(text), resume=True)) for text in (first, first, first + b"\n" + second)]
    assert found == [(1, 1, 0, 0), (0, 0, 0, 0), (2, 1, 1, 0)]
    assert [tokens for (tokens,) in sorted(rows(usage_events, "output_tokens"))] == [1, 2]


def test_half_a_row_of_a_growing_csv_is_not_taken_for_a_smaller_one(load, rows, write) -> None:
    whole = CSV + b"2026-03-02T12:00:00,1,2\n2026-03-02T13:00:00,3,456\n"
    for cut in range(len(CSV), len(whole) + 1):
        load(TRACE, write(whole[:cut], "log.csv"), resume=True)
    assert sorted(rows(usage_events, "input_tokens", "output_tokens")) == [(1, 2), (3, 456)]
    assert rows(usage_rejects) == []


@hypothesis_settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(tokens=st.lists(st.integers(0, 10**9), min_size=1, max_size=6), data=st.data())
def test_file_that_grows_by_any_steps_counts_as_at_once(
    tokens: list[int], data: st.DataObject, load, engine: sa.Engine, write
) -> None:
    lines = [b'{"occurred_at":"2026-03-02T12:00:00Z","input_tokens":%d}\n' % count for count in tokens]
    content, tenant = b"".join(lines), uuid4().hex
    cuts = data.draw(st.lists(st.integers(0, len(content)), max_size=6).map(sorted))
    for cut in [*cuts, len(content)]:
        load(ROWS, write(content[:cut]), tenant=tenant, resume=True)
    with engine.connect() as connection:
        chosen = sa.select(usage_events.c.input_tokens).where(usage_events.c.tenant_id == tenant)
        assert sorted(connection.execute(chosen).scalars()) == sorted(tokens)
        rejected = sa.select(usage_rejects).where(usage_rejects.c.tenant_id == tenant)
        assert connection.execute(rejected).all() == []


def test_rotated_file_of_the_same_name_is_read_from_its_start(load, write) -> None:
    old, new = row(1) + b"\n", row(2) + b"\n"
    assert len(old) == len(new)
    found = [counts(load(ROWS, write(content), resume=True)) for content in (old, new)]
    assert found == [(1, 1, 0, 0), (1, 1, 0, 0)]


def test_renamed_file_is_known_by_its_first_record(load, write) -> None:
    found = [counts(load(ROWS, write(row(1) + b"\n", name), resume=True)) for name in ("log", "log.1")]
    assert found == [(1, 1, 0, 0), (0, 0, 0, 0)]


def test_files_that_begin_with_a_blank_line_are_two(load, write) -> None:
    found = [counts(load(ROWS, write(b"\n" + row(n) + b"\n", f"log.{n}"), resume=True)) for n in (1, 2)]
    assert found == [(1, 1, 0, 0), (1, 1, 0, 0)]


def noise(lines: int) -> list[bytes]:
    """Make rows that gzip cannot make shorter than their half."""
    draw = Random(1)  # noqa: S311  no secret
    return [row(n, note=draw.randbytes(2000).hex()) for n in range(lines)]


def test_cut_gzip_keeps_the_blocks_before_the_cut(load, rows, write) -> None:
    lines = noise(BLOCK_BYTES // 4000 + 200)
    packed = gzip.compress(b"\n".join(lines), 1)
    path = write(packed[:-2000], "log.jsonl.gz")
    with pytest.raises(Unavailable, match=r"log.jsonl.gz is unavailable: damaged or cut gzip"):
        load(ROWS, path)
    [(kept, size)] = rows(ingest_files, "lines", "file_size")
    assert size is None
    assert 0 < kept < len(lines)
    assert len(rows(usage_events, "event_id")) == kept
    path.write_bytes(packed)
    assert counts(load(ROWS, path, resume=True)) == (len(lines) - kept, len(lines) - kept, 0, 0)


def test_progress_tells_of_each_block(load, write) -> None:
    lines, seen = noise(BLOCK_BYTES // 4000 + 200), []
    total = load(ROWS, write(b"\n".join(lines) + b"\n"), progress=seen.append)
    assert [before.read < after.read for before, after in pairwise(seen)] == [True]
    assert seen[-1] == total
    assert total.read == len(lines)
    assert 0 < seen[0].seconds <= total.seconds


def test_two_loaders_of_one_file_at_once_count_each_event_once(
    load, rows, write, engine: sa.Engine, database_url: str
) -> None:
    path = write(b"".join(row(number) + b"\n" for number in range(200)) + b"no event\n")
    with ThreadPoolExecutor(2) as threads, engine.connect() as holder:
        holder.execute(sa.text("LOCK TABLE watchkeeper.ingest_files IN EXCLUSIVE MODE"))
        both = [threads.submit(load, ROWS, path) for _ in range(2)]
        assert are_waiting(database_url, 2)
        holder.rollback()
        done = [one.result() for one in both]
    assert sorted(counts(one) for one in done) == [(201, 0, 200, 1), (201, 200, 0, 1)]
    assert len(rows(usage_events, "event_id")) == 200
    assert len(rows(usage_rejects)) == 1
    assert differences(engine) == []


def test_models_without_a_price_are_named(load, write) -> None:
    names = ("mystery-2", "mystery-1", "gpt-4o", "mystery-1")
    content = b"".join(row(number, model=name) + b"\n" for number, name in enumerate(names))
    source = ROWS.model_copy(update={"values": {"vendor": "openai"}})
    assert load(source, write(content)).unknown_models == ("openai/mystery-1", "openai/mystery-2")


EMBEDDING = (
    b'{"id":"e","startTime":1772452800,"model":"m","status":"success","call_type":"embedding","messages":"how?"}\n'
)


@pytest.mark.parametrize(
    ("keep", "texts"), [pytest.param(False, [], id="not by default"), pytest.param(True, ["how?"], id="when asked for")]
)
def test_prompts_are_kept(keep: bool, texts: list[str], engine: sa.Engine, rows, write) -> None:
    load_file(Target(engine, "t", keep), GATEWAY, LogFile(str(write(EMBEDDING))), NOW)
    assert [text for (text,) in rows(prompt_texts, "text")] == texts


def test_scores_of_feedback_and_of_evaluation_events_say_who_judged(load, rows, write) -> None:
    feedback = {"score_id": "s-1", "occurred_at": "2026-03-02T12:00:00Z", "metric": "thumb", "value": 1,
                "source": "user", "prompt_version": "14", "tags": {"language": "de"}}  # fmt: skip
    load(Source(name="feedback", kind="scores", path="log"), write(msgspec.json.encode(feedback) + b"\n"))
    told = {"gen_ai.evaluation.name": "relevance", "gen_ai.evaluation.score.value": 0.75,
            "watchkeeper.judge_version": "judge-3"}  # fmt: skip
    evaluated = {"name": "gen_ai.evaluation.result", "timeUnixNano": str(START_NS), "attributes": attributes(told)}
    load(Source(name="traces", kind="otel", path="log"), write(line(span(events=[evaluated])), "traces.jsonl"))
    said = rows(scores, "source", "metric", "value", "judge_version", "prompt_version", "tags")
    assert said == [("judge", "relevance", 0.75, "judge-3", None, None),
                    ("user", "thumb", 1.0, None, "14", {"language": "de"})]  # fmt: skip


def test_scores_are_loaded_once(load, rows, write) -> None:
    mark = b'{"score_id":"s-%d","occurred_at":"2026-03-02T12:00:00Z","metric":"thumb","value":1,"source":"user"}\n'
    path = write(mark % 1 + mark % 2 + (mark % 3).replace(b":1,", b":1e10,"))
    source = Source(name="feedback", kind="scores", path="log")
    assert [counts(load(source, path)) for _ in range(2)] == [(3, 2, 0, 1), (3, 0, 2, 1)]
    assert [(name,) for name in ("s-1", "s-2")] == rows(scores, "score_id")
    assert rows(usage_rejects, "position", "field") == [(3, "value")]


def test_load_leaves_a_mark_when_it_brought_something(load, write, engine: sa.Engine) -> None:
    def mark() -> datetime | None:
        with engine.connect() as connection:
            return ingest.watermark(connection, "t", "load")

    load(ROWS, write(b"no event\n"))
    assert mark() is None
    load(ROWS, write(row(1) + b"\n"))
    assert mark() == NOW


def test_file_whose_name_is_no_utf8_is_loaded(load, rows, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/log-\xff.jsonl"))
    path.write_bytes(row(1) + b"\n")
    assert counts(load(ROWS, path)) == (1, 1, 0, 0)
    assert rows(ingest_files, "path") == [(f"{tmp_path}/log-\N{REPLACEMENT CHARACTER}.jsonl",)]


def test_line_longer_than_a_line_can_be_is_rejected_and_those_round_it_count(load, rows, write) -> None:
    endless = b'{"event_id":"' + bytes(MAX_LINE_BYTES + 2 * BLOCK_BYTES)
    path = write(gzip.compress(row(1) + b"\n" + endless + b"\n" + row(2) + b"\n", 1), "log.jsonl.gz")
    assert counts(load(ROWS, path, resume=True)) == (3, 2, 0, 1)
    assert [key for (key,) in rows(usage_events, "event_id")] == ["e-001", "e-002"]
    [(position, reason, cut)] = rows(usage_rejects, "position", "reason", "cut")
    assert (position, cut) == (2, True)
    assert f"at most {MAX_LINE_BYTES:,} bytes long" in reason
    assert counts(load(ROWS, path, resume=True)) == (0, 0, 0, 0)


def test_loads_add_up() -> None:
    one = Loaded(read=3, inserted=2, duplicates=1, seconds=0.5, unknown_models=("b",))
    two = Loaded(read=11, inserted=5, corrected=1, duplicates=3, rejected=2, skipped=4, seconds=0.25,
                 unknown_models=("a", "b"), first_reject="line 4: why",
                 unused_fields=(Unused("b.csv", {"cost": None}, 3),))  # fmt: skip
    assert one.plus(two).as_json() == {
        "read": 14, "inserted": 7, "corrected": 1, "duplicates": 4, "rejected": 2, "skipped": 4, "seconds": 0.75,
        "unknown_models": ("a", "b"), "first_reject": "line 4: why",
        "unused_fields": ({"file": "b.csv", "fields": {"cost": None}, "more": 3},),
    }  # fmt: skip


def test_loads_of_many_files_tell_the_unused_fields_of_the_first() -> None:
    loads = (Loaded(unused_fields=(Unused(f"{number}.csv", {"cost": None}),)) for number in range(MAX_FILES + 1))
    told = reduce(Loaded.plus, loads).unused_fields
    assert [unused.file for unused in told] == [f"{number}.csv" for number in range(MAX_FILES)]


def test_fields_that_nothing_uses_are_told_of_a_header_or_of_the_first_record(load, write, tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    when, late = "2026-03-02T12:00:00Z", b'{"event_id":"2","occurred_at":"2026-03-02T12:00:00Z","later":1}'
    record = {"event_id": "1", "occurred_at": when, "cached_input_tokens": 1, "note": None}
    table = tmp_path / "log.parquet"
    parquet.write_table(pa.Table.from_pylist([record]), table)
    files = {
        "csv": write(f"event_id,occurred_at,cached_input_tokens,note\n1,{when},1,\n".encode(), "log.csv"),
        "jsonl": write(msgspec.json.encode(record) + b"\n" + late + b"\n"),
        "parquet": table,
    }
    for kind, path in files.items():
        source = ROWS.model_copy(update={"kind": kind})
        assert load(source, path).unused_fields == (
            Unused(str(path), {"cached_input_tokens": "cached_tokens", "note": None}),
        )
        mapped = source.model_copy(update={"columns": {"cached_tokens": "cached_input_tokens", "user_id": "note"}})
        assert load(mapped, path).unused_fields == ()


def test_formats_that_know_their_own_fields_tell_of_none(load, write) -> None:
    assert load(GATEWAY, write(b'{"id":"a","status":"success","note":1}\n')).unused_fields == ()


def test_two_files_with_the_same_first_rows_are_two_and_a_copy_is_one(load, rows, write) -> None:
    """Two days' exports of one source may begin with the same row; a file that was compressed is the same file."""
    begin = CSV + b"2026-03-02T00:00:00,1,1\n"
    days = [begin + b"2026-03-02T01:00:00,2,2\n", begin + b"2026-03-02T01:30:00,3,3\n2026-03-02T02:00:00,2,2\n"]
    found = [counts(load(TRACE, write(text, f"{n}.csv"), resume=True)) for n, text in enumerate(days)]
    assert found == [(2, 2, 0, 0), (3, 2, 1, 0)]  # the first row of the second is the first's, as far as we can know
    assert counts(load(TRACE, write(gzip.compress(days[1]), "1.csv.gz"), resume=True)) == (0, 0, 0, 0)
    assert counts(load(TRACE, write(days[1], "copy.csv"))) == (3, 0, 3, 0)
    assert len(rows(ingest_files, "file_id")) == 2


def test_file_that_was_truncated_and_written_anew_is_read_from_its_start(load, write) -> None:
    long, short = (b"".join(row(n) + b"\n" for n in numbers) for numbers in ((1, 2, 3), (1, 4)))
    assert counts(load(ROWS, write(long), resume=True)) == (3, 3, 0, 0)
    assert counts(load(ROWS, write(short), resume=True)) == (2, 1, 1, 0)


def test_file_replaced_by_one_of_the_same_size_and_first_line_is_read(load, write) -> None:
    old, new = (b"".join(row(n) + b"\n" for n in numbers) for numbers in ((1, 2), (1, 3)))
    assert len(old) == len(new)
    assert [counts(load(ROWS, write(text), resume=True)) for text in (old, new)] == [(2, 2, 0, 0), (2, 1, 1, 0)]


def test_csv_cell_may_hold_line_breaks_and_inch_marks_do_not_swallow_rows(load, rows, write) -> None:
    text = (
        b"timestamp,input_tokens,user_id\n"
        b'2026-03-02T12:00:00,1,"two\nlines"\n'
        b'2026-03-02T12:00:01,2,5" disk\n'
        b"2026-03-02T12:00:02,3,plain\n"
        b'2026-03-02T12:00:03,4,7" disk\n'
    )
    loaded = load(TRACE, write(text, "log.csv"), resume=True)
    assert counts(loaded) == (4, 4, 0, 0)
    assert sorted(rows(usage_events, "input_tokens", "user_id")) == [
        (1, "two\nlines"), (2, '5" disk'), (3, "plain"), (4, '7" disk'),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["log.jsonl.zst", "log.jsonl.gz", "log.jsonl"])
def test_packed_file_counts_as_the_plain_one(name: str, load, rows, write) -> None:
    from tasks.log_file import _zstd

    content = b"".join(row(n, occurred_at=f"2026-03-02T{n % 24:02}:00:00Z") + b"\n" for n in range(500))
    packed = {"zst": _zstd().compress, "gz": gzip.compress, "jsonl": bytes}[name.rpartition(".")[2]](content)
    assert counts(load(ROWS, write(packed, name), resume=True)) == (500, 500, 0, 0)
    assert counts(load(ROWS, write(content, "plain.jsonl"), resume=True)) == (0, 0, 0, 0)


def test_parquet_is_loaded_once_and_its_bad_rows_are_rejected(load, rows, tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    times = [NOW.replace(hour=n) for n in range(4)]
    columns = {"occurred_at": times, "input_tokens": [1, 2, None, -4], "latency_ms": [1.5, float("nan"), 3.0, 4.0]}
    table = pa.table({**columns, "reported_cost_usd": [Decimal("0.10")] * 4})
    path = tmp_path / "log.parquet"
    parquet.write_table(table, path)
    source = ROWS.model_copy(update={"kind": "parquet"})
    assert counts(load(source, path)) == (4, 3, 0, 1)
    assert counts(load(source, path)) == (4, 0, 3, 1)
    assert counts(load(source, path, resume=True)) == (0, 0, 0, 0)
    found = rows(usage_events, "occurred_at", "input_tokens", "reported_cost_usd", "latency_ms")
    assert sorted(found) == [
        (times[0], 1, Decimal("0.10"), 1.5),
        (times[1], 2, Decimal("0.10"), None),
        (times[2], None, Decimal("0.10"), 3.0),
    ]
    assert rows(usage_rejects, "position", "field") == [(4, "input_tokens")]


def test_file_in_an_object_store_is_loaded_and_read_on(load, rows) -> None:
    import fsspec

    store, address = fsspec.filesystem("memory"), "memory://logs/usage.jsonl"
    store.pipe("/logs/usage.jsonl", row(1) + b"\n")
    assert counts(load(ROWS, address, resume=True)) == (1, 1, 0, 0)
    store.pipe("/logs/usage.jsonl", row(1) + b"\n" + row(2) + b"\n")
    assert counts(load(ROWS, address, resume=True)) == (1, 1, 0, 0)
    assert rows(ingest_files, "path", "lines") == [(address, 2)]


def test_one_bad_line_of_a_block_costs_only_itself(load, rows, write) -> None:
    lines = [row(n) for n in range(300)]
    lines[150] = lines[150].replace(b'"input_tokens":150', b'"input_tokens":"many"')
    assert counts(load(ROWS, write(b"\n".join(lines) + b"\n"))) == (300, 299, 0, 1)
    [(position, field)] = rows(usage_rejects, "position", "field")
    assert (position, field) == (151, "input_tokens")


def test_cell_that_goes_on_when_the_file_does_is_one_row(load, rows, write) -> None:
    begin = b'timestamp,input_tokens,user_id\n2026-03-02T12:00:00,1,a\n2026-03-02T12:00:00,2,"x\n'
    end = b'y"\n2026-03-02T12:00:00,3,"p\nq"\n2026-03-02T12:00:00,4,b\n'
    found = [counts(load(TRACE, write(text, "log.csv"), resume=True)) for text in (begin, begin + end)]
    assert found == [(1, 1, 0, 0), (3, 3, 0, 0)]
    assert [tokens for (tokens,) in sorted(rows(usage_events, "input_tokens"))] == [1, 2, 3, 4]


def test_array_of_payloads_without_a_last_newline_is_loaded(shared_data: Path, load, write) -> None:
    lines = (shared_data / "litellm" / "standard_logging_payload.jsonl").read_bytes().splitlines()
    assert counts(load(GATEWAY, write(b"[" + b",".join(lines) + b"]", "log.json"), resume=True)) == (8, 8, 0, 0)


BEHIND_A_QUOTE = {
    "nothing closes": (b'2026-03-02T12:00:00,1,"open\n', [(2, False)]),
    "an inch mark does not close": (b'2026-03-02T12:00:00,1,"open\n2026-03-02T12:00:01,2,5" disk\n', [(2, False)]),
    "closes beyond the limit": (
        b'2026-03-02T12:00:00,1,"open\n' + b"2026-03-02T13:00:00,2,x\n" * 20 + b'close"\n', [(2, False), (23, False)]
    ),
}  # fmt: skip


@pytest.mark.parametrize(("begin", "rejected"), BEHIND_A_QUOTE.values(), ids=BEHIND_A_QUOTE)
def test_quote_costs_only_its_own_line_where(
    begin: bytes, rejected: list[tuple[int, bool]], load, rows, write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_records, "RECORD_BYTES", 400)
    monkeypatch.setattr(read_lines, "BLOCK_BYTES", 100)
    head = b"timestamp,input_tokens,user_id\n"
    good = [b"2026-03-02T14:00:%02d,%d,b\n" % (number, number) for number in range(40)]
    good[20] = good[20].replace(b",b", b',"two\nlines"')
    load(TRACE, write(head + begin + b"".join(good), "log.csv"), resume=True)
    assert rows(usage_rejects, "position", "cut") == rejected
    users = [user for tokens, user in rows(usage_events, "input_tokens", "user_id") if user in ("b", "two\nlines")]
    assert sorted(users) == ["b"] * 39 + ["two\nlines"]


def test_reject_of_an_open_quote_says_how_long_a_record_may_be(load, rows, write) -> None:
    load(TRACE, write(CSV + b'2026-03-02T12:00:00,1,"2\n', "log.csv"))
    [(reason,)] = rows(usage_rejects, "reason")
    assert "not one CSV record in UTF-8, of at most 8,388,608 bytes and 50,000 lines (unexpected end of data)" in reason


def test_last_cell_over_two_lines_needs_no_newline_in_a_file_that_is_read_once(load, rows, write) -> None:
    text = b'timestamp,input_tokens,user_id\n2026-03-02T12:00:00,1,a\n2026-03-02T12:00:00,2,"x\ny"'
    assert counts(load(TRACE, write(text, "log.csv"))) == (2, 2, 0, 0)
    assert sorted(rows(usage_events, "input_tokens", "user_id")) == [(1, "a"), (2, "x\ny")]


def test_many_rejects_are_kept_line_by_line(load, rows, write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_lines, "BLOCK_LINES", 1000)
    path = write(b"0\n" * 1500)
    for _ in range(2):
        assert counts(load(ROWS, path)) == (1500, 0, 0, 1500)
    assert [position for (position,) in rows(usage_rejects, "position")] == list(range(1, 1501))
