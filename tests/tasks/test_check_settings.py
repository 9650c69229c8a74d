"""Everything that is wrong with the settings, at once, and where it stands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tasks.check_settings import check_settings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith(("WATCHKEEPER_", "DATABASE_URL"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problems(yaml: str) -> list[str]:
    Path("watchkeeper.yaml").write_text(yaml)
    return [str(problem) for problem in check_settings()]


POSTGRES = "kind: postgres, database_url: 'postgresql://h/d'"
WHERE = "WHERE :start < :end"
WRONG = {
    "its kind": ("kind: nonsense", ["sources.a.kind: 'nonsense' is not one of anthropic, csv"]),
    "fields that it maps": (
        "path: x, kind: jsonl, columns: {nonsense: x, more: y}",
        ["sources.a.columns: 'nonsense' is not one of cache_hit", "sources.a.columns: 'more' is not one of"],
    ),
    "constants of another type or beyond their limit": (
        "path: x, kind: jsonl, values: {input_tokens: many, output_tokens: '-1', vendor: openai, what: x}",
        [
            "sources.a.values: 'what' is not one of",
            "sources.a.values.input_tokens: 'many' is not of the right type",
            "sources.a.values.output_tokens: '-1' is not of the right type",
        ],
    ),
    "a constant time without a zone": (
        "path: x, kind: csv, values: {occurred_at: '2026-03-05'}",
        ["sources.a.values.occurred_at: '2026-03-05' is not a time with a zone"],
    ),
    "a constant time before there was usage": (
        "path: x, kind: csv, values: {occurred_at: '1999-03-05T00:00Z'}",
        ["sources.a.values.occurred_at: '1999-03-05T00:00:00+00:00' is not between 2015-01-01"],
    ),
    "all that its kind needs": (
        "kind: langfuse",
        ["sources.a.public_key: '' is not set: kind langfuse needs it", "sources.a.api_key: '' is not set"],
    ),
    "the parameters of its query": (
        "kind: postgres, database_url: 'postgresql://h/d', query: 'SELECT * FROM t WHERE at >= :since'",
        ["sources.a.query: 'SELECT * FROM t WHERE at >= :since' is not a query with the parameters :start and :end"],
    ),
    "a query without the id": (
        "kind: postgres, database_url: 'postgresql://h/d', columns: {event_id: id}, "
        "query: 'SELECT grid, id_2 FROM t WHERE :start < :end'",
        ["sources.a.query: 'SELECT grid, id_2 FROM t WHERE :start < :end' is not with a column for event_id"],
    ),
    "one id for all rows": (
        "kind: postgres, database_url: 'postgresql://h/d', values: {event_id: x}, "
        "query: 'SELECT * FROM t WHERE :start < :end'",
        ["sources.a.query: 'SELECT * FROM t WHERE :start < :end' is not with a column for event_id"],
    ),
    "a database that is none of Postgres, of a query": (
        "kind: postgres, database_url: 'mysql://me:secret@h/d', query: 'SELECT event_id FROM t WHERE :start < :end'",
        ["sources.a.database_url: 'mysql://…' is not postgresql://"],
    ),
    "a database that is none of Postgres, of a table": (
        "kind: litellm_table, database_url: nonsense",
        ["sources.a.database_url: '(hidden)' is not postgresql://"],
    ),
    "a database and a query that are missing": (
        "kind: postgres",
        ["sources.a.database_url: '' is not set", "sources.a.query: '' is not set"],
    ),
    "a name and what the kind says": (
        "kin: csv, kind: otel, path: ''",
        ["sources.0.kin: unknown setting", "sources.a.path: '' is not set: kind otel needs it"],
    ),
    "a value, once": ("path: 7", ["sources.0.path: 7 is wrong: input should be a valid string"]),
    "a kind that is no text, once": ("kind: 7", ["sources.0.kind: 7 is wrong"]),
}  # fmt: skip


@pytest.mark.parametrize(("settings", "told"), WRONG.values(), ids=WRONG)
def test_check_tells_what_is_wrong_of_a_source(settings: str, told: list[str]) -> None:
    found = problems(f"sources: [{{name: a, {settings}}}]\n")
    assert len(found) == len(told)
    for problem, start in zip(found, told, strict=True):
        assert problem.startswith(f"watchkeeper.yaml:1: {start}")


@pytest.mark.parametrize(
    "query", ["SELECT t.* FROM t", 'SELECT "id" FROM t', "SELECT x AS ID FROM t", "WITH a AS (SELECT 1) TABLE b"]
)
def test_check_believes_a_query_that_may_have_the_id(query: str) -> None:
    assert problems(f"sources: [{{name: a, {POSTGRES}, columns: {{event_id: id}}, query: '{query} {WHERE}'}}]\n") == []


def test_check_finds_everything_at_once_and_where_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://me:secret@host/db")
    monkeypatch.setenv("WATCHKEEPER_PLANZ", "x")
    found = problems(
        "tenant: a b\nreceiver:\n  token: short\nsources:\n- {name: a, kind: nonsense}\n- 7\n- {kind: otel}\n"
    )
    assert [problem.rsplit(": ", 1)[0].split(": '")[0].split(": (")[0] for problem in found] == [
        "WATCHKEEPER_PLANZ: unknown setting; known here",
        "watchkeeper.yaml:1: tenant",
        "watchkeeper.yaml:6: sources.1",
        "watchkeeper.yaml:7: sources.2.name",
        "watchkeeper.yaml:5: sources.a.kind",
        "watchkeeper.yaml:7: sources.2.path",
        "watchkeeper.yaml:3: receiver.token",
        "DATABASE_URL",
    ]
    assert "secret" not in "".join(found).replace("a secret of", "")


def test_check_names_no_line_of_what_the_environment_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHKEEPER_RECEIVER__TOKEN", "short")
    assert [problem.split(": ")[0] for problem in problems("receiver:\n  token: a-long-enough-token\n")] == [
        "receiver.token"
    ]


@pytest.mark.parametrize(
    ("yaml", "told"),
    [
        pytest.param("sources: [1,\n", "watchkeeper.yaml:2: not readable as YAML", id="no YAML"),
        pytest.param("- a\n", "watchkeeper.yaml: 'list' is not a YAML mapping", id="no mapping"),
        pytest.param("sources: 7\n", "watchkeeper.yaml:1: sources: 7 is wrong", id="sources that are no list"),
        pytest.param("receiver: 7\n", "watchkeeper.yaml:1: receiver: (hidden) is wrong", id="a receiver that is none"),
        pytest.param("receiver: {token: 7}\n", "watchkeeper.yaml:1: receiver.token: (hidden) is wrong", id="a token"),
    ],
)
def test_check_tells_once_what_is_wrong_as_a_whole(yaml: str, told: str) -> None:
    [problem] = problems(yaml)
    assert problem.startswith(told)


def test_check_of_a_file_that_is_missing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHKEEPER_CONFIG", "missing.yaml")
    [problem] = check_settings()
    assert str(problem) == "settings file 'missing.yaml' not found: WATCHKEEPER_CONFIG names it"


def test_check_of_settings_that_are_fine_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:secret@host/db")
    assert problems("receiver: {token: a-long-enough-token}\nsources: [{name: a, path: logs/*.jsonl}]\n") == []
