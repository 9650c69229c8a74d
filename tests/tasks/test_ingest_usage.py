from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from ops.errors import NotFound, Unavailable
from tasks.ingest_usage import files_of, ingest_source
from tasks.settings import Settings, Source, Warming
from tasks.stores.tables import ingest_files, prompt_texts

NOW = datetime(2026, 3, 3, tzinfo=UTC)
LINE = (
    b'{"id":"%s","startTime":1772452800,"model":"gpt-4o","status":"success","call_type":"embedding","messages":"%s"}\n'
)


def source(pattern: str) -> Source:
    return Source(name="gateway", path=pattern)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    (tmp_path / "logs" / "old").mkdir(parents=True)
    for name, event in (("2.jsonl", b"b"), ("1.jsonl", b"a"), ("old/0.jsonl", b"c")):
        (tmp_path / "logs" / name).write_bytes(LINE % (event, event))
    return tmp_path / "logs"


def test_files_come_in_the_order_of_their_names(logs: Path) -> None:
    names = [f"{number:02}.log" for number in range(20)]
    for name in names[::2] + names[1::2]:
        (logs / name).touch()
    assert [path.name for path in files_of(source(f"{logs}/*.log"))] == names


def test_files_are_those_that_the_pattern_names(logs: Path) -> None:
    assert [path.name for path in files_of(source(f"{logs}/**/*.jsonl"))] == ["1.jsonl", "2.jsonl", "0.jsonl"]
    assert files_of(source(f"{logs}/1.jsonl")) == [logs / "1.jsonl"]


def test_path_that_names_no_file_is_not_found(logs: Path) -> None:
    with pytest.raises(NotFound, match=r"source gateway: file .*missing.* not found"):
        files_of(source(f"{logs}/missing*"))


def test_source_brings_what_is_new_in_all_its_files(logs: Path, engine: sa.Engine, settings: Settings) -> None:
    found = [ingest_source.fn(engine, settings, source(f"{logs}/*.jsonl"), NOW) for _ in range(2)]
    assert [(loaded.read, loaded.inserted) for loaded in found] == [(2, 2), (0, 0)]
    with (logs / "1.jsonl").open("ab") as stream:
        stream.write(LINE % (b"d", b"d"))
    loaded = ingest_source.fn(engine, settings, source(f"{logs}/*.jsonl"), NOW)
    assert (loaded.read, loaded.inserted, loaded.duplicates) == (1, 1, 0)


def test_same_file_is_new_to_another_source(logs: Path, engine: sa.Engine, settings: Settings) -> None:
    first = source(f"{logs}/1.jsonl")
    loaded = [
        ingest_source.fn(engine, settings, which, NOW) for which in (first, first.model_copy(update={"name": "b"}))
    ]
    assert [(one.inserted, one.duplicates) for one in loaded] == [(1, 0), (0, 1)]


def test_damaged_file_stops_the_source_behind_the_files_before_it(
    logs: Path, engine: sa.Engine, settings: Settings
) -> None:
    (logs / "3.jsonl.gz").write_bytes(b"no gzip")
    with pytest.raises(Unavailable, match=r"3\.jsonl\.gz"):
        ingest_source.fn(engine, settings, source(f"{logs}/*.jsonl*"), NOW)
    with engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(ingest_files)).scalar() == 2


@pytest.mark.parametrize(
    ("store_texts", "texts"),
    [pytest.param(False, [], id="not by default"), pytest.param(True, ["a"], id="when the settings ask for it")],
)
def test_prompts_are_kept(
    store_texts: bool, texts: list[str], logs: Path, engine: sa.Engine, settings: Settings
) -> None:
    asked = settings.model_copy(update={"warming": Warming(store_texts=store_texts)})
    ingest_source.fn(engine, asked, source(f"{logs}/1.jsonl"), NOW)
    with engine.connect() as connection:
        assert connection.execute(sa.select(prompt_texts.c.text)).scalars().all() == texts
