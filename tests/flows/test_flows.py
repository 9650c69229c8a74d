"""Every flow runs on a real Prefect server, and what a person would look at is there."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
import yaml

from deployments.schedules import SCHEDULES
from ops.window import Window
from tasks.settings import Settings
from tasks.simulate_traffic import simulate
from tasks.simulator import Traffic

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
RunFlow = Callable[[str], Any]


@pytest.fixture
def run(prefect_api: str, settings: Settings) -> RunFlow:
    """Run a flow by name as of NOW and return its final state."""

    def run_one(name: str) -> Any:
        function = name.replace("-", "_")
        flow = getattr(importlib.import_module(f"flows.{function}"), function)
        return flow(as_of=NOW, return_state=True)

    return run_one


@pytest.fixture
def traffic(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two days of simulated logs, configured as sources."""
    logs = tmp_path / "logs"
    for day in (2, 1):
        window = Window(NOW - timedelta(days=day), NOW - timedelta(days=day - 1))
        simulate(Traffic(requests_per_hour=40), window, logs)
    configure(
        tmp_path,
        monkeypatch,
        sources=[
            {"name": "gateway", "kind": "litellm", "path": f"{logs}/usage-*.gz"},
            {"name": "feedback", "kind": "scores", "path": f"{logs}/scores-*.gz"},
        ],
    )
    return logs


def configure(folder: Path, monkeypatch: pytest.MonkeyPatch, **values: Any) -> None:
    file = folder / "settings.yaml"
    file.write_text(yaml.safe_dump(values))
    monkeypatch.setenv("WATCHKEEPER_CONFIG", str(file))


def artifact(api: str, key: str) -> dict[str, Any]:
    query = {"artifacts": {"key": {"any_": [key]}}, "sort": "CREATED_DESC", "limit": 1}
    found: list[dict[str, Any]] = httpx.post(f"{api}/artifacts/filter", json=query).raise_for_status().json()
    return found[0]


def test_flows_load_traffic_judge_it_and_show_artifacts(
    run: RunFlow, traffic: Path, engine: sa.Engine, prefect_api: str
) -> None:
    loaded = run("ingest-usage")
    assert loaded.is_completed()
    with engine.connect() as connection:
        events = connection.execute(sa.text("SELECT count(*) FROM watchkeeper.usage_events")).scalar_one()
        scores = connection.execute(sa.text("SELECT count(*) FROM watchkeeper.scores")).scalar_one()
    assert events > 1000
    assert loaded.message == f"{events + scores:,} new events, 0 lines rejected"
    assert '"source": "gateway"' in artifact(prefect_api, "ingest-usage")["data"]
    assert run("ingest-usage").message == "0 new events, 0 lines rejected"

    assert run("project-costs").is_completed()
    page = artifact(prefect_api, "cost-projection")["data"]
    assert "| **Projected for the month** |" in page
    assert "data:image/png;base64," in page

    checked = run("check-quality")
    # Two days of a source are too few to know which days, how many events and which silence are usual of it.
    assert checked.message == "41 of 44 checks passed, 3 had no data"
    page = artifact(prefect_api, "data-quality")["data"]
    assert "| ✅ passed | critical | events | vendor is known |" in page
    assert "| ❔ no data | warning | traffic | no day of a source is missing |" in page

    shown = run("report-quality")
    assert shown.message.startswith("10 series: 0 fine, 0 below their baseline, 10 unknown; ")
    page = artifact(prefect_api, "quality")["data"]
    assert "## The worst answers of the last 24 hours" in page
    assert "data:image/png;base64," in page

    assert run("advise-savings").message.startswith("Savings: $")
    assert "| Embedding cache | -50% | $" in artifact(prefect_api, "savings")["data"]

    kept = run("keep-watch")
    assert kept.is_completed()
    assert "conditions judged, firing: none" in kept.message
    with engine.connect() as connection:
        judged = connection.execute(sa.text("SELECT reached_at FROM watchkeeper.watermarks WHERE step = :s"),
                                    {"s": "evaluate_alerts"}).scalar_one()  # fmt: skip
    assert judged == NOW


@pytest.mark.parametrize(
    ("flow", "name"),
    [
        pytest.param("keep-watch", "Skipped", id="a minute with nothing to do is skipped"),
        pytest.param("ingest-usage", "Skipped", id="without sources there is nothing to load"),
        pytest.param("check-budgets", "Skipped", id="without budgets there is nothing to check"),
        pytest.param("read-vendor-status", "Skipped", id="without vendors there is no page to read"),
        pytest.param("reconcile-costs", "Skipped", id="without vendors' reports nothing is compared"),
        pytest.param("report-quality", "Skipped", id="without a score or a request there is no quality to show"),
        pytest.param("advise-savings", "Skipped", id="without cost there is nothing to save"),
        pytest.param("run-evaluations", "Skipped", id="without golden sets nothing is evaluated"),
        pytest.param("warm-caches", "Skipped", id="without an embeddings URL nothing is warmed"),
        pytest.param("evaluate-alerts", "Completed", id="rules are judged by hand on an empty database"),
        pytest.param("advance-rollouts", "Completed", id="no rollout is no error"),
        pytest.param("dispatch-alerts", "Completed", id="an empty outbox is no error"),
        pytest.param("recommend-scale", "Completed", id="no service is no error"),
        pytest.param("project-costs", "Completed", id="no cost is no error"),
    ],
)
def test_flow_on_an_empty_database(run: RunFlow, flow: str, name: str) -> None:
    assert run(flow).name == name


def test_ingest_flow_goes_on_when_a_source_fails_and_says_which(
    run: RunFlow, traffic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: sa.Engine
) -> None:
    configure(
        tmp_path,
        monkeypatch,
        sources=[
            {"name": "gone", "kind": "litellm", "path": f"{tmp_path}/nowhere-*.jsonl"},
            {"name": "gateway", "kind": "litellm", "path": f"{traffic}/usage-*.gz"},
        ],
    )
    state = run("ingest-usage")
    assert state.is_failed()
    assert " new events, 0 lines rejected; failed: gone: source gone: file " in state.message
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM watchkeeper.usage_events")).scalar_one() > 1000


def test_keep_watch_delivers_what_it_decides_in_the_same_minute(
    run: RunFlow, settings: Settings, engine: sa.Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    from tasks.advance_rollout import start_rollout

    start_rollout(engine, settings, service="assistant", canary="v2", control="v1", plan="careful", now=NOW)
    state = run("keep-watch")
    assert "assistant:v2" in state.message
    assert "INFO · Canary v2 of assistant starts at 10 %: plan careful" in capsys.readouterr().err


def test_every_scheduled_flow_has_a_file_and_takes_a_time(settings: Settings) -> None:
    for name in SCHEDULES:
        function = name.replace("-", "_")
        flow = getattr(importlib.import_module(f"flows.{function}"), function)
        assert flow.name == name
        assert next(iter(flow.parameters.properties)) == "as_of"
