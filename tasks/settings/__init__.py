"""Every setting of Watchkeeper, in one class; built only at the edge (the CLI, a flow's start) by
`tasks/load_settings.py`.

Order of precedence: environment (`WATCHKEEPER_*`, nested with `__`), `.env`, the YAML file, the default here.
The YAML file is `$WATCHKEEPER_CONFIG`, else `watchkeeper.yaml` of the working folder if there is one.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, TypeVar
from zoneinfo import ZoneInfo

import platformdirs
from pydantic import AfterValidator, AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource

from ops.cost.overrides import PriceOverride
from tasks.settings.costs import (
    Budget,
    ComponentCost,
    Price,
    Savings,
    SwitchedOn,
    of_different_things,
    without_overlaps,
)
from tasks.settings.evaluation import PROBE_SET, Asked, Endpoint, Evaluation, EvaluationSet, Judge
from tasks.settings.fields import Name, Tenant, Zone
from tasks.settings.loading import Receiver, Source, Storage
from tasks.settings.watching import Alerting, Channel, RolloutPlan, Service, Slack, Vendor, Warming

__all__ = [
    "DATABASE_URL", "PREFIX", "PROBE_SET", "Alerting", "Asked", "Budget", "Channel", "ComponentCost", "Endpoint",
    "Evaluation", "EvaluationSet", "Judge", "Price", "Receiver", "RolloutPlan", "Savings", "Service", "Settings",
    "Slack", "Source", "Storage", "SwitchedOn", "Vendor", "Warming", "config_file",
]  # fmt: skip
PREFIX = "WATCHKEEPER_"
DATABASE_URL = f"{PREFIX}DATABASE_URL"


def _home(folder: Path) -> Path:
    try:
        found = folder.expanduser().absolute()
        str(found).encode()
    except RuntimeError:
        raise ValueError("no such user's home") from None
    except UnicodeEncodeError:
        raise ValueError("not UTF-8, as the embedded database's address has to be") from None
    return found


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
    budgets: Annotated[tuple[Budget, ...], AfterValidator(of_different_things)] = ()
    prices: Annotated[tuple[Price, ...], AfterValidator(without_overlaps)] = ()
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

    @property  # not cached: Prefect walks over the settings in one thread while another asks
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
