from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.errors import InvalidValue, UnknownName
from ops.usage import Status, UsageEvent, validate
from tasks.settings import Source
from tasks.sources.interface import Batch, FileKind, Lines
from tasks.sources.mapped import CSV, FIELDS, JSONL, PARQUET, Mapping

NOW = datetime(2026, 3, 3, tzinfo=UTC)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HEADER = b"timestamp,input_tokens,note,output_tokens"
SOURCE = Source(
    name="trace",
    kind="csv",
    path="log",
    columns={"occurred_at": "timestamp"},
    values={"vendor": "OpenAI", "model": "openai/gpt-4o"},
    timezone="UTC",
)


def source(**changes: Any) -> Source:
    return SOURCE.model_copy(update=changes)


class Rejected(Exception):
    """What a reject says of itself."""


def batch(kind: FileKind, raw: bytes, header: bytes = HEADER, first: int = 2, crc: int = 7, **changes: Any) -> Batch:
    return kind.decoder(source(**changes), header, NOW)(Lines(raw, first, crc))


def only(found: Batch) -> UsageEvent:
    for reject in found.rejects:
        assert reject.reason.startswith(f"{reject.field}: ")
        raise Rejected(reject.reason)
    [event] = found.events
    return event


def csv_row(line: bytes, header: bytes = HEADER, **changes: Any) -> UsageEvent:
    return only(batch(CSV, line, header, **changes))


def json_row(line: bytes, **changes: Any) -> UsageEvent:
    return only(batch(JSONL, line, b"", **changes))


def test_row_becomes_an_event() -> None:
    assert msgspec.structs.replace(csv_row(b"2026-03-02T12:00:00,374,,44"), event_id="") == UsageEvent(
        event_id="",
        occurred_at=NOON,
        vendor="openai",
        model="gpt-4o",
        operation="chat",
        status=Status.SUCCESS,
        input_tokens=374,
        output_tokens=44,
    )


CELLS = {
    "an empty cell is unknown": (b"2026-03-02T12:00:00,,,44", None),
    "zero is known": (b"2026-03-02T12:00:00,0,,44", 0),
    "quoted cells": (b'"2026-03-02T12:00:00","5",,44', 5),
    "a comma in quotes": (b'2026-03-02T12:00:00,5,"one, two",44', 5),
    "doubled quotes": (b'2026-03-02T12:00:00,5,"so ""called""",44', 5),
}


@pytest.mark.parametrize(("line", "tokens"), CELLS.values(), ids=CELLS)
def test_cell_is_read(line: bytes, tokens: int | None) -> None:
    assert csv_row(line).input_tokens == tokens


def test_header_may_have_blanks() -> None:
    event = csv_row(b"2026-03-02T12:00:00,7", header=b"timestamp, input_tokens ")
    assert (event.occurred_at, event.input_tokens) == (NOON, 7)


def test_value_for_every_row_wins_over_the_column() -> None:
    assert csv_row(b"2026-03-02T12:00:00,5,,4", values={**SOURCE.values, "input_tokens": "9"}).input_tokens == 9


def test_json_row_is_read_by_the_same_mapping() -> None:
    row = b'{"timestamp":"2026-03-02T12:00:00","output_tokens":44,"reported_cost_usd":0.0000135,"note":[1],"tier":null}'
    event = json_row(row)
    assert (event.occurred_at, event.output_tokens, event.tier) == (NOON, 44, None)
    assert event.reported_cost_usd == Decimal("0.0000135")


@pytest.mark.parametrize(("tier", "kept"), [("default", None), ("auto", None), ("batch", "batch")])
def test_tier_is_written_as_events_do_from_every_kind_of_file(tier: str, kept: str | None) -> None:
    line = {"timestamp": "2026-03-02T12:00:00Z", "event_id": "e", "tier": tier}
    by_type, by_row = msgspec.json.encode(line), msgspec.json.encode({**line, "event_id": None})  # a row needs its id
    found = [
        csv_row(f"2026-03-02,{tier}".encode(), b"timestamp,tier"),
        csv_row(b"2026-03-02", b"timestamp", values={**SOURCE.values, "tier": tier}),
        json_row(by_type),
        json_row(by_row),
    ]
    assert [event.tier for event in found] == 4 * [kept]


TIMES = {
    "in UTC": ("2026-03-02T12:00:00Z", None, NOON),
    "with an offset": ("2026-03-02T14:00:00+02:00", None, NOON),
    "naive, of a configured zone": ("2026-03-02 13:00:00", "Europe/Berlin", NOON),
    "naive in summer": ("2025-07-02T14:00:00", "Europe/Berlin", datetime(2025, 7, 2, 12, tzinfo=UTC)),
    "with its own zone in spite of the configured one": ("2026-03-02T12:00:00Z", "Europe/Berlin", NOON),
    "in seconds since 1970": ("1772452800", None, NOON),
    "in seconds with a fraction": ("1772452800.25", None, NOON.replace(microsecond=250_000)),
    "a day alone is its midnight": ("2026-03-02", "UTC", NOON.replace(hour=0)),
}


@pytest.mark.parametrize(("text", "zone", "when"), TIMES.values(), ids=TIMES)
def test_time_is_read(text: str, zone: str | None, when: datetime) -> None:
    event = csv_row(f"{text},,,".encode(), timezone=zone)
    assert event.occurred_at == when
    assert event.occurred_at.tzinfo is UTC


BAD_TIMES = {
    "naive without a zone": ("2026-03-02T12:00:00", "a time with a zone .*--timezone UTC"),
    "year 0": ("0000-01-01T00:00:00Z", "an ISO 8601 time"),
    "year 1 before its first hour in UTC": ("0001-01-01T00:00:00+14:00", "an ISO 8601 time"),
    "year 9999 after its last hour in UTC": ("9999-12-31T23:59:59-14:00", "an ISO 8601 time"),
    "milliseconds since 1970": ("1772452800000", "seconds since 1970"),
    "a number that never ends": ("9" * 500, "seconds since 1970"),
    "month before day": ("10/11/2026", "an ISO 8601 time"),
    "words that Postgres takes": ("yesterday", "an ISO 8601 time"),
    "infinity": ("infinity", "an ISO 8601 time"),
}


@pytest.mark.parametrize(("text", "reason"), BAD_TIMES.values(), ids=BAD_TIMES)
def test_time_is_refused(text: str, reason: str) -> None:
    with pytest.raises(Rejected, match=f"^occurred_at: .* is not .*{reason}"):
        csv_row(f"{text},,,".encode(), timezone=None)


def test_naive_time_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(Rejected, match="an ISO 8601 time"):
        csv_row(b"0001-01-01T00:00:00,,,", timezone="Asia/Tokyo")


BAD_ROWS = {
    "too few columns": (b"2026-03-02,1,", "line: .* is not 4 columns"),
    "too many columns": (b"2026-03-02,1,,1,1", "line: .* is not 4 columns"),
    "an open quote": (b'2026-03-02,1,"open,1', "line: .* one CSV record in UTF-8"),
    "text after a quote": (b'2026-03-02,1,"a"b,1', "line: .* one CSV record in UTF-8"),
    "invalid UTF-8": (b"2026-03-02,1,\xff,1", "line: .* one CSV record in UTF-8"),
    "a user of 10 MB": (b"2026-03-02,1,,1," + 10_000_000 * b"x", "line: .* is not 4 columns"),
    "tokens in words": (b"2026-03-02,many,,1", "input_tokens: 'many' is not of the right type"),
    "tokens with a fraction": (b"2026-03-02,1.5,,1", "input_tokens: '1.5' is not of the right type"),
    "tokens of 5,000 digits": (b"2026-03-02," + 5000 * b"1" + b",,1", "input_tokens: .* is not of the right type"),
    "tokens that are not a number": (b"2026-03-02,nan,,1", "input_tokens: 'nan' is not of the right type"),
    "no time": (b",1,,1", "occurred_at: None is not in the row"),
}


@pytest.mark.parametrize(("line", "reason"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_csv_row_is_refused_with_field_and_reason(line: bytes, reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        csv_row(line)


@pytest.mark.parametrize("missing", ["vendor", "model"])
def test_required_field_that_nothing_gives_is_named(missing: str) -> None:
    values = {field: value for field, value in SOURCE.values.items() if field != missing}
    reason = f"{missing}: None is not in the row: column '{missing}' is .*--map {missing}=COLUMN"
    with pytest.raises(Rejected, match=reason):
        csv_row(b"2026-03-02,1,,1", values=values)


@pytest.mark.parametrize("line", [b'{"input_tokens":1}', b'{"timestamp":null}'])
def test_row_that_lacks_a_mapped_column_is_told_so(line: bytes) -> None:
    with pytest.raises(Rejected, match="occurred_at: None is not in the row: column 'timestamp' is missing or empty"):
        json_row(line)


BAD_LINES = {
    "no JSON": (b"timestamp", "line: 'timestamp' is not a JSON object .*malformed"),
    "no object": (b"[1]", r"line: \[1\] is not a JSON object"),
    "NaN": (b'{"timestamp":NaN}', "line: .*malformed"),
    "1e400": (b'{"timestamp":1e400}', "line: .*Number out of range"),
    "half a character": (rb'{"timestamp":"2026-03-02","user_id":"\ud83d"}', "line: .* is not a JSON object"),
    "20,000 levels": (b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}", "line: .*recursion"),
    "a time that is a list": (b'{"timestamp":[]}', "occurred_at: .* is not an ISO 8601 time"),
    "a status of our own making": (
        b'{"timestamp":"2026-03-02","status":"ok"}',
        "status: 'ok' is not of the right type",
    ),
}


@pytest.mark.parametrize(("line", "reason"), BAD_LINES.values(), ids=BAD_LINES)
def test_json_row_is_refused_with_field_and_reason(line: bytes, reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        json_row(line)


MAPPINGS = {
    "a field that events do not have": (
        {"columns": {"when": "timestamp"}},
        "columns: 'when' is not one of cache_hit",
    ),
    "a value for a field that events do not have": ({"values": {"vendr": "x"}}, "values: 'vendr' is not one of"),
    "a column that the file does not have": (
        {"columns": {"occurred_at": "time"}},
        "column of occurred_at: 'time' is not one of input_tokens, note, output_tokens, timestamp",
    ),
}


@pytest.mark.parametrize(("changes", "reason"), MAPPINGS.values(), ids=MAPPINGS)
def test_mapping_is_refused_before_the_first_row(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnknownName, match=reason):
        batch(CSV, b"", **changes)


def test_header_that_is_no_csv_is_refused() -> None:
    with pytest.raises(InvalidValue, match="one CSV record in UTF-8"):
        batch(CSV, b"", header=b"\xff\xfe")


def test_cell_of_10_mb_beside_the_mapped_ones_is_passed_over() -> None:
    assert csv_row(b"2026-03-02,1," + 10_000_000 * b"x" + b",1").input_tokens == 1


@pytest.mark.parametrize(
    ("kind", "line", "other"),
    [
        pytest.param(CSV, b"2026-03-02,1,,1", b"2026-03-02,2,,1", id="in CSV"),
        pytest.param(JSONL, b'{"timestamp":"2026-03-02"}', b'{"timestamp":"2026-03-03"}', id="in JSON lines"),
    ],
)
def test_row_without_an_id_gets_one_of_what_stands_before_it_and_of_itself(
    kind: FileKind, line: bytes, other: bytes
) -> None:
    def identity(raw: bytes, **place: int) -> str:
        return only(batch(kind, raw, **place)).event_id

    ids = [identity(line), identity(line, first=3), identity(line, crc=8), identity(other)]
    assert len(set(ids)) == 4
    assert identity(line) == identity(line + b"\r") == ids[0]


def test_identities_do_not_depend_on_where_blocks_are_cut() -> None:
    lines = [b'{"timestamp":"2026-03-%02d"}' % day for day in range(1, 4)]
    whole = Lines(b"\n".join(lines), 1, 0)
    first, rest = Lines(lines[0], 1, 0), Lines(b"\n".join(lines[1:]), 2, Lines(lines[0], 1, 0).crc_after)
    decode = JSONL.decoder(SOURCE, b"", NOW)
    ids = [event.event_id for part in (first, rest) for event in decode(part).events]
    assert ids == [event.event_id for event in decode(whole).events]
    assert len(set(ids)) == 3
    assert rest.crc_after == whole.crc_after


def test_rejected_row_keeps_the_identity_that_its_event_would_have() -> None:
    naive = b'{"timestamp":"2026-03-02T12:00:00"}'
    [reject] = batch(JSONL, naive, b"", timezone=None).rejects
    assert reject.identity == json_row(naive).event_id
    assert (reject.position, reject.raw) == (2, naive)


ODD = {
    "one column for two fields": {"columns": {"occurred_at": "timestamp", "user_id": "owner", "team_id": "owner"}},
    "a constant of the wrong type": {"values": {**SOURCE.values, "input_tokens": "many"}},
    "a constant token count": {"values": {**SOURCE.values, "input_tokens": "5"}},
    "a constant id": {"values": {**SOURCE.values, "event_id": "e"}},
}
JSON_ROW = b'{"timestamp":"2026-03-02T12:00:00Z","owner":"me","event_id":"x","output_tokens":3}'


@pytest.mark.parametrize("changes", ODD.values(), ids=ODD)
def test_block_says_what_its_rows_say_one_by_one(changes: dict[str, Any]) -> None:
    found = batch(JSONL, JSON_ROW, b"", **changes)
    told = [*map(_plain, found.events), *(reject.reason for reject in found.rejects)]
    assert told == [_outcome(Mapping(source(**changes), NOW))]


def _outcome(mapping: Mapping) -> dict[str, Any] | str:
    try:
        return _plain(mapping.event(msgspec.json.decode(JSON_ROW), "identity"))
    except InvalidValue as error:
        return str(error)


def _plain(event: UsageEvent) -> dict[str, Any]:
    return msgspec.structs.asdict(event)


INSTANTS = ["2026-03-02T12:00:00Z", "2026-03-02 12:00:00", "2026-03-02T12:00:00+05:30", 1772452800, "1772452800.25"]
ROW_VALUES = {
    "event_id": st.none() | st.text(max_size=5),
    "timestamp": st.sampled_from([*INSTANTS, "soon"]),
    "vendor": st.sampled_from(["OpenAI", "vertex_ai", ""]),
    "model": st.sampled_from(["openai/gpt-4o", "gpt-4o", "x/"]),
    "operation": st.sampled_from(["acompletion", "chat", "", "ocr"]),
    "status": st.sampled_from(["success", "failure", "ok"]),
    "input_tokens": st.none() | st.integers(-1, 9) | st.sampled_from(["7", 7.0, 7.5, 2**63, ""]),
    "cached_tokens": st.none() | st.integers(0, 9),
    "latency_ms": st.none() | st.floats(allow_nan=False) | st.integers(),
    "cache_hit": st.sampled_from([None, True, False, "true", 1]),
    "user_id": st.none() | st.text(max_size=3),
    "tier": st.sampled_from([None, "", "default", "standard", "batch", 1]),
    "reported_cost_usd": st.none() | st.sampled_from([0.1, "0.1", "NaN", 1e-7, -1]),
    "prompt_text": st.none() | st.just("how?"),
}


@given(st.lists(st.fixed_dictionaries({}, optional=ROW_VALUES), min_size=1, max_size=5))
def test_any_block_says_what_its_rows_say_one_by_one(rows: list[dict[str, Any]]) -> None:
    """The fast way and the careful way are the same way."""
    changes = {"values": {}, "columns": {"occurred_at": "timestamp"}}
    try:
        raw = b"\n".join(msgspec.json.encode(row) for row in rows)
    except UnicodeEncodeError:  # half a character
        return
    found = batch(JSONL, raw, b"", **changes)
    mapping = Mapping(source(**changes), NOW)
    events, reasons = [], []
    for row in Lines(raw, 2, 7).rows():
        try:
            events.append(_plain(mapping.event(msgspec.json.decode(row.raw), row.identity)))
        except InvalidValue as error:
            reasons.append((row.position, str(error)))
    assert list(map(_plain, found.events)) == events
    assert [(reject.position, reject.reason) for reject in found.rejects] == reasons


def test_parquet_rows_are_read_as_json_lines() -> None:
    assert PARQUET.is_table
    assert only(batch(PARQUET, JSON_ROW, b"")).output_tokens == 3


def test_row_keeps_its_own_id() -> None:
    assert json_row(b'{"timestamp":"2026-03-02","event_id":"e-1"}').event_id == "e-1"


def test_prompt_text_without_its_hash_gets_one() -> None:
    event = json_row(b'{"timestamp":"2026-03-02","prompt_text":"how?"}')
    assert (event.prompt_text, event.prompt_hash) == ("how?", hashlib.sha256(b"how?").hexdigest())
    assert json_row(b'{"timestamp":"2026-03-02","prompt_text":"how?","prompt_hash":"h"}').prompt_hash == "h"


CONTENTS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.lists(st.integers())


@given(st.dictionaries(st.sampled_from(["timestamp", *FIELDS]), CONTENTS))
def test_any_json_row_gives_an_event_or_a_reason(row: dict[str, Any]) -> None:
    try:
        line = msgspec.json.encode({"timestamp": "2026-03-02", **row})
    except (UnicodeEncodeError, OverflowError):  # half a character, a number that JSON's writer cannot write
        return
    _event_or_reason(JSONL, line, b"")


@given(st.lists(st.text() | st.floats().map(str) | st.decimals().map(str), min_size=4, max_size=4).map(",".join))
def test_any_csv_row_gives_an_event_or_a_reason(row: str) -> None:
    header = b"timestamp,latency_ms,reported_cost_usd,user_id"
    for line in (row, f"2026-03-02,{row.partition(',')[2]}"):
        _event_or_reason(CSV, line.encode(errors="surrogatepass"), header)


@given(st.binary())
def test_any_bytes_give_an_event_or_a_reason(raw: bytes) -> None:
    _event_or_reason(CSV, raw, HEADER)
    _event_or_reason(JSONL, raw, b"")


def _event_or_reason(kind: FileKind, raw: bytes, header: bytes) -> None:
    found = batch(kind, raw, header)
    for event in found.events:
        assert validate(event, NOW) is event
    assert all(reject.reason and reject.identity for reject in found.rejects)
    lines = [line for line in raw.split(b"\n") if line.strip() and line.rstrip(b"\r") != header]
    assert kind is CSV or found.read == len(lines)
