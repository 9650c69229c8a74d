"""A golden set: questions with what a good system finds and answers, which evaluation runs ask again and again.

Before it: `tasks/read_golden_set.py` reads rows of JSON or CSV. After it: `tasks/run_evaluations.py` asks the endpoint,
and `retrieval`, `scorers` and `rubric` judge what it says.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ops.errors import InvalidValue
from ops.usage import check_text

MOST_RELEVANT = 1000  # a grade above it is a mistake
_ID_CHARS = 256  # with the run's and the metric's name it is a score's id
_MOST_CHARS = 200_000
_YES = "yes"  # the value of a tag that is a name alone
_FIELDS = ("item_id", "query", "expected", "reference", "pattern", "answer", "tags")


class GoldenItem(msgspec.Struct, frozen=True, kw_only=True):
    """One question, and what its answer is held to."""

    item_id: str
    query: str
    expected: dict[str, int] = {}  # document -> relevance; a document that is not named is not relevant
    reference: str | None = None  # a good answer
    pattern: str | None = None  # a regular expression that a good answer holds
    answer: str | None = None  # an answer that is never asked for: of a judge's probes
    tags: dict[str, str] = {}  # language, route, …


def golden_item(row: Any) -> GoldenItem:
    """Read a row; without an `item_id` its query names it.

    `expected` is an object of documents and their relevance, a list of documents (each of relevance 1), or a text such
    as `doc-1=2;doc-9`; `tags` an object, a list or a text such as `language=de;billing`.

    Raises:
        InvalidValue: naming the first field that breaks its limit.
    """
    if not isinstance(row, Mapping):
        raise InvalidValue("row", row, "an object or a row of cells")
    for field in row:
        if field not in _FIELDS:
            raise InvalidValue("field", field, f"one of {', '.join(_FIELDS)}")
    query = _text(row, "query")
    if query is None or not query.strip():
        raise InvalidValue("query", query, "a non-empty text")
    return GoldenItem(
        item_id=_item_id(row, query), query=query, expected=_expected(row.get("expected")),
        reference=_text(row, "reference"), pattern=_pattern(row), answer=_text(row, "answer"),
        tags=_tags(row.get("tags")),
    )  # fmt: skip


def digest(items: Sequence[GoldenItem]) -> str:
    """Identify a set's content: with another question or judgement it is another set."""
    return hashlib.sha256(msgspec.json.encode(list(items), order="deterministic")).hexdigest()


def _text(row: Mapping[str, Any], field: str) -> str | None:
    value = row.get(field)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > _MOST_CHARS:
        raise InvalidValue(field, value, f"a text of at most {_MOST_CHARS:,} characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidValue(field, value, "text that UTF-8 can hold") from None
    if "\x00" in value:
        raise InvalidValue(field, value, "text that Postgres can hold")
    return value


def _item_id(row: Mapping[str, Any], query: str) -> str:
    name = _text(row, "item_id") or hashlib.sha256(query.encode()).hexdigest()[:16]
    if len(name) > _ID_CHARS:
        raise InvalidValue("item_id", name, f"at most {_ID_CHARS} characters")
    return name


def _pattern(row: Mapping[str, Any]) -> str | None:
    pattern = _text(row, "pattern")
    try:
        re.compile(pattern or "")
    except (re.error, OverflowError, RecursionError) as error:
        raise InvalidValue("pattern", pattern, f"a regular expression ({error})") from None
    return pattern


def _expected(given: Any) -> dict[str, int]:
    if given is None:
        return {}
    pairs = [_graded(part) for part in _parts(given)] if isinstance(given, str) else _named("expected", given, 1)
    grades = _each_once("expected", pairs)
    for document, grade in grades.items():
        if not isinstance(grade, int) or isinstance(grade, bool) or not 0 <= grade <= MOST_RELEVANT:
            raise InvalidValue(f"expected.{document}", grade, f"a whole relevance between 0 and {MOST_RELEVANT}")
    if not any(grades.values()):
        raise InvalidValue("expected", given, "documents of which one at least is relevant")
    return grades


def _graded(part: str) -> tuple[str, Any]:
    """Read `doc-1=2`; what does not end in a number is all name, and a number that is no relevance is no name."""
    name, _, grade = part.rpartition("=")
    if not name or not _is_number(grade):
        return part, 1
    return name, int(grade) if re.fullmatch(r"[0-9]{1,9}", grade) else grade


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _tags(given: Any) -> dict[str, str]:
    if given is None:
        return {}
    if isinstance(given, str):
        given = _parts(given)
    pairs = [_tag(part) for part in given] if isinstance(given, list) else _named("tags", given, _YES)
    tags = _each_once("tags", pairs)
    for name, value in tags.items():
        if not isinstance(value, str):
            raise InvalidValue(f"tags.{name}", value, "a text")
        check_text(f"tags.{name}", value)
    return tags


def _tag(part: Any) -> tuple[Any, str]:
    name, _, value = part.partition("=") if isinstance(part, str) else (part, "", "")
    return name, value or _YES


def _named(field: str, given: Any, usual: object) -> list[tuple[Any, Any]]:
    """Return an object's names with their values, and those of a list with one usual value."""
    if isinstance(given, Mapping):
        return list(given.items())
    if isinstance(given, list):
        return [(name, usual) for name in given]
    raise InvalidValue(field, given, "an object, a list or a text with a semicolon between its parts")


def _each_once(field: str, pairs: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    """Return names with their values; of a name that is there twice nobody knows which value is meant."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        _check_name(field, name)
        if name in found:
            raise InvalidValue(field, name, "named once")
        found[name] = value
    return found


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(";") if part.strip()]


def _check_name(field: str, name: object) -> None:
    if not isinstance(name, str) or not name:
        raise InvalidValue(field, name, "named by non-empty texts")
    check_text(field, name)
