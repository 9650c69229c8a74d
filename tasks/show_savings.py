"""How advice is told: the terminal's table, JSON, the weekly message, the artifact.

Before it: `tasks/advise_savings.py` has it. After it: people decide what to switch on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from ops.cost.holdout import Calibration, Realised
from ops.cost.levers import WORDS, Lever
from ops.cost.model_selection import Decision
from ops.cost.savings import Advice, Interval, Saving
from ops.money import usd
from ops.plain_text import markdown_cell
from ops.window import Window

COLUMNS = ("Lever", "Rule of thumb#", "Alone#", "#", "After the others#", "#", "80 % of such days#")
_SHORT = ("Lever", "rule", "alone", "", "after", "", "80 %")


@dataclass(frozen=True, slots=True)
class Advised:
    """The advice on some days, what it rests on, and what came of earlier advice."""

    window: Window
    advice: Advice
    unpriced_events: int
    limits: Mapping[str, int]
    decisions: Sequence[Decision]
    details: Mapping[Lever, str]
    realised: Sequence[Realised]

    @property
    def proposals(self) -> list[Mapping[str, str]]:
        """The changes of flags that the cheaper models would need."""
        return [decision.change for decision in self.decisions if decision.change is not None]

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Yield a line for each lever, and the total."""
        whole = self.advice.cost_usd
        for saving in self.advice.savings:
            words = WORDS[saving.lever]
            rule = "" if words.rule_of_thumb is None else f"-{words.rule_of_thumb:.0%}"
            figures = (*_figures(saving.alone_usd, whole), *_figures(saving.saved_usd, whole))
            yield _title(saving.lever), rule, *figures, _between(saving.interval)
        yield "All together", "", "", "", *_figures(self.advice.total_usd, whole), _between(self.advice.interval)

    def notes(self) -> Iterator[str]:
        """Yield what stands behind each figure, or why there is none."""
        for saving in self.advice.savings:
            words, detail = WORDS[saving.lever], self.details.get(saving.lever)
            said = f"unknown: {saving.reason}" if saving.reason else f"{words.assumption}; {words.caveat}"
            yield f"{_title(saving.lever)}: {said}{f' ({detail})' if detail else ''}"

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "from": self.window.start, "to": self.window.end, "cost_usd": self.advice.cost_usd,
            "unpriced_events": self.unpriced_events, "left_usd": self.advice.left_usd,
            "total_usd": self.advice.total_usd, "total_interval": _json_interval(self.advice.interval),
            "levers": [self._lever(saving) for saving in self.advice.savings],
            "limits": self.limits, "proposals": self.proposals,
            "realised": [{**asdict(each), "ratio": each.ratio} for each in self.realised],
        }  # fmt: skip

    def _lever(self, saving: Saving) -> dict[str, Any]:
        return {
            **asdict(saving), "interval": _json_interval(saving.interval),
            "alone_share": _share(saving.alone_usd, self.advice.cost_usd),
            "saved_share": _share(saving.saved_usd, self.advice.cost_usd),
            **asdict(WORDS[saving.lever]), "detail": self.details.get(saving.lever),
        }  # fmt: skip


def headline(advised: Advised) -> str:
    """Say in one line what could be saved."""
    advice, days = advised.advice, advised.window.length.days
    amount, share = _figures(advice.total_usd, advice.cost_usd)
    unknown = sum(saving.reason is not None for saving in advice.savings)
    more = f"; {unknown} levers unknown" if unknown else ""
    return f"Savings: {amount}{f' ({share})' if share else ''} of {usd(advice.cost_usd)} in {days} days{more}"


def message_text(advised: Advised) -> str:
    """Write the table and what came of earlier advice, for a message."""
    rows = [_SHORT, *advised.rows()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join((row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:]))).rstrip() for row in rows]
    changes = [f"{change['flag']}: from {change['from']} to {change['to']}" for change in advised.proposals]
    return "\n".join([*lines, *changes, *realised_lines(advised)])


def realised_lines(advised: Advised) -> Iterator[str]:
    """Yield a line for each lever that was switched on."""
    for each in advised.realised:
        users = f"{each.users:,} users against {each.held_out_users:,} held out"
        if each.realised is None:
            yield f"{_title(each.lever)}, switched on: {each.calibration.value} ({users})"
            continue
        expected = "" if each.predicted is None else f", predicted {each.predicted:.1%}"
        word = "" if each.calibration is Calibration.HOLDS else f": {each.calibration.value}"
        yield (
            f"{_title(each.lever)}, switched on: saves {each.realised:.1%} of its calls' cost "
            f"({each.low80:.1%} to {each.high80:.1%}, {users}){expected}{word}"
        )


def report_markdown(advised: Advised, now: datetime) -> str:
    """Write the artifact."""
    heads = [name.rstrip("#") for name in COLUMNS]
    rows = "\n".join(f"| {' | '.join(row)} |" for row in advised.rows())
    notes = "\n".join(f"- {markdown_cell(line)}" for line in (*advised.notes(), *realised_lines(advised)))
    gaps = f"\n\n{advised.unpriced_events:,} calls have no price and are in no figure." * bool(advised.unpriced_events)
    return (
        f"# {headline(advised)}\n\nAs of {now:%Y-%m-%d %H:%M} UTC; each lever works on what those above it left.\n\n"
        f"| {' | '.join(heads)} |\n|---|---:|---:|---:|---:|---:|---:|\n{rows}\n\n{notes}{gaps}"
    )


def _figures(amount: Decimal | None, whole: Decimal) -> tuple[str, str]:
    share = _share(amount, whole)
    return usd(amount), "" if share is None else f"{share:.1%}"


def _share(amount: Decimal | None, whole: Decimal) -> float | None:
    return float(amount / whole) if amount is not None and whole else None


def _between(interval: Interval | None) -> str:
    return f"{usd(interval.low)} to {usd(interval.high)}" if interval else ""


def _json_interval(interval: Interval | None) -> dict[str, Decimal] | None:
    return asdict(interval) if interval else None


def _title(lever: Lever) -> str:
    return lever.value.replace("_", " ").capitalize().replace(" api", " API")
