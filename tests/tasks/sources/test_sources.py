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


@pytest.mark.parametrize("name", POLLED)
def test_kind_that_is_polled_is_no_file(name: str) -> None:
    source = Source(name="gateway", kind=name, **COMPLETE)
    assert polled_kind_of(source) is KINDS[name]
    with pytest.raises(InvalidValue, match=r"a kind of file \(csv, jsonl"):
        file_kind_of(source)
