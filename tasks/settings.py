"""Every setting of Watchkeeper, in one class; built only at the edge (the CLI, a flow's start) by `load_settings`.

Order of precedence: environment (`WATCHKEEPER_*`, nested with `__`), `.env`, the YAML file, the default here.
The YAML file is `$WATCHKEEPER_CONFIG`, else `watchkeeper.yaml` of the working folder if there is one.
"""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

import platformdirs
import yaml
from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource

from ops.errors import InvalidValue, NotFound, WatchkeeperError


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("not an IANA time zone such as UTC or Europe/Berlin")
    return name


Zone = Annotated[str, AfterValidator(_zone)]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\w.:/-]+$")]
Share = Annotated[float, Field(gt=0, lt=1)]
Dollars = Annotated[Decimal, Field(ge=0, lt=1_000_000_000)]


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Group):
    """Where usage comes from."""

    name: Name
    kind: Name = "litellm"
    path: str = Field(min_length=1)  # a file or a glob
    columns: dict[str, str] = {}  # canonical field -> the file's column
    values: dict[str, str] = {}  # canonical field -> one value for every row
    timezone: Zone | None = None  # of naive times; without it they are rejected


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


class RolloutPlan(_Group):
    """The steps of a canary rollout and what each must show."""

    steps: tuple[int, ...] = (10, 25, 50, 100)
    min_requests: int = Field(default=100, ge=1)
    min_stage_minutes: int = Field(default=30, ge=0)
    max_drop: float = Field(default=0.05, gt=0, lt=1)
    alpha: float = Field(default=0.05, gt=0, lt=0.5)


class Alerting(_Group):
    """When conditions become alerts."""

    spend_floor_usd: Dollars = Decimal(1)  # per 3 hours: below it nothing is a spike
    latency_min_requests: int = Field(default=50, ge=1)
    fire_after: int = Field(default=2, ge=1)
    clear_after: int = Field(default=3, ge=1)
    quality_metrics: tuple[str, ...] = ("judge_relevance", "thumb")


class Warming(_Group):
    """What the embedding cache may spend ahead of demand."""

    store_texts: bool = False  # warming needs the texts of prompts; nothing is kept without this
    embeddings_url: str | None = None  # OpenAI-compatible, up to and including /v1
    api_key: SecretStr = SecretStr("")
    model: str = "text-embedding-3-small"
    dimensions: int = Field(default=1536, ge=1, le=16_000)
    daily_budget_usd: Dollars = Decimal(1)
    max_entries: int = Field(default=1000, ge=1, le=2048)
    half_life_minutes: float = Field(default=60, gt=0)
    ttl_hours: float = Field(default=24, gt=0)


class Slack(_Group):
    """How to reach Slack."""

    bot_token: SecretStr = SecretStr("")
    base_url: str = "https://slack.com/api/"


def _default_home() -> Path:
    if os.geteuid() == 0:  # a folder that the unprivileged Postgres can reach
        return Path("/var/lib/watchkeeper")
    return platformdirs.user_state_path("watchkeeper")


class Settings(BaseSettings):
    """See README, "Settings"."""

    model_config = SettingsConfigDict(
        env_prefix="WATCHKEEPER_", env_nested_delimiter="__", env_file=".env", extra="forbid", frozen=True,
        validate_default=False,
    )  # fmt: skip

    home: Path = Field(default_factory=_default_home)
    database_url: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("WATCHKEEPER_DATABASE_URL", "DATABASE_URL", "database_url")
    )
    database: Name = "watchkeeper"  # in the embedded cluster
    tenant: Name = "default"
    month_timezone: Zone = "UTC"
    prefect_port: int = Field(default=4200, ge=1, le=65_535)
    sources: tuple[Source, ...] = ()
    services: tuple[Service, ...] = ()
    channels: tuple[Channel, ...] = (Channel(name="console", kind="console"),)
    plans: dict[Name, RolloutPlan] = {"careful": RolloutPlan()}
    alerting: Alerting = Alerting()
    warming: Warming = Warming()
    slack: Slack = Slack()

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


def load_settings(**overrides: Any) -> Settings:
    """Read and check every setting.

    Raises:
        NotFound: the named YAML file is not there.
        SettingsError: one line for each wrong setting: file, line, field, value, and what would be right.
    """
    file = config_file()
    if file is not None:
        if not file.is_file():
            raise NotFound("settings file", str(file), "WATCHKEEPER_CONFIG names it")
        _check_syntax(file)
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingsError([_explain(problem, file) for problem in error.errors()]) from None


class SettingsError(WatchkeeperError):
    """Some settings are wrong."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


def _check_syntax(file: Path) -> None:
    try:
        tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or error
        raise SettingsError([f"{file}{where}: not readable as YAML: {problem}"]) from None
    if tree is not None and not isinstance(tree, dict):
        raise InvalidValue(str(file), tree, "a YAML mapping such as `sources: […]`")


def _explain(problem: Any, file: Path | None) -> str:
    path = [part for part in problem["loc"] if part != "[key]"]
    field = ".".join(map(str, path))
    line = _line_of(path, file) if file else None
    place = f"{file}:{line}: {field}" if line else _variable(path)
    value = "(hidden)" if _is_secret(field) else repr(problem["input"])[:80]
    wanted = problem["msg"]
    if problem["type"] == "extra_forbidden":
        return f"{place}: unknown setting; known here: {', '.join(_known(path[:-1]))}"
    if problem["type"] == "missing":
        return f"{place}: missing, but required"
    return f"{place}: {value} is wrong: {wanted[0].lower()}{wanted[1:]}"


def _variable(path: list[Any]) -> str:
    name = "__".join(map(str, path)).upper()
    return name if name.endswith("DATABASE_URL") else f"WATCHKEEPER_{name}"


def _is_secret(field: str) -> bool:
    return any(word in field.lower() for word in ("token", "key", "database_url"))


def _known(path: list[Any]) -> list[str]:
    model: Any = Settings
    for part in path:
        if isinstance(part, str) and part in getattr(model, "model_fields", {}):
            model = _inner_model(model.model_fields[part].annotation)
    return sorted(getattr(model, "model_fields", {}))


def _inner_model(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_inner_model(part) for part in getattr(annotation, "__args__", ()))
    return next((model for model in inner if model is not None), None)


def _line_of(path: list[Any], file: Path) -> int | None:
    """Return the 1-based line of the deepest part of `path` that the file has; None when it has not even the first."""
    node = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    line = None
    for part in path:
        child = _child(node, part)
        if child is None:
            break
        key, node = child
        line = key.start_mark.line + 1
    return line


def _child(node: Any, part: Any) -> tuple[Any, Any] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None
