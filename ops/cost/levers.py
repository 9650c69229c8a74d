"""What makes a bill smaller: the levers in the order in which a request meets them, and what each does to its cost.

Before it: `tasks/stores/savings.py` sums up the calls as cells. After it: `savings.py` pulls one lever after the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum

from ops.cost.pricing import RateCard, TokenSums, price_of

TEXTS = frozenset({"chat", "completion"})  # operations whose model and context can be chosen
EMBEDDING = "embedding"
FEWEST_CALLS = 100  # of a model on a route, before its share of cached input says something
BATCH_TIER = "batch"
# Batches at half price by their price pages, also for models of which the book names no price of a batch.
_BATCH_VENDORS = frozenset({"anthropic", "google", "groq", "mistral", "openai"})
_HALF = Decimal("0.5")
_ONE, _ZERO = Decimal(1), Decimal(0)

Model = tuple[str, str]  # vendor and name
Prices = Callable[[Model, str | None, date, int], RateCard | None]  # of a tier, a day and an input size


class Lever(StrEnum):
    """In pipeline order: each works on what the ones before it left."""

    RESPONSE_CACHE = "response_cache"
    EMBEDDING_CACHE = "embedding_cache"
    CONTEXT_TRIMMING = "context_trimming"
    CHEAPER_MODEL = "cheaper_model"
    PREFIX_CACHE = "prefix_cache"
    BATCH_API = "batch_api"
    MICRO_BATCHING = "micro_batching"

    def is_about(self, operation: str) -> bool:
        """Say whether the lever can do anything to calls of a kind."""
        if self is Lever.BATCH_API:
            return True
        return (operation == EMBEDDING) == (self in {Lever.EMBEDDING_CACHE, Lever.MICRO_BATCHING})


@dataclass(frozen=True, slots=True)
class Words:
    """What stands beside a figure: the specification's rule of thumb, what was assumed, and what may come otherwise."""

    rule_of_thumb: float | None
    assumption: str
    caveat: str


WORDS: Mapping[Lever, Words] = {
    Lever.RESPONSE_CACHE: Words(
        0.50,
        "calls with the same input text, model and prompt version get the answer that is cached",
        "an answer may be reused only at temperature 0 or by opt-in and never across users' private data: no log tells",
    ),
    Lever.EMBEDDING_CACHE: Words(
        0.50,
        "the same text for the same model is embedded once",
        "other dimensions of the same text are not told apart",
    ),
    Lever.CONTEXT_TRIMMING: Words(
        0.30,
        "input above the smallest context that evaluations of the route's main model admit is cut, cached tokens first",
        "holds for inputs like the evaluated ones; a cut within a shared prefix loses its discount",
    ),
    Lever.CHEAPER_MODEL: Words(
        0.70,
        "each route's main model gives way to the cheapest one that evaluations admit, for the same tokens",
        "another model counts and writes other tokens; the bound is of one look at one set of items",
    ),
    Lever.PREFIX_CACHE: Words(
        None,
        "every model of a route reaches the share of cached input that is set, or that the route's best model has",
        "models cache from different lengths on; what writing into the cache costs extra is left out",
    ),
    Lever.BATCH_API: Words(
        0.20,
        "all calls of the routes that can wait go through the vendor's batch API, at half price or the book's",
        "an answer may take a day; some vendors give no discount on cached input in a batch",
    ),
    Lever.MICRO_BATCHING: Words(
        0.20,
        "vendors charge tokens, and embedding many texts in one call changes no token",
        "it saves calls and waiting at rate limits, not dollars",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Calls of one UTC day that are alike to every lever, and what they cost; `size` is the least input of a bracket.

    `trimmed` is what they would use if the route's context limit had been kept, falling on `trimmed_size`.
    """

    day: date
    route: str
    model: Model
    tier: str | None
    operation: str
    repeats: bool  # a cache would have answered them
    size: int
    sums: TokenSums
    trimmed_size: int
    trimmed: TokenSums
    cost_usd: Decimal
    logged_model: Model  # what the log says: `model` may be another one by now


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done on which route; context limits are in the cells' trimmed sums already."""

    switches: Mapping[tuple[str, Model], Model] = field(default_factory=dict)  # route and model of now: another model
    prefix: Mapping[tuple[str, Model], Decimal] = field(default_factory=dict)  # share of uncached input to be cached
    can_wait: frozenset[str] = frozenset()


def pull(lever: Lever, cell: Cell, plan: Plan, prices: Prices) -> Cell | None:
    """Return what a lever leaves of a cell: the same, a cheaper one, or nothing."""
    if not lever.is_about(cell.operation):
        return cell
    match lever:
        case Lever.RESPONSE_CACHE | Lever.EMBEDDING_CACHE:
            return None if cell.repeats else cell
        case Lever.CONTEXT_TRIMMING:
            return _with_sums(cell, cell.trimmed, cell.trimmed_size, prices)
        case Lever.CHEAPER_MODEL:
            return _switched(cell, plan, prices)
        case Lever.PREFIX_CACHE:
            return _prefix_cached(cell, plan, prices)
        case Lever.BATCH_API:
            return _batched(cell, plan, prices)
    return cell


def _card(cell: Cell, prices: Prices, size: int | None = None) -> RateCard | None:
    return prices(cell.model, cell.tier, cell.day, cell.size if size is None else size)


def _with_sums(cell: Cell, sums: TokenSums, size: int, prices: Prices) -> Cell:
    """Change what a cell uses; what it costs changes as the list price does, whatever the contract's discount is."""
    before, after = _card(cell, prices), _card(cell, prices, size)
    listed = price_of(cell.sums, before) if before else _ZERO
    ratio = price_of(sums, after) / listed if after and listed else _ONE
    return cell if sums == cell.sums else replace(cell, sums=sums, size=size, cost_usd=cell.cost_usd * ratio)


def _switched(cell: Cell, plan: Plan, prices: Prices) -> Cell:
    other = plan.switches.get((cell.route, cell.model)) if cell.operation in TEXTS else None
    card = prices(other, cell.tier, cell.day, cell.size) if other else None
    if other is None or card is None:
        return cell
    return replace(cell, model=other, cost_usd=price_of(cell.sums, card))


def _prefix_cached(cell: Cell, plan: Plan, prices: Prices) -> Cell:
    share = plan.prefix.get((cell.route, cell.logged_model), _ZERO)
    sums = cell.sums
    uncached = sums.input_tokens - sums.cached_tokens - sums.cache_write_tokens
    more = int(share * uncached) if cell.operation in TEXTS else 0
    return _with_sums(cell, replace(sums, cached_tokens=sums.cached_tokens + more), cell.size, prices)


def _batched(cell: Cell, plan: Plan, prices: Prices) -> Cell:
    if cell.route not in plan.can_wait or cell.tier is not None:
        return cell
    return replace(cell, cost_usd=cell.cost_usd * _batch_ratio(cell, prices))


def _batch_ratio(cell: Cell, prices: Prices) -> Decimal:
    usual, batch = _card(cell, prices), prices(cell.model, BATCH_TIER, cell.day, cell.size)
    listed = price_of(cell.sums, usual) if usual else _ZERO
    if batch and listed and price_of(cell.sums, batch) < listed:
        return price_of(cell.sums, batch) / listed
    return _HALF if cell.model[0] in _BATCH_VENDORS else _ONE


def prefix_shares(
    cells: Iterable[Cell], wanted: Mapping[str, float]
) -> tuple[dict[tuple[str, Model], Decimal], set[str]]:
    """Return by route and model what share of its uncached input could be cached, and the routes that can be judged.

    The goal is what is wanted of a route, else the share of its model that caches most: on a route with one model
    nothing tells how much of the prompts is shared.
    """
    used = _text_use(cells)
    goals = {route: Decimal(str(share)) for route, share in wanted.items()}
    for route in {route for route, _ in used} - goals.keys():
        shares = [cached / whole for (name, _), (calls, whole, cached) in used.items()
                  if name == route and calls >= FEWEST_CALLS and whole]  # fmt: skip
        if len(shares) > 1 and max(shares) > 0:
            goals[route] = max(shares)
    known = {key: use for key, use in used.items() if key[0] in goals}
    found = {key: _missing(whole, cached, goals[key[0]]) for key, (_, whole, cached) in known.items()}
    return {key: share for key, share in found.items() if share > 0}, {route for route, _ in known}


def _text_use(cells: Iterable[Cell]) -> dict[tuple[str, Model], tuple[int, Decimal, Decimal]]:
    used: dict[tuple[str, Model], tuple[int, Decimal, Decimal]] = defaultdict(lambda: (0, _ZERO, _ZERO))
    for cell in cells:
        if cell.operation in TEXTS:
            calls, whole, cached = used[cell.route, cell.model]
            sums = cell.sums
            used[cell.route, cell.model] = (
                calls + sums.requests, whole + sums.input_tokens, cached + sums.cached_tokens
            )  # fmt: skip
    return used


def _missing(whole: Decimal, cached: Decimal, goal: Decimal) -> Decimal:
    share = cached / whole if whole else goal
    return (goal - share) / (1 - share) if share < goal else _ZERO
