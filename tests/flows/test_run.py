"""Flows by name, on whichever Prefect server there is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from flows.run import prefect_api as opened_api
from flows.run import quieten_prefect, run_flow
from tasks import prefect_server
from tasks.settings import Settings

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    """What a test adds to the environment goes again."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def test_quieten_prefect_gives_it_a_home_beside_ours_and_tells_nobody(settings: Settings) -> None:
    quieten_prefect(settings)
    assert os.environ["PREFECT_HOME"] == str(settings.home / "prefect")
    assert (settings.home / "prefect").is_dir()
    assert os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert os.environ["DO_NOT_TRACK"] == "1"


def test_quieten_prefect_leaves_the_users_own_settings(settings: Settings, tmp_path: Path) -> None:
    os.environ |= {"PREFECT_HOME": str(tmp_path / "mine"), "PREFECT_LOGGING_LEVEL": "DEBUG"}
    quieten_prefect(settings)
    assert (os.environ["PREFECT_HOME"], os.environ["PREFECT_LOGGING_LEVEL"]) == (str(tmp_path / "mine"), "DEBUG")
    assert (tmp_path / "mine").is_dir()


def test_api_is_the_server_that_the_environment_names_and_stays_there(prefect_api: str, settings: Settings) -> None:
    os.environ["PREFECT_API_URL"] = prefect_api
    with opened_api(settings) as url:
        assert url == prefect_api
    assert prefect_server.answers(prefect_api)
    assert not (settings.home / "prefect-server.log").exists()  # no server of its own


def test_api_is_the_one_that_watchkeeper_up_serves(prefect_api: str, settings: Settings) -> None:
    os.environ.pop("PREFECT_API_URL", None)
    served = settings.model_copy(update={"prefect_port": int(prefect_api.split(":")[2].removesuffix("/api"))})
    with opened_api(served) as url:
        assert url == os.environ["PREFECT_API_URL"] == prefect_api


def test_run_flow_returns_the_state_of_a_flow_that_fails(
    prefect_api: str, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = {"name": "gone", "kind": "litellm", "path": f"{tmp_path}/missing.jsonl"}
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump({"sources": [source]}))
    monkeypatch.setenv("WATCHKEEPER_CONFIG", str(tmp_path / "settings.yaml"))
    assert run_flow("ingest-usage", NOW).is_failed()


def test_run_flow_knows_no_other_flows(settings: Settings) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"flows\.mind_the_gap"):
        run_flow("mind-the-gap", NOW)
