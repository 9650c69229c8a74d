from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from tasks.settings import Settings
from tasks.show_evaluations import not_asked
from tasks.stores.tables import evaluation_calls, evaluation_runs, scores
from tests.api_server import ApiServer, api_server
from tests.hand_made import rows_of
from tests.model_api import ModelApi
from tests.waiting import comes_true

ITEMS = 20
CALL = Decimal("0.02")


@dataclass
class Gate:
    """Holds back answers from the n-th question on, until it is opened."""

    after: int
    asked: int = 0
    reached: Event = field(default_factory=Event)
    opened: Event = field(default_factory=Event)

    def __call__(self, _question: str) -> None:
        """Wait at the gate."""
        self.asked += 1
        if self.asked > self.after:
            self.reached.set()
            self.opened.wait(60)


@pytest.fixture
def api() -> ModelApi:
    return ModelApi(answers={f"question {number}": "35 days" for number in range(ITEMS)})


@pytest.fixture
def server(api: ModelApi, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    """The endpoint of a configured set of ITEMS questions, asked two at a time."""
    golden = [{"item_id": f"q{number:02}", "query": f"question {number}", "reference": "35 days"}
              for number in range(ITEMS)]  # fmt: skip
    (tmp_path / "golden.jsonl").write_text("".join(f"{json.dumps(item)}\n" for item in golden))
    with api_server(api) as running:
        endpoint = {
            "url": f"{running.url}/v1",
            "model": "assistant",
            "usd_per_call": float(CALL),
            "requests_per_minute": 100_000,
        }
        one = {"name": "faq", "path": str(tmp_path / "golden.jsonl"), "endpoint": endpoint, "scorers": ["contains"],
               "concurrency": 2}  # fmt: skip
        (tmp_path / "settings.yaml").write_text(yaml.safe_dump({"evaluation": {"sets": [one]}}))
        monkeypatch.setenv("WATCHKEEPER_CONFIG", str(tmp_path / "settings.yaml"))
        yield running


@dataclass
class Runs:
    """Runs of the set, each in a process of its own."""

    process: subprocess.Popen[str]

    def start(self) -> int:
        """Start one, and return its process id."""
        assert self.process.stdin is not None
        self.process.stdin.write("run\n")
        self.process.stdin.flush()
        return int(self._line())

    def ended(self) -> None:
        """Return once it is gone."""
        assert self._line() == "gone\n"

    def kill(self, run: int) -> None:
        """Kill it."""
        os.kill(run, signal.SIGKILL)
        self.ended()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


@pytest.fixture
def runs(server: ApiServer, uncounted_processes: None) -> Iterator[Runs]:
    command = [sys.executable, "-m", "tests.killable_evaluation"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root, text=True) as process:
        yield Runs(process)
        assert process.stdin is not None
        process.stdin.close()


def kill_while_answers_are_waited_for(runs: Runs, api: ModelApi, after: int) -> None:
    gate = Gate(after)
    api.before = gate
    run = runs.start()
    assert gate.reached.wait(60)
    runs.kill(run)
    api.before = lambda _: None
    gate.opened.set()


def waiting(test: str) -> str:
    """Write a query that counts connections which wait for a table; threads of a run also wait for one another."""
    count = "SELECT count(*) FILTER (WHERE wait_event_type = 'Lock' AND wait_event = 'relation') "
    return f"{count} {test} FROM pg_stat_activity WHERE datname = current_database()"


def kill_while_waiting_for(table: str, runs: Runs, engine: sa.Engine, url: str) -> None:
    """Kill a run inside a transaction, for certain: it waits for a lock that we hold."""
    with engine.connect() as holder:
        holder.execute(sa.text(f"LOCK TABLE watchkeeper.{table} IN EXCLUSIVE MODE"))
        run = runs.start()
        assert comes_true(url, waiting("> 0"))
        runs.kill(run)
    assert comes_true(url, waiting("= 0"))  # of the dead, too


def counted(engine: sa.Engine) -> dict[str | None, int]:
    found: dict[str | None, int] = {}
    for call in rows_of(engine, evaluation_calls):
        found[call.outcome] = found.get(call.outcome, 0) + 1
    return found


def test_run_killed_anywhere_scores_each_item_once_and_spends_no_dollar_twice(
    runs: Runs, api: ModelApi, engine: sa.Engine, database_url: str
) -> None:
    # Killed half-way, with calls on their way.
    kill_while_answers_are_waited_for(runs, api, after=ITEMS // 2)
    first = counted(engine)
    assert first.pop(None) in (1, 2)  # of two at a time
    assert ITEMS // 2 - 1 <= first.pop("ok") <= ITEMS // 2
    assert first == {}
    # Killed before a call is made: its reservation is rolled back.
    asked = api.questions.total()
    kill_while_waiting_for("evaluation_runs", runs, engine, database_url)
    assert api.questions.total() == asked
    # Killed after an answer came, before it is kept.
    kill_while_waiting_for("scores", runs, engine, database_url)
    assert asked < api.questions.total() <= asked + 2

    runs.start()
    runs.ended()
    (row,) = rows_of(engine, evaluation_runs)  # one run, whatever happened to it
    counts = row.outcomes["answer"]
    assert (row.state, row.items, not_asked(row)) == ("done", ITEMS, 0)
    assert max(api.questions.values()) == 1  # no question was asked twice
    assert counts["ok"] <= len(api.questions) <= ITEMS
    assert counts["ok"] + counts["interrupted"] == ITEMS
    assert 2 <= counts["interrupted"] <= 4  # one or two of each of the two kills during calls
    assert row.results["answer_contains"] == {"n": counts["ok"], "mean": 1.0}
    kept: list[Any] = rows_of(engine, scores)
    assert len(kept) == len({score.score_id for score in kept}) == counts["ok"]
    # What the killed calls cost is taken to be what was reserved for them: each call once.
    assert row.spent_usd == ITEMS * CALL == sum(call.cost_usd for call in rows_of(engine, evaluation_calls))
    assert row.assumed_usd == ITEMS * CALL
