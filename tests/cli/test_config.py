from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from cli.main import watchkeeper
from tasks.settings import Settings

HIDDEN = "xoxb-do-not-tell"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith(("WATCHKEEPER_", "DATABASE_URL"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(*words: str) -> str:
    return CliRunner().invoke(watchkeeper, ("config", *words), catch_exceptions=False).output


def test_check_without_a_file_says_that_the_defaults_are_fine() -> None:
    assert said("check") == "the settings are fine (no file: environment and defaults)\n"
    assert json.loads(said("check", "--json")) == {"ok": True, "file": None, "problems": []}


def test_check_names_the_file_that_is_in_force() -> None:
    Path("watchkeeper.yaml").write_text("sources: [{name: gateway, path: logs/*.jsonl}]\n")
    assert said("check") == "the settings are fine (watchkeeper.yaml)\n"
    assert json.loads(said("check", "--json")) == {"ok": True, "file": "watchkeeper.yaml", "problems": []}


WRONG = "tenant: a b\nsources:\n- {name: a, kind: nonsense}\n- {name: b}\n"


def test_check_prints_a_line_for_each_wrong_setting_and_ends_with_2() -> None:
    Path("watchkeeper.yaml").write_text(WRONG)
    result = CliRunner().invoke(watchkeeper, ["config", "check"])
    assert result.exit_code == 2
    assert [line.split()[:2] for line in result.stdout.splitlines()[2:]] == [
        ["watchkeeper.yaml:1", "tenant"],
        ["watchkeeper.yaml:3", "sources.a.kind"],
        ["watchkeeper.yaml:4", "sources.b.path"],
    ]


def test_check_writes_whole_lines_into_a_pipe_however_narrow_the_terminal(clean_environment: dict[str, str]) -> None:
    Path("watchkeeper.yaml").write_text(f"{WRONG}- {{name: [red], path: {'long ' * 60}}}\n")
    command = [sys.executable, "-m", "cli.main", "config", "check"]
    environment = clean_environment | {"COLUMNS": "40"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stdout.splitlines()) == 2 + 4  # title and header, and a line each
    assert "['red'] is wrong" in done.stdout
    assert "litellm_api, litellm_rows, litellm_table, openai, otel, parquet, postgres, scores" in done.stdout


def test_check_as_json_lists_each_wrong_setting_and_ends_with_2() -> None:
    Path("watchkeeper.yaml").write_text(WRONG)
    result = CliRunner().invoke(watchkeeper, ["config", "check", "--json"])
    assert result.exit_code == 2
    document = json.loads(result.stdout)
    assert (document["ok"], document["file"]) == (False, "watchkeeper.yaml")
    assert [problem["setting"] for problem in document["problems"]] == ["tenant", "sources.a.kind", "sources.b.path"]
    assert document["problems"][2] == {
        "text": "'' is not set: kind litellm needs it", "setting": "sources.b.path", "place": "watchkeeper.yaml:4",
    }  # fmt: skip


def test_show_prints_every_setting_as_yaml_that_can_be_read_back() -> None:
    Path("watchkeeper.yaml").write_text("tenant: acme\nmonth_timezone: Europe/Berlin\n")
    shown = said("show")
    assert yaml.safe_load(shown) == json.loads(said("show", "--json"))
    assert set(yaml.safe_load(shown)) == set(Settings.model_fields)
    assert yaml.safe_load(shown)["tenant"] == "acme"


@pytest.mark.parametrize("words", [("show",), ("show", "--json")], ids=["as YAML", "as JSON"])
def test_show_hides_every_secret(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://me:{HIDDEN}@host/db")
    monkeypatch.setenv("WATCHKEEPER_SLACK__BOT_TOKEN", HIDDEN)
    monkeypatch.setenv("WATCHKEEPER_WARMING__API_KEY", HIDDEN)
    shown = said(*words)
    assert shown.count("**********") == 3
    assert HIDDEN not in shown
