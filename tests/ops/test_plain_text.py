from __future__ import annotations

import json

import pytest

from ops.plain_text import markdown_cell, plain_table, printable, printable_json

ROWS = [("model", "calls"), ("gpt-4o", "7"), ("o3", "1200")]


def test_printable_drops_what_steers_a_terminal_and_keeps_words() -> None:
    assert printable("a\x1b]0;owned\x07\x1b[31mb\u202e ü 漢\n") == "a]0;owned[31mb ü 漢\n"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        pytest.param(
            "Zo\u00eb \u6f22 \U0001f600", '"Zo\u00eb \u6f22 \U0001f600"', id="words of any script as they are"
        ),
        pytest.param("\x9b2J\x7f\x1b", '"\\u009b2J\\u007f\\u001b"', id="what steers a terminal"),
        pytest.param(
            "\u202e\ud83d\U000e0001", '"\\u202e\\ud83d\\udb40\\udc01"', id="what is turned round, half or not seen"
        ),
    ],
)
def test_json_for_a_terminal_escapes_what_is_not_printable(text: str, written: str) -> None:
    document = json.dumps({"a": text}, indent=2, ensure_ascii=False)
    assert printable_json(document) == f'{{\n  "a": {written}\n}}'
    assert json.loads(printable_json(document)) == {"a": text}


def test_plain_table_puts_numbers_to_the_right() -> None:
    assert plain_table(ROWS) == "  model   calls\n  gpt-4o      7\n  o3       1200"


def test_plain_table_of_words_ends_lines_without_spaces() -> None:
    assert plain_table(ROWS, numbers=False) == "  model   calls\n  gpt-4o  7\n  o3      1200"


def test_markdown_cell_is_one_cell_and_runs_nothing() -> None:
    written = markdown_cell("<img src=x>|[a](b)\n`c` \x1b[1m *d*")
    assert written == r"\<img src=x\>\|\[a\](b) \`c\`  \[1m \*d\*"
