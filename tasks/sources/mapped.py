"""CSV and JSON lines: `columns` names the file's column of a field, `values` sets a field for every row.

A row without an id of its own gets one from the file's identity, its line number and its bytes.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from ops.errors import InvalidValue, UnknownName
from ops.usage import Status, UsageEvent, normalise_model, normalise_operation, normalise_vendor
from tasks.settings import Source

FIELDS = {field.name: field.type for field in msgspec.structs.fields(UsageEvent)}
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_DEFAULTS = {"operation": "chat", "status": Status.SUCCESS}
Row = dict[str, Any]


def csv_parser(source: Source, first_line: bytes) -> Any:
    """Return a parser of lines under the header `first_line`."""
    header = [name.strip() for name in _split_csv(first_line)]
    _check_mapping(source, header)

    def rows(line: bytes) -> Row:
        cells = _split_csv(line)
        if len(cells) != len(header):
            raise InvalidValue("line", line[:60].decode(errors="replace"), f"{len(header)} columns")
        return {name: cell for name, cell in zip(header, cells, strict=True) if cell != ""}

    return _parser(source, rows)


def jsonl_parser(source: Source, first_line: bytes) -> Any:  # noqa: ARG001  a registry's signature
    """Return a parser of one JSON object a line."""
    _check_mapping(source, None)

    def rows(line: bytes) -> Row:
        try:
            row = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidValue("line", line[:60].decode(errors="replace"), f"a JSON object ({error})") from None
        if not isinstance(row, dict):
            raise InvalidValue("line", row, "a JSON object")
        return row

    return _parser(source, rows)


def _parser(source: Source, rows: Callable[[bytes], Row]) -> Any:
    columns = {field: source.columns.get(field, field) for field in FIELDS}

    def parse(line: bytes, position: int, fingerprint: str) -> UsageEvent:
        row = rows(line)
        values: Row = {field: row[column] for field, column in columns.items() if row.get(column) is not None}
        values = {**_DEFAULTS, **values, **source.values}
        if "event_id" not in values:
            identity = b"%s:%d:%s" % (fingerprint.encode(), position, line)
            values["event_id"] = hashlib.sha256(identity).hexdigest()[:32]
        return _event(values, source.timezone)

    return parse


def _event(values: Row, timezone: str | None) -> UsageEvent:
    for required in ("occurred_at", "vendor", "model"):
        if required not in values:
            raise InvalidValue(required, None, f"mapped to a column or set by hand (--map {required}=COLUMN, --set)")
    values["occurred_at"] = _time(values["occurred_at"], timezone)
    values["vendor"] = normalise_vendor(str(values["vendor"]))
    values["model"] = normalise_model(str(values["model"]))
    values["operation"] = normalise_operation(str(values["operation"]))
    if "prompt_text" in values and "prompt_hash" not in values:
        text = str(values["prompt_text"]).encode("utf-8", "surrogatepass")
        values["prompt_hash"] = hashlib.sha256(text).hexdigest()
    try:
        return msgspec.convert(values, UsageEvent, strict=False)
    except msgspec.ValidationError as error:
        path, _, _ = str(error).partition(" - at `$.")[2].partition("`")
        raise InvalidValue(path or "row", values.get(path), f"of the right type ({error})") from None


def _time(value: Any, timezone: str | None) -> datetime:
    text = str(value).strip()
    try:
        if _NUMBER.fullmatch(text):
            return datetime.fromtimestamp(float(Decimal(text)), UTC)
        when = datetime.fromisoformat(text)
        if when.tzinfo is None and timezone is not None:
            when = when.replace(tzinfo=ZoneInfo(timezone))
        if when.tzinfo is not None:
            return when.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise InvalidValue("occurred_at", value, "an ISO 8601 time or seconds since 1970") from None
    raise InvalidValue("occurred_at", value, "a time with a zone (for naive times name one: --timezone UTC)")


def _check_mapping(source: Source, header: list[str] | None) -> None:
    for field in (*source.columns, *source.values):
        if field not in FIELDS:
            raise UnknownName("mapped field", field, FIELDS)
    for field, column in source.columns.items():
        if header is not None and column not in header:
            raise UnknownName(f"column of {field}", column, header)


def _split_csv(line: bytes) -> list[str]:
    try:
        return next(csv.reader([line.decode("utf-8-sig")], strict=True), [])
    except (csv.Error, UnicodeDecodeError) as error:
        raise InvalidValue("line", line[:60].decode(errors="replace"), f"one CSV record in UTF-8 ({error})") from None
