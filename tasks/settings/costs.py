"""Settings of money: budgets, negotiated prices, what no log has, savings."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    Field,
    model_validator,
)

from ops.cost.components import Component, Rate
from ops.cost.overrides import PriceOverride, check_overlaps
from ops.errors import InvalidValue
from ops.usage import MAX_TEXT, normalise_model, normalise_tier, normalise_vendor
from tasks.settings.fields import Dollars, Group, Name, check_days


class Budget(Group):
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


def of_different_things(budgets: tuple[Budget, ...]) -> tuple[Budget, ...]:
    """Raise ValueError when two budgets are of the same scope and key."""
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


class Price(Group):
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
        check_days(self.start, self.end)
        return self

    def as_override(self) -> PriceOverride:
        """Return it as pricing takes it."""
        return PriceOverride(**dict(self))


def without_overlaps(prices: tuple[Price, ...]) -> tuple[Price, ...]:
    """Raise ValueError when two prices of a contract hold on the same day."""
    try:
        check_overlaps([price.as_override() for price in prices])
    except InvalidValue as error:
        raise ValueError(f"{error.value} must be {error.limit}") from None
    return prices


class ComponentCost(Group):
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
        check_days(self.start, self.end)
        return self

    def as_rate(self) -> Rate:
        """Return it as the report reckons with it."""
        return Rate(
            component=Component(self.component), usd_per_day=self.usd_per_day, usd_per_query=self.usd_per_query,
            start=self.start, end=self.end,
        )  # fmt: skip


class SwitchedOn(Group):
    """A lever that is on since then, but for some users: those whose bucket of the salt is below the percent."""

    at: AwareDatetime
    holdout_percent: float = Field(default=5, ge=0.01, le=50)
    salt: str = ""  # the lever's name by default


LeverName = Literal[
    "response_cache", "embedding_cache", "context_trimming", "cheaper_model", "prefix_cache", "batch_api"
]


class Savings(Group):
    """What the savings advisor assumes, and what has been switched on."""

    cache_ttl_hours: float = Field(default=24, gt=0, le=8760)
    cache_capacity: int = Field(default=100_000, ge=1, le=10_000_000)  # entries
    max_quality_drop: float = Field(default=0.05, gt=0, lt=1)  # of the share of evaluations that pass
    can_wait: tuple[str, ...] = ()  # routes whose answers may take a day
    prefix_share: dict[str, Annotated[float, Field(ge=0, lt=1)]] = {}  # of a route's input, that could be cached
    switched_on: dict[LeverName, SwitchedOn] = {}
