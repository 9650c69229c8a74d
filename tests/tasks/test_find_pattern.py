from __future__ import annotations

import pytest

from tasks.find_pattern import EndlessPattern, is_found


@pytest.mark.parametrize(
    ("text", "found"),
    [("We keep them for 35 days.", True), ("We keep them for 135 days.", False), ("", False),
     ("\u00fc \ufffd 35 \U0001f600", True), ("35 " + "x" * 1_000_000, True)],
    ids=["within the text", "only in part", "no text", "beside other letters", "a long text"],
)  # fmt: skip
def test_pattern_is_found(text: str, found: bool) -> None:
    assert is_found(r"\b35\b", text) is found


def test_pattern_without_end_is_given_up() -> None:
    with pytest.raises(EndlessPattern, match=r"pattern: '\(a\+\)\+\$' is not one that is found, or not, within 1 s"):
        is_found("(a+)+$", "a" * 60 + "!", cpu_s=1)
