from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import httpx
import msgspec
import pytest

from ops.errors import InvalidValue, Unavailable
from tasks.sources.answers import opened, typed, utc


class _Inner(msgspec.Struct):
    kind: str


class _Row(msgspec.Struct):
    id: str
    count: int | None = None
    inner: _Inner | None = None
    counts: dict[str, int] | None = None
    at: datetime | None = None


def answer(content: bytes) -> httpx.Response:
    asked = httpx.Request("GET", "https://vendor.test/v1/rows?cursor=secret")
    return httpx.Response(200, content=content, request=asked)


def test_rows_are_opened_with_their_address() -> None:
    page = opened(answer(b'{"data": [1, 2], "meta": {}}'))
    assert (page.rows, page.document["meta"], page.where) == ([1, 2], {}, "vendor.test/v1/rows")


@pytest.mark.parametrize(
    "content", [b"[]", b"{}", b'{"data": null, "error": "x"}', b'{"data": {"rows": []}}', b'"data"']
)
def test_envelope_without_data_names_it(content: bytes) -> None:
    with pytest.raises(Unavailable, match=r"^vendor\.test/v1/rows is unavailable: an answer without a list `data`"):
        opened(answer(content))


WRONG: dict[str, tuple[Any, str]] = {
    "a missing field": ({}, "id"),
    "another type": ({"id": "a", "count": "5"}, "count"),
    "a fraction": ({"id": "a", "count": 5.5}, "count"),
    "a boolean": ({"id": "a", "count": True}, "count"),
    "null": ({"id": None}, "id"),
    "a field within": ({"id": "a", "inner": {"kind": 1}}, "inner.kind"),
    "a missing field within": ({"id": "a", "inner": {}}, "inner"),
    "a value of a map": ({"id": "a", "counts": {"x": "1"}}, "counts[...]"),
    "no object": ([1], "row"),
    "nothing": (None, "row"),
}


@pytest.mark.parametrize(("row", "field"), WRONG.values(), ids=WRONG)
def test_row_of_another_shape_names_the_field(row: Any, field: str) -> None:
    with pytest.raises(InvalidValue, match="is not as the vendor documents it") as caught:
        typed(row, _Row)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("row", "field"),
    [({"id": "a", "at": "\ud83d"}, "at"), ("\ud83d", "row"), ({"id": "a", "inner": "\ud83d"}, "inner")],
)
def test_half_a_character_names_its_field(row: Any, field: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        typed(row, _Row)
    assert caught.value.field == field


def test_numbers_in_quotes_are_numbers_without_strict() -> None:
    assert typed({"id": "a", "count": "5"}, _Row, strict=False).count == 5


def test_time_is_written_in_utc() -> None:
    east = datetime(2026, 3, 5, 1, tzinfo=timezone(timedelta(hours=2)))
    assert utc("startTime", east).isoformat() == "2026-03-04T23:00:00+00:00"


@pytest.mark.parametrize(
    "when",
    [datetime(2026, 3, 5), datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2)))],  # noqa: DTZ001  the point
    ids=["without a zone", "before year 1 in UTC"],
)
def test_time_that_is_no_moment_is_refused(when: datetime) -> None:
    with pytest.raises(InvalidValue, match="startTime"):
        utc("startTime", when)


def test_time_in_utc_stays() -> None:
    assert utc("startTime", datetime(2026, 3, 5, tzinfo=UTC)) == datetime(2026, 3, 5, tzinfo=UTC)
