"""What the sources over HTTP share: how an answer is opened, and how a row of it gets its types.

An envelope that has changed is an error of the source: without it nobody knows whether rows are missing. A row that
has changed is a reject that names the field.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from ops.errors import InvalidValue, Unavailable

if TYPE_CHECKING:
    import httpx

_Row = TypeVar("_Row", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Page:
    """An answer: its document, the rows of its `data`, and its address without parameters."""

    document: dict[str, Any]
    rows: list[Any]
    where: str


def opened(answer: httpx.Response | None) -> Page:
    """Return what is in an answer.

    Raises:
        Unavailable: it is no object, or has no list `data`.
    """
    assert answer is not None  # noqa: S101  the courier sends an answer to every request
    where = f"{answer.request.url.host}{answer.request.url.path}"
    document = answer.json()
    if not isinstance(document, dict) or not isinstance(document.get("data"), list):
        raise Unavailable(where, "an answer without a list `data`: its format has changed")
    return Page(document, document["data"], where)


def typed(row: Any, kind: type[_Row], *, strict: bool = True) -> _Row:
    """Return decoded JSON as a struct; without `strict`, numbers in quotes are numbers too.

    Raises:
        InvalidValue: naming the field that is missing or of another type.
    """
    try:
        return msgspec.convert(row, kind, strict=strict)
    except msgspec.ValidationError as error:
        text = str(error)
        field = text.partition(" at `$.")[2].partition("`")[0] or text.partition("required field `")[2].rstrip("`")
        value = row.get(field) if isinstance(row, dict) else row
        raise InvalidValue(field or "row", value, f"as the vendor documents it ({text})") from None
    except UnicodeEncodeError as error:  # half a character
        field = next((str(name) for name in row if row[name] == error.object), "") if isinstance(row, dict) else ""
        raise InvalidValue(field or "row", error.object, "text that UTF-8 can hold") from None


def utc(field: str, when: datetime) -> datetime:
    """Return a time in UTC.

    Raises:
        InvalidValue: it has no zone, or lies outside the years that UTC has.
    """
    if when.tzinfo is None:
        raise InvalidValue(field, when.isoformat(), "a time with a zone")
    try:
        return when.astimezone(UTC)
    except OverflowError:
        raise InvalidValue(field, when.isoformat(), "within the years 1 to 9999 in UTC") from None
