from __future__ import annotations

import pytest

from ops.errors import UnknownName
from tasks.settings import Source
from tasks.sources import KINDS, has_header, parser_for


def source(kind: str) -> Source:
    return Source(name="gateway", kind=kind, path="log")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_a_parser(kind: str) -> None:
    assert callable(parser_for(source(kind), b"occurred_at,vendor"))


def test_unknown_kind_lists_the_known_ones() -> None:
    text = "sources.gateway.kind: 'litelm' is not one of csv, jsonl, litellm, scores"
    with pytest.raises(UnknownName, match=text):
        parser_for(source("litelm"), b"")


def test_only_csv_has_a_header() -> None:
    assert [kind for kind in KINDS if has_header(source(kind))] == ["csv"]
