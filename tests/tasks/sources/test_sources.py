from __future__ import annotations

from typing import Any

import pytest

from ops.errors import InvalidValue, UnknownName
from tasks.settings import Source
from tasks.sources import KINDS, file_kind_of, kind_of, polled_kind_of
from tasks.sources.interface import FileKind

COMPLETE: dict[str, Any] = {
    "path": "log", "url": "http://127.0.0.1:1", "api_key": "k", "public_key": "p", "query": "SELECT 1",
    "database_url": "postgresql://127.0.0.1/x",
}  # fmt: skip
FILES = sorted(name for name, kind in KINDS.items() if isinstance(kind, FileKind))
POLLED = sorted(KINDS.keys() - set(FILES))


@pytest.mark.parametrize("name", KINDS)
def test_source_with_every_setting_has_its_kind(name: str) -> None:
    assert kind_of(Source(name="gateway", kind=name, **COMPLETE)) is KINDS[name]


def test_unknown_kind_lists_the_known_ones() -> None:
    known = ", ".join(sorted(KINDS))
    with pytest.raises(UnknownName, match=f"sources.gateway.kind: 'litelm' is not one of {known}"):
        kind_of(Source(name="gateway", kind="litelm", **COMPLETE))


@pytest.mark.parametrize("name", KINDS)
def test_source_without_a_setting_that_its_kind_needs_is_refused(name: str) -> None:
    kind = KINDS[name]
    for missing in ("path",) if isinstance(kind, FileKind) else kind.needs:
        given = {key: value for key, value in COMPLETE.items() if key != missing}
        with pytest.raises(InvalidValue, match=f"sources.gateway.{missing}: '' is not set: kind {name} needs it"):
            kind_of(Source(name="gateway", kind=name, **given))


@pytest.mark.parametrize("name", FILES)
def test_kind_of_files_is_not_polled(name: str) -> None:
    source = Source(name="gateway", kind=name, **COMPLETE)
    assert file_kind_of(source) is KINDS[name]
    with pytest.raises(InvalidValue, match="a kind that is polled"):
        polled_kind_of(source)


def test_only_csv_has_a_header() -> None:
    assert [name for name in FILES if file_kind_of(Source(name="s", kind=name, path="p")).has_header] == ["csv"]


TRIED_AGAIN = [name for name in POLLED if getattr(KINDS[name], "row", None) is not None]


def test_rows_of_every_page_but_vendors_reports_are_tried_again() -> None:
    assert sorted(set(POLLED) - set(TRIED_AGAIN)) == ["anthropic", "openai"]


@pytest.mark.parametrize("name", TRIED_AGAIN)
@pytest.mark.parametrize("row", [5, [], {}, {"id": None}], ids=["a number", "a list", "nothing", "no id"])
def test_row_that_is_still_none_is_refused_again(name: str, row: Any) -> None:
    parse = getattr(KINDS[name], "row")  # noqa: B009  not every kind has one
    with pytest.raises(InvalidValue):
        list(parse(Source(name="gateway", kind=name, **COMPLETE), row))


def test_row_of_a_query_that_is_mapped_now_becomes_its_event() -> None:
    row = {"id": "e-1", "began": "2026-03-02T12:00:00Z", "vendor": "OpenAI", "model": "gpt-4o", "input_tokens": "7"}
    columns = {"event_id": "id", "occurred_at": "began"}
    source = Source(name="ledger", kind="postgres", **COMPLETE, columns=columns)
    [event] = KINDS["postgres"].row(source, row)  # type: ignore[union-attr, misc]
    assert (event.event_id, event.vendor, event.input_tokens) == ("e-1", "openai", 7)


@pytest.mark.parametrize("name", POLLED)
def test_kind_that_is_polled_is_no_file(name: str) -> None:
    source = Source(name="gateway", kind=name, **COMPLETE)
    assert polled_kind_of(source) is KINDS[name]
    with pytest.raises(InvalidValue, match=r"a kind of file \(csv, jsonl"):
        file_kind_of(source)
