"""What a reprice tells a person and a script."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from cli.main import watchkeeper
from ops.errors import InvalidValue
from tasks.settings import Settings
from tests.hand_made import HOUR, event, load
from tests.recount import differences

DEAL = "prices: [{contract: deal, vendor: openai, model: gpt-4o-mini, input: 1, output: 2}]\n"


@pytest.fixture(autouse=True)
def _place(settings: Settings, engine: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A million tokens at $0.15, and from now on a contract at $1."""
    monkeypatch.setenv("COLUMNS", "200")
    load(engine, [event(HOUR, input_tokens=10**6, output_tokens=0), event(HOUR, model="gpt-4o")])
    (tmp_path / "watchkeeper.yaml").write_text(DEAL)


def reprice(*words: str) -> Result:
    span = ("--from", "2026-03-05", "--to", "2026-03-06")
    return CliRunner().invoke(watchkeeper, ["cost", "reprice", *span, *words], catch_exceptions=False)


def test_reprice_shows_what_changed_by_model_and_then_that_nothing_does(engine: sa.Engine) -> None:
    would, did, again = reprice("--dry-run"), reprice(), reprice()
    lines = [" ".join(line.split()) for line in did.stdout.splitlines()]
    assert lines[0] == "2 requests of 1 days: 1 changed, from $0.15 to $1.00"
    assert lines[-1] == "openai/gpt-4o-mini 1 $0.15 $1.00 $0.85 0 0"
    assert would.stdout == did.stdout.replace("changed,", "would change,")
    assert again.stdout == "2 requests of 1 days: 0 changed, from $0.00 to $0.00\n"
    assert [result.exit_code for result in (would, did, again)] == [0, 0, 0]
    assert differences(engine) == []


def test_reprice_as_json_has_sums_and_models() -> None:
    found = json.loads(reprice("--json").stdout)
    assert (found["days"], found["events"], found["dry_run"]) == (1, 2, False)
    assert (found["changed"]["events"], found["changed"]["before_usd"], found["changed"]["after_usd"]) == (1, 0.15, 1)
    assert list(found["models"]) == ["openai/gpt-4o-mini"]


def test_reprice_shows_what_had_no_price_as_unknown_and_not_as_free(engine: sa.Engine, tmp_path: Path) -> None:
    load(engine, [event(HOUR, model="mystery", input_tokens=10**6, output_tokens=0)])
    (tmp_path / "watchkeeper.yaml").write_text(DEAL.replace("gpt-4o-mini", "mystery"))
    found = json.loads(reprice("--json").stdout)
    for change in (found["changed"], found["models"]["openai/mystery"]):
        assert (change["before_usd"], change["after_usd"], change["change_usd"]) == (None, 1, None)
    (tmp_path / "watchkeeper.yaml").write_text("prices: []\n")
    lines = [" ".join(line.split()) for line in reprice().stdout.splitlines()]
    assert lines[0] == "3 requests of 1 days: 1 changed, from $1.00 to unknown"
    assert lines[-1] == "openai/mystery 1 $1.00 unknown unknown 0 1"


def test_reprice_of_another_model_changes_nothing() -> None:
    assert reprice("--model", "gpt-4o").stdout.startswith("1 requests of 1 days: 0 changed")


@pytest.mark.parametrize("name", ["gpt-nope", "anthropic/gpt-4o"])
def test_reprice_refuses_a_model_that_no_request_is_of(name: str) -> None:
    with pytest.raises(InvalidValue, match=f"--model: '?{name}'? is not a model that requests of these days are of"):
        reprice("--model", name)


def test_reprice_refuses_a_model_that_no_event_can_have() -> None:
    with pytest.raises(InvalidValue, match="--model"):
        reprice("--model", "x" * 513)
