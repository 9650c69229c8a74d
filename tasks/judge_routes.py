"""Which models and limits the evaluations admit on each route, and what they would have cost on its own calls.

Before it: `tasks/import_evaluations.py` keeps verdicts. Between: `ops.cost.model_selection` and `ops.cost.right_sizing`
decide. After it: `tasks/advise_savings.py`, `watchkeeper cost select-model` and `right-size`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

import sqlalchemy as sa

from ops.cost.levers import TEXTS, Cell, Model, Prices
from ops.cost.model_selection import Candidate, Decision, select
from ops.cost.pricing import price_of
from ops.cost.right_sizing import Limits, Trial, admitted_size, recommend, trials
from ops.money import stored, usd
from ops.plain_text import UNKNOWN
from ops.window import Window
from tasks.price_usage import card_of, price_edges
from tasks.settings import Settings
from tasks.stores import evaluations
from tasks.stores import savings as store
from tasks.stores.evaluations import RoutePairs
from tasks.stores.savings import Limit

_NOTHING = RoutePairs()
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Routes:
    """The routes of a window: the model that each spends most on, and what evaluations pair."""

    window: Window
    main: Mapping[str, Model]
    pairs: Mapping[str, RoutePairs]
    edges: Sequence[int]
    prices: Prices  # contracts' before the book's
    max_drop: float

    def trials(self, route: str) -> tuple[Trial, ...]:
        """Judge the smaller contexts of a route's main model."""
        contexts = self.pairs.get(route, _NOTHING).contexts
        return trials(contexts.get(name_of(self.main[route]), {}), self.max_drop)

    def limits(self) -> dict[str, Limit]:
        """Return the contexts that evaluations admit."""
        sizes = {route: admitted_size(self.trials(route)) for route in self.main}
        return {route: Limit(size) for route, size in sizes.items() if size is not None}

    def decide(self, cells: Sequence[Cell]) -> list[Decision]:
        """Choose a model for every route."""
        return [self._decide(route, model, cells) for route, model in sorted(self.main.items())]

    def _decide(self, route: str, model: Model, cells: Sequence[Cell]) -> Decision:
        own = [cell for cell in cells if (cell.route, cell.model) == (route, model) and cell.operation in TEXTS]
        cost, current = sum((cell.cost_usd for cell in own), _ZERO), name_of(model)
        candidates = [
            Candidate(second, pairs, _cost_with(_model(second), own, self.prices))
            for (first, second), pairs in self.pairs.get(route, _NOTHING).models.items()
            if first == current
        ]
        return select(route, current, cost, candidates, self.max_drop)


def look_at(connection: sa.Connection, settings: Settings, window: Window) -> Routes:
    """Find the routes of a window."""
    pairs = evaluations.pairs(connection, settings.tenant)
    others = {_model(second) for route in pairs.values() for _, second in route.models}
    models = store.models_in_use(connection, settings.tenant, window) | others
    main = store.main_models(connection, settings.tenant, window)
    edges = price_edges(settings.overrides, models, _last_day(window))
    prices = partial(card_of, settings.overrides)
    return Routes(window, main, pairs, edges, prices, settings.savings.max_quality_drop)


def _last_day(window: Window) -> date:
    return list(window.days())[-1].date()


def name_of(model: Model) -> str:
    """Write a model as evaluations do."""
    return "/".join(model)


def _model(name: str) -> Model:
    vendor, _, model = name.partition("/")
    return vendor, model


def _cost_with(model: Model, cells: Sequence[Cell], prices: Prices) -> Decimal | None:
    total = _ZERO
    for cell in cells:
        card = prices(model, cell.tier, cell.day, cell.size)
        if card is None:
            return None
        total += stored(price_of(cell.sums, card))
    return total


MODEL_COLUMNS = (
    "Route", "Model", "Cost USD#", "Saves#", "Pairs#", "Difference#", "At least#", "Pairs needed#", "Verdict"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SelectedModels:
    """A decision for each route, on the calls of some days."""

    days: int
    max_drop: float
    decisions: Sequence[Decision]

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Yield what a person reads: a route's own model, then the others, the cheapest first."""
        for decision in self.decisions:
            route, cost = decision.route or UNKNOWN, decision.current_cost_usd
            chosen = "chosen: " if decision.chosen == decision.current else ""
            yield route, decision.current, usd(cost), "", "", "", "", "", f"{chosen}in use"
            for each in decision.candidates:
                chosen = "chosen: " if each.model == decision.chosen else ""
                yield (
                    route, each.model, usd(each.cost_usd), _share(cost, each.cost_usd), f"{each.pairs.n:,}",
                    _signed(each.pairs.difference), _signed(each.lower), f"{each.needed:,}",
                    chosen + each.verdict.value.replace("_", " "),
                )  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "days": self.days,
            "max_quality_drop": self.max_drop,
            "routes": [{**asdict(each), "saved_usd": each.saved_usd, "change": each.change} for each in self.decisions],
        }


def select_models(engine: sa.Engine, settings: Settings, window: Window) -> SelectedModels:
    """Choose a model for every route by stored evaluations; nothing is applied."""
    with engine.begin() as connection:
        routes = look_at(connection, settings, window)
        cells = store.cells(connection, settings.tenant, window, routes.edges, {})
    return SelectedModels(window.length.days, routes.max_drop, routes.decide(cells))


LIMIT_COLUMNS = (
    "Route", "Calls#", "Tokens", "P50#", "P90#", "P95#", "P99#", "Most#", "Limit#", "Never needed#", "Saves USD#"
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SizedRoute:
    """The limits of a route, and what they would have saved at the prices of the window's last day."""

    limits: Limits
    never_needed: float | None  # share of the input above an evaluated limit; None where none is evaluated
    input_saved_usd: Decimal
    output_saved_usd: Decimal

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Yield what a person reads of input and output."""
        use = self.limits.use
        needless = "" if self.never_needed is None else f"{self.never_needed:.1%}"
        both = (("input", use.input, self.limits.max_input, needless, self.input_saved_usd),
                ("output", use.output, self.limits.max_output, "", self.output_saved_usd))  # fmt: skip
        for name, found, limit, share, saved in both:
            start = (use.route or UNKNOWN, f"{use.requests:,}", name)
            if found is None:
                yield (*start, "unknown", *[""] * 7)
            else:
                counts = (f"{count:,}" for count in (found.p50, found.p90, found.p95, found.p99, found.max, limit))
                yield (*start, *counts, share, usd(saved))


@dataclass(frozen=True, slots=True)
class SizedRoutes:
    """The limits of every route, on the calls of some days."""

    days: int
    routes: Sequence[SizedRoute]

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {"days": self.days, "routes": [asdict(each) for each in self.routes]}


def right_size(engine: sa.Engine, settings: Settings, window: Window) -> SizedRoutes:
    """Recommend limits for every route, and say what they would have saved."""
    with engine.begin() as connection:
        routes = look_at(connection, settings, window)
        found = [
            recommend(use, {trial.size: trial.pairs for trial in routes.trials(use.route)}, routes.max_drop)
            for use in store.route_use(connection, settings.tenant, window)
        ]
        limits = {each.use.route: Limit(each.max_input, each.max_output) for each in found}
        cells = store.cells(connection, settings.tenant, window, routes.edges, limits)
    return SizedRoutes(window.length.days, [_sized(each, cells, routes) for each in found])


def _sized(limits: Limits, cells: Sequence[Cell], routes: Routes) -> SizedRoute:
    own = [cell for cell in cells if cell.route == limits.use.route and cell.operation in TEXTS]
    whole, kept = (sum(sums.input_tokens for sums in each) for each in
                   ((cell.sums for cell in own), (cell.trimmed for cell in own)))  # fmt: skip
    is_evaluated = admitted_size(limits.trials) is not None
    return SizedRoute(
        limits=limits, never_needed=1 - kept / whole if is_evaluated and whole else None,
        input_saved_usd=sum((_saved(cell, routes, output=False) for cell in own), _ZERO),
        output_saved_usd=sum((_saved(cell, routes, output=True) for cell in own), _ZERO),
    )  # fmt: skip


def _saved(cell: Cell, routes: Routes, *, output: bool) -> Decimal:
    """Return what a limit takes off a cell at the last day's prices: of the input alone, or of the output after it."""
    day = _last_day(routes.window)
    card, kept = (routes.prices(cell.model, cell.tier, day, size) for size in (cell.size, cell.trimmed_size))
    if card is None or kept is None:
        return _ZERO
    cut = replace(cell.trimmed, output_tokens=cell.sums.output_tokens)
    if output:
        return stored(price_of(cut, kept) - price_of(cell.trimmed, kept))
    return stored(price_of(cell.sums, card) - price_of(cut, kept))


def _share(cost: Decimal, other: Decimal | None) -> str:
    return f"{1 - other / cost:.0%}" if cost and other is not None else ""


def _signed(difference: float | None) -> str:
    return "" if difference is None else f"{100 * difference:+.1f} points"
