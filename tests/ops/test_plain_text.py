from __future__ import annotations

from ops.plain_text import plain_table, printable

ROWS = [("model", "calls"), ("gpt-4o", "7"), ("o3", "1200")]


def test_printable_drops_what_steers_a_terminal_and_keeps_words() -> None:
    assert printable("a\x1b]0;owned\x07\x1b[31mb\u202e ü 漢\n") == "a]0;owned[31mb ü 漢\n"


def test_plain_table_puts_numbers_to_the_right() -> None:
    assert plain_table(ROWS) == "  model   calls\n  gpt-4o      7\n  o3       1200"


def test_plain_table_of_words_ends_lines_without_spaces() -> None:
    assert plain_table(ROWS, numbers=False) == "  model   calls\n  gpt-4o  7\n  o3      1200"
