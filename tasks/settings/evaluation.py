"""Settings of evaluation runs: golden sets, whom they ask, and who judges."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    JsonValue,
    SecretStr,
    model_validator,
)

from ops.monitoring.rubric import TEXT
from ops.monitoring.scorers import Scorer
from ops.usage import normalise_vendor
from tasks.settings.fields import Address, ApiKey, Dollars, Group, Name


class Endpoint(Group):
    """A model's or an application's API that evaluation runs ask; what a call costs is known before it is made."""

    url: Address  # of what speaks OpenAI's form up to and including /v1, of retrieval the whole
    api_key: ApiKey = SecretStr("")
    vendor: Annotated[Name, AfterValidator(normalise_vendor)] = "openai"
    model: Annotated[str, Field(max_length=256)] = ""
    usd_per_call: Dollars | None = None  # at most; by the price book's tokens where it is not set
    parameters: dict[str, JsonValue] = {"temperature": 0, "max_tokens": 1024}
    timeout_s: float = Field(default=60, gt=0, le=3600)
    requests_per_minute: float = Field(default=600, gt=0, le=100_000)


class Asked(Endpoint):
    """What a golden set is asked of: an answer (OpenAI-compatible), or the documents found."""

    kind: Literal["chat", "retrieval"] = "chat"
    system: str = ""  # what stands before the question


class Judge(Endpoint):
    """A model that judges answers by a rubric."""

    rubric: str = TEXT
    criteria: tuple[Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")], ...] = ("factuality", "relevance")
    probes: str = ""  # a golden set with answers, which is judged at each run; ours by default
    probe_budget_usd: Dollars = Decimal(1)  # a run

    @model_validator(mode="after")
    def _marks_something(self) -> Self:
        if not self.criteria or not self.model:
            raise ValueError("a judge needs its model and at least one criterion")
        return self


PROBE_SET = "judge-probes"


class EvaluationSet(Group):
    """A golden set, and whom it is asked of."""

    name: Name
    path: Annotated[str, Field(min_length=1)]  # JSON lines or CSV, plain or packed
    endpoint: Asked
    scorers: tuple[Scorer, ...] = ()
    k: int = Field(default=10, ge=1, le=1000)  # documents that are asked for and count
    budget_usd: Dollars = Decimal(1)  # a run
    concurrency: int = Field(default=4, ge=1, le=64)
    feature: Name | None = None
    release: Name | None = None
    prompt_version: Name | None = None

    @model_validator(mode="after")
    def _is_scored(self) -> Self:
        if (self.endpoint.kind == "chat") != bool(self.scorers):
            raise ValueError("a set that is asked for answers needs its scorers, one for documents has none")
        if self.name == PROBE_SET:
            raise ValueError(f"{PROBE_SET} is the name of the judge's own set")
        return self


class Evaluation(Group):
    """What is evaluated, and by whom it is judged."""

    sets: tuple[EvaluationSet, ...] = ()
    judge: Judge | None = None
    embeddings: Endpoint | None = None

    @model_validator(mode="after")
    def _has_its_judges(self) -> Self:
        names = [each.name for each in self.sets]
        if len(set(names)) < len(names):
            raise ValueError("each set needs a name of its own")
        used = {scorer for each in self.sets for scorer in each.scorers}
        if Scorer.JUDGE in used and self.judge is None:
            raise ValueError("the scorer judge needs evaluation.judge")
        if Scorer.EMBEDDING in used and self.embeddings is None:
            raise ValueError("the scorer embedding needs evaluation.embeddings")
        return self
