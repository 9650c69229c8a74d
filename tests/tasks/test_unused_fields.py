from __future__ import annotations

import pytest

from tasks.unused_fields import Unused, unused_fields

COLUMNS = {name: name for name in ("occurred_at", "input_tokens", "cached_tokens", "output_tokens", "latency_ms")}


def meant(*names: str, **columns: str) -> dict[str, str | None]:
    found = unused_fields("log.csv", names, {**COLUMNS, **columns})
    return found[0].fields if found else {}


def test_columns_that_are_read_are_no_news() -> None:
    assert unused_fields("log.csv", ["tokens", "occurred_at"], {**COLUMNS, "input_tokens": "tokens"}) == ()
    assert unused_fields("log.csv", ["", "occurred_at"], COLUMNS) == ()


NAMES = {
    "a word more": ("cached_input_tokens", "cached_tokens"),
    "a letter less": ("input_token", "input_tokens"),
    "other cases": ("LatencyMs", "latency_ms"),
    "another word": ("prompt_tokens", None),
    "a sum": ("total_tokens", None),
    "nothing like it": ("note", None),
}


@pytest.mark.parametrize(("name", "field"), NAMES.values(), ids=NAMES)
def test_field_that_is_meant_is_named_for(name: str, field: str | None) -> None:
    assert meant(name) == {name: field}


def test_field_that_the_file_gives_already_is_not_meant() -> None:
    assert meant("cached_input_tokens", "cached_tokens", "input_tokens") == {"cached_input_tokens": None}
    assert meant("input_tokens", "tokens", input_tokens="tokens") == {"input_tokens": None}


def test_what_may_be_meant_comes_first_and_the_others_keep_their_order() -> None:
    assert list(meant("b", "a", "input_token")) == ["input_token", "b", "a"]


def test_as_many_are_shown_as_a_reader_takes_in() -> None:
    names = [f"column {number}" for number in range(1000)]
    [found] = unused_fields("log.csv", names, COLUMNS)
    assert found == Unused("log.csv", dict.fromkeys(names[:20]), 1000 - 20)


def test_name_is_cut() -> None:
    assert meant(1000 * "x") == {60 * "x": None}
