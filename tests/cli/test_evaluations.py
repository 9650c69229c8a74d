"""Evaluation runs as a person, a script and the schedule see them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
import yaml
from click import unstyle
from click.testing import CliRunner, Result

from cli.main import watchkeeper
from ops.errors import Incomplete, NotFound, UnknownName
from tasks.load_settings import SettingsError
from tasks.settings import Settings
from tasks.stores import retention
from tests.api_server import ApiServer, Fault, api_server
from tests.model_api import ModelApi


@pytest.fixture
def server(
    settings: Settings, engine: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ApiServer]:
    """The endpoint of a set of three questions; the second answer is wrong."""
    api = ModelApi(answers={"one": "35 days", "two": "53 | days", "three": "35 days"})
    golden = [{"item_id": query, "query": query, "reference": "35 days"} for query in api.answers]
    (tmp_path / "golden.jsonl").write_text("".join(f"{json.dumps(item)}\n" for item in golden))
    monkeypatch.setenv("COLUMNS", "250")
    with api_server(api) as running:
        configure(tmp_path, monkeypatch, url=f"{running.url}/v1")
        yield running


def configure(
    folder: Path, monkeypatch: pytest.MonkeyPatch, url: str, judge: dict[str, Any] | None = None, **fields: Any
) -> None:
    endpoint = {"url": url, "model": "assistant", "usd_per_call": 0.02, "requests_per_minute": 100_000}
    one = {"name": "faq", "path": str(folder / "golden.jsonl"), "endpoint": endpoint, "scorers": ["exact"], **fields}
    evaluation = {"sets": [{**one, "concurrency": 1}], **({"judge": judge} if judge else {})}
    (folder / "settings.yaml").write_text(yaml.safe_dump({"evaluation": evaluation}))
    monkeypatch.setenv("WATCHKEEPER_CONFIG", str(folder / "settings.yaml"))


def evaluations(*words: str) -> Result:
    return CliRunner().invoke(watchkeeper, ["evaluations", *words], catch_exceptions=False)


def lines(result: Result) -> list[str]:
    return [" ".join(line.split()) for line in result.stdout.splitlines()]


def test_run_is_told_with_scores_failures_and_cost(server: ApiServer) -> None:
    server.faults.append(Fault(status=429))
    ran = evaluations("run", "faq")
    assert ran.exit_code == 0
    # two were answered, one of them right; two calls of 0.02 $
    told = "done, 3 items; answer: 1 rate limited answer_exact 0.500 (n = 2) $0.04 of $1.00, $0.04 of it assumed"
    assert lines(ran)[1].endswith(told)
    assert lines(evaluations("show"))[1].endswith(told)


def test_show_of_a_run_begins_with_what_failed_and_tells_no_texts(server: ApiServer) -> None:
    server.faults.append(Fault(status=429))
    evaluations("run")
    assert lines(evaluations("show", "faq"))[4:] == [
        "one query redacted, 3 characters",
        "reference redacted, 7 characters",
        "answer rate limited, $0.00",
        "429",
        "two query redacted, 3 characters",
        "reference redacted, 7 characters",
        "answer ok, answer_exact 0.000, $0.02 (assumed)",
        "redacted, 9 characters",
        "three query redacted, 5 characters",
        "reference redacted, 7 characters",
        "answer ok, answer_exact 1.000, $0.02 (assumed)",
        "redacted, 7 characters",
    ]


def test_items_are_shown_with_their_texts_in_part_or_whole(server: ApiServer, tmp_path: Path) -> None:
    query = "Who? " * 50
    golden = {"item_id": "long", "query": query, "reference": "35 days", "tags": {"language": "de"}}
    (tmp_path / "golden.jsonl").write_text(json.dumps(golden))
    evaluations("run")
    assert lines(evaluations("show", "faq", "long", "--texts"))[4:] == [
        f"long query {query[:200]}… (250 characters)",
        "reference 35 days",
        "tags language=de",
        "answer ok, answer_exact 0.000, $0.02 (assumed)",
        "I do not know.",
    ]
    assert lines(evaluations("show", "faq", "--full"))[4] == f"long query {query.strip()}"
    with pytest.raises(NotFound, match="item 'short' not found: was nothing asked of it"):
        evaluations("show", "faq", "short")


def test_judge_is_shown_with_its_reason_and_what_is_not_believed(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = {"url": f"{server.url}/v1", "model": "judge", "usd_per_call": 0.01, "requests_per_minute": 100_000}
    configure(tmp_path, monkeypatch, f"{server.url}/v1", judge, scorers=["judge"])
    (tmp_path / "golden.jsonl").write_text('{"item_id": "one", "query": "one", "expected": ["d1"]}')
    verdict = {"factuality": 1, "relevance": 5, "reason": "It names another month."}
    faults = ({"content": "35 days"}, -1), ({"content": json.dumps(verdict)}, 5)
    for message, tokens in faults:
        answer = {"choices": [{"message": message}], "usage": {"prompt_tokens": tokens}}
        server.faults.append(Fault(content=json.dumps(answer).encode()))
    evaluations("run", "faq")
    claimed = "usage that is not believed: "
    assert lines(evaluations("show", "faq", "--texts"))[4:] == [
        "one query one",
        "expected d1=1",
        "answer ok, $0.02 (assumed)",
        "35 days",
        claimed + '{"prompt_tokens": -1}',
        "judge ok, judge_factuality 0.000, judge_relevance 1.000, $0.01 (assumed)",
        json.dumps(verdict),
        claimed + '{"prompt_tokens": 5}',
    ]
    told = lines(evaluations("show", "faq"))[1]
    assert told.endswith("$0.03 of $1.00, $0.03 of it assumed; usage of 2 calls is not believed")


def test_what_quotes_a_text_is_shown_with_the_texts_only(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = {"url": f"{server.url}/v1", "model": "judge", "usd_per_call": 0.01, "requests_per_minute": 100_000}
    configure(tmp_path, monkeypatch, f"{server.url}/v1", judge, scorers=["judge"])
    refused = Fault(status=400, content=b"cannot answer SECRET")
    answered, judged = (
        Fault(content=json.dumps({"choices": [{"message": {"content": text}}], "usage": usage}).encode())
        for text, usage in (("35 days", "SECRET"), ("no verdict on SECRET", None))
    )
    server.faults += [refused, answered, judged, refused]
    evaluations("run", "faq")
    for words in ([], ["one"], ["two"]):
        for form in ([], ["--json"]):
            assert "SECRET" not in evaluations("show", "faq", *words, *form).stdout
            assert "SECRET" in evaluations("show", "faq", *words, *form, "--texts").stdout
    assert "usage that is not believed: redacted, 8 characters" in lines(evaluations("show", "faq", "two"))
    (told,) = json.loads(evaluations("show", "faq", "one", "--json").stdout)["calls"]
    assert (told["outcome"], told["status"]) == ("refused", "400")


def test_texts_that_are_no_longer_kept_are_told(server: ApiServer, engine: sa.Engine) -> None:
    evaluations("run")
    retention.forget_evaluated(engine, "default", datetime.now(UTC))
    assert lines(evaluations("show", "faq", "one", "--full"))[4:] == [
        "one query not kept",
        "answer ok, answer_exact 1.000, $0.02 (assumed)",
        "not kept",
    ]


def test_tables_break_no_name_of_a_metric_on_a_narrow_terminal(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    server.faults.append(Fault(status=429))
    evaluations("run")
    shown = unstyle(evaluations("show", "faq", "--texts").stdout)
    assert max(map(len, shown.splitlines())) <= 80
    for told in ("done, 3 items", "rate limited", "answer_exact", "53 | days"):
        assert told in shown


def test_json_has_runs_and_calls(server: ApiServer) -> None:
    (ran,) = json.loads(evaluations("run", "--json").stdout)
    assert (ran["state"], ran["spent_usd"], ran["not_asked"]) == ("done", 0.06, 0)
    assert ran["results"]["answer_exact"] == {"n": 3, "mean": pytest.approx(2 / 3)}
    assert json.loads(evaluations("show", "--json").stdout) == [ran]
    shown = json.loads(evaluations("show", ran["run_id"], "--json").stdout)
    assert {call["item_id"]: call["scores"]["answer_exact"] for call in shown["calls"]} == {
        "one": 1.0, "two": 0.0, "three": 1.0
    }  # fmt: skip
    assert not {"answer", "item"} & set(shown["calls"][0])
    (told,) = json.loads(evaluations("show", "faq", "two", "--texts", "--json").stdout)["calls"]
    assert (told["answer"], told["item"]["query"]) == ("53 | days", "two")


def test_run_that_scored_nothing_fails(server: ApiServer) -> None:
    server.faults += [Fault(status=500)] * 3
    ran = evaluations("run")
    assert ran.exit_code == 1
    assert "done, 3 items; answer: 3 server error unknown: nothing was scored $0.06" in lines(ran)[1]


def test_golden_set_that_is_wrong_is_told_line_by_line(server: ApiServer, tmp_path: Path) -> None:
    (tmp_path / "golden.jsonl").write_text('{"query": "one"}\n{"question": "two"}\n')
    with pytest.raises(Incomplete, match="line 2, field: 'question' is not one of item_id, query"):
        evaluations("run")


def test_set_or_run_that_is_not_there_is_named(server: ApiServer) -> None:
    with pytest.raises(UnknownName, match="evaluation set: 'fqa' is not one of faq"):
        evaluations("run", "fqa")
    with pytest.raises(NotFound, match="evaluation run 'fqa' not found"):
        evaluations("show", "fqa")


def test_nothing_configured_and_nothing_run_is_said(settings: Settings) -> None:
    ran, shown = evaluations("run"), evaluations("show")
    assert (ran.exit_code, ran.stdout) == (0, "no evaluation is configured\n")
    assert (shown.exit_code, shown.stdout) == (0, "no evaluation was run yet\n")
    assert json.loads(evaluations("run", "--json").stdout) == []


def test_flow_shows_every_run_and_fails_with_what_could_not_be_run(
    server: ApiServer, prefect_api: str, tmp_path: Path
) -> None:
    from flows.run_evaluations import check, run_evaluations

    state = run_evaluations(return_state=True)
    assert (state.name, state.message) == ("Completed", "1 sets run: 3 scores, 0 failed calls, $0.06")
    query = {"artifacts": {"key": {"any_": ["evaluations"]}}, "sort": "CREATED_DESC", "limit": 1}
    page = httpx.post(f"{prefect_api}/artifacts/filter", json=query).raise_for_status().json()[0]["data"]
    assert r"| done, 3 items | answer\_exact 0.667 (n = 3) | $0.06 of $1.00, $0.06 of it assumed |" in page

    (tmp_path / "golden.jsonl").write_text("{}\n")
    failed = run_evaluations(return_state=True)
    assert failed.is_failed()
    assert "evaluation: 1 of 1 failed: golden set faq" in failed.message
    with pytest.raises(UnknownName, match="'fqa' is not one of faq"):
        check(Settings(), ["fqa"])
    (tmp_path / "settings.yaml").write_text("{}")
    assert run_evaluations(return_state=True).name == "Skipped"


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a judge that is not configured": ({"scorers": ["judge"]}, "the scorer judge needs evaluation.judge"),
    "vectors that are not configured": ({"scorers": ["embedding"]}, "embedding needs evaluation.embeddings"),
    "answers without a scorer": ({"scorers": []}, "a set that is asked for answers needs its scorers"),
    "the name of the probes": ({"name": "judge-probes"}, "judge-probes is the name of the judge's own set"),
}


@pytest.mark.parametrize(("fields", "reason"), WRONG.values(), ids=WRONG)
def test_wrong_setting_is_told(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], reason: str
) -> None:
    configure(tmp_path, monkeypatch, "http://model/v1", **fields)
    with pytest.raises(SettingsError, match=reason):
        evaluations("run")


def test_judge_without_a_model_and_sets_of_one_name_are_told(settings: Settings) -> None:
    from tasks.settings import Evaluation, Judge

    with pytest.raises(ValueError, match="a judge needs its model and at least one criterion"):
        Judge.model_validate({"url": "http://model/v1"})
    endpoint = {"kind": "retrieval", "url": "http://find"}
    one = {"name": "faq", "path": "golden.jsonl", "endpoint": endpoint}
    with pytest.raises(ValueError, match="each set needs a name of its own"):
        Evaluation.model_validate({"sets": [one, one]})
