from __future__ import annotations

import pytest

from ops.monitoring.alerts import Tier
from ops.status import Level, Row, Section, counts, told_once, worst_first

CRITICAL, UNREADABLE, WARNING, UNKNOWN, INFO, OK, NONE = Level


def section(*levels: Level) -> Section:
    return Section("sources", tuple(Row(level, f"s{number}", "") for number, level in enumerate(levels)))


@pytest.mark.parametrize(
    ("levels", "gravest"),
    [
        pytest.param((OK, WARNING, INFO), WARNING, id="a warning outranks what is fine"),
        pytest.param((WARNING, UNREADABLE), UNREADABLE, id="what nobody knows outranks a warning"),
        pytest.param((UNREADABLE, CRITICAL), CRITICAL, id="nothing outranks critical"),
        pytest.param((UNKNOWN, OK, INFO), UNKNOWN, id="what nobody looked at outranks what is fine"),
        pytest.param((WARNING, UNKNOWN), WARNING, id="a warning outranks what nobody looked at"),
        pytest.param((NONE, OK), OK, id="what is fine outranks nothing at all"),
        pytest.param((), NONE, id="of nothing there is nothing"),
    ],
)
def test_gravest_level(levels: tuple[Level, ...], gravest: Level) -> None:
    assert Level.gravest(levels) is section(*levels).level is gravest


def test_every_alert_tier_is_a_level_of_the_same_order() -> None:
    levels = [Level(tier.value) for tier in Tier]
    assert levels == sorted(levels, key=list(Level).index)


def test_section_shows_the_gravest_rows_in_their_order() -> None:
    shown = section(OK, WARNING, OK, CRITICAL, WARNING).shown(5)
    assert [row.about for row in shown] == ["s3", "s1", "s4", "s0", "s2"]


def test_section_says_how_many_rows_it_leaves_out_and_how_grave_they_are() -> None:
    *rows, last = section(OK, WARNING, OK, CRITICAL, WARNING).shown(2)
    assert [row.about for row in rows] == ["s3"]
    assert last == Row(WARNING, "", "and 4 more: --json has all")  # five, of which one is shown


def test_row_that_stays_is_shown_however_many_outrank_it() -> None:
    *graver, stays = (*section(CRITICAL, WARNING, WARNING).rows, Row(OK, "stays", "", stays=True))
    shown = Section("sources", (stays, *graver)).shown(3)
    assert [row.about for row in shown] == ["s0", "stays", ""]
    assert shown[-1] == Row(WARNING, "", "and 2 more: --json has all")


def test_what_an_alert_that_fires_says_too_is_left_to_it() -> None:
    alerts = Section("alerts", (Row(WARNING, "thumb", "", alert="quality thumb"), Row(OK, "rules", "")))
    told, own = Row(WARNING, "thumb", "", alert="quality thumb"), Row(OK, "judge", "", alert="quality judge")
    steps = Section("steps", (Row(OK, "", "on time"),))
    assert told_once([Section("scores", (told, own)), alerts, steps]) == [
        Section("scores", (own, Row(NONE, "", "1 more: see the alerts"))), alerts, steps,
    ]  # fmt: skip
    assert told_once([Section("scores", (told, own))]) == [Section("scores", (told, own))]


@pytest.mark.parametrize(
    ("levels", "counted"),
    [
        pytest.param((WARNING, CRITICAL, WARNING), {CRITICAL: 1, WARNING: 2}, id="each grave level, the gravest first"),
        pytest.param((UNKNOWN, OK, UNREADABLE), {UNREADABLE: 1, UNKNOWN: 1}, id="what nobody knows is counted"),
        pytest.param((INFO, OK, NONE), {}, id="none of them"),
    ],
)
def test_grave_levels_are_counted(levels: tuple[Level, ...], counted: dict[Level, int]) -> None:
    assert list(counts(levels).items()) == list(counted.items())


def test_sections_that_somebody_should_look_at_come_first_and_the_others_stay_in_their_order() -> None:
    found = [section(level) for level in (OK, NONE, WARNING, INFO, CRITICAL, OK, UNKNOWN)]
    assert [each.level for each in worst_first(found)] == [CRITICAL, WARNING, UNKNOWN, OK, NONE, INFO, OK]
