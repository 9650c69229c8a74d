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
from dotenv import dotenv_values
from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource
from pydantic_settings import SettingsError as UnreadableVariable

from ops.errors import InvalidValue, NotFound, WatchkeeperError

_PREFIX = "WATCHKEEPER_"
_DATABASE_URL = f"{_PREFIX}DATABASE_URL"
_NOT_SETTINGS = frozenset({"config", "no_userns"})  # read where they are needed, before there are settings


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("not an IANA time zone such as UTC or Europe/Berlin")
    return name


def _home(folder: Path) -> Path:
    try:
        return folder.expanduser().absolute()
    except RuntimeError:
        raise ValueError("no such user's home") from None


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
    """What the rules are told about this system."""

    spend_floor_usd: Dollars = Decimal(1)  # per 3 hours: below it nothing is a spike
    fire_after: int = Field(default=2, ge=1)  # consecutive breaches
    clear_after: int = Field(default=3, ge=1)  # consecutive evaluations without one
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
        env_prefix=_PREFIX, env_nested_delimiter="__", env_file=".env", extra="forbid", frozen=True,
        validate_default=False, dotenv_filtering="only_existing",  # an application keeps its own settings there too
    )  # fmt: skip

    home: Annotated[Path, AfterValidator(_home)] = Field(default_factory=_default_home)
    database_url: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices(_DATABASE_URL, "DATABASE_URL", "database_url")
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
    given = _variables()
    problems = _unknown(given)
    try:
        settings = Settings(**overrides)
    except UnreadableVariable as error:
        raise SettingsError([*problems, f"environment or .env: {error}, which must be JSON"]) from None
    except ValidationError as error:
        problems += [_explain(problem, file, given) for problem in error.errors()]
    if problems:
        raise SettingsError(problems)
    return settings


class SettingsError(WatchkeeperError):
    """Some settings are wrong."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


def _check_syntax(file: Path) -> None:
    try:
        tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark else ""
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        raise SettingsError([f"{file}{where}: not readable as YAML: {problem}"]) from None
    if tree is not None and not isinstance(tree, dict):
        raise InvalidValue(str(file), type(tree).__name__, "a YAML mapping such as `sources: […]`")
    for name in tree or ():
        if not isinstance(name, str):
            raise InvalidValue(str(file), name, "the name of a setting")


def _variables() -> frozenset[str]:
    """Return the names that the environment or `.env` sets, upper case and without the prefix."""
    try:
        names = {name.upper() for name in (*dotenv_values(".env"), *os.environ)}
    except UnicodeDecodeError as error:
        raise SettingsError([f".env: not readable: {error}"]) from None
    ours = {name for name in names if name.startswith(_PREFIX) or name == "DATABASE_URL"}
    return frozenset(name.removeprefix(_PREFIX) for name in ours)


def _unknown(given: frozenset[str]) -> list[str]:
    known = {*Settings.model_fields, *_NOT_SETTINGS}
    strange = sorted(name for name in given if name.split("__", 1)[0].lower() not in known)
    return [f"{_PREFIX}{name}: unknown setting; known here: {', '.join(_known([]))}" for name in strange]


def _explain(problem: Any, file: Path | None, given: frozenset[str]) -> str:
    path = ["database_url" if part == _DATABASE_URL else part for part in problem["loc"] if part != "[key]"]
    field = ".".join(map(str, path))
    from_variable = any("__".join(map(str, path[:end])).upper() in given for end in range(1, len(path) + 1))
    line = _line_of(path, file) if file and not from_variable else None
    place = f"{file}:{line}: {field}" if line else _variable(path)
    wanted = problem["msg"]
    if problem["type"] == "extra_forbidden":
        return f"{place}: unknown setting; known here: {', '.join(_known(path[:-1]))}"
    if problem["type"] == "missing":
        return f"{place}: missing, but required"
    return f"{place}: {_shown(problem, field)} is wrong: {wanted[0].lower()}{wanted[1:]}"


def _variable(path: list[Any]) -> str:
    name = "__".join(map(str, path)).upper()
    return name if name == "DATABASE_URL" else f"{_PREFIX}{name}"


def _shown(problem: Any, field: str) -> str:
    value = repr(problem["input"])
    secret = any(word in field.lower() for word in ("token", "key", "database_url"))
    misplaced = problem["type"] == "model_type" or "@" in value  # a token in place of its group; a URL with a password
    return "(hidden)" if secret or misplaced else value[:80]


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
