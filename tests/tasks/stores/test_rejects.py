"""Rejected rows: which are kept, in which order they come, and what can be tried again."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from tasks.refuse_rows import Origin
from tasks.sources.interface import Batch, Reject
from tasks.stores import rejects
from tasks.stores.tables import usage_rejects
from tasks.write_usage import Target, Writer

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def keep(engine: sa.Engine, names: Iterable[str], source: str = "gateway", tenant: str = "t", **fields: Any) -> None:
    usual = {"kind": "jsonl", "place": "log", "position": 1, "field": "line", "reason": "bad", "raw": "x", "cut": False}
    with engine.begin() as connection:
        for name in names:
            row = {"tenant_id": tenant, "source": source, "reject_id": name, **usual, **fields}
            connection.execute(sa.insert(usage_rejects).values(**row))


def test_row_rejected_before_is_kept_once(engine: sa.Engine) -> None:
    def add(*names: str, reason: str) -> None:
        usual = {"tenant_id": "t", "source": "gateway", "kind": "jsonl", "place": "log", "field": "line", "raw": "x",
                 "cut": False, "header": None, "reason": reason}  # fmt: skip
        rows = ({**usual, "reject_id": name, "position": number} for number, name in enumerate(names, 1))
        with engine.begin() as connection:
            rejects.add(connection, (tuple(row[column] for column in rejects.COLUMNS) for row in rows))

    add("a", reason="first")
    add("b", "a", "b", reason="again")
    with engine.connect() as connection:
        kept = connection.execute(sa.select(usage_rejects).order_by(usage_rejects.c.reject_id))
        assert [(row.reject_id, row.reason, row.position) for row in kept] == [("a", "first", 1), ("b", "again", 1)]


def pages(engine: sa.Engine, source: str | None = None) -> list[list[str]]:
    return [[row.reject_id for row in page] for page in rejects.pages_of_whole(engine, "t", source)]


def test_newest_rejects_come_first(engine: sa.Engine) -> None:
    for number, name in enumerate("abc"):
        keep(engine, [name], rejected_at=NOW + timedelta(minutes=number))
    keep(engine, "z", source="other", rejected_at=NOW)
    keep(engine, "y", tenant="u")
    with engine.connect() as connection:
        found = [rejects.newest(connection, "t", source, limit) for source, limit in ((None, 9), ("gateway", 2))]
        counts = [rejects.count(connection, "t", source) for source in (None, "gateway", "nobody")]
    assert [[row["reject_id"] for row in rows] for rows in found] == [["c", "b", "a", "z"], ["c", "b"]]
    assert "tenant_id" not in found[0][0]
    assert counts == [4, 3, 0]


def test_every_whole_reject_comes_once_in_pages_of_one_source_and_kind(engine: sa.Engine) -> None:
    names = [f"{number:04}" for number in range(1201)]
    keep(engine, names)
    keep(engine, ["cut"], cut=True)
    keep(engine, ["c"], kind="csv")
    keep(engine, ["z"], source="other")
    keep(engine, ["y"], tenant="u")
    found = pages(engine)
    assert found[0] == ["c"]
    assert [name for page in found[1:-1] for name in page] == names
    assert found[-1] == ["z"]
    assert max(map(len, found)) == 500
    assert pages(engine, "other") == [["z"]]
    with engine.connect() as connection:
        assert [rejects.count(connection, "t", None, cut=cut) for cut in (True, False)] == [1, 1203]


def test_reject_is_forgotten_and_another_gets_its_new_reason(engine: sa.Engine) -> None:
    keep(engine, "abc")
    keep(engine, "ab", source="other")
    with engine.begin() as connection:
        rejects.forget(connection, "t", "gateway", ["a"])
        rejects.set_reasons(connection, "t", "gateway", [{"id": "b", "field": "model", "reason": "worse"}])
        rejects.set_reasons(connection, "t", "gateway", [])
    with engine.connect() as connection:
        rows = connection.execute(sa.select(usage_rejects).order_by(usage_rejects.c.source, usage_rejects.c.reject_id))
        found = [(row.source, row.reject_id, row.field, row.reason) for row in rows]
    assert found == [
        ("gateway", "b", "model", "worse"), ("gateway", "c", "line", "bad"),
        ("other", "a", "line", "bad"), ("other", "b", "line", "bad"),
    ]  # fmt: skip


def test_row_that_a_batch_holds_again_and_again_is_kept_once_with_its_first_place(engine: sa.Engine) -> None:
    same = [Reject(position, "row", "bad", b"{}") for position in range(1, 1001)]
    batch = Batch(rejects=[*same, Reject(7, "row", "bad", b"[]")])
    for _ in range(2):
        loaded = Writer(Target(engine, "t")).write(batch, Origin("gateway", "langfuse", "page"), NOW)
        assert loaded.rejected == 1000 + 1
    with engine.connect() as connection:
        rows = connection.execute(sa.select(usage_rejects.c.raw, usage_rejects.c.position)).tuples()
        assert sorted(rows) == [("[]", 7), ("{}", 1)]


@pytest.mark.parametrize(
    ("corrects", "rejected_at"),
    [(True, NOW), (False, None)],
    ids=["was seen, where later rows are truer", "was written, elsewhere"],
)
def test_reject_is_of_the_time_when_it(corrects: bool, rejected_at: datetime | None, engine: sa.Engine) -> None:
    before = datetime.now(UTC)
    reject = Reject(1, "row", "bad", b"{}")
    Writer(Target(engine, "t"), corrects=corrects).write(Batch(rejects=[reject]), Origin("a", "langfuse", "w"), NOW)
    with engine.connect() as connection:
        found = connection.execute(sa.select(usage_rejects.c.rejected_at)).scalar_one()
    assert found == rejected_at if rejected_at else found >= before - timedelta(seconds=5)


@pytest.mark.parametrize(
    ("reject", "raw", "cut"),
    [
        pytest.param(Reject(1, "line", "bad", b'{"a": "\xc3\xa9"}'), '{"a": "é"}', False, id="text is kept whole"),
        pytest.param(Reject(1, "line", "bad", b"a\xff"), "a\ufffd", True, id="bytes that are no text are not"),
        pytest.param(Reject(1, "line", "bad", b"a\0"), "a\\0", True, id="nor is NUL"),
        pytest.param(Reject(1, "line", "bad", b"a\\0"), "a\\0", False, id="a backslash and a zero are themselves"),
        pytest.param(Reject(1, "line", "bad", b"abc", is_cut=True), "abc", True, id="nor is a line's beginning"),
        pytest.param(
            Reject(1, "line", "bad", b"x" * rejects.RAW_LIMIT), "x" * rejects.RAW_LIMIT, False, id="64 KiB are kept"
        ),
        pytest.param(
            Reject(1, "line", "bad", b"x" * (rejects.RAW_LIMIT + 1)), "x" * rejects.RAW_LIMIT, True, id="and no more"
        ),
    ],
)
def test_reject_says_whether_it_is_kept_byte_for_byte(reject: Reject, raw: str, cut: bool, engine: sa.Engine) -> None:
    Writer(Target(engine, "t")).write(Batch(rejects=[reject]), Origin("gateway", "jsonl", "log"), NOW)
    with engine.connect() as connection:
        [row] = connection.execute(sa.select(usage_rejects)).all()
    assert (row.raw, row.cut) == (raw, cut)
