from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ops.window import Window
from tasks.load_file import load_file
from tasks.log_file import LogFile
from tasks.settings import Source
from tasks.simulate_traffic import Written, simulate, splits_of
from tasks.simulator import Scenario, Traffic
from tasks.simulator.request import prompt_hash
from tasks.stores.tables import traffic_splits
from tasks.write_usage import Target

MONDAY = datetime(2025, 11, 3, 9, tzinfo=UTC)
HOUR = Window(MONDAY, MONDAY + timedelta(hours=1))
TRAFFIC = Traffic(seed=7, requests_per_hour=200)


def lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path) as stream:
        return [json.loads(line) for line in stream]


def by_release(written: Written, service: str) -> set[tuple[str, str]]:
    found = ((line["end_user"], line["metadata"]["requester_metadata"]) for line in lines(written.usage))
    return {(user, free["release"]) for user, free in found if free["service"] == service}


def test_window_becomes_two_files_named_by_its_start(tmp_path: Path) -> None:
    written = simulate(TRAFFIC, HOUR, tmp_path / "new" / "logs")
    assert written.usage == tmp_path / "new" / "logs" / "usage-20251103T090000.jsonl.gz"
    assert written.scores == tmp_path / "new" / "logs" / "scores-20251103T090000.jsonl.gz"
    assert written.requests == len(lines(written.usage)) > 100
    assert 0 < len(lines(written.scores)) < written.requests


def test_same_window_and_seed_give_the_same_bytes(tmp_path: Path) -> None:
    one, two = (simulate(TRAFFIC, HOUR, tmp_path / name) for name in ("one", "two"))
    other = simulate(Traffic(seed=8, requests_per_hour=200), HOUR, tmp_path / "three")
    assert one.usage.read_bytes() == two.usage.read_bytes() != other.usage.read_bytes()
    assert one.scores.read_bytes() == two.scores.read_bytes()


@pytest.mark.parametrize(("kind", "file"), [("litellm", "usage"), ("scores", "scores")])
def test_every_line_is_loaded(kind: str, file: str, tmp_path: Path, engine: sa.Engine) -> None:
    path = getattr(simulate(TRAFFIC, HOUR, tmp_path), file)
    loaded = load_file(
        Target(engine, "t"), Source(name="simulated", kind=kind, path="log"), LogFile(str(path)), HOUR.end
    )
    assert loaded.read == loaded.inserted == len(lines(path))


def test_scenario_shows_in_the_log(tmp_path: Path) -> None:
    usual, out = (
        simulate(TRAFFIC, HOUR, tmp_path / name, scenarios=[Scenario(name, HOUR)])
        for name in ("normal", "vendor-outage")
    )
    failed = [sum(line["status"] == "failure" for line in lines(written.usage)) for written in (usual, out)]
    assert failed[1] > 2 * failed[0]


def test_warmed_prompts_are_hits(tmp_path: Path) -> None:
    cold = lines(simulate(TRAFFIC, HOUR, tmp_path / "cold").usage)
    missed = [line for line in cold if "messages" in line and not line["cache_hit"] and line["status"] == "success"]
    prompt = missed[0]["messages"][0]["content"]
    warm = lines(simulate(TRAFFIC, HOUR, tmp_path / "warm", warmed={prompt_hash(prompt)}).usage)
    of_prompt = [line["cache_hit"] for line in warm if line.get("messages", [{}])[0].get("content") == prompt]
    assert of_prompt
    assert all(of_prompt)


def split(engine: sa.Engine, tenant: str, service: str, percent: int) -> None:
    row = {"tenant_id": tenant, "service": service, "control_release": "v1", "canary_release": "v2"}
    row |= {"canary_percent": percent, "salt": "r-1", "algorithm": "sha256/10k", "updated_at": MONDAY}
    with engine.begin() as connection:
        connection.execute(sa.insert(traffic_splits), row)


def test_traffic_obeys_the_splits_of_its_tenant(tmp_path: Path, engine: sa.Engine) -> None:
    split(engine, "t", "assistant", 50)
    split(engine, "t", "search-api", 0)
    split(engine, "another", "search-api", 100)
    splits = splits_of(engine, "t")
    assert sorted(splits) == ["assistant", "search-api"]
    written = simulate(TRAFFIC, HOUR, tmp_path, splits=splits)
    assert {release for _, release in by_release(written, "search-api")} == {"v1"}
    seen = by_release(written, "assistant")
    assert {release for _, release in seen} == {"v1", "v2"}
    assert all(splits["assistant"](user) == release for user, release in seen)


def test_without_splits_every_service_keeps_its_release(engine: sa.Engine) -> None:
    assert splits_of(engine, "t") == {}
