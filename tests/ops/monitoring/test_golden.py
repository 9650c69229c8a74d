from __future__ import annotations

from typing import Any

import pytest

from ops.errors import InvalidValue
from ops.monitoring.golden import GoldenItem, digest, golden_item

QUERY = {"query": "How long are backups kept?"}

EXPECTED: dict[str, tuple[Any, dict[str, int]]] = {
    "an object of relevance": ({"doc-1": 2, "doc-9": 0}, {"doc-1": 2, "doc-9": 0}),
    "a list of documents": (["doc-1", "doc-9"], {"doc-1": 1, "doc-9": 1}),
    "a cell of a CSV": ("doc-1=2; doc-9;", {"doc-1": 2, "doc-9": 1}),
    "an address in a cell": ("https://docs.example/?page=backups", {"https://docs.example/?page=backups": 1}),
    "a name with a sign": ("a=b", {"a=b": 1}),
    "not said": (None, {}),
}
TAGS: dict[str, tuple[Any, dict[str, str]]] = {
    "an object": ({"language": "de"}, {"language": "de"}),
    "a list": (["language=de", "billing"], {"language": "de", "billing": "yes"}),
    "a cell of a CSV": ("language=de;billing", {"language": "de", "billing": "yes"}),
    "not said": (None, {}),
}
WRONG: dict[str, tuple[Any, str]] = {
    "no object": (["query"], r"row: \['query'\] is not an object"),
    "a field of another name": ({**QUERY, "referense": "35 days"}, "field: 'referense' is not one of item_id, query"),
    "no query": ({}, "query: None is not a non-empty text"),
    "a blank query": ({"query": "  "}, "query: '  ' is not a non-empty text"),
    "a query that is no text": ({"query": 3}, "query: 3 is not a text"),
    "an answer that never ends": ({**QUERY, "answer": "x" * 200_001}, "answer: .* at most 200,000 characters"),
    "half a character": ({**QUERY, "reference": "\ud83d"}, "reference: .* UTF-8"),
    "a NUL": ({**QUERY, "reference": "a\x00"}, "reference: .* Postgres"),
    "a name that is too long": ({**QUERY, "item_id": "x" * 257}, "item_id: .* at most 256 characters"),
    "a pattern that is none": ({**QUERY, "pattern": "(35"}, r"pattern: '\(35' is not a regular expression \(missing"),
    "a pattern without end": ({**QUERY, "pattern": "(" * 3000}, "pattern: .* is not a regular expression .maximum"),
    "documents by number": ({**QUERY, "expected": 7}, "expected: 7 is not an object, a list or a text"),
    "a document without a name": ({**QUERY, "expected": [""]}, "expected: '' is not named"),
    "a document that is a number": ({**QUERY, "expected": [7]}, "expected: 7 is not named"),
    "half a relevance": ({**QUERY, "expected": {"d": 0.5}}, "expected.d: 0.5 is not a whole relevance"),
    "a yes for a relevance": ({**QUERY, "expected": {"d": True}}, "expected.d: True is not a whole relevance"),
    "less than nothing": ({**QUERY, "expected": {"d": -1}}, "expected.d: -1 is not a whole relevance between 0"),
    "more than there is": ({**QUERY, "expected": "d=1001"}, "expected.d: 1001 is not .* between 0 and 1000"),
    "nothing that is relevant": ({**QUERY, "expected": {"d": 0}}, "of which one at least is relevant"),
    "less than nothing in a cell": ({**QUERY, "expected": "d=-1"}, "expected.d: '-1' is not a whole relevance"),
    "half a relevance in a cell": ({**QUERY, "expected": "d=0.5"}, "expected.d: '0.5' is not a whole relevance"),
    "no number in a cell": ({**QUERY, "expected": "d=NaN"}, "expected.d: 'NaN' is not a whole relevance"),
    "a relevance without end": ({**QUERY, "expected": "d=9999999999"}, "expected.d: '9999999999' is not a whole"),
    "a document twice": ({**QUERY, "expected": ["d", "e", "d"]}, "expected: 'd' is not named once"),
    "a document twice in a cell": ({**QUERY, "expected": "d=2;d=1"}, "expected: 'd' is not named once"),
    "no documents": ({**QUERY, "expected": []}, "of which one at least is relevant"),
    "a tag that is a number": ({**QUERY, "tags": {"page": 7}}, "tags.page: 7 is not a text"),
    "a list of numbers for tags": ({**QUERY, "tags": [7]}, "tags: 7 is not named"),
    "a tag without a name": ({**QUERY, "tags": "=de"}, "tags: '' is not named"),
    "a tag of two values": ({**QUERY, "tags": ["language=de", "language=en"]}, "tags: 'language' is not named once"),
    "a question without end": ({"query": "x" * 10_000_000}, "query: 'x{198}… is not a text of at most 200,000"),
    "tags by number": ({**QUERY, "tags": 7}, "tags: 7 is not an object"),
}


def test_item_says_everything_that_a_row_says() -> None:
    row = {**QUERY, "item_id": "backups", "expected": {"doc-1": 2}, "reference": "35 days", "pattern": r"\b35\b",
           "answer": "35", "tags": {"language": "en"}}  # fmt: skip
    assert golden_item(row) == GoldenItem(**row)  # type: ignore[arg-type]


def test_item_without_a_name_is_named_by_its_query() -> None:
    assert golden_item(QUERY).item_id == golden_item({**QUERY, "reference": "35 days"}).item_id
    assert golden_item(QUERY).item_id != golden_item({"query": "How long?"}).item_id


@pytest.mark.parametrize(("given", "expected"), EXPECTED.values(), ids=EXPECTED)
def test_expected_documents_are_read_from(given: Any, expected: dict[str, int]) -> None:
    assert golden_item({**QUERY, "expected": given}).expected == expected


@pytest.mark.parametrize(("given", "tags"), TAGS.values(), ids=TAGS)
def test_tags_are_read_from(given: Any, tags: dict[str, str]) -> None:
    assert golden_item({**QUERY, "tags": given}).tags == tags


@pytest.mark.parametrize(("row", "reason"), WRONG.values(), ids=WRONG)
def test_row_is_refused_with_field_value_and_limit(row: Any, reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason):
        golden_item(row)


def test_digest_changes_with_any_judgement() -> None:
    one, other = (golden_item({**QUERY, "expected": {"d": grade}}) for grade in (1, 2))
    assert digest([one]) == digest([golden_item({**QUERY, "expected": ["d"]})])
    assert len({digest([one]), digest([other]), digest([one, other])}) == 3
