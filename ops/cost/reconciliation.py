"""Whether our logs agree with a vendor's own report: by UTC day and model, in tokens and in dollars.

Before it: `tasks/stores/reconciliations.py` sums up both sides. After it: `tasks/reconcile_costs.py` keeps the lines,
and `ops/monitoring/rules/reconciliation.py` judges the last day that is final.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum

WHOLE_DAY = ""  # the line of everything that a vendor reports of a day, with what names no model
FINAL_AFTER = timedelta(hours=24)  # vendors revise a day for about so long
_DATED = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|latest)$")
Key = tuple[str, date, str]  # vendor, day, family


class Agreement(StrEnum):
    """What a line shows."""

    AGREES = "agrees"
    NOT_FINAL = "not final yet"
    ONLY_HERE = "only in our logs"
    ONLY_THERE = "only in the vendor's report"
    LOGS_MISS = "our logs miss usage"
    LOGS_EXCEED = "our logs exceed the report"
    PRICE_DIFFERS = "tokens agree, dollars differ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """One side of a line; None is unknown, as the dollars are when an event of ours has no price."""

    requests: int | None = None
    input_tokens: int | None = None  # with the cached ones
    cached_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: Decimal | None = None

    @property
    def tokens(self) -> int | None:
        """Input and output together; None when the side does not tell both."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Both sides of a vendor's day and model; a side that has nothing there is None."""

    vendor: str
    day: date
    model: str  # WHOLE_DAY, or a family: both sides' names without their dates
    ours: Sums | None
    theirs: Sums | None
    is_final: bool

    @property
    def coverage(self) -> float | None:
        """The share of the vendor's tokens that our logs have; above 1 when they have more."""
        ours, theirs = self._tokens()
        return ours / theirs if ours is not None and theirs else None

    @property
    def tokens_difference(self) -> int | None:
        """Our tokens less the vendor's."""
        ours, theirs = self._tokens()
        return None if ours is None or theirs is None else ours - theirs

    @property
    def usd_difference(self) -> Decimal | None:
        """Our dollars less the vendor's."""
        ours, theirs = self._usd()
        return None if ours is None or theirs is None else ours - theirs

    def agreement(self, tolerance: float) -> Agreement:
        """Say what the line shows; `tolerance` is the share of the vendor's figure that may be missing or too much."""
        if not self.is_final:
            return Agreement.NOT_FINAL
        if self.ours is None or self.theirs is None:
            return Agreement.ONLY_THERE if self.ours is None else Agreement.ONLY_HERE
        tokens, usd = _excess(*self._tokens()), _excess(*self._usd())
        if tokens is not None and abs(tokens) > tolerance:
            return Agreement.LOGS_MISS if tokens < 0 else Agreement.LOGS_EXCEED
        return Agreement.PRICE_DIFFERS if usd is not None and abs(usd) > tolerance else Agreement.AGREES

    def compared(self) -> tuple[str, tuple[Decimal | None, Decimal | None]]:
        """Return the unit that both sides know, USD before tokens, and both amounts in it."""
        if None not in self._usd():
            return "USD", self._usd()
        ours, theirs = (None if count is None else Decimal(count) for count in self._tokens())
        return "tokens", (ours, theirs)

    def _tokens(self) -> tuple[int | None, int | None]:
        """Return both sides' tokens: 0 for a side that has nothing at all, None where it does not count them."""
        return tuple(0 if side is None else side.tokens for side in (self.ours, self.theirs))  # type: ignore[return-value]

    def _usd(self) -> tuple[Decimal | None, Decimal | None]:
        sides = (self.ours, self.theirs)
        return tuple(Decimal(0) if side is None else side.cost_usd for side in sides)  # type: ignore[return-value]


def _excess(ours: Decimal | int | None, theirs: Decimal | int | None) -> float | None:
    """Return (ours - theirs) / theirs; infinite where the vendor reports nothing, None where a side is unknown."""
    if ours is None or theirs is None:
        return None
    if theirs == 0:
        return float("inf") if ours else 0.0
    return float((Decimal(ours) - Decimal(theirs)) / abs(Decimal(theirs)))


def family(model: str) -> str:
    """Return a model's name without its date: a gateway logs `gpt-4o` where the vendor reports `gpt-4o-2024-08-06`."""
    return _DATED.sub("", model.lower())


def cost_family(line_item: str | None, model: str | None) -> str | None:
    """Return the family that a line of a bill may be of; OpenAI's line item is `gpt-4o-2024-08-06, input`."""
    name = model or (line_item or "").partition(",")[0].strip()
    return family(name) if name else None


def compare(ours: Mapping[Key, Sums], theirs: Mapping[Key, Sums], final: Mapping[tuple[str, date], bool]) -> list[Line]:
    """Put both sides beside each other, by vendor, day and model; `final` names the days that are to be compared."""
    keys = sorted(key for key in ours.keys() | theirs.keys() if key[:2] in final)
    return [
        Line(
            vendor=vendor, day=day, model=model, ours=ours.get((vendor, day, model)),
            theirs=theirs.get((vendor, day, model)), is_final=final[vendor, day],
        )
        for vendor, day, model in keys
    ]  # fmt: skip


def whole_days(lines: Iterable[Line]) -> list[Line]:
    """Return the lines of whole days, the newest first."""
    return sorted((line for line in lines if line.model == WHOLE_DAY), key=lambda line: line.day, reverse=True)
