from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa

from ops.errors import Incomplete, InvalidValue, NotFound, Unavailable, UnknownName
from ops.monitoring.evaluation_calls import Outcome
from tasks.maintain_storage import abandon_evaluations, delete_expired
from tasks.plan_evaluations import plans
from tasks.resources import open_http
from tasks.run_evaluations import run_all, run_set
from tasks.settings import Evaluation, Settings, Storage
from tasks.show_evaluations import failures, not_asked, report_markdown, run_row
from tasks.stores import evaluation_runs as store
from tasks.stores.tables import evaluation_calls, evaluation_runs, scores
from tests.api_server import ApiServer, Fault, api_server
from tests.hand_made import rows_of
from tests.model_api import ModelApi

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CALL = Decimal("0.02")  # the most that a call of the application costs
JUDGED = 100 * Decimal("0.15e-6") + 10 * Decimal("0.6e-6")  # gpt-4o-mini: what the server says it took
EMBEDDED = 8 * Decimal("0.02e-6")
EMPTY = b'{"choices": [{"message": {"content": ""}}]}'
Run = Callable[..., Any]


@pytest.fixture
def api() -> ModelApi:
    return ModelApi()


@pytest.fixture
def server(api: ModelApi) -> Iterator[ApiServer]:
    with api_server(api) as running:
        yield running


def write(folder: Path, *items: dict[str, Any]) -> str:
    file = folder / "golden.jsonl"
    file.write_text("".join(f"{json.dumps(item)}\n" for item in items))
    return str(file)


def questions(count: int) -> list[dict[str, Any]]:
    return [{"item_id": f"q{number:02}", "query": f"question {number}", "reference": "35 days"}
            for number in range(count)]  # fmt: skip


@pytest.fixture
def configure(server: ApiServer, tmp_path: Path) -> Callable[..., Evaluation]:
    """Make the settings of one set of these items."""

    def configured(*items: dict[str, Any], endpoint: dict[str, Any] | None = None, **fields: Any) -> Evaluation:
        fast = {"url": f"{server.url}/v1", "requests_per_minute": 100_000}
        asked = {**fast, "usd_per_call": CALL, "model": "assistant-v2", **(endpoint or {})}
        shared = {name: {**fast, **fields.pop(name)} for name in ("judge", "embeddings") if name in fields}
        one = {"name": "faq", "path": write(tmp_path, *items), "endpoint": asked, "concurrency": 2, **fields}
        if asked.get("kind") != "retrieval":
            one.setdefault("scorers", ["contains"])
        return Evaluation.model_validate({"sets": [one], **shared})

    return configured


@pytest.fixture
def run(engine: sa.Engine, settings: Settings) -> Run:
    """Run a set and return its row."""

    def ran(evaluation: Evaluation, name: str = "faq", now: datetime = NOW) -> Any:
        (plan,) = plans(evaluation, [name])
        with open_http() as http:
            return run_set(engine, http, settings, plan, lambda: now)

    return ran


def spent(engine: sa.Engine) -> Decimal:
    return sum((call.cost_usd for call in rows_of(engine, evaluation_calls)), Decimal(0))


def outcomes(engine: sa.Engine) -> dict[str, str | None]:
    return {call.item_id: call.outcome for call in rows_of(engine, evaluation_calls)}


def test_answers_are_scored_and_say_what_of(run: Run, configure: Any, api: ModelApi, engine: sa.Engine) -> None:
    items = questions(4)
    items[0]["tags"] = {"language": "de"}
    del items[3]["reference"]
    api.answers = {"question 0": "It is 35 days.", "question 1": "It is 36."}
    row = run(configure(*items, scorers=["exact", "contains"], feature="help", release="r9", prompt_version="14"))
    assert (row.state, row.items, row.finished_at) == ("done", 4, NOW)
    # three have a reference: one answer holds it, none is it
    assert row.results == {"answer_contains": {"n": 3, "mean": 1 / 3}, "answer_exact": {"n": 3, "mean": 0}}
    assert row.outcomes == {"answer": {"ok": 4}}
    assert api.questions == {f"question {number}": 1 for number in range(4)}
    first = next(score for score in rows_of(engine, scores) if score.score_id.endswith(":q00:answer_contains"))
    assert first.score_id == f"evaluation:{row.run_id}:q00:answer_contains"
    assert (first.metric, first.value, first.source, first.occurred_at) == ("answer_contains", 1.0, "evaluation", NOW)
    assert (first.model, first.feature, first.release, first.prompt_version) == ("assistant-v2", "help", "r9", "14")
    assert (first.tags, first.judge_version, first.event_id) == ({"language": "de"}, None, None)


def test_pattern_without_end_has_no_mark_and_holds_up_nobody(
    run: Run, configure: Any, api: ModelApi, engine: sa.Engine
) -> None:
    patterns = ["35", "36", "(a+)+$"]
    items = [{**question, "pattern": pattern} for question, pattern in zip(questions(3), patterns, strict=True)]
    api.answers = {"question 0": "35", "question 1": "35", "question 2": "a" * 60 + "!"}
    row = run(configure(*items, scorers=["regex"]))
    assert (row.state, row.outcomes) == ("done", {"answer": {"ok": 3}})
    assert row.results == {"answer_regex": {"n": 2, "mean": 1 / 2}}
    told = {call.item_id: call.detail for call in rows_of(engine, evaluation_calls)}
    limit = "pattern: '(a+)+$' is not one that is found, or not, within 2 s"
    assert told == {"q00": None, "q01": None, "q02": limit}


def test_application_without_known_prices_costs_what_was_reserved_and_says_so(run: Run, configure: Any) -> None:
    row = run(configure(*questions(3)))
    assert (row.spent_usd, row.assumed_usd) == (3 * CALL, 3 * CALL)


def test_application_that_is_free_costs_nothing(run: Run, configure: Any) -> None:
    row = run(configure(*questions(3), endpoint={"usd_per_call": 0}))
    assert (row.spent_usd, row.assumed_usd) == (0, 0)


def test_system_prompt_stands_before_the_question(run: Run, configure: Any, server: ApiServer) -> None:
    run(configure(*questions(1), endpoint={"system": "Be brief."}))
    assert server.asked[0].json()["messages"] == [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "question 0"}
    ]  # fmt: skip


def test_documents_are_scored_by_rank_and_cut(run: Run, configure: Any, api: ModelApi, engine: sa.Engine) -> None:
    items = [{"item_id": "a", "query": "A", "expected": {"d1": 1}}, {"item_id": "b", "query": "B", "expected": ["d1"]},
             {"item_id": "c", "query": "C", "expected": ["d1"]}, {"item_id": "d", "query": "D"}]  # fmt: skip
    api.documents = {"A": ["d1"], "B": ["d7", "d8", "d1"], "C": [], "D": ["d1"]}
    row = run(configure(*items, endpoint={"kind": "retrieval", "usd_per_call": 0}, k=2))
    # A has it first, B below the cut, C found nothing; D is not judged: unknown, not 0
    means = {metric: (told["n"], told["mean"]) for metric, told in row.results.items()}
    assert means == {"retrieval_mrr": (3, pytest.approx(1 / 3)), "retrieval_ndcg": (3, pytest.approx(1 / 3))}
    versions = {(score.metric, score.judge_version) for score in rows_of(engine, scores)}
    assert versions == {("retrieval_mrr", "rr@2"), ("retrieval_ndcg", "ndcg@2")}
    answers = {call.item_id: call.answer for call in rows_of(engine, evaluation_calls)}
    assert (answers["b"], answers["c"]) == ('["d7", "d8", "d1"]', "[]")


def test_answer_is_compared_with_its_reference_by_their_vectors(
    run: Run, configure: Any, api: ModelApi, engine: sa.Engine
) -> None:
    api.answers = {"question 0": "five weeks"}
    api.vectors = {"five weeks": [1.0, 1.0], "35 days": [1.0, 0.0]}
    evaluation = configure(*questions(1), {"query": "no reference"}, scorers=["embedding"],
                           embeddings={"model": "text-embedding-3-small"})  # fmt: skip
    row = run(evaluation)
    assert row.results == {"answer_similarity": {"n": 1, "mean": pytest.approx(2**-0.5)}}
    assert row.outcomes == {"answer": {"ok": 2}, "embedding": {"ok": 1}}
    assert row.spent_usd == 2 * CALL + EMBEDDED
    assert [score.judge_version for score in rows_of(engine, scores)] == ["text-embedding-3-small"]


JUDGE = {"model": "gpt-4o-mini", "parameters": {"max_tokens": 100}}


def test_judge_marks_answers_and_its_cost_is_accounted(
    run: Run, configure: Any, api: ModelApi, engine: sa.Engine
) -> None:
    row = run(configure(*questions(2), scorers=["judge"], judge=JUDGE))
    # the rubric's 5 is 1, its 3 (3 - 1) / (5 - 1)
    assert row.results == {"judge_factuality": {"n": 2, "mean": 1}, "judge_relevance": {"n": 2, "mean": 0.5}}
    assert (row.spent_usd, row.assumed_usd) == (2 * CALL + 2 * JUDGED, 2 * CALL)
    assert row.judge_version.startswith("gpt-4o-mini:")
    assert {score.judge_version for score in rows_of(engine, scores)} == {row.judge_version}


def test_judge_that_says_no_verdict_is_counted_and_paid(
    run: Run, configure: Any, api: ModelApi, engine: sa.Engine
) -> None:
    api.verdict = lambda _: "Looks good to me."
    row = run(configure(*questions(1), scorers=["judge"], judge=JUDGE))
    assert (row.outcomes["judge"], row.results) == ({"garbage": 1}, {})
    assert row.spent_usd == CALL + JUDGED
    assert rows_of(engine, scores) == []


def test_probes_are_judged_as_they_are(
    run: Run, configure: Any, api: ModelApi, engine: sa.Engine, tmp_path: Path
) -> None:
    probes = tmp_path / "probes.jsonl"
    probes.write_text('{"item_id": "p", "query": "How long?", "reference": "35 days", "answer": "53 days"}\n')
    api.verdict = lambda shown: '{"factuality": 1, "relevance": 5}' if shown["answer"] == "53 days" else "none"
    row = run(configure(*questions(1), judge={**JUDGE, "probes": str(probes)}), "judge-probes")
    assert (row.outcomes, row.model, api.questions) == ({"judge": {"ok": 1}}, None, {})
    means = {"probe:judge_factuality": {"n": 1, "mean": 0}, "probe:judge_relevance": {"n": 1, "mean": 1}}
    assert row.results == means
    found = [(score.metric, score.value, score.source, score.judge_version) for score in rows_of(engine, scores)]
    assert found == [
        ("probe:judge_factuality", 0.0, "probe", row.judge_version),
        ("probe:judge_relevance", 1.0, "probe", row.judge_version),
    ]
    assert not_asked(row) == 0


def test_probes_that_we_bring_are_judged_by_default(run: Run, configure: Any) -> None:
    assert run(configure(*questions(1), judge=JUDGE), "judge-probes").results["probe:judge_factuality"]["n"] == 12


def test_failures_are_counted_by_their_kind_and_are_never_quality(
    run: Run, configure: Any, server: ApiServer, api: ModelApi, engine: sa.Engine
) -> None:
    api.answers = {f"question {number}": "35 days" for number in range(9)}
    server.faults += [Fault(status=429), Fault(status=500), Fault(seconds=3), Fault(content=b"<html>"),
                      Fault(cut=True), Fault(status=401), Fault(content=EMPTY)]  # fmt: skip
    row = run(configure(*questions(9), concurrency=1, endpoint={"timeout_s": 1}))
    bad = ("rate limited", "server error", "timeout", "garbage", "broken off", "refused", "empty")
    kinds = {**dict.fromkeys(bad, 1), "ok": 2}
    assert row.outcomes == {"answer": kinds}
    assert row.results == {"answer_contains": {"n": 2, "mean": 1.0}}  # two were answered, and both are right
    assert len(rows_of(engine, scores)) == 2
    assert len(server.asked) == 9  # none was tried again
    # 429 and 401 cost nothing; what may have been charged is: the five others, and 2 ok
    assert row.spent_usd == spent(engine) == (9 - 2) * CALL
    assert failures(row) == [f"answer: 1 {kind}" for kind in sorted(bad)]


def test_run_of_a_service_that_is_not_there_scores_nothing_and_costs_nothing(run: Run, configure: Any) -> None:
    row = run(configure(*questions(2), endpoint={"url": "http://127.0.0.1:9/v1"}))
    assert (row.outcomes, row.results, row.spent_usd) == ({"answer": {"unreachable": 2}}, {}, 0)


def test_budget_is_reserved_before_the_call_and_never_exceeded(
    run: Run, configure: Any, server: ApiServer, engine: sa.Engine
) -> None:
    row = run(configure(*questions(10), budget_usd=CALL * Decimal("3.5"), concurrency=4))
    assert (row.state, len(server.asked), row.spent_usd) == ("out of budget", 3, 3 * CALL)
    assert (not_asked(row), failures(row)) == (7, ["7 not asked"])
    assert spent(engine) == row.spent_usd


def test_what_a_call_did_not_cost_is_there_for_others(run: Run, configure: Any, server: ApiServer) -> None:
    """10 answers reserve 600 output tokens each and take 10: one fits at a time, the others wait for it."""
    endpoint = {"usd_per_call": None, "model": "gpt-4o-mini", "parameters": {"max_tokens": 600}}
    reserved = 600 * Decimal("0.6e-6")
    row = run(configure(*questions(10), endpoint=endpoint, budget_usd=reserved + 10 * JUDGED, concurrency=4))
    assert (row.state, len(server.asked), row.spent_usd, row.assumed_usd) == ("done", 10, 10 * JUDGED, 0)


def test_no_more_questions_are_asked_at_once_than_may_be(run: Run, configure: Any, api: ModelApi) -> None:
    under_way: list[str] = []
    most: list[int] = []
    three = Barrier(3)  # each waits until there are three

    def count(question: str) -> None:
        under_way.append(question)
        most.append(len(under_way))
        three.wait(30)
        under_way.remove(question)

    api.before = count
    row = run(configure(*questions(9), concurrency=3, endpoint={"timeout_s": 60}))
    assert (row.outcomes, max(most)) == ({"answer": {"ok": 9}}, 3)


BY_TOKENS = {"usd_per_call": None, "model": "gpt-4o-mini", "parameters": {"max_tokens": 600}}
# a token for each byte of "question 0", 16 round it and round the system's text, and the longest answer
RESERVED = (10 + 2 * 16) * Decimal("0.15e-6") + 600 * Decimal("0.6e-6")
CLAIMS: dict[str, tuple[dict[str, Any], Any, Decimal, str]] = {
    "more tokens than there are": (
        BY_TOKENS, {"prompt_tokens": 2**31, "completion_tokens": 1}, RESERVED,
        '{"prompt_tokens": 2147483648, "completion_tokens": 1}',
    ),
    "words": (BY_TOKENS, "billions", RESERVED, '"billions"'),
    # 9,000,000 * 0.15e-6 + 1,000,000 * 0.6e-6 = 1.95
    "more than the run may cost": (
        BY_TOKENS, {"prompt_tokens": 9_000_000, "completion_tokens": 1_000_000}, RESERVED,
        "$1.95 for 9,000,000 and 1,000,000 tokens",
    ),
    # 200,000 * 0.15e-6 = 0.03
    "more than a call may cost": (
        {"model": "gpt-4o-mini"}, {"prompt_tokens": 200_000, "completion_tokens": 1}, CALL,
        "$0.03 for 200,000 and 1 tokens",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("endpoint", "usage", "cost", "claim"), CLAIMS.values(), ids=CLAIMS)
def test_usage_that_cannot_be_costs_what_was_reserved_and_is_told(
    run: Run, configure: Any, api: ModelApi, engine: sa.Engine, endpoint: Any, usage: Any, cost: Decimal, claim: str
) -> None:
    api.usage = usage
    row = run(configure(*questions(3), endpoint=endpoint))
    assert (row.state, row.claims) == ("done", 3)
    assert row.spent_usd == row.assumed_usd == 3 * cost
    assert {call.claim for call in rows_of(engine, evaluation_calls)} == {claim}
    assert run_row(row)[-1].endswith("of it assumed; usage of 3 calls is not believed")


def test_usage_of_a_judge_that_cannot_be_costs_what_was_reserved(
    run: Run, configure: Any, api: ModelApi, engine: sa.Engine
) -> None:
    api.usage = {"prompt_tokens": -1, "completion_tokens": 10}
    row = run(configure(*questions(1), endpoint={"usd_per_call": 0}, scorers=["judge"], judge=JUDGE))
    (judged,) = (call for call in rows_of(engine, evaluation_calls) if call.step == "judge")
    assert (judged.outcome, judged.claim) == ("ok", '{"prompt_tokens": -1, "completion_tokens": 10}')
    assert row.spent_usd == row.assumed_usd == judged.reserved_usd > 0
    assert row.claims == 2  # the free application told it too


def test_dear_call_overdraws_a_budget_by_itself_and_ends_the_run(
    run: Run, configure: Any, api: ModelApi, server: ApiServer
) -> None:
    api.usage = {"prompt_tokens": 100_000, "completion_tokens": 10}  # far more than the question: it may be so
    dear = 100_000 * Decimal("0.15e-6") + 10 * Decimal("0.6e-6")
    row = run(configure(*questions(9), endpoint=BY_TOKENS, budget_usd=dear + RESERVED, concurrency=1))
    assert (row.state, len(server.asked), row.spent_usd, row.claims) == ("out of budget", 2, 2 * dear, 0)


def test_run_that_was_done_is_not_done_again_at_the_same_time(run: Run, configure: Any, server: ApiServer) -> None:
    evaluation = configure(*questions(2))
    first = run(evaluation)
    assert run(evaluation) == first
    assert len(server.asked) == 2
    assert run(evaluation, now=NOW + timedelta(seconds=1)).run_id != first.run_id
    assert len(server.asked) == 4


def stopped(evaluation: Evaluation, run: Run, at: str) -> None:
    """Stop a run with Ctrl-C when a question was asked, before its answer is kept."""
    real = store.settle
    with pytest.MonkeyPatch.context() as patch:

        def settle(connection: Any, one: Any, item_id: str, step: Any, settled: Any) -> None:
            if f"question {int(item_id[1:])}" == at:
                raise KeyboardInterrupt
            real(connection, one, item_id, step, settled)

        patch.setattr(store, "settle", settle)
        with pytest.raises(KeyboardInterrupt):
            run(evaluation)


def test_run_that_was_stopped_goes_on_and_asks_nothing_twice(
    run: Run, configure: Any, api: ModelApi, engine: sa.Engine
) -> None:
    evaluation = configure(*questions(5), concurrency=1)
    stopped(evaluation, run, "question 2")
    (begun,) = rows_of(engine, evaluation_runs)
    assert (begun.state, begun.spent_usd, not_asked(begun)) == ("running", 3 * CALL, None)
    assert standing(engine, NOW + timedelta(hours=1)) == (
        "interrupted", "interrupted, 2 of 5 items, resumes at the next run", "", "$0.06 of $1.00"
    )  # fmt: skip
    later = run(evaluation, now=NOW + timedelta(hours=1))
    assert (later.run_id, later.started_at, later.state) == (
        f"faq:{NOW.isoformat(timespec='milliseconds')}",
        NOW,
        "done",
    )
    assert later.outcomes == {"answer": {"interrupted": 1, "ok": 4}}
    assert (later.spent_usd, later.assumed_usd) == (5 * CALL, 5 * CALL)
    assert set(api.questions.values()) == {1}
    assert outcomes(engine)["q02"] == Outcome.INTERRUPTED
    assert {score.occurred_at for score in rows_of(engine, scores)} == {NOW}


def standing(engine: sa.Engine, now: datetime) -> tuple[str, ...]:
    with engine.connect() as connection:
        row = store.one_run(connection, "default", "faq", now)
    return row.state, *run_row(row)[1:]


def test_only_a_run_whose_set_is_held_is_running(run: Run, configure: Any, engine: sa.Engine) -> None:
    stopped(configure(*questions(5), concurrency=1), run, "question 2")
    with store.held(engine, "default", "fqa"), store.held(engine, "other", "faq"):
        assert standing(engine, NOW)[0] == "interrupted"
    with store.held(engine, "default", "faq"):
        assert standing(engine, NOW + timedelta(days=2))[:2] == ("running", "running, 2 of 5 items")
    assert standing(engine, NOW + timedelta(days=1))[:2] == ("abandoned", "abandoned, 2 of 5 items")


def test_run_that_nobody_goes_on_with_is_closed(
    run: Run, configure: Any, engine: sa.Engine, settings: Settings
) -> None:
    stopped(configure(*questions(5), concurrency=1), run, "question 2")
    assert abandon_evaluations.fn(engine, settings, NOW + timedelta(hours=23)) == 0
    with store.held(engine, "default", "faq"):
        assert abandon_evaluations.fn(engine, settings, NOW + timedelta(days=1)) == 0
    assert abandon_evaluations.fn(engine, settings, NOW + timedelta(days=1)) == 1
    (row,) = rows_of(engine, evaluation_runs)
    assert (row.state, row.finished_at) == ("abandoned", NOW + timedelta(days=1))
    assert row.outcomes == {"answer": {"interrupted": 1, "ok": 2}}
    assert standing(engine, NOW)[1] == "abandoned, 5 items; answer: 1 interrupted; 2 not asked"
    assert abandon_evaluations.fn(engine, settings, NOW + timedelta(days=2)) == 0


def test_texts_go_with_time_and_scores_stay(run: Run, configure: Any, engine: sa.Engine, settings: Settings) -> None:
    run(configure(*questions(2)))
    kept = settings.model_copy(update={"storage": Storage(keep_answers_days=2)})
    assert [call.item for call in rows_of(engine, evaluation_calls)] == [
        {"item_id": one["item_id"], "query": one["query"], "reference": "35 days"} for one in questions(2)
    ]
    assert delete_expired.fn(engine, kept, NOW + timedelta(days=2))["answers"] == 0
    assert delete_expired.fn(engine, kept, NOW + timedelta(days=2, seconds=1))["answers"] == 2
    for call in rows_of(engine, evaluation_calls):
        assert (call.answer, call.item, call.detail, call.outcome) == (None, None, None, "ok")
        assert (call.scores, call.cost_usd) == ({"answer_contains": 0.0}, CALL)
    assert len(rows_of(engine, scores)) == 2
    assert delete_expired.fn(engine, kept, NOW + timedelta(days=3))["answers"] == 0


CHANGED: dict[str, tuple[dict[str, Any], timedelta]] = {
    "a day later": ({}, timedelta(days=1)),
    "with another model": ({"endpoint": {"model": "assistant-v3"}}, timedelta(hours=1)),
    "with another prompt": ({"prompt_version": "15"}, timedelta(hours=1)),
    "with another scorer": ({"scorers": ["exact"]}, timedelta(hours=1)),
}


@pytest.mark.parametrize(("changes", "later"), CHANGED.values(), ids=CHANGED)
def test_run_that_was_stopped_is_abandoned(
    run: Run, configure: Any, api: ModelApi, engine: sa.Engine, changes: dict[str, Any], later: timedelta
) -> None:
    stopped(configure(*questions(3), concurrency=1), run, "question 1")
    row = run(configure(*questions(3), **changes), now=NOW + later)
    assert (row.started_at, row.outcomes) == (NOW + later, {"answer": {"ok": 3}})
    first = min(rows_of(engine, evaluation_runs), key=lambda each: each.started_at)
    assert (first.state, first.outcomes) == ("abandoned", {"answer": {"interrupted": 1, "ok": 1}})
    assert (first.spent_usd, first.results["answer_contains"]["n"]) == (2 * CALL, 1)


def test_pace_and_budget_may_change_before_a_run_goes_on(run: Run, configure: Any, api: ModelApi) -> None:
    stopped(configure(*questions(3), concurrency=1), run, "question 1")
    row = run(
        configure(*questions(3), concurrency=3, budget_usd=2, endpoint={"timeout_s": 30}), now=NOW + timedelta(hours=1)
    )
    assert (row.started_at, row.outcomes) == (NOW, {"answer": {"interrupted": 1, "ok": 2}})


def test_set_that_another_process_runs_is_left_alone(
    run: Run, configure: Any, engine: sa.Engine, server: ApiServer
) -> None:
    evaluation = configure(*questions(1))
    told = "evaluation set faq is unavailable: another process runs it"
    with store.held(engine, "default", "faq") as is_ours, pytest.raises(Unavailable, match=told):
        run(evaluation)
    assert is_ours
    assert server.asked == []
    assert run(evaluation).state == "done"  # it was let go


def test_lock_that_is_lost_with_its_connection_ends_no_run(engine: sa.Engine) -> None:
    cut = """SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database ON pg_database.oid = database
             WHERE locktype = 'advisory' AND datname = current_database()"""
    with store.held(engine, "default", "faq") as is_ours, engine.connect() as other:
        assert is_ours
        assert other.execute(sa.text(cut)).scalars().all() == [True]
    with store.held(engine, "default", "faq") as is_ours:
        assert is_ours


def test_run_that_another_process_took_over_ends_here(
    run: Run, configure: Any, engine: sa.Engine, api: ModelApi
) -> None:
    def take_over(_: str) -> None:
        with engine.begin() as connection:
            connection.execute(sa.update(evaluation_calls).values(outcome="interrupted"))

    api.before = take_over
    with pytest.raises(Unavailable, match="another process has taken it over"):
        run(configure(*questions(1)))
    assert (spent(engine), rows_of(engine, scores)) == (CALL, [])


def test_set_with_a_wrong_line_or_price_is_not_begun(
    run: Run, configure: Any, engine: sa.Engine, server: ApiServer
) -> None:
    with pytest.raises(Incomplete, match="line 1, query: '' is not a non-empty text"):
        run(configure({"query": ""}))
    with pytest.raises(InvalidValue, match=r"evaluation\.sets\.faq\.endpoint\.usd_per_call: None is not set"):
        run(configure(*questions(1), endpoint={"usd_per_call": None}))
    assert (server.asked, rows_of(engine, evaluation_runs)) == ([], [])


def test_one_plan_that_fails_does_not_stop_the_others(run: Run, configure: Any) -> None:
    evaluation = configure({"query": ""}, judge=JUDGE)
    done = run_all(plans(evaluation), lambda plan: run(evaluation, plan.name))
    assert [row.name for row in done.runs] == ["judge-probes"]
    assert str(done.failure).startswith("evaluation: 1 of 2 failed: golden set faq")
    assert run_all([], lambda _: None).failure is None


def test_page_runs_nothing_that_a_golden_set_says(run: Run, configure: Any) -> None:
    hostile = configure({"query": "Who?", "reference": "a", "pattern": "(<img src=x onerror=alert(1)>"})
    page = report_markdown(run_all(plans(hostile, ["faq"]), lambda _: run(hostile)))
    assert r"pattern: '(\<img src=x onerror=alert(1)\>' is not a regular expression" in page


def test_set_that_is_not_configured_is_unknown(configure: Any) -> None:
    with pytest.raises(UnknownName, match="evaluation set: 'fqa' is not one of faq, judge-probes"):
        plans(configure(*questions(1), judge=JUDGE), ["fqa"])


def test_run_that_is_not_there_is_not_found(engine: sa.Engine) -> None:
    with engine.connect() as connection, pytest.raises(NotFound, match="evaluation run 'faq' not found"):
        store.one_run(connection, "default", "faq", NOW)
