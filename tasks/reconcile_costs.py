"""Compare our logs with the vendors' own reports, and keep the comparison.

Before it: sources of kind openai and anthropic were polled. Between: `ops.cost.reconciliation` compares. After it: the
rule `reconciliation` judges the last final day, and people see the lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from prefect import task
from prefect.cache_policies import NO_CACHE

from ops.cost.reconciliation import WHOLE_DAY, Agreement, Line, Sums, compare, whole_days
from ops.money import usd
from ops.plain_text import markdown_cell
from ops.window import Window, floor_day
from tasks.settings import Settings
from tasks.stores import reconciliations as store
from tasks.stores import usage

DAYS = 7
_NAMED = 3  # days that the summary names
_FINE = {Agreement.AGREES, Agreement.NOT_FINAL}


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The lines of some days, and the share that may differ."""

    lines: Sequence[Line]
    tolerance: float

    @property
    def differing(self) -> list[Line]:
        """The whole days that do not agree, the newest first."""
        return [line for line in whole_days(self.lines) if line.agreement(self.tolerance) not in _FINE]

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Yield what a person reads: the newest day first, the whole day before its models."""
        for line in sorted(self.lines, key=lambda line: (-line.day.toordinal(), line.vendor, line.model)):
            yield (
                f"{line.day:%Y-%m-%d}", line.vendor, line.model or "(all)", _tokens(line.ours),
                _tokens(line.theirs), _share(line.coverage),
                usd(line.ours.cost_usd) if line.ours else "", usd(line.theirs.cost_usd) if line.theirs else "",
                _signed(line.usd_difference), line.agreement(self.tolerance).value,
            )  # fmt: skip

    def notes(self) -> Iterator[str]:
        """Yield why our dollars of a day are unknown: the models of it that have requests without a price."""
        for line in whole_days(self.lines):
            if line.ours is not None and line.ours.cost_usd is None:
                names = ", ".join(_without_price(self.lines, line))
                yield f"{_name(line)}: our dollars are unknown, as requests have no price: {names}"

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "tolerance": self.tolerance,
            "agrees": not self.differing,
            "lines": [
                {**asdict(line), "coverage": line.coverage, "tokens_difference": line.tokens_difference,
                 "usd_difference": line.usd_difference, "agreement": line.agreement(self.tolerance).value}
                for line in self.lines
            ],
        }  # fmt: skip


COLUMNS = (
    "Day",
    "Vendor",
    "Model",
    "Our tokens#",
    "Theirs#",
    "Coverage#",
    "Our USD#",
    "Theirs USD#",
    "Difference#",
    "Shows",
)


@task(cache_policy=NO_CACHE, persist_result=False)
def reconcile_costs(engine: sa.Engine, settings: Settings, now: datetime, days: int = DAYS) -> Reconciled:
    """Compare the full days before today, as far back as events are kept; run again it replaces what it kept."""
    today = floor_day(now)
    with engine.begin() as connection:
        floor = usage.floor(connection, settings.tenant)
        start = today - timedelta(days=days)
        span = Window(min(max(start, floor or start), today), today)
        final = store.reported_days(connection, settings.tenant, span)
        ours = store.our_sums(connection, settings.tenant, span, {vendor for vendor, _ in final})
        lines = compare(ours, store.their_sums(connection, settings.tenant, span), final)
        store.replace(connection, settings.tenant, span, lines, now)
    return Reconciled(lines, settings.alerting.bill_tolerance)


def report_markdown(done: Reconciled, now: datetime) -> str:
    """Write the artifact."""
    head = f"# Our logs against the vendors' bills, as of {now:%Y-%m-%d %H:%M} UTC\n\n"
    if not done.lines:
        return f"{head}No vendor has reported these days: add a source of kind openai or anthropic."
    names = " | ".join(name.rstrip("#") for name in COLUMNS)
    marks = "|".join("---:" if name.endswith("#") else "---" for name in COLUMNS)
    rows = "\n".join(f"| {' | '.join(map(markdown_cell, row))} |" for row in done.rows())
    notes = "".join(f"\n\n{markdown_cell(line)}." for line in done.notes())
    told = f"A difference above {done.tolerance:.0%} is told, a day after its end."
    return f"{head}| {names} |\n|{marks}|\n{rows}\n\n{told}{notes}"


def summary(done: Reconciled) -> str:
    """Say in one line how far both sides agree."""
    days = sum(line.model == WHOLE_DAY for line in done.lines)
    if not days:
        return "no vendor has reported these days"
    wrong = done.differing
    names = ", ".join(_name(line) for line in wrong[:_NAMED])
    more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
    return f"{days} days of vendors compared, {len(wrong)} differ" + (f": {names}{more}" if wrong else "")


def _without_price(lines: Sequence[Line], whole: Line) -> list[str]:
    same = (line for line in lines if line.model and (line.vendor, line.day) == (whole.vendor, whole.day))
    return [line.model for line in same if line.ours is not None and line.ours.cost_usd is None]


def _name(line: Line) -> str:
    return f"{line.vendor} {line.day:%Y-%m-%d}"


def _tokens(side: Sums | None) -> str:
    return "" if side is None or side.tokens is None else f"{side.tokens:,}"


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _signed(amount: Decimal | None) -> str:
    return "" if amount is None else f"{'+' if amount > 0 else ''}{usd(amount)}"
