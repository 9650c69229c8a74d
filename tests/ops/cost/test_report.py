"""The parts of a report add up to its whole to the last digit, whatever they are."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.cost.breakdown import CauseShares
from ops.cost.report import Before, Part, Spend, causes, parts, with_rest

AMOUNTS = st.decimals(0, 10**6, places=12)


@st.composite
def spends(draw: st.DrawFn) -> Spend:
    events = draw(st.integers(1, 1000))
    tokens = draw(st.integers(0, 10**6))
    return Spend(events, draw(st.integers(0, events)), draw(AMOUNTS), tokens, tokens, tokens)


TIMES = ["2026-11", "2026-12"]
KEYED = st.dictionaries(st.tuples(st.none() | st.sampled_from("abc"), st.sampled_from(TIMES)), spends())


def add_up(spends: list[Spend]) -> Spend:
    total = Spend()
    for spend in spends:
        total = total.plus(spend)
    return total


@given(known=KEYED, rests=st.dictionaries(st.sampled_from(TIMES), spends()))
def test_parts_add_up_to_the_whole_of_each_time_with_what_is_unknown(known, rests) -> None:
    wholes = {
        at: add_up([spend for (_, when), spend in known.items() if when == at] + [rests.get(at, Spend())])
        for at in TIMES
    }
    found = parts(with_rest(known, wholes), wholes)
    assert {at: add_up([part.spend for part in found if part.at == at]) for at in wholes} == wholes
    shares = [part.share for part in found if part.at == "2026-11" and part.share is not None]
    assert not shares or sum(shares) == pytest.approx(1)


@pytest.mark.uncounted
@given(before=KEYED, after=KEYED)
def test_causes_of_the_parts_add_up_to_the_change_exactly(before, after) -> None:
    whole = {"2026-11": add_up(list(after.values()))}
    found = parts(after, whole, Before(before, {}))
    change = sum((part.causes.change_usd for part in found if part.causes), Decimal(0))
    assert change == add_up(list(after.values())).usd - add_up(list(before.values())).usd
    models = [{f"{key}": spend for key, spend in side.items()} for side in (before, after)]
    assert causes(*models).change_usd == change


def test_parts_come_dearest_first_the_unknown_one_behind_its_equals() -> None:
    two, four = Spend(1, 0, Decimal(2)), Spend(2, 1, Decimal(4))
    sums = {(None, None): two, ("a", None): two, ("b", None): four}
    found = parts(sums, {None: Spend(4, 1, Decimal(8))})
    assert [(part.key, part.share) for part in found] == [("b", 4 / 8), ("a", 2 / 8), (None, 2 / 8)]
    assert [part.causes for part in found] == [None] * 3


def test_parts_that_are_times_come_in_their_order() -> None:
    sums = {(day, None): Spend(1, 0, Decimal(usd)) for day, usd in (("03", 1), ("01", 2), ("02", 3))}
    found = parts(sums, {None: Spend(3, 0, Decimal(6))}, in_time=True)
    assert [part.key for part in found] == ["01", "02", "03"]


def test_part_of_one_span_only_began_or_ended() -> None:
    spend = Spend(10, 0, Decimal(5), 100, 0, 100)
    began, ended = parts({("new", None): spend}, {None: spend}, Before({("old", None): spend}, {}))
    assert (began.key, began.spend, began.before) == ("new", spend, Spend())
    assert (ended.key, ended.spend, ended.before, ended.share) == ("old", Spend(), spend, 0)
    assert began.causes
    assert ended.causes
    assert (began.causes.requests_usd, ended.causes.requests_usd) == (5, -5)


def test_part_whose_models_are_told_apart_changed_for_their_causes() -> None:
    one, two = Spend(1, 0, Decimal(1), 10, 0, 10), Spend(2, 0, Decimal(2), 20, 0, 20)
    why = CauseShares(Decimal(7), Decimal(-3), Decimal(-3))
    told, untold = parts({("a", None): two, ("b", None): two}, {None: two}, Before(
        {("a", None): one, ("b", None): one}, {("a", None): why}))  # fmt: skip
    assert told.causes == why
    assert untold.causes == CauseShares(Decimal(1), Decimal(0), Decimal(0))


def test_share_of_nothing_spent_is_unknown() -> None:
    [part] = parts({("a", None): Spend(1, 1)}, {None: Spend(1, 1)})
    assert (part.share, part.spend.usd_per_request, part.spend.known_usd) == (None, None, None)
    assert (Spend().known_usd, Spend(4, 1, Decimal(6)).known_usd) == (0, 6)
    assert Part("a", None, Spend(4, 1, Decimal(6)), 1.0).spend.usd_per_request == Decimal(6) / (4 - 1)


@pytest.mark.parametrize(
    ("ours", "theirs", "share", "diverges"),
    [
        pytest.param("0", "0", None, False, id="nothing to compare"),
        pytest.param("1", "0", 1.0, True, id="a source that says nothing was spent"),
        pytest.param("101", "100", 0.01, False, id="one percent"),
        pytest.param("101.1", "100", 0.011, True, id="more than one percent"),
        pytest.param("98", "100", -0.02, True, id="less than it says"),
        pytest.param("0", "100", -1.0, True, id="free where it says otherwise"),
    ],
)
def test_divergence_is_a_share_of_what_sources_report(ours: str, theirs: str, share: float, diverges: bool) -> None:
    spend = Spend(compared_usd=Decimal(ours), reported_usd=Decimal(theirs))
    assert spend.divergence == pytest.approx(share) if share is not None else spend.divergence is None
    assert spend.diverges is diverges
