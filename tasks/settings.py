"""Every setting of Watchkeeper, in one class; built only at the edge (the CLI, a flow's start) by
`tasks/load_settings.py`.

Order of precedence: environment (`WATCHKEEPER_*`, nested with `__`), `.env`, the YAML file, the default here.
The YAML file is `$WATCHKEEPER_CONFIG`, else `watchkeeper.yaml` of the working folder if there is one.
"""

from __future__ import annotations

import os
from datetime import date
from decimal import Decimal
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

import platformdirs
from pydantic import (
    AfterValidator,
    AliasChoices,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    SecretStr,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource

from ops.cost.components import Component, Rate
from ops.cost.overrides import PriceOverride, check_overlaps
from ops.errors import InvalidValue
from ops.monitoring.rubric import TEXT
from ops.monitoring.scorers import Scorer
from ops.usage import MAX_TEXT, normalise_model, normalise_tier, normalise_vendor

PREFIX = "WATCHKEEPER_"
DATABASE_URL = f"{PREFIX}DATABASE_URL"
FEWEST_DAYS = 35  # of events that a retention must keep


def _check_days(start: date, end: date) -> None:
    if start >= end:
        raise ValueError(f"`to` {end} must be after `from` {start}")


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("not an IANA time zone such as UTC or Europe/Berlin")
    return name


def _home(folder: Path) -> Path:
    try:
        return folder.expanduser().absolute()
    except RuntimeError:
        raise ValueError("no such user's home") from None


def _address(url: str) -> str:
    import httpx

    try:
        parts = urlsplit(url)
        if not parts.hostname or parts.port == 0 or not httpx.URL(url).host:  # each refuses what the other takes
            raise ValueError
    except (ValueError, httpx.InvalidURL):
        raise ValueError("not an address such as https://proxy.example:4000") from None
    return url


def _from_environment(value: object) -> object:
    if isinstance(value, str) and value.startswith("env:"):
        found = os.environ.get(value[4:])
        if found is None:
            raise ValueError(f"the environment has no {value[4:]}")
        return found
    return value


def _sendable(key: SecretStr) -> SecretStr:
    if not key.get_secret_value().isascii():
        raise ValueError("not of ASCII alone, as what HTTP sends has to be")
    return key


Secret = Annotated[SecretStr, BeforeValidator(_from_environment)]  # `env:NAME` takes it from the environment
ApiKey = Annotated[Secret, AfterValidator(_sendable)]
Zone = Annotated[str, AfterValidator(_zone)]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\w.:/-]+$")]
Tenant = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\w.-]+$")]
Address = Annotated[str, Field(pattern=r"^https?://[^\s]+$"), AfterValidator(_address)]
Dollars = Annotated[Decimal, Field(ge=0, lt=1_000_000_000, decimal_places=12)]  # what the tables hold


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Group):
    """Where usage comes from; `tasks/sources/README.md` says which kind takes what."""

    name: Name
    kind: Name = "litellm"
    path: str = ""  # of files: a path, a glob or an fsspec address such as s3://logs/*.jsonl.gz
    columns: dict[str, str] = {}  # canonical field -> the file's or query's column
    values: dict[str, str] = {}  # canonical field -> one value for every row
    timezone: Zone | None = None  # of naive times; without it they are rejected
    url: Address | None = None  # of an API, where the vendor has no address of its own
    api_key: ApiKey = SecretStr("")
    public_key: str = ""  # Langfuse has two
    database_url: Secret = SecretStr("")  # kind postgres
    query: str = ""  # kind postgres
    since: AwareDatetime | None = None  # where the first poll begins; a day back by default
    look_back_minutes: int | None = Field(default=None, ge=0, le=44_640)  # the kind's own by default
    page_size: int | None = Field(default=None, ge=1, le=10_000)  # the kind's own by default
    requests_per_minute: float = Field(default=60, gt=0, le=100_000)
    silent_after_minutes: int = Field(default=60, ge=1, le=44_640)  # without a successful load: an alert


class Service(_Group):
    """An application whose replicas we recommend."""

    name: Name
    replicas: int = Field(default=1, ge=0, le=100_000)
    target_in_flight: float = Field(default=8, gt=0)  # requests that one replica serves at once


class Channel(_Group):
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


class RolloutPlan(_Group):
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


class Budget(_Group):
    """What may be spent in a month or a day: in all, or on a team, feature, model or user; key `*`: on each of them
    that has no budget of its own.
    """

    scope: Literal["total", "team", "feature", "model", "user"] = "total"
    key: Annotated[str, Field(max_length=MAX_TEXT, pattern=r"^[^\x00]*$")] = ""  # a model's is vendor/model
    monthly_usd: Dollars | None = None
    daily_usd: Dollars | None = None

    @model_validator(mode="after")
    def _is_of_something(self) -> Self:
        if (self.monthly_usd is None) == (self.daily_usd is None):
            raise ValueError("a budget needs either monthly_usd or daily_usd")
        if (self.scope == "total") != (self.key == ""):
            raise ValueError("a budget of a team, feature, model or user needs its key, the total has none")
        if self.usd == 0:
            raise ValueError("a budget must be above 0")
        return self

    @property
    def kind(self) -> tuple[str, str]:
        """Its scope and its period; of one kind, a key has one budget."""
        return self.scope, "monthly" if self.daily_usd is None else "daily"

    @property
    def usd(self) -> Decimal:
        """The amount of a period."""
        amount = self.monthly_usd if self.daily_usd is None else self.daily_usd
        assert amount is not None  # noqa: S101  one of them is there
        return amount


def _of_different_things(budgets: tuple[Budget, ...]) -> tuple[Budget, ...]:
    names = [(*budget.kind, budget.key) for budget in budgets]
    twice = sorted({" ".join(name) for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"each scope and key has one budget a month and one a day; there twice: {', '.join(twice)}")
    return budgets


def _model_or_beginning(name: str) -> str:
    found = normalise_model(name)
    if not found or "*" in found[:-1]:
        raise ValueError("not a model's name, nor the beginning of names such as gpt-4o*")
    return found


_PerMillion = Annotated[Decimal, Field(ge=0, le=10_000, max_digits=18)]  # then every cost fits into its column


class Price(_Group):
    """A negotiated price, which goes before the price book's; USD per million tokens."""

    contract: Name
    vendor: Annotated[Name, AfterValidator(normalise_vendor)]
    # As events name it, without a vendor's prefix; or the beginning of names: gpt-4o*
    model: Annotated[str, Field(max_length=256), AfterValidator(_model_or_beginning)]
    tier: Annotated[Name | None, AfterValidator(normalise_tier)] = None  # batch, priority; None is standard
    start: date = Field(default=date.min, alias="from")  # UTC
    end: date = Field(default=date.max, alias="to")  # the first day that is no part of it
    input: _PerMillion
    cached: _PerMillion | None = None  # where it is not named, input's
    cache_write: _PerMillion | None = None  # input's
    cache_write_1h: _PerMillion | None = None  # cache_write's
    output: _PerMillion
    per_thousand_requests: _PerMillion | None = None

    @model_validator(mode="after")
    def _has_days(self) -> Self:
        _check_days(self.start, self.end)
        return self

    def as_override(self) -> PriceOverride:
        """Return it as pricing takes it."""
        return PriceOverride(**dict(self))


def _without_overlaps(prices: tuple[Price, ...]) -> tuple[Price, ...]:
    try:
        check_overlaps([price.as_override() for price in prices])
    except InvalidValue as error:
        raise ValueError(f"{error.value} must be {error.limit}") from None
    return prices


class ComponentCost(_Group):
    """What a part of the system costs that is in no log."""

    component: Literal["vector_database", "compute"]
    usd_per_day: Dollars = Decimal(0)
    usd_per_query: Dollars = Decimal(0)  # a chat or completion request
    start: date = Field(default=date.min, alias="from")  # UTC
    end: date = Field(default=date.max, alias="to")  # the first day that is no part of it

    @model_validator(mode="after")
    def _costs_something(self) -> Self:
        if not {"usd_per_day", "usd_per_query"} & self.model_fields_set:
            raise ValueError("it needs its usd_per_day or usd_per_query; 0 is free")
        _check_days(self.start, self.end)
        return self

    def as_rate(self) -> Rate:
        """Return it as the report reckons with it."""
        return Rate(
            component=Component(self.component), usd_per_day=self.usd_per_day, usd_per_query=self.usd_per_query,
            start=self.start, end=self.end,
        )  # fmt: skip


class Vendor(_Group):
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


class Alerting(_Group):
    """What the rules are told about this system."""

    spend_floor_usd: Annotated[Dollars, Field(gt=0)] = Decimal(1)  # an hour: less than so much more is no spike
    bill_tolerance: float = Field(default=0.05, gt=0, le=1)  # of a vendor's own report, that our logs may differ by
    bill_floor_usd: Dollars = Decimal(1)  # a day: a smaller difference is nothing to tell
    fire_after: int | None = Field(default=None, ge=1)  # consecutive breaches; each rule's own by default
    clear_after: int | None = Field(default=None, ge=1)  # consecutive evaluations without one; each rule's own
    quality_metrics: tuple[str, ...] = ("judge_relevance", "thumb")


class Warming(_Group):
    """What the embedding cache may spend ahead of demand."""

    store_texts: bool = False  # warming needs the texts of prompts; nothing is kept without this
    embeddings_url: Address | None = None  # OpenAI-compatible, up to and including /v1
    api_key: Secret = SecretStr("")
    model: str = "text-embedding-3-small"
    dimensions: int = Field(default=1536, ge=1, le=16_000)
    daily_budget_usd: Dollars = Decimal(1)
    max_entries: int = Field(default=1000, ge=1, le=2048)
    half_life_minutes: float = Field(default=60, gt=0, le=525_600)
    ttl_hours: float = Field(default=24, gt=0, le=8760)


def _enough_days(days: int | None) -> int | None:
    if days is not None and days < FEWEST_DAYS:
        raise ValueError(f"at least {FEWEST_DAYS} days of events: the month's spend and late rows need 31 of them")
    return days


class Storage(_Group):
    """What is kept for how long; roll-ups are kept for ever."""

    # Spend to the minute reads the month's events (31 days and what its time zone is off), and a source may look back
    # 31 days: a row that old must still be known again. Baselines and projections read roll-ups.
    keep_events_days: Annotated[int | None, Field(le=36_500), AfterValidator(_enough_days)] = None  # None: all
    keep_rejects_days: int = Field(default=90, ge=1, le=36_500)
    ahead_days: int = Field(default=7, ge=1, le=366)  # partitions that are made before they are needed


class Receiver(_Group):
    """How `watchkeeper receive` listens."""

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=4318, ge=0, le=65_535)  # OTLP's own; 0 takes any that is free
    token: Secret = SecretStr("")  # what senders show; nothing is received without it
    max_body_mb: float = Field(default=16, gt=0, le=1024)  # of one post, as sent and unpacked
    max_waiting_mb: float = Field(default=64, gt=0, le=65_536)  # of all posts that are not answered yet
    body_timeout_s: float = Field(default=30, gt=0, le=3600)

    @model_validator(mode="after")
    def _can_wait(self) -> Self:
        if self.max_waiting_mb < self.max_body_mb:
            raise ValueError("max_waiting_mb must be at least max_body_mb, or the largest posts never fit")
        return self


class SwitchedOn(_Group):
    """A lever that is on since then, but for some users: those whose bucket of the salt is below the percent."""

    at: AwareDatetime
    holdout_percent: float = Field(default=5, ge=0.01, le=50)
    salt: str = ""  # the lever's name by default


LeverName = Literal[
    "response_cache", "embedding_cache", "context_trimming", "cheaper_model", "prefix_cache", "batch_api"
]


class Savings(_Group):
    """What the savings advisor assumes, and what has been switched on."""

    cache_ttl_hours: float = Field(default=24, gt=0, le=8760)
    cache_capacity: int = Field(default=100_000, ge=1, le=10_000_000)  # entries
    max_quality_drop: float = Field(default=0.05, gt=0, lt=1)  # of the share of evaluations that pass
    can_wait: tuple[str, ...] = ()  # routes whose answers may take a day
    prefix_share: dict[str, Annotated[float, Field(ge=0, lt=1)]] = {}  # of a route's input, that could be cached
    switched_on: dict[LeverName, SwitchedOn] = {}


class Endpoint(_Group):
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


class EvaluationSet(_Group):
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


class Evaluation(_Group):
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


class Slack(_Group):
    """How to reach Slack."""

    bot_token: Secret = SecretStr("")
    base_url: Address = "https://slack.com/api/"


_Named = TypeVar("_Named", Source, Vendor)


def _each_its_name(named: tuple[_Named, ...]) -> tuple[_Named, ...]:
    names = [one.name for one in named]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        kind = type(named[0]).__name__.lower()
        raise ValueError(f"each {kind} needs a name of its own; there twice: {', '.join(twice)}")
    return named


def _default_home() -> Path:
    if os.geteuid() == 0:  # a folder that the unprivileged Postgres can reach
        return Path("/var/lib/watchkeeper")
    return platformdirs.user_state_path("watchkeeper")


class Settings(BaseSettings):
    """See README, "Settings"."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", env_file=".env", extra="forbid", frozen=True,
        validate_default=False, dotenv_filtering="only_existing",  # an application keeps its own settings there too
    )  # fmt: skip

    home: Annotated[Path, AfterValidator(_home)] = Field(default_factory=_default_home)
    database_url: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices(DATABASE_URL, "DATABASE_URL", "database_url")
    )
    database: Name = "watchkeeper"  # in the embedded cluster
    tenant: Tenant = "default"
    month_timezone: Zone = "UTC"
    prefect_port: int = Field(default=4200, ge=1, le=65_535)
    sources: Annotated[tuple[Source, ...], AfterValidator(_each_its_name)] = ()
    services: tuple[Service, ...] = ()
    vendors: Annotated[tuple[Vendor, ...], AfterValidator(_each_its_name)] = ()
    channels: tuple[Channel, ...] = (Channel(name="console", kind="console"),)
    budgets: Annotated[tuple[Budget, ...], AfterValidator(_of_different_things)] = ()
    prices: Annotated[tuple[Price, ...], AfterValidator(_without_overlaps)] = ()
    component_costs: tuple[ComponentCost, ...] = ()
    plans: dict[Name, RolloutPlan] = {"careful": RolloutPlan()}
    alerting: Alerting = Alerting()
    warming: Warming = Warming()
    storage: Storage = Storage()
    savings: Savings = Savings()
    evaluation: Evaluation = Evaluation()
    slack: Slack = Slack()
    receiver: Receiver = Receiver()

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource, dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  pydantic's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:  # fmt: skip
        """Put the YAML file behind the environment."""
        file = YamlConfigSettingsSource(settings_cls, yaml_file=config_file())
        return init_settings, env_settings, dotenv_settings, file

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the budget month."""
        return ZoneInfo(self.month_timezone)

    @cached_property
    def overrides(self) -> tuple[PriceOverride, ...]:
        """The negotiated prices."""
        return tuple(price.as_override() for price in self.prices)

    @property
    def slack_ready(self) -> bool:
        """Whether there is a token to speak to Slack with."""
        return bool(self.slack.bot_token.get_secret_value())


def config_file() -> Path | None:
    """Return the YAML file in force; None when there is none."""
    named = os.environ.get("WATCHKEEPER_CONFIG")
    if named:
        return Path(named)
    found = Path("watchkeeper.yaml")
    return found if found.exists() else None
