"""What becomes of one call of an evaluation run, and what it is charged as.

A failed call says nothing of quality: it is counted by its kind and has no score. Before it: `tasks/ask_endpoint.py`.
After it: rows of `evaluation_calls`.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum


class Step(StrEnum):
    """What a call is for, in the order in which an item goes through them."""

    ANSWER = "answer"
    EMBEDDING = "embedding"
    JUDGE = "judge"


class Outcome(StrEnum):
    """How a call ended; only `ok` can be scored."""

    OK = "ok"
    RATE_LIMITED = "rate limited"  # 429
    SERVER_ERROR = "server error"  # 5xx
    REFUSED = "refused"  # any other status: credentials, a request that it does not take
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"  # no connection: it was never asked
    BROKEN = "broken off"  # asked, and the connection ended
    GARBAGE = "garbage"  # an answer of another form than asked for
    EMPTY = "empty"  # an answer without a text
    INTERRUPTED = "interrupted"  # asked, then our process died


_UNCHARGED = frozenset({Outcome.RATE_LIMITED, Outcome.REFUSED, Outcome.UNREACHABLE})


def charge(outcome: Outcome, reserved: Decimal, told: Decimal | None) -> tuple[Decimal, bool]:
    """Return what a call is accounted at, and whether that is an assumption: the price reserved before it.

    `told` is what the answer's own usage costs, None when it has none that is believed. Nobody can know what a call
    cost whose answer never came: it is taken to have cost what was reserved, and is not made again.
    """
    if told is not None:
        return told, False
    if outcome in _UNCHARGED:
        return Decimal(0), False
    return reserved, reserved > 0


def is_believed(told: Decimal, most: Decimal | None, budget: Decimal) -> bool:
    """Whether a call can have cost what its usage says: no more than `most`, where that is set, or than the whole run.

    What is believed is accounted in full, above what was reserved too: it is owed.
    """
    return told <= (budget if most is None else most)
