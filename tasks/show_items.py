"""What became of a run's items, as a table: the question, what was expected, what came back, how it was marked.

Before it: `tasks/evaluate_items.py`. After it: `watchkeeper evaluations show RUN`. Texts are redacted unless they are
asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from ops.errors import NotFound
from ops.money import usd
from ops.monitoring.evaluation_calls import Outcome, Step

COLUMNS = ("Item", "", "")
REDACTED, CUT, WHOLE = 0, 200, sys.maxsize  # characters of a text that are shown
WORST = 20  # items of a run that are shown
_SAID = ("query", "expected", "reference", "pattern", "answer", "tags")
_NOT_SHOWN = ("tenant_id", "run_id")
_TEXTS = ("answer", "item", "detail", "claim")
_WITH_STATUS = (Outcome.RATE_LIMITED, Outcome.SERVER_ERROR, Outcome.REFUSED)

Calls = Sequence[sa.Row[Any]]


def items_of(calls: Iterable[sa.Row[Any]], names: Collection[str] = ()) -> list[Calls]:
    """Return the calls of these items, else of the worst: with failures, then with doubts, then with the lowest marks.

    Raises:
        NotFound: nothing was asked of an item of that name.
    """
    found: dict[str, Calls] = {name: list(some) for name, some in groupby(calls, lambda call: str(call.item_id))}
    for name in names:
        if name not in found:
            raise NotFound("item", name, "was nothing asked of it in this run?")
    return [found[name] for name in names] if names else sorted(found.values(), key=_rank)[:WORST]


def _rank(calls: Calls) -> tuple[bool, bool, float]:
    marks = [value for call in calls for value in call.scores.values()]
    is_answered = all(call.outcome == Outcome.OK for call in calls)
    is_plain = all(call.detail is None and call.claim is None for call in calls)
    return is_answered, is_plain, min(marks, default=2.0)


def item_rows(calls: Calls, shown: int) -> Iterator[tuple[str, str, str]]:
    """Write an item as lines of a table, with so many characters of each text."""
    said = calls[0].item
    lines = [("query", "not kept")] if said is None else [
        (field, _text(_words(said[field]), shown)) for field in _SAID if field in said
    ]  # fmt: skip
    for call in calls:
        lines += [(call.step, _outcome(call)), *(("", line) for line in _came_back(call, shown))]
    for number, line in enumerate(lines):
        yield "" if number else calls[0].item_id, *line


def _outcome(call: sa.Row[Any]) -> str:
    cost = f"{usd(call.cost_usd)}{' (assumed)' if call.is_assumed else ''}"
    marks = (f"{metric} {value:.3f}" for metric, value in sorted(call.scores.items()))
    return ", ".join([call.outcome or "on its way", *marks, cost])


def _came_back(call: sa.Row[Any], shown: int) -> Iterator[str]:
    if call.outcome == Outcome.OK and call.step != Step.EMBEDDING:
        yield _text(call.answer, shown)
    detail = call.detail if shown else _status(call)
    if detail:
        yield detail
    if call.claim:
        yield f"usage that is not believed: {_text(call.claim, shown)}"


def _status(call: sa.Row[Any]) -> str | None:
    """Return the status that a detail begins with; the rest may quote what was asked or answered."""
    return str(call.detail).split(" ", 1)[0] if call.detail and call.outcome in _WITH_STATUS else None


def _words(said: Any) -> str:
    return said if isinstance(said, str) else "; ".join(f"{name}={value}" for name, value in said.items())


def _text(text: str | None, shown: int) -> str:
    if text is None:
        return "not kept"
    if not shown:
        return f"redacted, {len(text):,} characters"
    return text if len(text) <= shown else f"{text[:shown]}… ({len(text):,} characters)"


def call_document(call: sa.Row[Any], *, texts: bool) -> dict[str, Any]:
    """Return a call as JSON has it; what was asked and answered, or may quote it, only with `texts`."""
    hidden = _NOT_SHOWN if texts else (*_NOT_SHOWN, *_TEXTS)
    told = {name: value for name, value in call._mapping.items() if name not in hidden}
    return {**told, "status": _status(call)}
