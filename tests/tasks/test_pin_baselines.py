"""What is pinned by itself, and what somebody accepts."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from ops.errors import InvalidValue, NotFound, WatchkeeperError
from ops.monitoring.baselines import Series
from ops.monitoring.rules.quality import QualitySample
from ops.window import Window, floor_day
from tasks.pin_baselines import Acceptance, Accepted, accept_baseline, pin_missing
from tasks.settings import Alerting, Settings
from tasks.stores import measures
from tasks.stores.tables import outbox, quality_baselines, scores
from tests.hand_made import DAY, MIDNIGHT, NOW, insert, rows_of, score_row

Pin = Callable[..., list[str]]


@pytest.fixture
def pin(engine: sa.Engine, settings: Settings) -> Pin:
    """Pin what is missing as of a time, and name it."""

    def pin_as_of(now: datetime, *metrics: str) -> list[str]:
        alerting = Alerting(quality_metrics=metrics or ("thumb",))
        with engine.begin() as connection:
            made = pin_missing(connection, settings.model_copy(update={"alerting": alerting}), now)
        return [str(baseline.series) for baseline in made]

    return pin_as_of


def score(engine: sa.Engine, day: int, *values: float, **fields: Any) -> None:
    """Score on the day that is so many days before today."""
    insert(engine, scores, [score_row(day * DAY, value, **fields) for value in values])


def pinned(engine: sa.Engine) -> list[Any]:
    return sorted(rows_of(engine, quality_baselines), key=lambda row: row.accepted_at)


def told(engine: sa.Engine) -> list[str]:
    return [row.payload["text"] for row in rows_of(engine, outbox)]


COINS = [0.0, 1.0] * 10


def test_pin_describes_the_first_week_and_nothing_after(engine: sa.Engine, pin: Pin) -> None:
    for day in range(7, 0, -1):
        score(engine, day, *COINS, model="gpt-4o")
    score(engine, 0, 9.0, 9.0, model="gpt-4o")
    assert pin(NOW) == ["thumb model:gpt-4o"]
    [row] = pinned(engine)
    assert (row.metric, row.model, row.prompt_version, row.judge_version) == ("thumb", "gpt-4o", None, None)
    assert (row.mean, row.n, row.days) == (0.5, 7 * 20, 7)
    assert row.sigma == pytest.approx(((140 + 3) * 0.5**2 / 139) ** 0.5)
    assert (row.starts_at, row.ends_at, row.accepted_at) == (MIDNIGHT - 7 * DAY, MIDNIGHT, NOW)
    assert (row.accepted_by, row.reason) == ("(automatic)", "first 7 days of scores")
    assert told(engine) == [
        "INFO · Baseline pinned: thumb model:gpt-4o at 0.500, 140 scores on 7 d; first 7 days of scores"
    ]


def test_pin_waits_for_a_week(engine: sa.Engine, pin: Pin) -> None:
    for day in range(6, 0, -1):
        score(engine, day, *COINS)
    assert pin(NOW) == []


def test_pin_is_replaced_by_that_of_four_weeks_and_then_stays(engine: sa.Engine, pin: Pin) -> None:
    for day in range(40, 0, -1):
        score(engine, day, *COINS)
    named = [pin(NOW - before * DAY) for before in (33, 32, 13, 12, 11, 0)]
    assert named == [["thumb"], [], [], ["thumb"], [], []]
    assert [(row.n, row.days, row.reason) for row in pinned(engine)] == [
        (140, 7, "first 7 days of scores"), (560, 28, "first 28 days of scores"),
    ]  # fmt: skip
    assert told(engine)[-1].endswith("first 28 days of scores (level with the one before, 0.500)")


def test_pin_of_few_scores_a_day_ends_with_them_and_grows_as_others_do(engine: sa.Engine, pin: Pin) -> None:
    for day in range(40, 0, -1):
        score(engine, day, *COINS[:10])
    assert [pin(NOW - before * DAY) for before in (31, 30, 13, 12)] == [[], ["thumb"], [], ["thumb"]]
    first, whole = pinned(engine)
    assert (first.days, first.starts_at, first.ends_at) == (10, MIDNIGHT - 40 * DAY, MIDNIGHT - 30 * DAY)
    assert (whole.days, whole.ends_at - whole.starts_at) == (28, 28 * DAY)


def test_pin_of_fewer_scores_than_four_weeks_take_is_longer(engine: sa.Engine, pin: Pin) -> None:
    for day in range(60, 0, -1):
        score(engine, day, *COINS[:2])
    assert [pin(NOW - before * DAY) for before in (11, 10, 0)] == [[], ["thumb"], []]
    [row] = pinned(engine)
    assert (row.n, row.days, row.ends_at - row.starts_at) == (100, 50, 50 * DAY)


def test_pin_of_four_weeks_comes_first_where_they_are_there(engine: sa.Engine, pin: Pin) -> None:
    for day in range(28, 0, -1):
        score(engine, day, *COINS)
    assert [pin(NOW), pin(NOW)] == [["thumb"], []]
    assert pinned(engine)[0].days == 28


def test_pin_is_not_replaced_by_weeks_that_fall(engine: sa.Engine, pin: Pin) -> None:
    for day in range(28, 0, -1):
        score(engine, day, *(value - 0.05 * (28 - day) for value in COINS))
    assert [pin(NOW - 21 * DAY), pin(NOW)] == [["thumb"], []]


def test_pin_of_somebody_is_never_replaced(engine: sa.Engine, settings: Settings, pin: Pin) -> None:
    for day in range(28, 0, -1):
        score(engine, day, *COINS)
    accept(engine, settings, now=NOW - 20 * DAY)
    assert pin(NOW) == []


def test_pin_makes_each_series_its_own(engine: sa.Engine, pin: Pin) -> None:
    for day in range(7, 0, -1):
        score(engine, day, *COINS, model="a", judge_version="j1")
        score(engine, day, *COINS, model="a", judge_version="j2", prompt_version="v2")
        score(engine, day, *COINS, metric="judge")
        score(engine, day, *COINS, metric="unwatched")
        score(engine, day, *COINS, tenant_id="other", model="b")
    assert pin(NOW, "thumb", "judge") == ["judge", "thumb model:a judge:j1", "thumb model:a prompt:v2 judge:j2"]


def test_pin_of_a_new_version_says_what_the_one_before_was_held_to(engine: sa.Engine, pin: Pin) -> None:
    for day in range(14, 7, -1):
        score(engine, day, *COINS, prompt_version="v1")
        score(engine, day, *(value + 7 for value in COINS), prompt_version="v1", judge_version="another")
    pin(NOW - 7 * DAY)
    for day in range(7, 0, -1):
        score(engine, day, *(value - 0.1 for value in COINS), prompt_version="v2")
    assert pin(NOW) == ["thumb prompt:v2"]
    assert told(engine)[-1].endswith("(20.0 % below thumb prompt:v1, 0.500)")


def test_pin_of_probes_scatters_from_day_to_day_only(engine: sa.Engine, pin: Pin) -> None:
    for day in range(7, 0, -1):
        score(engine, day, *COINS, metric="probe:thumb", judge_version="rubric-1")
    assert pin(NOW) == ["probe:thumb judge:rubric-1"]
    [row] = pinned(engine)
    assert row.sigma == pytest.approx(0.0025 * 0.5 * 20**0.5)  # the judge repeats itself: its least spread


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([-1.0, 0.5] * 10, id="of a negative mean there is no share to lose"),
        pytest.param([0.0, 1.0], id="14 scores are too few"),
    ],
)
def test_pin_leaves_out_what_makes_no_baseline(engine: sa.Engine, pin: Pin, values: list[float]) -> None:
    for day in range(7, 0, -1):
        score(engine, day, *values)
    assert pin(NOW) == []


def test_pin_of_no_metric_stops_the_measurement(engine: sa.Engine, pin: Pin) -> None:
    """Whatever is pinned can be measured against: one bad metric must not silence the others."""
    made = {"negative": [-1.0, 0.5], "huge": [1e9, 9e8], "tiny": [1e-300, 2e-300]}
    for metric, values in made.items():
        for day in range(7, 0, -1):
            score(engine, day, *values * 10, metric=metric)
        score(engine, 0, *values, metric=metric)
    assert "huge" in pin(NOW, *made)
    with engine.connect() as connection:
        try:
            measures.measure(connection, "default", NOW, Alerting(quality_metrics=tuple(made)))
        except WatchkeeperError as error:
            pytest.fail(str(error))


# Accepted


def accept(
    engine: sa.Engine,
    settings: Settings,
    *,
    now: datetime = NOW,
    days: int = 7,
    reason: str = "as agreed",
    who: str = "ann",
    moving: bool = False,
    **wanted: Any,
) -> Accepted:
    window = Window.before(floor_day(now), timedelta(days=days))
    series = Series(**{"metric": "thumb", **wanted})
    return accept_baseline(engine, settings, Acceptance(series, window, reason, who, moving=moving), now)


def test_accepted_baseline_is_in_force_and_the_one_before_stays_on_record(
    engine: sa.Engine, settings: Settings, pin: Pin
) -> None:
    for day in range(14, 7, -1):
        score(engine, day, *COINS)
    pin(NOW - 7 * DAY)
    for day in range(7, 0, -1):
        score(engine, day, *(value - 0.1 for value in COINS))
    before = pinned(engine)
    done = accept(engine, settings)
    baseline = done.baseline
    assert (done.outcome, done.moves, done.before.pinned.mean) == ("accepted", None, 0.5)
    assert (baseline.pinned.mean, baseline.accepted_by, baseline.reason) == (pytest.approx(0.4), "ann", "as agreed")
    assert pinned(engine)[:-1] == before
    assert pinned(engine)[-1].accepted_by == "ann"
    with engine.connect() as connection:
        samples = measures.measure(connection, "default", NOW, Alerting(quality_metrics=("thumb",)))
    [sample] = samples["quality"]
    assert isinstance(sample, QualitySample)
    assert sample.pinned == baseline.pinned
    assert told(engine)[-1] == (
        "INFO · Baseline accepted by ann: thumb at 0.400, 140 scores on 7 d; as agreed "
        "(20.0 % below the one before, 0.500)"
    )


def test_accepted_baseline_is_of_the_one_series_that_is_meant(engine: sa.Engine, settings: Settings) -> None:
    for day in range(7, 0, -1):
        score(engine, day, *COINS, model="a", judge_version="j1")
        score(engine, day, *COINS, model="b", judge_version="j1", prompt_version="v2")
    assert str(accept(engine, settings, model="a").baseline.series) == "thumb model:a judge:j1"
    assert str(accept(engine, settings, prompt="v2").baseline.series) == "thumb model:b prompt:v2 judge:j1"
    both = "thumb model:a judge:j1; thumb model:b prompt:v2 judge:j1"
    with pytest.raises(InvalidValue, match=re.escape("'thumb judge:j1' is not one series")) as several:
        accept(engine, settings, judge="j1")
    assert both in str(several.value)
    with pytest.raises(NotFound, match=r"'thumb model:c' not found: scored 2026-02-26 to 2026-03-05: thumb model:a"):
        accept(engine, settings, model="c")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        pytest.param({"now": NOW - 7 * DAY}, "not found: scored 2026-02-19 to 2026-02-26: none", id="nothing scored"),
        pytest.param({"days": 4}, "'80 scores' is not at least 100 scores", id="80 scores"),
        pytest.param({"reason": " "}, "--reason: ' ' is not a text", id="no reason"),
    ],
)
def test_accepting_says_what_is_missing(
    engine: sa.Engine, settings: Settings, changed: dict[str, Any], why: str
) -> None:
    for day in range(7, 0, -1):
        score(engine, day, *COINS)
    with pytest.raises(WatchkeeperError, match=re.escape(why)):
        accept(engine, settings, **changed)
    assert pinned(engine) == []


def test_accepting_takes_full_days_only(engine: sa.Engine, settings: Settings) -> None:
    tomorrow = Window.before(MIDNIGHT + DAY, 7 * DAY)
    with pytest.raises(InvalidValue, match="--to: '2026-03-06' is not at most 2026-03-05: of full days only"):
        accept_baseline(engine, settings, Acceptance(Series("thumb"), tomorrow, "soon", "ann"), NOW)


def test_accepting_the_same_again_writes_and_tells_nothing(engine: sa.Engine, settings: Settings) -> None:
    for day in range(7, 0, -1):
        score(engine, day, *COINS)
    first = accept(engine, settings)
    again = accept(engine, settings, now=NOW + timedelta(hours=1))
    assert (first.outcome, again.outcome, again.baseline.accepted_at) == ("accepted", "unchanged", NOW)
    assert (len(pinned(engine)), len(told(engine))) == (1, 1)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"reason": "measured again"}, id="another reason"),
        pytest.param({"who": "bob"}, id="another person"),
        pytest.param({"days": 6}, id="other days"),
    ],
)
def test_accepting_otherwise_is_kept_and_told(engine: sa.Engine, settings: Settings, changed: dict[str, Any]) -> None:
    for day in range(7, 0, -1):
        score(engine, day, *COINS)
    accept(engine, settings)
    assert accept(engine, settings, now=NOW + timedelta(milliseconds=1), **changed).outcome == "accepted"
    assert (len(pinned(engine)), len(told(engine))) == (2, 2)


def test_accepting_scores_that_came_late_is_kept(engine: sa.Engine, settings: Settings) -> None:
    for day in range(7, 0, -1):
        score(engine, day, *COINS)
    accept(engine, settings)
    score(engine, 1, 1.0)
    done = accept(engine, settings, now=NOW + timedelta(minutes=1))
    assert (done.outcome, done.baseline.pinned.n) == ("accepted", 7 * 20 + 1)


def test_accepting_at_once_twice_writes_and_tells_once(engine: sa.Engine, settings: Settings) -> None:
    for day in range(7, 0, -1):
        score(engine, day, *COINS)
    times = [NOW + number * timedelta(seconds=1) for number in (3, 2, 1, 0)]  # one that waited read its clock before
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda now: accept(engine, settings, now=now), times))
    assert sorted(each.outcome for each in done).count("accepted") == len(pinned(engine)) == len(told(engine)) == 1


def test_scores_that_fall_are_accepted_only_as_such(engine: sa.Engine, settings: Settings) -> None:
    for day in range(7, 0, -1):
        score(engine, day, *(value + 0.01 * day for value in COINS))
    way = "from 0.570 on 2026-02-26 to 0.510 on 2026-03-04, 10.5 % below it"  # .51 / .57 - 1
    refused = accept(engine, settings)
    assert (refused.outcome, refused.moves) == ("refused", way)
    assert (pinned(engine), told(engine)) == ([], [])
    assert accept(engine, settings, moving=True).outcome == "accepted"
    assert told(engine) == [
        "INFO · Baseline accepted by ann: thumb at 0.540, 140 scores on 7 d; as agreed; its days still move " + way
    ]


def test_scores_of_a_slide_that_is_not_over_are_accepted_only_as_such(
    engine: sa.Engine, settings: Settings, pin: Pin
) -> None:
    """Two weeks of it fall by less than their scatter; the 35 days since the baseline show it."""
    noise = [0.02, -0.02, 0.0, 0.03, -0.03]
    for day in range(63, 0, -1):
        level = 0.8 - 0.002 * max(0, 36 - day) + noise[day % 5]
        score(engine, day, *[level - 0.1, level + 0.1] * 10)
    pin(NOW - 35 * DAY)
    refused = accept(engine, settings)
    assert (refused.outcome, refused.moves) == (
        "refused", "from 0.781 on 2026-02-06 to 0.729 on 2026-03-04, 6.7 % below it",  # 26 x .002 = .052
    )  # fmt: skip
    for day in range(0, -14, -1):
        score(engine, day, *[0.65, 0.75] * 10)
    assert accept(engine, settings, now=NOW + 14 * DAY, days=14).outcome == "accepted"  # it has stood since


def test_judge_whose_probes_still_rise_is_accepted_only_as_such(engine: sa.Engine, settings: Settings) -> None:
    for day in range(7, 0, -1):
        score(engine, day, *(value - 0.01 * day for value in COINS), metric="probe:thumb", judge_version="r1")
    refused = accept(engine, settings, metric="probe:thumb")
    assert (refused.outcome, refused.moves) == (
        "refused", "from 0.430 on 2026-02-26 to 0.490 on 2026-03-04, 14.0 % above it",  # .49 / .43 - 1
    )  # fmt: skip
