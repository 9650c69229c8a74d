"""Settings of the watch: services, vendors, channels, rollout plans, alerts, warming."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    model_validator,
)

from ops.usage import normalise_vendor
from tasks.settings.fields import Address, ApiKey, Dollars, Group, Name


class Service(Group):
    """An application whose replicas we recommend."""

    name: Name
    replicas: int = Field(default=1, ge=0, le=100_000)
    target_in_flight: float = Field(default=8, gt=0)  # requests that one replica serves at once


class Channel(Group):
    """Where alerts of some tiers go."""

    name: Name
    kind: Literal["slack", "console"]
    target: str | None = None  # Slack's channel id
    tiers: frozenset[Literal["critical", "warning", "info"]] = frozenset({"critical", "warning", "info"})

    @model_validator(mode="after")
    def _has_target(self) -> Self:
        if self.kind == "slack" and not self.target:
            raise ValueError("a slack channel needs its `target`, a channel id such as C0123456789")
        return self


class RolloutPlan(Group):
    """The steps of a canary rollout and what each must show."""

    steps: tuple[int, ...] = (10, 25, 50, 100)
    min_requests: int = Field(default=100, ge=1)
    min_stage_minutes: int = Field(default=30, ge=0, le=525_600)
    max_drop: float = Field(default=0.05, gt=0, lt=1)
    alpha: float = Field(default=0.05, gt=0, lt=0.5)

    @model_validator(mode="after")
    def _has_rising_steps(self) -> Self:
        rising = all(low < high for low, high in pairwise(self.steps))
        if len(self.steps) < 2 or not rising or self.steps[0] < 1 or self.steps[-1] != 100:
            raise ValueError("the steps must be two or more percents that rise from at least 1 to 100")
        return self


class Vendor(Group):
    """A vendor that the system depends on: where it tells how it is, and who stands in when it is out."""

    name: Annotated[Name, AfterValidator(normalise_vendor)]
    status_url: Address | None = None  # a Statuspage's summary.json
    components: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = ()  # of that page; all by default
    fallback: Annotated[str, Field(max_length=356, pattern=r"^[^/\s]+/\S+$")] | None = None  # vendor/model

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.components and self.status_url is None:
            raise ValueError("components are those of a status page: it needs its status_url")
        if self.fallback is not None and normalise_vendor(self.fallback.split("/", 1)[0]) == self.name:
            raise ValueError(f"the fallback of {self.name} must be of another vendor")
        return self


class Alerting(Group):
    """What the rules are told about this system."""

    spend_floor_usd: Annotated[Dollars, Field(gt=0)] = Decimal(1)  # an hour: less than so much more is no spike
    bill_tolerance: float = Field(default=0.05, gt=0, le=1)  # of a vendor's own report, that our logs may differ by
    bill_floor_usd: Dollars = Decimal(1)  # a day: a smaller difference is nothing to tell
    fire_after: int | None = Field(default=None, ge=1)  # consecutive breaches; each rule's own by default
    clear_after: int | None = Field(default=None, ge=1)  # consecutive evaluations without one; each rule's own
    quality_metrics: tuple[str, ...] = ("judge_relevance", "thumb")


class Warming(Group):
    """What the embedding cache may spend ahead of demand."""

    store_texts: bool = False  # warming needs the texts of prompts; nothing is kept without this
    embeddings_url: Address | None = None  # OpenAI-compatible, up to and including /v1
    api_key: ApiKey = SecretStr("")
    model: str = "text-embedding-3-small"
    dimensions: int = Field(default=1536, ge=1, le=16_000)
    daily_budget_usd: Dollars = Decimal(1)
    max_entries: int = Field(default=1000, ge=1, le=2048)
    half_life_minutes: float = Field(default=60, gt=0, le=525_600)
    ttl_hours: float = Field(default=24, gt=0, le=8760)


class Slack(Group):
    """How to reach Slack."""

    bot_token: ApiKey = SecretStr("")
    base_url: Address = "https://slack.com/api/"
