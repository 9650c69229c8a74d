"""The kinds of source that usage can come from, one file each. To add one: a file with a Kind, and a line here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import SecretStr

from ops.errors import InvalidValue, UnknownName
from tasks.settings import Source
from tasks.sources import (
    anthropic,
    helicone,
    langfuse,
    litellm,
    litellm_api,
    litellm_rows,
    litellm_table,
    mapped,
    openai,
    otel,
    postgres,
    scores,
)
from tasks.sources.interface import ApiKind, FileKind, Kind, QueryKind

KINDS: dict[str, Kind] = {
    "litellm": litellm.KIND,
    "litellm_rows": litellm_rows.KIND,
    "litellm_api": litellm_api.KIND,
    "litellm_table": litellm_table.KIND,
    "postgres": postgres.KIND,
    "jsonl": mapped.JSONL,
    "csv": mapped.CSV,
    "parquet": mapped.PARQUET,
    "otel": otel.KIND,
    "scores": scores.KIND,
    "openai": openai.KIND,
    "anthropic": anthropic.KIND,
    "langfuse": langfuse.KIND,
    "helicone": helicone.KIND,
}


def kind_of(source: Source) -> Kind:
    """Return a source's kind, when the source has all that the kind needs.

    Raises:
        UnknownName: no such kind.
        InvalidValue: a setting that the kind needs is missing.
    """
    for problem in _lacking(source):
        raise problem
    return KINDS[source.kind]


def problems_of(source: Source) -> list[InvalidValue]:
    """Return all that is wrong with a source's settings, as far as that shows without asking anybody."""
    kind = KINDS.get(source.kind)
    checks = kind.checks if kind else ()
    return [*_lacking(source), *(problem for check in checks for problem in check(source))]


def _lacking(source: Source) -> Iterator[InvalidValue]:
    kind = KINDS.get(source.kind)
    if kind is None:
        yield UnknownName(f"sources.{source.name}.kind", source.kind, KINDS)
        return
    for name in ("path",) if isinstance(kind, FileKind) else kind.needs:
        given = getattr(source, name)
        if not (given.get_secret_value() if isinstance(given, SecretStr) else given):
            yield InvalidValue(f"sources.{source.name}.{name}", "", f"set: kind {source.kind} needs it")


def recognised(keys: Iterable[str]) -> dict[str, frozenset[str]]:
    """Return the kinds of file whose record an object with these keys certainly is, each with the keys that say so."""
    given = frozenset(keys)
    kinds = {name: kind for name, kind in KINDS.items() if isinstance(kind, FileKind)}
    return {name: mark for name, kind in kinds.items() for mark in kind.marks if mark <= given}


def file_kind_of(source: Source) -> FileKind:
    """Return the kind of a source of files.

    Raises:
        InvalidValue: the source is polled, or lacks a setting.
    """
    kind = kind_of(source)
    if not isinstance(kind, FileKind):
        files = ", ".join(sorted(name for name, known in KINDS.items() if isinstance(known, FileKind)))
        raise InvalidValue(f"sources.{source.name}.kind", source.kind, f"a kind of file ({files})")
    return kind


def polled_kind_of(source: Source) -> ApiKind | QueryKind:
    """Return the kind of a source that is polled.

    Raises:
        InvalidValue: it is one of files, or lacks a setting.
    """
    kind = kind_of(source)
    if isinstance(kind, FileKind):
        raise InvalidValue(f"sources.{source.name}.kind", source.kind, "a kind that is polled; its files are loaded")
    return kind
