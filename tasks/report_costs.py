"""Gather what was spent, by whom, on what, and why it changed: the report of `watchkeeper cost report`.

Before it: loaders rolled up. Between: `ops.cost.report`, `ops.cost.components` and `ops.cost.breakdown` tell the parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from ops.cost.breakdown import NO_CHANGE, CauseShares
from ops.cost.components import CONFIGURED, QUERIES, Component, DayUse, component_of, configured_costs, note
from ops.cost.report import (
    IN_TIME,
    Before,
    Dimension,
    Each,
    Models,
    Part,
    PartKey,
    Spend,
    causes,
    parts,
    with_rest,
)
from ops.window import Window
from tasks.settings import Settings
from tasks.stores import cost_reports as store
from tasks.stores.cost_reports import UserMeans

_NO_MODELS = {Dimension.MODEL, Dimension.USER}  # a model is one; no roll-up knows the models of a user


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a report is asked for."""

    window: Window  # whole UTC days
    by: Dimension = Dimension.MODEL
    each: Each | None = None
    before: Window | None = None  # what it is compared with


@dataclass(frozen=True, slots=True, kw_only=True)
class CostReport:
    """A span's cost and its parts, which add up to `total_usd`: models, and components with a configured rate."""

    asked: Asked
    whole: Spend
    parts: tuple[Part, ...]
    models: tuple[Part, ...]
    components: Mapping[Component, Decimal]  # the configured ones that have a rate
    users: UserMeans | None = None  # of a report by user
    before: Spend | None = None
    causes: CauseShares | None = None  # why everything together changed: the sum over all models

    @property
    def total_usd(self) -> Decimal | None:
        """The cost of the events, and in a report by component that of what no log has; None as theirs is."""
        events = self.whole.known_usd
        return None if events is None else events + sum(self.components.values(), Decimal(0))

    @property
    def unpriced(self) -> list[Part]:
        """The models of which some requests have no price."""
        return [part for part in self.models if part.spend.unpriced_events]

    @property
    def diverging(self) -> list[Part]:
        """The models of which our cost is not what their sources report."""
        return [part for part in self.models if part.spend.diverges]

    @property
    def mix(self) -> CauseShares | None:
        """The causes of the whole less those of its parts: what only moved between parts; it adds up to nothing."""
        found = self.causes
        for part in self.parts:
            found = found.plus(part.causes or NO_CHANGE, -1) if found else None
        return found

    def note_of(self, part: Part) -> str:
        """Say where a component stands beside the typical shares."""
        return note(Component(part.key), part.share) if self.asked.by is Dimension.COMPONENT and part.key else ""

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        whole = self.whole
        return {
            "from": self.asked.window.start, "to": self.asked.window.end, "dimension": self.asked.by.value,
            "total_usd": self.total_usd, **self._components_json(), "events": whole.events,
            "unpriced_events": whole.unpriced_events, "usd_per_request": whole.usd_per_request,
            "by": [self._part_json(part) for part in self.parts],
            "unpriced_models": {str(part.key): part.spend.unpriced_events for part in self.unpriced},
            "divergences": [
                {"model": part.key, "usd": part.spend.compared_usd, "reported_usd": part.spend.reported_usd,
                 "share": part.spend.divergence}
                for part in self.diverging
            ],
            **self._users_json(), **self._change_json(),
        }  # fmt: skip

    def _components_json(self) -> dict[str, Any]:
        if self.asked.by is not Dimension.COMPONENT:
            return {}
        configured = {component.value: cost for component, cost in self.components.items()}
        return {"requests_usd": self.whole.known_usd, "configured_usd": configured}

    def _part_json(self, part: Part) -> dict[str, Any]:
        spend, at = part.spend, self.asked.each
        return {
            "key": part.key, **({at.value: part.at} if at else {}), "usd": spend.known_usd,
            "share": None if spend.known_usd is None else part.share,
            "events": spend.events, "unpriced_events": spend.unpriced_events, "usd_per_request": spend.usd_per_request,
            "input_tokens": spend.input_tokens, "output_tokens": spend.output_tokens,
            **({"note": self.note_of(part)} if self.asked.by is Dimension.COMPONENT else {}),
            **_causes_json(part.before, part.causes),
        }  # fmt: skip

    def _users_json(self) -> dict[str, Any]:
        if self.users is None:
            return {}
        known = sum((part.spend.usd for part in self.parts if part.key is not None), Decimal(0))
        users, days, months = self.users
        return {
            "users": users, "user_days": days, "user_months": months,
            "usd_per_user": known / users if users else None,
            "usd_per_user_day": known / days if days else None,
            "usd_per_user_month": known / months if months else None,
        }  # fmt: skip

    def _change_json(self) -> dict[str, Any]:
        if self.asked.before is None:
            return {}
        span = {"from": self.asked.before.start, "to": self.asked.before.end}
        mix = {} if self.mix is None else {"mix": asdict(self.mix)}
        return {"compared_to": span, **_causes_json(self.before, self.causes), **mix}


def _causes_json(before: Spend | None, found: CauseShares | None) -> dict[str, Any]:
    if before is None or found is None:
        return {}
    return {"before_usd": before.usd, "change_usd": found.change_usd, "causes": asdict(found)}


def report_costs(engine: sa.Engine, settings: Settings, asked: Asked, now: datetime) -> CostReport:
    """Read one snapshot of the roll-ups; days that have not begun cost nothing yet."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection, connection.begin():
        return _gather(connection, settings, asked, now)


def _gather(connection: sa.Connection, settings: Settings, asked: Asked, now: datetime) -> CostReport:
    tenant, window = settings.tenant, asked.window
    wholes = _wholes(store.sums(connection, tenant, window, each=asked.each))
    whole = _total(wholes)
    components = _configured(connection, settings, asked, now)
    found = _sums(connection, tenant, asked, window, components)
    all_usd = replace(whole, usd=whole.usd + sum(components.values(), Decimal(0)))
    models = store.sums(connection, tenant, window, Dimension.MODEL)
    then = {} if asked.before is None else store.sums(connection, tenant, asked.before, Dimension.MODEL)
    return CostReport(
        asked=asked, whole=whole, components=components,
        parts=parts(
            found, wholes if asked.each else {None: all_usd}, _before(connection, tenant, asked),
            in_time=asked.by in IN_TIME,
        ),
        models=parts(models, {None: whole}),
        users=_users(connection, tenant, window, now) if asked.by is Dimension.USER else None,
        before=None if asked.before is None else _total(then),
        causes=None if asked.before is None else causes(_named(then), _named(models)),
    )  # fmt: skip


def _users(connection: sa.Connection, tenant: str, window: Window, now: datetime) -> UserMeans:
    """Count the users; what one costs in a month is told by months that are over."""
    found = store.user_means(connection, tenant, window)
    are_months = window.start.day == window.end.day == 1 and window.end <= now
    return found if are_months else found._replace(user_months=None)


def _before(connection: sa.Connection, tenant: str, asked: Asked) -> Before | None:
    if asked.before is None:
        return None
    sums = _sums(connection, tenant, asked, asked.before, {})
    if asked.by in _NO_MODELS:
        return Before(sums, {})
    then, now = (store.model_sums(connection, tenant, span, asked.by) for span in (asked.before, asked.window))
    keys = then.keys() | now.keys()
    return Before(sums, {key: causes(then.get(key, {}), now.get(key, {})) for key in keys})


def _named(models: Mapping[PartKey, Spend]) -> Models:
    return {str(name): spend for (name, _), spend in models.items()}


def _sums(
    connection: sa.Connection, tenant: str, asked: Asked, window: Window, components: Mapping[Component, Decimal]
) -> Mapping[PartKey, Spend]:
    found = store.sums(connection, tenant, window, asked.by, asked.each)
    if asked.by is Dimension.USER:
        return with_rest(found, _wholes(store.sums(connection, tenant, window, each=asked.each)))
    return _by_component(found, components) if asked.by is Dimension.COMPONENT else found


def _by_component(operations: Mapping[PartKey, Spend], components: Mapping[Component, Decimal]) -> dict[PartKey, Spend]:
    found: dict[PartKey, Spend] = {(component, None): Spend(usd=usd) for component, usd in components.items()}
    for (operation, at), spend in operations.items():
        key = (component_of(str(operation)).value, at)
        found[key] = found.get(key, Spend()).plus(spend)
    return found


def _configured(connection: sa.Connection, settings: Settings, asked: Asked, now: datetime) -> dict[Component, Decimal]:
    if asked.by is not Dimension.COMPONENT:
        return {}
    begun = Window(min(asked.window.start, now), min(asked.window.end, now))
    queries = store.queries(connection, settings.tenant, begun, QUERIES)
    uses = {day.date(): DayUse(queries[day.date()], _passed(day, begun.end)) for day in begun.days()}
    return configured_costs([entry.as_rate() for entry in settings.component_costs], uses)


def _passed(day: datetime, until: datetime) -> Decimal:
    seconds = min(until - day, timedelta(days=1)).total_seconds()
    return Decimal(seconds) / 86_400


def unconfigured(report: CostReport) -> Sequence[Component]:
    """Name the components of which a report by component does not know the cost."""
    return [component for component in CONFIGURED if component not in report.components]


def _wholes(sums: Mapping[PartKey, Spend]) -> dict[str | None, Spend]:
    return {at: spend for (_, at), spend in sums.items()}


def _total(sums: Mapping[Any, Spend]) -> Spend:
    total = Spend()
    for spend in sums.values():
        total = total.plus(spend)
    return total
