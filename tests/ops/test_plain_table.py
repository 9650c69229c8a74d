from __future__ import annotations

from ops.plain_table import plain_table

ROWS = [("model", "calls"), ("gpt-4o", "7"), ("o3", "1200")]


def test_plain_table_puts_numbers_to_the_right() -> None:
    assert plain_table(ROWS) == "  model   calls\n  gpt-4o      7\n  o3       1200"


def test_plain_table_of_words_ends_lines_without_spaces() -> None:
    assert plain_table(ROWS, numbers=False) == "  model   calls\n  gpt-4o  7\n  o3      1200"
