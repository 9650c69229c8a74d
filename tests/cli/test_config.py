from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from cli.main import watchkeeper
from ops.errors import WatchkeeperError
from tasks.load_settings import SettingsError
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
    assert json.loads(said("check", "--json")) == {"ok": True, "file": None, "sources": 0}


def test_check_names_the_file_that_is_in_force() -> None:
    Path("watchkeeper.yaml").write_text("sources: [{name: gateway, path: logs/*.jsonl}]\n")
    assert said("check") == "the settings are fine (watchkeeper.yaml)\n"
    assert json.loads(said("check", "--json")) == {"ok": True, "file": "watchkeeper.yaml", "sources": 1}


@pytest.mark.parametrize(
    ("source", "error", "text"),
    [
        pytest.param(
            "kind: nonsense", SettingsError, "sources.a.kind: 'nonsense' is not one of anthropic, csv", id="its kind"
        ),
        pytest.param("kind: jsonl, columns: {nonsense: x}", SettingsError, "nonsense", id="a field that it maps"),
        pytest.param("name: b}, {name: b", SettingsError, "there twice: b", id="whose name another has"),
        pytest.param(
            "kind: jsonl, values: {input_tokens: many}",
            SettingsError,
            r"sources\.a\.values\.input_tokens: 'many' is not of the right type",
            id="a constant",
        ),
        pytest.param(
            "kind: postgres, database_url: x, query: SELECT 1", SettingsError, "parameters :start", id="a query"
        ),
        pytest.param("url: 'http://[::1'", SettingsError, "not an address such as", id="an address"),
        pytest.param("kin: csv", SettingsError, "known here: api_key, columns, database_url, kind", id="a setting"),
    ],
)
def test_check_finds_what_is_unknown_of_a_source(source: str, error: type[WatchkeeperError], text: str) -> None:
    Path("watchkeeper.yaml").write_text(f"sources: [{{name: a, path: x, {source}}}]\n")
    with pytest.raises(error, match=text):
        said("check")


def test_check_finds_everything_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHKEEPER_RECEIVER__TOKEN", "short")
    monkeypatch.setenv("DATABASE_URL", "mysql://me:secret@host/db")
    Path("watchkeeper.yaml").write_text(
        "sources: [{name: a, kind: nonsense}, {name: b, kind: csv, path: x, columns: {nonsense: x}}, {name: c}]\n"
    )
    with pytest.raises(SettingsError) as caught:
        said("check")
    found = ("sources.a.kind", "mapped field", "sources.c.path", "receiver.token", "DATABASE_URL: 'mysql://…'")
    assert len(caught.value.problems) == len(found)
    assert all(name in problem for name, problem in zip(found, caught.value.problems, strict=True))


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
