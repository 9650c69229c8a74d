"""Our logs beside a vendor's own report."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from ops.cost.reconciliation import (
    WHOLE_DAY,
    Agreement,
    Line,
    Sums,
    compare,
    cost_family,
    family,
    whole_days,
)

DAY, NEXT = date(2026, 3, 4), date(2026, 3, 5)


def sums(tokens: int | None, dollars: str | None, **more: Any) -> Sums:
    return Sums(input_tokens=tokens, output_tokens=None if tokens is None else 0,
                cost_usd=None if dollars is None else Decimal(dollars), **more)  # fmt: skip


def line(ours: Sums | None, theirs: Sums | None, *, is_final: bool = True, day: date = DAY, model: str = "") -> Line:
    return Line(vendor="openai", day=day, model=model, ours=ours, theirs=theirs, is_final=is_final)


@pytest.mark.parametrize(
    ("ours", "theirs", "shows"),
    [
        pytest.param(sums(100, "1"), sums(100, "1"), Agreement.AGREES, id="equal sides"),
        pytest.param(sums(95, "1"), sums(100, "1"), Agreement.AGREES, id="5 of 100 tokens missing is allowed"),
        pytest.param(sums(94, "1"), sums(100, "1"), Agreement.LOGS_MISS, id="6 are too many"),
        pytest.param(sums(106, "1"), sums(100, "1"), Agreement.LOGS_EXCEED, id="6 too much as well: counted twice?"),
        pytest.param(sums(100, "1.06"), sums(100, "1"), Agreement.PRICE_DIFFERS, id="tokens agree, dollars do not"),
        pytest.param(sums(100, None), sums(100, "1"), Agreement.AGREES, id="unknown dollars are not compared"),
        pytest.param(sums(None, "2"), sums(100, "1"), Agreement.PRICE_DIFFERS, id="nor are unknown tokens"),
        pytest.param(sums(7, "0"), sums(0, "0"), Agreement.LOGS_EXCEED, id="the vendor counted nothing"),
        pytest.param(sums(0, "0"), sums(0, "0"), Agreement.AGREES, id="nothing on both sides"),
        pytest.param(sums(0, "-5"), sums(0, "-5"), Agreement.AGREES, id="a credit"),
        pytest.param(sums(100, "1"), None, Agreement.ONLY_HERE, id="the vendor has no such model"),
        pytest.param(None, sums(100, "1"), Agreement.ONLY_THERE, id="a key that does not go through our gateway"),
    ],
)
def test_line_says_what_it_shows(ours: Sums | None, theirs: Sums | None, shows: Agreement) -> None:
    assert line(ours, theirs).agreement(0.05) is shows


def test_line_of_a_day_that_the_vendor_may_still_revise_is_not_judged() -> None:
    assert line(sums(1, "1"), sums(100, "9"), is_final=False).agreement(0.05) is Agreement.NOT_FINAL


def test_line_has_coverage_and_differences() -> None:
    both = line(sums(90, "0.8"), sums(100, "1"))
    assert (both.coverage, both.tokens_difference, both.usd_difference) == (0.9, -10, Decimal("-0.2"))
    missing = line(None, sums(100, "1"))
    assert (missing.coverage, missing.tokens_difference, missing.usd_difference) == (0, -100, -1)
    unknown = line(sums(None, None), sums(0, None))
    assert (unknown.coverage, unknown.tokens_difference, unknown.usd_difference) == (None, None, None)
    assert line(sums(1, "1"), sums(0, "1")).coverage is None


def test_line_is_compared_in_dollars_where_both_sides_know_them() -> None:
    assert line(sums(90, "0.8"), sums(100, "1")).compared() == ("USD", (Decimal("0.8"), Decimal(1)))
    assert line(sums(90, None), sums(100, "1")).compared() == ("tokens", (90, 100))
    assert line(sums(None, None), None).compared() == ("tokens", (None, 0))


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("GPT-4o", "gpt-4o"),
        ("gpt-4o-latest", "gpt-4o"),
        ("gpt-4-0613", "gpt-4-0613"),
    ],
)
def test_family_is_the_name_without_its_date(model: str, name: str) -> None:
    assert family(model) == name


@pytest.mark.parametrize(
    ("line_item", "model", "name"),
    [
        pytest.param("gpt-4o-2024-08-06, input", None, "gpt-4o", id="OpenAI's line item"),
        pytest.param("Claude Sonnet 4 Usage", "claude-sonnet-4-20250514", "claude-sonnet-4", id="Anthropic's model"),
        pytest.param(None, None, None, id="a line of no model"),
        pytest.param(" , input", None, None, id="an empty name"),
    ],
)
def test_cost_family_is_what_a_line_of_a_bill_names(line_item: str | None, model: str | None, name: str | None) -> None:
    assert cost_family(line_item, model) == name


def test_compare_keeps_to_the_days_that_were_reported_and_loses_no_side() -> None:
    ours = {("openai", DAY, ""): sums(1, "1"), ("openai", NEXT, ""): sums(2, "2"), ("azure", DAY, ""): sums(3, "3")}
    theirs = {("openai", DAY, "gpt-4o"): sums(4, "4")}
    lines = compare(ours, theirs, {("openai", DAY): True})
    assert lines == [line(sums(1, "1"), None), line(None, sums(4, "4"), model="gpt-4o")]


def test_whole_days_are_the_newest_first() -> None:
    old, new, part = line(None, None), line(None, None, day=NEXT), line(None, None, model="gpt-4o")
    assert whole_days([part, old, new]) == [new, old]
    assert old.model == WHOLE_DAY


def test_sums_add_input_and_output_where_both_are_told() -> None:
    told = [Sums(input_tokens=3, output_tokens=4), Sums(input_tokens=3), Sums(output_tokens=4), Sums()]
    assert [side.tokens for side in told] == [3 + 4, None, None, None]
