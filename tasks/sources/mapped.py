"""CSV, JSON lines and Parquet: `columns` names the file's column of a field, `values` sets a field for every row.

A row without an id of its own gets its identity in the file (see `Lines.rows`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from ops.errors import InvalidValue, UnknownName, caught
from ops.usage import (
    EARLIEST,
    MAX_SKEW,
    Status,
    UsageEvent,
    check_amounts,
    check_names,
    check_time,
    names_of,
    normalise_model,
    normalise_operation,
    normalise_tier,
    normalise_vendor,
    validate,
)
from tasks.csv_records import cells_of, header_of, record_sizes
from tasks.settings import Source
from tasks.sources.interface import Batch, Decoder, FileKind, Lines, Reject, Row

FIELDS = {field.name: field for field in msgspec.structs.fields(UsageEvent)}
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_REQUIRED = ("occurred_at", "vendor", "model")
_DEFAULTS = {"operation": "chat", "status": Status.SUCCESS}
_NORMALISE = {"vendor": normalise_vendor, "model": normalise_model, "operation": normalise_operation}
_ESCAPED_NUL = b"\\u0000"
Cells = dict[str, Any]


class Mapping:
    """How the rows of one source become events."""

    def __init__(self, source: Source, now: datetime, header: list[str] | None = None) -> None:
        for problem in unknown_fields(source):
            raise problem
        _check_header(source, header)
        self.columns = columns_of(source)
        self.values = source.values
        self.zone = ZoneInfo(source.timezone) if source.timezone else None
        self.now = now

    def event(self, cells: Cells, identity: str) -> UsageEvent:
        """Return the validated event of a row.

        Raises:
            InvalidValue: naming the field, and the column that the row lacks.
        """
        given = {field: cells[column] for field, column in self.columns.items() if cells.get(column) is not None}
        for field in _REQUIRED:
            if field not in given and field in self.columns:
                raise self._missing(field)
        return validate(_event({"event_id": identity, **_DEFAULTS, **given, **self.values}, self.zone), self.now)

    def _missing(self, field: str) -> InvalidValue:
        column = self.columns[field]
        limit = (
            f"in the row: column {column!r} is missing or empty there; "
            f"name another (--map {field}=COLUMN) or set one value for all (--set {field}=VALUE)"
        )
        return InvalidValue(field, None, limit)


def columns_of(source: Source) -> dict[str, str]:
    """Return the column of each field that is read from the rows."""
    return {field: source.columns.get(field, field) for field in FIELDS if field not in source.values}


class JsonLines:
    """One JSON object a line: msgspec decodes and checks a whole block; only what it refuses is looked at."""

    def __init__(self, source: Source, first_line: bytes, now: datetime) -> None:  # noqa: ARG002  the kind's signature
        self._mapping = Mapping(source, now)
        self._typed = _typed_decoder(self._mapping)
        self._latest = now + MAX_SKEW

    def __call__(self, block: Lines) -> Batch:
        """Return the records of a block; see `Decoder`."""
        events = self._whole_block(block.raw)
        return Batch(events=events) if events is not None else self._row_by_row(block)

    def _whole_block(self, raw: bytes) -> list[UsageEvent] | None:
        """Return every row's event; None when a row needs its identity or a look of its own."""
        if self._typed is None or _ESCAPED_NUL in raw:
            return None
        try:
            rows: list[UsageEvent] = self._typed.decode_lines(raw)
            return [self._settled(event) for event in rows]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidValue, LookupError):
            return None

    def _settled(self, event: UsageEvent) -> UsageEvent:
        """Write the names as the price book does, and check what types do not say; this is done for every line.

        Raises:
            LookupError: the row needs its identity, its zone or a hash.
        """
        when = event.occurred_at
        if not event.event_id or when.tzinfo is not UTC or event.prompt_text is not None:
            raise LookupError
        if not EARLIEST <= when <= self._latest:
            check_time(when, self._mapping.now)
        changed = _normalised(names_of(event))
        for field, name in changed:
            msgspec.structs.force_setattr(event, field, name)
        if event.tier is not None:
            msgspec.structs.force_setattr(event, "tier", normalise_tier(event.tier))
        return check_amounts(event)

    def _row_by_row(self, block: Lines) -> Batch:
        batch = Batch()
        for row in block.rows():
            try:
                batch.events.append(self._one(row))
            except InvalidValue as error:
                batch.rejects.append(Reject.of(error, row.position, row.raw, row.identity))
        return batch

    def _one(self, row: Row) -> UsageEvent:
        if self._typed is not None and _ESCAPED_NUL not in row.raw:
            try:
                return self._settled(self._typed.decode(row.raw))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidValue, LookupError):
                pass
        return self._mapping.event(_object(row.raw), row.identity)


@lru_cache(maxsize=10_000)
def _normalised(names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return the names of an event that are written otherwise, when each fits its key.

    Raises:
        LookupError: nothing is left of a name.
    """
    check_names(names)
    known = {field: normalise(name) for (field, normalise), name in zip(_NORMALISE.items(), names, strict=False)}
    if not all(known.values()):
        raise LookupError
    return tuple((field, known[field]) for field, name in zip(known, names, strict=False) if known[field] != name)


class CsvRows:
    """Rows under a header; a quoted cell may hold line breaks."""

    def __init__(self, source: Source, first_line: bytes, now: datetime) -> None:
        self._header = header_of(first_line)
        self._header_line = first_line
        self._mapping = Mapping(source, now, self._header)

    def __call__(self, block: Lines) -> Batch:
        """Return the records of a block; see `Decoder`."""
        batch = Batch()
        for row in block.rows(record_sizes(block.raw)):
            if row.raw.rstrip(b"\r") == self._header_line:
                continue
            try:
                batch.events.append(self._mapping.event(self._named(row.raw), row.identity))
            except InvalidValue as error:
                batch.rejects.append(Reject.of(error, row.position, row.raw, row.identity))
        return batch

    def _named(self, raw: bytes) -> Cells:
        cells = cells_of(raw)
        if len(cells) != len(self._header):
            raise InvalidValue("line", raw[:60].decode(errors="replace"), f"{len(self._header)} columns")
        return {name: cell for name, cell in zip(self._header, cells, strict=True) if cell != ""}


def _object(raw: bytes) -> Cells:
    try:
        row = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidValue("line", raw[:60].decode(errors="replace"), f"a JSON object ({error})") from None
    if not isinstance(row, dict):
        raise InvalidValue("line", row, "a JSON object")
    return row


def _typed_decoder(mapping: Mapping) -> msgspec.json.Decoder[UsageEvent] | None:
    """Return a decoder of the source's own column names; None when no type can say what the mapping says."""
    if len(set(mapping.columns.values())) < len(mapping.columns):
        return None  # one column for two fields
    try:
        constants = {field: msgspec.convert(value, FIELDS[field].type, strict=False)
                     for field, value in mapping.values.items()}  # fmt: skip
    except msgspec.ValidationError:
        return None  # every row is a reject, and says why
    defaults = {"event_id": "", **_DEFAULTS, **constants}
    for field in FIELDS.values():
        if not field.required:
            defaults.setdefault(field.name, field.default)
    named = [(name, _loose(field), defaults[name]) if name in defaults else (name, _loose(field))
             for name, field in FIELDS.items()]  # fmt: skip
    rename = {name: mapping.columns.get(name, f"(constant) {name}") for name in FIELDS}
    row = msgspec.defstruct("TypedRow", named, bases=(UsageEvent,), rename=rename, frozen=True, kw_only=True, gc=False)
    return msgspec.json.Decoder(row, strict=False)


def _loose(field: Any) -> Any:
    return str if field.name in {"event_id", "operation"} else field.type  # what is empty there is looked at later


def _event(values: Cells, zone: ZoneInfo | None) -> UsageEvent:
    values["occurred_at"] = _time(values["occurred_at"], zone)
    for field, normalise in _NORMALISE.items():
        values[field] = normalise(str(values[field]))
    values["tier"] = normalise_tier(values.get("tier"))
    if "prompt_text" in values and "prompt_hash" not in values:
        text = str(values["prompt_text"]).encode("utf-8", "surrogatepass")
        values["prompt_hash"] = hashlib.sha256(text).hexdigest()
    try:
        return msgspec.convert(values, UsageEvent, strict=False)
    except msgspec.ValidationError as error:
        path, _, _ = str(error).partition(" - at `$.")[2].partition("`")
        raise InvalidValue(path or "row", values.get(path), f"of the right type ({error})") from None


def _time(value: Any, zone: ZoneInfo | None) -> datetime:
    text = str(value).strip()
    try:
        if _NUMBER.fullmatch(text):
            return datetime.fromtimestamp(float(Decimal(text)), UTC)
        when = datetime.fromisoformat(text)
        if when.tzinfo is None and zone is not None:
            when = when.replace(tzinfo=zone)
        if when.tzinfo is not None:
            return when.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise InvalidValue("occurred_at", value, "an ISO 8601 time or seconds since 1970") from None
    raise InvalidValue("occurred_at", value, "a time with a zone (for naive times name one: --timezone UTC)")


def unknown_fields(source: Source) -> Iterator[InvalidValue]:
    """Yield the fields of a mapping that events do not have."""
    for setting in ("columns", "values"):
        for field in getattr(source, setting):
            if field not in FIELDS:
                yield UnknownName(f"sources.{source.name}.{setting}", field, FIELDS)


def wrong_constants(source: Source) -> Iterator[InvalidValue]:
    """Yield the constants that their fields cannot be; without this every row is a reject that says so."""
    usual = {"event_id": "x", "vendor": "x", "model": "x", "occurred_at": EARLIEST.isoformat(), **_DEFAULTS}
    zone, now = ZoneInfo(source.timezone) if source.timezone else None, datetime.now(UTC)
    for field in (field for field in source.values if field in FIELDS):
        values = {**usual, field: source.values[field]}
        for error in caught(lambda values: validate(_event(values, zone), now), values):
            yield InvalidValue(f"sources.{source.name}.values.{field}", error.value, error.limit)


def _check_header(source: Source, header: list[str] | None) -> None:
    """Raise UnknownName for a column that the header does not have."""
    for field, column in source.columns.items():
        if header is not None and column not in header:
            raise UnknownName(f"column of {field}", column, header)


def _decoder(make: type[JsonLines] | type[CsvRows]) -> Any:
    def decoder(source: Source, first_line: bytes, now: datetime) -> Decoder:
        return make(source, first_line, now)

    return decoder


CHECKS = (unknown_fields, wrong_constants)
JSONL = FileKind(_decoder(JsonLines), checks=CHECKS, columns=columns_of, marks=(frozenset(_REQUIRED),))
CSV = FileKind(_decoder(CsvRows), has_header=True, checks=CHECKS, columns=columns_of)
PARQUET = FileKind(_decoder(JsonLines), is_table=True, checks=CHECKS, columns=columns_of)
