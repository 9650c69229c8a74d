"""Read a panel of daily series, to try the projection on: CSV with `series,date,value`, plain or gzip.

After it: `ops/cost/backtest.py`. An empty value is a gap; days that are absent are gaps too.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation

from ops.cost.projection import DaySpend
from ops.errors import InvalidValue
from ops.usage import MAX_TEXT
from tasks.log_file import LogFile

COLUMNS = ("series", "date", "value")
_DAY = timedelta(days=1)
_YEARS = range(1900, 2200)  # far from the ends of the calendar, where adding days fails
_MOST_DAYS = 20_000
_MOST = Decimal(10) ** 12  # more than anybody spends in a day, and a float still tells its cents


def read_panel(file: LogFile) -> dict[str, list[DaySpend]]:
    """Return the days of every series, from its first to its last.

    Raises:
        NotFound, Unavailable: the file.
        InvalidValue: a row, with its line.
    """
    found: dict[str, dict[date, Decimal | None]] = {}
    for line, row in _rows(file):
        day, value = _day(line, row["date"]), _value(line, row["value"])
        days = found.setdefault(row["series"], {})
        if day in days:
            raise InvalidValue(f"{file.address}:{line}: date", row["date"], "a day that the series has once")
        days[day] = value
    return {name: _whole(file, name, days) for name, days in found.items()}


def _rows(file: LogFile) -> Iterator[tuple[int, dict[str, str]]]:
    with file.open() as stream:
        parts = []
        while chunk := stream.read(1 << 20):
            parts.append(chunk)
    try:
        text = b"".join(parts).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidValue(file.address, str(error), "UTF-8") from None
    rows = csv.DictReader(io.StringIO(text, newline=""))
    if not set(COLUMNS) <= set(rows.fieldnames or ()):
        raise InvalidValue(file.address, ",".join(rows.fieldnames or ()), f"a CSV with the columns {','.join(COLUMNS)}")
    for row in _whole_rows(file, rows):
        if not row["series"] or row["date"] is None or row["value"] is None:
            raise InvalidValue(
                f"{file.address}:{rows.line_num}: row", str(row)[:60], "a row with series, date and value"
            )
        yield rows.line_num, row


def _whole_rows(file: LogFile, rows: csv.DictReader[str]) -> Iterator[dict[str, str]]:
    limit = f"a row of a CSV with cells of at most {MAX_TEXT} characters"
    try:
        for row in rows:
            if len(row["series"] or "") > MAX_TEXT:
                raise InvalidValue(f"{file.address}:{rows.line_num}", row["series"], limit)
            yield row
    except csv.Error as error:
        raise InvalidValue(f"{file.address}:{rows.line_num + 1}", str(error), limit) from None


def _day(line: int, text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise InvalidValue(f"line {line}: date", text, "a day such as 2026-11-01") from None
    if day.year not in _YEARS:
        raise InvalidValue(f"line {line}: date", text, f"of a year from {_YEARS[0]} to {_YEARS[-1]}")
    return day


def _value(line: int, text: str) -> Decimal | None:
    if not text:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite() or not 0 <= value < _MOST:
        raise InvalidValue(f"line {line}: value", text, f"a number from 0 to {_MOST:,}, or empty for a gap")
    return value


def _whole(file: LogFile, name: str, days: dict[date, Decimal | None]) -> list[DaySpend]:
    first, last = min(days), max(days)
    if (last - first).days > _MOST_DAYS:
        raise InvalidValue(f"{file.address}: series {name}", f"{first} to {last}", f"at most {_MOST_DAYS:,} days")
    span = ((first + number * _DAY) for number in range((last - first).days + 1))
    return [DaySpend(day, days.get(day)) for day in span]
