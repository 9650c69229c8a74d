"""Compare an answer with what a golden item says of it; each scorer gives a mark between 0 and 1, or none.

Before it: `golden`. After it: rows of `scores`. What needs another model, a similarity or a judge's verdict, is asked
for by `tasks/evaluate_items.py`; so is a pattern, which needs a process that can be ended.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Sequence
from enum import StrEnum

from ops.errors import InvalidValue
from ops.monitoring.golden import GoldenItem

SIMILARITY, PATTERN = "answer_similarity", "answer_regex"


class Scorer(StrEnum):
    """What an answer is held to."""

    EXACT = "exact"  # the reference, but for case and blanks
    CONTAINS = "contains"  # the reference somewhere in it, but for case and blanks
    REGEX = "regex"  # the pattern somewhere in it
    EMBEDDING = "embedding"  # the reference: the cosine of the two vectors
    JUDGE = "judge"  # a model's verdict by a rubric


def score_answer(scorers: Sequence[Scorer], item: GoldenItem, answer: str) -> dict[str, float]:
    """Score an answer by texts alone; an item that does not say what a scorer needs has no mark of it."""
    found = {f"answer_{scorer}": _TEXTUAL[scorer](item, answer) for scorer in scorers if scorer in _TEXTUAL}
    return {metric: float(mark) for metric, mark in found.items() if mark is not None}


def _exact(item: GoldenItem, answer: str) -> bool | None:
    return None if item.reference is None else _plain(answer) == _plain(item.reference)


def _contains(item: GoldenItem, answer: str) -> bool | None:
    return None if item.reference is None else _plain(item.reference) in _plain(answer)


_TEXTUAL: dict[Scorer, Callable[[GoldenItem, str], bool | None]] = {
    Scorer.EXACT: _exact,
    Scorer.CONTAINS: _contains,
}


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def similarity(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the cosine of two vectors, between -1 and 1.

    Raises:
        InvalidValue: of different lengths, or one that points nowhere.
    """
    if len(one) != len(other):
        raise InvalidValue("embedding", f"{len(one)} and {len(other)} numbers", "two vectors of one length")
    norms = math.hypot(*one) * math.hypot(*other)
    if not (math.isfinite(norms) and norms > 0):
        raise InvalidValue("embedding", norms, "two vectors of a finite length above 0")
    product = math.fsum(a * b for a, b in zip(one, other, strict=True))
    return max(-1.0, min(1.0, product / norms))
