"""The reading of status pages as a flow, on a real Prefect server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
import yaml

from flows.read_vendor_status import read_vendor_status
from tasks.settings import Settings
from tasks.stores.tables import vendor_statuses
from tests.api_server import Asked, api_server
from tests.hand_made import MINUTE, NOW, event, load, rows_of
from tests.status_page import summary_json


def configure(folder: Path, monkeypatch: pytest.MonkeyPatch, vendors: list[dict[str, Any]]) -> None:
    file = folder / "settings.yaml"
    file.write_text(yaml.safe_dump({"vendors": vendors}))
    monkeypatch.setenv("WATCHKEEPER_CONFIG", str(file))


def table(api: str) -> list[dict[str, Any]]:
    query = {"artifacts": {"key": {"any_": ["vendor-status"]}}, "sort": "CREATED_DESC", "limit": 1}
    found = httpx.post(f"{api}/artifacts/filter", json=query).raise_for_status().json()[0]["data"]
    rows: list[dict[str, Any]] = json.loads(found)
    return rows


def answer(asked: Asked) -> tuple[int, Any]:
    return (200, summary_json()) if asked.path == "/fine" else (404, {})


def test_flow_reads_what_it_can_shows_all_and_says_what_failed(
    prefect_api: str, settings: Settings, engine: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(engine, [event(MINUTE) for _ in range(600)])
    with api_server(answer) as server:
        vendors = [{"name": "openai", "status_url": f"{server.url}/fine"}, {"name": "mistral"},
                   {"name": "google", "status_url": f"{server.url}/gone"}]  # fmt: skip
        configure(tmp_path, monkeypatch, vendors)
        state = read_vendor_status(as_of=NOW, return_state=True)
        assert (state.is_completed(), state.name) == (True, "Incomplete")
        told = "1 of 2 status pages read; all of them operational; not read: google: 127.0.0.1"
        assert state.message.startswith(told)
        rows = table(prefect_api)
        assert [(row["vendor"], row["judged"], row["failed in 5 min"]) for row in rows] == [
            ("google", "insufficient data", "0 of 0"),
            ("mistral", "insufficient data", "0 of 0"),
            ("openai", "ok", "0 of 600"),
        ]
        assert "404" in rows[0]["status page"]
        configure(tmp_path, monkeypatch, vendors[1:])
        state = read_vendor_status(as_of=NOW, return_state=True)
        assert state.is_failed()
        assert state.message.startswith("0 of 1 status pages read; not read: google: 127.0.0.1")
        configure(tmp_path, monkeypatch, vendors[:2])
        state = read_vendor_status(as_of=NOW, return_state=True)
    assert (state.name, state.message) == ("Completed", "1 of 1 status pages read; all of them operational")
    configure(tmp_path, monkeypatch, [])
    assert read_vendor_status(as_of=NOW, return_state=True).name == "Skipped"
    assert rows_of(engine, vendor_statuses) == []
