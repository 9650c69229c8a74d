"""Take a golden set's items through their steps: an answer, its vector, a judge's verdict; some items at once.

Before it: `tasks/run_evaluations.py` has opened the run. After it: rows of `evaluation_calls` and `scores`.

A call is three steps: reserve (a transaction), ask, settle (a transaction, with its scores). What a run before this one
has settled is not asked again; a call that was between its two transactions when its process was killed may have been
made: it is accounted at its reserved price, counted as interrupted, and not made again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from threading import Condition

import httpx
import sqlalchemy as sa

from ops.errors import InvalidValue
from ops.money import usd
from ops.monitoring import retrieval
from ops.monitoring.evaluation_calls import Outcome, Step, charge, is_believed
from ops.monitoring.golden import GoldenItem
from ops.monitoring.rubric import judge_messages, read_verdict
from ops.monitoring.scorers import PATTERN, SIMILARITY, Scorer, score_answer, similarity
from ops.scores import Score
from tasks.ask_endpoint import Line, Reply
from tasks.find_pattern import EndlessPattern, is_found
from tasks.plan_evaluations import Plan
from tasks.price_calls import Tariff
from tasks.settings import Endpoint, Settings
from tasks.stores import evaluation_runs as store

Marks = dict[str, float]


@dataclass(frozen=True, slots=True)
class Callee:
    """An endpoint that can be asked, and what that costs."""

    line: Line
    tariff: Tariff


def callees(http: httpx.Client, settings: Settings, plan: Plan, now: datetime) -> dict[Step, Callee]:
    """Return whom the plan asks: what has no price, or could not be scored, is not begun."""
    if plan.endpoint and plan.endpoint.kind == "retrieval":
        retrieval.score_ranking({}, [], plan.k)
    places: dict[Step, tuple[str, Endpoint | None]] = {
        Step.ANSWER: (f"evaluation.sets.{plan.name}.endpoint", plan.endpoint),
        Step.EMBEDDING: ("evaluation.embeddings", plan.embeddings),
        Step.JUDGE: ("evaluation.judge", plan.judge),
    }
    found = {
        step: Callee(Line(http, endpoint), Tariff(place, endpoint, settings.overrides, now))
        for step, (place, endpoint) in places.items() if endpoint is not None
    }  # fmt: skip
    for step, each in found.items():
        each.tariff.reserve("", answers=step is not Step.EMBEDDING)
    return found


class Evaluator:
    """A run that is under way, on several threads."""

    def __init__(self, engine: sa.Engine, plan: Plan, run: store.Run, asked: Mapping[Step, Callee]) -> None:
        self.engine, self.plan, self.run, self.asked = engine, plan, run, asked
        self.is_spent = self.is_stopped = False
        self.on_their_way, self.one_is_back = 0, Condition()
        with engine.connect() as connection:
            before = store.calls(connection, run.tenant, run.run_id)
        self.before = {(call.item_id, call.step): call for call in before}

    def all(self, items: list[GoldenItem]) -> str:
        """Ask and score every item; return the state in which that ended."""
        pool = ThreadPoolExecutor(self.plan.concurrency, "evaluate")
        try:
            for future in [pool.submit(self.one, item) for item in items]:
                future.result()
        finally:  # after an error, and when somebody stops us, nothing more is asked
            self.is_stopped = True
            pool.shutdown(cancel_futures=True)
        return "out of budget" if self.is_spent else "done"

    def one(self, item: GoldenItem) -> None:
        """Take an item through its steps, as far as it gets."""
        if self.is_stopped or self.is_spent:
            return
        try:
            self._steps(item)
        except BaseException:
            self.is_stopped = True
            raise

    def _steps(self, item: GoldenItem) -> None:
        answer = item.answer if self.plan.endpoint is None else self._answer(item)
        if answer is None:
            return
        if self.plan.embeddings and item.reference is not None:
            self._similarity(item, answer, item.reference)
        if self.plan.judge:
            self._judge(item, answer)

    def _answer(self, item: GoldenItem) -> str | None:
        endpoint = self.plan.endpoint
        assert endpoint is not None  # noqa: S101  who calls it has looked
        line, tariff = self.asked[Step.ANSWER].line, self.asked[Step.ANSWER].tariff
        if endpoint.kind == "retrieval":
            reserved = tariff.reserve(item.query)
            return self._call(
                item, Step.ANSWER, reserved, lambda: line.retrieve(item.query, self.plan.k), self._of_documents
            )
        messages = [{"role": "system", "content": endpoint.system}] if endpoint.system else []
        messages.append({"role": "user", "content": item.query})
        reserved = tariff.reserve(endpoint.system, item.query)
        return self._call(item, Step.ANSWER, reserved, lambda: line.chat(messages), self._of_text)

    def _of_documents(self, item: GoldenItem, reply: Reply) -> Marks:
        return retrieval.score_ranking(item.expected, reply.documents or (), self.plan.k) if item.expected else {}

    def _of_text(self, item: GoldenItem, reply: Reply) -> Marks:
        marks = score_answer(self.plan.scorers, item, reply.text)
        if Scorer.REGEX in self.plan.scorers and item.pattern is not None:
            marks[PATTERN] = float(is_found(item.pattern, reply.text))
        return marks

    def _similarity(self, item: GoldenItem, answer: str, reference: str) -> None:
        line, tariff = self.asked[Step.EMBEDDING].line, self.asked[Step.EMBEDDING].tariff
        reserved = tariff.reserve(answer, reference, answers=False)
        self._call(item, Step.EMBEDDING, reserved, lambda: line.embed([answer, reference]),
                   lambda _, reply: {SIMILARITY: similarity(*reply.vectors)})  # fmt: skip

    def _judge(self, item: GoldenItem, answer: str) -> None:
        rubric = self.plan.rubric
        assert rubric is not None  # noqa: S101  there is a judge
        line, tariff = self.asked[Step.JUDGE].line, self.asked[Step.JUDGE].tariff
        messages = judge_messages(rubric, item, answer)
        reserved = tariff.reserve(*(message["content"] for message in messages))
        self._call(item, Step.JUDGE, reserved, lambda: line.chat(messages),
                   lambda _, reply: read_verdict(rubric, reply.text))  # fmt: skip

    def _call(
        self, item: GoldenItem, step: Step, reserved: Decimal, ask: Callable[[], Reply],
        score: Callable[[GoldenItem, Reply], Marks],
    ) -> str | None:  # fmt: skip
        """Reserve, ask and settle, and return the answer; what a run before this one did is not done again."""
        before = self.before.get((item.item_id, step))
        if before is not None:
            return str(before.answer) if before.outcome == Outcome.OK else None
        self.asked[step].line.turnstile.wait()
        if not self._reserve(item, step, reserved):
            return None
        try:
            return self._settle(item, step, reserved, ask(), score)
        finally:
            with self.one_is_back:
                self.on_their_way -= 1
                self.one_is_back.notify_all()

    def _reserve(self, item: GoldenItem, step: Step, reserved: Decimal) -> bool:
        """Reserve a call; while others are on their way, wait for what they leave of what is reserved for them."""
        with self.one_is_back:
            while not self.is_stopped:
                with self.engine.begin() as connection:
                    if store.reserve(connection, self.run, item, step, reserved):
                        self.on_their_way += 1
                        return True
                if self.on_their_way == 0:
                    self.is_spent = True
                    return False
                self.one_is_back.wait()
        return False

    def _settle(
        self, item: GoldenItem, step: Step, reserved: Decimal, reply: Reply, score: Callable[[GoldenItem, Reply], Marks]
    ) -> str | None:
        outcome, detail, marks = _scored(item, reply, score)
        told, claim = self._told(step, reply)
        cost, is_assumed = charge(outcome, reserved, told)
        answer = json.dumps(reply.documents) if reply.documents is not None else reply.text
        settled = store.Settled(
            outcome=outcome, cost_usd=cost, is_assumed=is_assumed, answer=answer if outcome is Outcome.OK else None,
            detail=detail, claim=claim, scores=[self._as_score(item, metric, value) for metric, value in marks.items()],
        )  # fmt: skip
        with self.engine.begin() as connection:
            store.settle(connection, self.run, item.item_id, step, settled)
        return settled.answer

    def _told(self, step: Step, reply: Reply) -> tuple[Decimal | None, str | None]:
        """Return what the answer says that it cost, or what it says and nobody believes."""
        tariff, usage = self.asked[step].tariff, reply.usage
        told = tariff.settle(usage)
        if usage is None or told is None:
            return None, reply.claim
        if is_believed(told, tariff.endpoint.usd_per_call, self.plan.budget_usd):
            return told, None
        return None, f"{usd(told)} for {usage.prompt_tokens or 0:,} and {usage.completion_tokens or 0:,} tokens"

    def _as_score(self, item: GoldenItem, metric: str, value: float) -> Score:
        plan, named = self.plan, f"{self.plan.prefix}{metric}"
        return Score(
            score_id=f"{plan.source}:{self.run.run_id}:{item.item_id}:{metric}", occurred_at=self.run.started_at,
            metric=named, value=value, source=plan.source, judge_version=_version(plan, metric), model=plan.model,
            release=plan.release, feature=plan.feature, prompt_version=plan.prompt_version, tags=item.tags or None,
        )  # fmt: skip


def _scored(
    item: GoldenItem, reply: Reply, score: Callable[[GoldenItem, Reply], Marks]
) -> tuple[Outcome, str | None, Marks]:
    """Return the outcome, what went wrong, and the marks of a reply that can be scored."""
    if reply.outcome is not Outcome.OK:
        return reply.outcome, reply.detail, {}
    try:
        return Outcome.OK, None, score(item, reply)
    except EndlessPattern as error:  # the answer is none the worse for it
        return Outcome.OK, str(error), {}
    except InvalidValue as error:  # vectors or a verdict that are none
        return Outcome.GARBAGE, str(error), {}


def _version(plan: Plan, metric: str) -> str | None:
    """Say by whom or how a metric was judged: what another judge says of it is never compared."""
    if metric.startswith("judge_"):
        return plan.judge_version
    if metric == SIMILARITY and plan.embeddings:
        return plan.embeddings.model
    return retrieval.versions(plan.k).get(metric)
