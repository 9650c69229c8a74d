"""How many tokens a call had, when its log splits them into buckets that may overlap.

A log that means its buckets to be disjoint is sometimes fed by a client that sends the vendor's whole beside its
parts. Only the call's total tells the two apart. Before it: `tasks/sources/langfuse.py` and `helicone.py` have the
counts. After it: a `UsageEvent`, whose parts are subsets of its totals.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypedDict

_SIDES = (
    ("total", re.compile(r"^total")),
    ("written", re.compile(r"cache.*(creation|write)")),
    ("cached", re.compile(r"cache")),
    ("reasoning", re.compile(r"reasoning|thought")),
    ("input", re.compile(r"input|prompt")),
    ("output", re.compile(r"output|completion|candidates")),
)
_LIFETIME = re.compile(r"(?P<hour>_1h|ephemeral_1h.*)$|(_5m|ephemeral_5m.*)$")


class Tokens(TypedDict):
    """The token fields of a `UsageEvent`."""

    input_tokens: int | None
    cached_tokens: int | None
    cache_write_tokens: int | None
    cache_write_1h_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None


@dataclass(frozen=True, slots=True)
class Buckets:
    """One side of a call: `plain` tokens, and parts that may or may not be among them."""

    plain: int = 0
    parts: Sequence[int] = ()

    @property
    def readings(self) -> list[int]:
        """The totals that this can mean, the disjoint sum first; no part is larger than what holds it."""
        chosen = (choice for size in range(len(self.parts) + 1) for choice in combinations(self.parts, size))
        overlaps = {sum(inside) for inside in chosen if sum(inside) <= self.plain}
        return [self.plain + sum(self.parts) - overlap for overlap in sorted(overlaps)]


def settle(inputs: Buckets, outputs: Buckets, total: int | None) -> tuple[int, int]:
    """Return the input and output tokens of a call.

    Disjoint, unless the total is smaller: then the reading that adds up to it, and where none does the smallest, so
    that nothing is counted twice. A larger total counts tokens that are neither. Never negative.
    """
    disjoint = inputs.readings[0], outputs.readings[0]
    if total is None or total >= sum(disjoint):
        return disjoint
    for tokens_in in inputs.readings:
        if total - tokens_in in outputs.readings:
            return tokens_in, total - tokens_in
    return inputs.readings[-1], outputs.readings[-1]


def tokens_of_keys(counts: Mapping[str, int]) -> Tokens:
    """Return the token fields of an event from counts by name, as Langfuse's `usageDetails` has them.

    `input…` and `output…` are sums; two names of one part (`input_cached_tokens`, `input_cache_read`) are the same
    tokens; a cache write beside its parts by lifetime (`_5m`, `_1h`) is their sum. A name of neither side is no token.
    """
    held: dict[str, dict[str, int]] = {}
    for name, count in counts.items():
        held.setdefault(_side(name), {})[name] = count
    cached, reasoning = (max(held.get(part, {}).values(), default=None) for part in ("cached", "reasoning"))
    written, hour = _written(held.get("written", {}))
    inputs = Buckets(sum(held.get("input", {}).values()), (cached or 0, written or 0))
    outputs = Buckets(sum(held.get("output", {}).values()), (reasoning or 0,))
    tokens_in, tokens_out = settle(inputs, outputs, max(held.get("total", {}).values(), default=None))
    return {
        "input_tokens": tokens_in if held.keys() & {"input", "cached", "written"} else None,
        "cached_tokens": cached,
        "cache_write_tokens": written,
        "cache_write_1h_tokens": hour,
        "output_tokens": tokens_out if held.keys() & {"output", "reasoning"} else None,
        "reasoning_tokens": reasoning,
    }


def _side(name: str) -> str:
    return next((side for side, mark in _SIDES if mark.search(name.lower())), "other")


def _written(held: Mapping[str, int]) -> tuple[int | None, int | None]:
    """Return the tokens of cache writes, and those that are kept for an hour."""
    lifetimes = {name: found for name in held if (found := _LIFETIME.search(name.lower()))}
    hours = [held[name] for name, found in lifetimes.items() if found["hour"]]
    wholes = [count for name, count in held.items() if name not in lifetimes]
    by_lifetime = sum(held[name] for name in lifetimes)
    return max([by_lifetime, *wholes]) if held else None, max(hours, default=None)
