from __future__ import annotations

from pathlib import Path

import pytest

import tasks.stores.sql
from tasks.stores.sql import statement

NAMES = sorted(path.stem for path in Path(tasks.stores.sql.__file__).parent.glob("*.sql"))


@pytest.mark.parametrize("name", NAMES)
def test_statement_begins_with_one_comment_that_says_what_it_does(name: str) -> None:
    assert statement(name).text.startswith("-- ")


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        pytest.param("traffic", {"tenant", "now"}, id="after one colon is a parameter"),
        pytest.param("take_out_changed", {"seen_at"}, id="behind a comparison is a parameter"),
    ],
)
def test_word(name: str, parameters: set[str]) -> None:
    assert set(statement(name).compile().params) == parameters


def test_statement_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        statement("drop_everything")
