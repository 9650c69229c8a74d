"""Read a dictionary that a program printed with Python's `repr`, as LiteLLM does in its spans; never evaluates it."""

from __future__ import annotations

import ast
import re
from typing import Any

LONGEST = 10_000  # characters
DEEPEST = 20
_SIGNS = re.compile(r"[-+~]\s*[-+~]")  # each sign is a level to the parser


def read_dict(text: str) -> dict[Any, Any]:
    """Return the dictionary; an empty one for any other text, for one that is too long, and for one too deep."""
    if len(text) > LONGEST or _depth(text) > DEEPEST or _SIGNS.search(text):
        return {}
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _depth(text: str) -> int:
    """Return how deep brackets nest; those inside quotes count too, which only makes it stricter."""
    deepest = depth = 0
    for char in text:
        if char in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in ")]}":
            depth -= 1
    return deepest
