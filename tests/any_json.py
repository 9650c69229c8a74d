"""Any JSON that a vendor's answer can hold, with what is rare on purpose, and rows with some fields gone wrong."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

ODD = st.sampled_from([
    None, True, False, 0, -1, 2**63, 10**400, 1.5, -0.0, 1e308, float("inf"), float("nan"), "", "\x00", "\ud83d",
    "x" * 100_000, "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59",
    "2026-03-05T11:30:00", "2026-03-05 11:30:00.123", "1e400", "NaN", "-2", "ERROR", [], {}, [None], {"value": None},
    {"value": 10**400}, {"input": -1}, {"input": 1.5}, {"input": float("inf")}, {"total": "12"}, {"input": 2**70},
    {"kind": "observation"}, {"x": {"y": [1, {"z": "\ud800"}]}},
])  # fmt: skip
JSON = st.recursive(
    ODD | st.text() | st.integers() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


def rows_like(row: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Make any JSON, or a row some of whose fields hold anything or are not there."""
    wrong = st.dictionaries(st.sampled_from(sorted(row)), JSON, min_size=1, max_size=3)
    gone = st.sets(st.sampled_from(sorted(row)), max_size=2)
    changed = st.tuples(wrong, gone).map(
        lambda drawn: {name: value for name, value in {**row, **drawn[0]}.items() if name not in drawn[1]}
    )
    return JSON | changed
