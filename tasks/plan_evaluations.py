"""Which golden sets are run, of whom they are asked, and who judges: what the settings come to.

Before it: `tasks/settings/`. After it: `tasks/run_evaluations.py` runs one plan after the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import msgspec

from ops.errors import UnknownName
from ops.monitoring.golden import GoldenItem, digest
from ops.monitoring.rubric import Rubric, judge_version
from ops.monitoring.scorers import Scorer
from ops.scores import PROBES
from tasks.read_golden_set import read_golden_set
from tasks.settings import PROBE_SET, Asked, Endpoint, Evaluation, EvaluationSet, Judge

_OUR_PROBES = Path(__file__).with_name("probes.jsonl")
_PACE = {"timeout_s", "requests_per_minute", "api_key"}  # says nothing of what is measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One set and how it is run; without an endpoint its items' own answers are judged."""

    name: str
    path: str
    budget_usd: Decimal
    scorers: tuple[Scorer, ...]
    endpoint: Asked | None = None
    judge: Judge | None = None
    embeddings: Endpoint | None = None
    k: int = 10
    concurrency: int = 4
    feature: str | None = None
    release: str | None = None
    prompt_version: str | None = None

    @property
    def model(self) -> str | None:
        """Whose answers are scored; of a judge's probes nobody's."""
        return (self.endpoint.model or None) if self.endpoint else None

    @property
    def prefix(self) -> str:
        """What stands before the names of its metrics."""
        return "" if self.endpoint else PROBES

    @property
    def source(self) -> str:
        """Where its scores say that they come from."""
        return "evaluation" if self.endpoint else "probe"

    @property
    def rubric(self) -> Rubric | None:
        """By what the judge judges."""
        return Rubric(self.judge.rubric, self.judge.criteria) if self.judge else None

    @property
    def judge_version(self) -> str | None:
        """The judge's name."""
        return judge_version(self.rubric, self.judge.model) if self.judge and self.rubric else None

    def items(self) -> list[GoldenItem]:
        """Read the set."""
        return read_golden_set(self.name, self.path, answered=self.endpoint is None)

    def fingerprint(self, items: Sequence[GoldenItem]) -> str:
        """Identify what a run measures: content, whom it is asked of, and how it is scored."""
        asked = [each.model_dump(mode="json", exclude=_PACE) for each in (self.endpoint, self.judge, self.embeddings)
                 if each is not None]  # fmt: skip
        told = (digest(items), asked, self.scorers, self.k, self.feature, self.release, self.prompt_version)
        return hashlib.sha256(msgspec.json.encode(told)).hexdigest()


def plans(evaluation: Evaluation, names: Collection[str] = ()) -> list[Plan]:
    """Return what is run: the sets of these names, all by default, and the judge's probes among them.

    Raises:
        UnknownName: there is no such set.
    """
    found = [_of_set(evaluation, each) for each in evaluation.sets]
    if evaluation.judge:
        found.append(_of_probes(evaluation.judge))
    known = {plan.name for plan in found}
    for name in names:
        if name not in known:
            raise UnknownName("evaluation set", name, known)
    return [plan for plan in found if not names or plan.name in names]


def _of_set(evaluation: Evaluation, each: EvaluationSet) -> Plan:
    values = dict(each)
    if Scorer.JUDGE in each.scorers:
        values["judge"] = evaluation.judge
    if Scorer.EMBEDDING in each.scorers:
        values["embeddings"] = evaluation.embeddings
    return Plan(**values)


def _of_probes(judge: Judge) -> Plan:
    path = judge.probes or str(_OUR_PROBES)
    return Plan(name=PROBE_SET, path=path, budget_usd=judge.probe_budget_usd, scorers=(Scorer.JUDGE,), judge=judge)
