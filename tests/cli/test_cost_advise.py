"""Savings, model selection, right-sizing and evaluations, as a person and as a script see them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from cli.main import watchkeeper
from ops.window import floor_day
from tasks.settings import Settings
from tests.evaluated import evaluate
from tests.hand_made import event, load

NOW = datetime.now(UTC)
YESTERDAY = NOW - floor_day(NOW) + timedelta(hours=12)
LARGE, SMALL = "openai/gpt-4o", "openai/gpt-4o-mini"


@pytest.fixture(autouse=True)
def _place(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def cost(*words: str) -> Result:
    return CliRunner().invoke(watchkeeper, ["cost", *words], catch_exceptions=False)


def lines(result: Result) -> list[str]:
    assert result.exit_code == 0
    return [" ".join(line.split()) for line in result.stdout.splitlines()]


@pytest.fixture
def log(engine: sa.Engine) -> None:
    """Two calls of a dollar with the same input, one without a price, and evaluations of another model and context."""
    usual: dict[str, Any] = {"feature": "search", "model": "gpt-4o", "input_tokens": 400_000, "output_tokens": 0}
    calls = [event(YESTERDAY, now=NOW, prompt_hash="a", **usual) for _ in range(2)]
    load(engine, [*calls, event(YESTERDAY, now=NOW, **{**usual, "model": "nobody-knows"})], at=NOW)
    for model in (LARGE, SMALL):
        evaluate(engine, model, passed=450)
    evaluate(engine, LARGE, passed=450, variant="trimmed-100000")


def test_advice_shows_figures_assumptions_and_proposals(log: None) -> None:
    found = lines(cost("advise"))
    # 2 $: a hit; the other context cut to a quarter; 100,000 tokens at 0.15 $ a million: 0.015
    assert found[0] == "Savings: $1.98 (99.2%) of $2.00 in 30 days; 2 levers unknown"
    assert "Response cache -50% $1.00 50.0% $1.00 50.0%" in found
    assert "Context trimming -30% $1.50 75.0% $0.75 37.5%" in found
    assert "Cheaper model -70% $1.88 94.0% $0.24 11.8%" in found
    assert "Prefix cache unknown unknown" in found
    assert "Batch API: unknown: savings.can_wait names no route" in found
    assert f"proposed: model.search: from {LARGE} to {SMALL}" in found
    assert found[-1] == "1 calls have no price and are in no figure"
    assert any(line.startswith("Response cache: calls with the same input text") for line in found)


def test_advice_in_json_has_null_for_what_is_unknown(log: None) -> None:
    document = json.loads(cost("advise", "--days", "7", "--json").stdout)
    assert (document["cost_usd"], document["total_usd"], document["left_usd"]) == (2.0, 1.985, 0.015)
    levers = {each["lever"]: each for each in document["levers"]}
    assert (levers["response_cache"]["saved_usd"], levers["response_cache"]["rule_of_thumb"]) == (1.0, 0.5)
    assert (levers["batch_api"]["saved_usd"], levers["batch_api"]["saved_share"]) == (None, None)
    assert (levers["micro_batching"]["saved_usd"], document["limits"]) == (0.0, {"search": 100_000})
    assert document["proposals"] == [{"flag": "model.search", "from": LARGE, "to": SMALL}]
    assert document["realised"] == []


def test_advice_on_nothing_says_so() -> None:
    assert lines(cost("advise")) == ["Savings: $0.00 of $0.00 in 30 days; 4 levers unknown"]


def test_model_is_selected_with_its_reason(log: None) -> None:
    found = lines(cost("select-model"))
    assert any(line.startswith(f"search {SMALL} $0.12 94% 500 +0.0 points") for line in found)
    reason = "the cheapest of the models that are shown to be as good"
    assert found[-1] == f"search: model.search from {LARGE} to {SMALL}: {reason}"


def test_model_that_stays_is_told_with_its_reason(engine: sa.Engine) -> None:
    load(engine, [event(YESTERDAY, now=NOW, model="gpt-4o")], at=NOW)
    assert lines(cost("select-model"))[-1] == f"(unknown): {LARGE} stays: no evaluation pairs it with another model"
    [route] = json.loads(cost("select-model", "--json").stdout)["routes"]
    assert (route["change"], route["saved_usd"], route["candidates"]) == (None, None, [])


def test_limits_are_shown_with_what_they_rest_on(log: None, engine: sa.Engine) -> None:
    load(engine, [event(YESTERDAY, now=NOW, feature="search", input_tokens=None, operation="embedding")], at=NOW)
    found = lines(cost("right-size"))
    assert "search 3 input 400,000 400,000 400,000 400,000 400,000 100,000 75.0% $1.50" in found
    assert found[-1] == "search: input by evaluations: answers are as good with this much context"
    [route] = json.loads(cost("right-size", "--json").stdout)["routes"]
    assert (route["limits"]["max_input"], route["never_needed"], route["input_saved_usd"]) == (100_000, 0.75, 1.5)


def test_route_without_tokens_is_shown_without_limits(engine: sa.Engine) -> None:
    load(engine, [event(YESTERDAY, now=NOW, input_tokens=None, output_tokens=None)], at=NOW)
    assert lines(cost("right-size"))[1:] == ["(unknown) 1 input unknown", "(unknown) 1 output unknown"]


@pytest.mark.parametrize("name", ["select-model", "right-size"])
def test_no_calls_have_no_routes(name: str) -> None:
    assert lines(cost(name)) == ["no route was called in the last 30 full days"]


ROW = {"route": "search", "item_id": "a", "model": LARGE, "judge_version": "j1", "passed": True,
       "evaluated_at": "2026-03-01T12:00:00Z"}  # fmt: skip


def test_evaluations_are_imported_once_and_bad_rows_are_named() -> None:
    Path("pairs.jsonl").write_text(f"{json.dumps(ROW)}\n{json.dumps({**ROW, 'model': 'gpt-4o'})}\n")
    first = lines(cost("evaluations", "import", "pairs.jsonl"))
    assert first[0] == "2 rows: 1 new, 0 corrected, 0 unchanged, 1 rejected"
    assert first[1] == "line 2: model: 'gpt-4o' is not vendor/model, such as openai/gpt-4o-mini"
    document = json.loads(cost("evaluations", "import", "pairs.jsonl", "--json").stdout)
    assert (document["inserted"], document["unchanged"], document["rejected"]) == (0, 1, 1)


@pytest.mark.parametrize(
    ("name", "text"),
    [("pairs.jsonl", "nonsense\n"), ("pairs.jsonl", ""), ("pairs.csv", f"{','.join(ROW)}\n")],
    ids=["a bad row", "no row", "a header alone"],
)
def test_file_without_a_good_row_fails(name: str, text: str) -> None:
    Path(name).write_text(text)
    result = cost("evaluations", "import", name)
    assert result.exit_code == 1
    assert "0 new" in result.stdout
