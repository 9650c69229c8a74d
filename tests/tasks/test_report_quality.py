"""The day's page on quality: what is gathered, what is written, what is drawn."""

from __future__ import annotations

import struct
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ops.proportions import Share
from tasks.draw_quality import plot_png, shown
from tasks.pin_baselines import pin_missing
from tasks.report_quality import QualityReport, report_quality
from tasks.settings import Settings
from tasks.show_quality import report_markdown, save_plot, summary
from tasks.stores.tables import prompt_texts, quality_baselines, scores
from tests.hand_made import DAY, HOUR, MIDNIGHT, MINUTE, NOW, event, failed, insert, load, score_row

MODEL = {"metric": "judge_relevance", "model": "gpt-4o", "judge_version": "rubric-1"}


def score(engine: sa.Engine, before: timedelta, *values: float, **fields: Any) -> None:
    insert(engine, scores, [score_row(before, value, **{**MODEL, **fields}) for value in values])


def report(engine: sa.Engine, settings: Settings, **options: Any) -> QualityReport:
    return report_quality.fn(engine, settings, NOW, **options)


def page(found: QualityReport) -> str:
    return report_markdown(found, NOW, b"png")


@pytest.fixture
def slid(engine: sa.Engine, settings: Settings) -> Settings:
    """A series that was pinned four weeks ago and has been sliding by 1 % a day for eight days."""
    for day in range(40, 0, -1):
        level = 0.8 - 0.008 * max(0, 9 - day)
        score(engine, day * DAY, *[level - 0.1, level + 0.1] * 10)
    for day in (33, 12):  # a week, then four of them
        with engine.begin() as connection:
            pin_missing(connection, settings, NOW - day * DAY)
    return settings


def test_page_shows_each_series_beside_its_baseline(engine: sa.Engine, slid: Settings) -> None:
    found = report(engine, slid)
    assert summary(found) == "2 series: 0 fine, 1 below their baseline, 1 unknown"
    row = next(line for line in page(found).splitlines() if "rubric-1 |" in line)
    assert row == (
        "| judge\\_relevance model:gpt-4o judge:rubric-1 | 0.736 | 20 | ❌ Quality sliding: 0.736, -8.0 % vs pinned "
        "(warn at 10 %, in \\~2 d) | 0.800 of 560 on 28 d | 2026-02-21 | (automatic) | first 28 days of scores |"
    )
    assert "| thumb |  | 0 | ❔ Quality: unknown: no scores | not yet |  |  |  |" in page(found)


def test_plot_has_a_panel_for_each_series_with_scores(engine: sa.Engine, slid: Settings) -> None:
    found = report(engine, slid)
    assert [entry.sample.key for entry in shown(found)] == ["judge_relevance model:gpt-4o judge:rubric-1"]
    image = plot_png(found, NOW)
    assert image.startswith(b"\x89PNG")
    assert struct.unpack(">II", image[16:24]) == (10 * 110, int(2.6 * 2 * 110))


def test_plot_shows_four_series_those_that_are_wrong_first(engine: sa.Engine, slid: Settings) -> None:
    for number in range(6):
        score(engine, HOUR, *[0.5] * (10 + number), model=f"new-{number}")
    found = report(engine, slid)
    assert [entry.sample.key.split()[1] for entry in shown(found)] == [
        "model:gpt-4o", "model:new-5", "model:new-4", "model:new-3",
    ]  # fmt: skip
    assert "3 more series are in the table only." in page(found)
    assert plot_png(found, NOW).startswith(b"\x89PNG")


def test_plot_of_requests_alone_has_their_panels(engine: sa.Engine, settings: Settings) -> None:
    load(engine, [event(HOUR), event(DAY), failed(DAY), event(DAY, cache_hit=True)])
    found = report(engine, settings)
    assert found.errors == [(MIDNIGHT - DAY, Share(1, 2)), (MIDNIGHT, Share(0, 1))]
    assert [(day.day, day.p50_ms, day.p95_ms) for day in found.latency] == [
        (MIDNIGHT - DAY, pytest.approx(100, rel=0.01), pytest.approx(100, rel=0.01)),
        (MIDNIGHT, pytest.approx(100, rel=0.01), pytest.approx(100, rel=0.01)),
    ]
    assert plot_png(found, NOW).startswith(b"\x89PNG")
    assert not found.is_empty


def test_latency_of_a_day_is_that_of_half_and_of_19_in_20(engine: sa.Engine, settings: Settings) -> None:
    load(engine, [event(HOUR + number * MINUTE, latency_ms=10.0 * (number + 1)) for number in range(40)])
    [day] = report(engine, settings).latency
    assert (day.p50_ms, day.p95_ms) == (pytest.approx(200, rel=0.01), pytest.approx(380, rel=0.01))


def test_report_of_nothing_is_empty(engine: sa.Engine, settings: Settings) -> None:
    assert report(engine, settings).is_empty


# The worst parts


def test_worst_parts_are_told_with_what_they_are_compared_with(engine: sa.Engine, settings: Settings) -> None:
    score(engine, DAY, *[0.4, 0.6] * 15, feature="search", tags={"language": "de"})
    score(engine, DAY, *[0.8, 1.0] * 45, feature="chat", tags=["golden"], prompt_version="v2")
    score(engine, DAY, *[0.0] * 29, feature="few", judge_version="rubric-2")
    score(engine, 8 * DAY, *[0.0] * 90, feature="long-ago")
    found = report(engine, settings).segments
    assert [(part.dimension, part.value, part.n, part.mean) for part in found] == [
        ("language", "de", 30, pytest.approx(0.5)), ("route", "search", 30, pytest.approx(0.5)),
    ]  # fmt: skip
    assert found[0].whole_mean == pytest.approx((30 * 0.5 + 90 * 0.9) / 120)
    worst = next(line for line in page(report(engine, settings)).splitlines() if "language: de" in line)
    assert worst == "| judge\\_relevance by rubric-1 | language: de | 0.500 | 0.469 to 0.531 | 30 | 0.800 | worse |"


def test_worst_parts_of_thumbs_have_the_bounds_of_a_share(engine: sa.Engine, settings: Settings) -> None:
    score(engine, DAY, *[1.0] * 40, feature="chat", metric="thumb", judge_version=None)
    score(engine, DAY, *[0.0, 1.0] * 20, feature="search", metric="thumb", judge_version=None)
    [route] = [part for part in report(engine, settings).segments if part.dimension == "route"]
    assert (route.value, route.is_share) == ("search", True)
    assert (route.low, route.high) == (Share(20, 40).lower(), Share(20, 40).upper())


# The worst answers


def test_worst_answers_are_the_lowest_twenty_of_a_metric(engine: sa.Engine, settings: Settings) -> None:
    score(engine, HOUR, *[number / 100 for number in range(25)])
    score(engine, DAY + MINUTE, -1.0)
    score(engine, HOUR, 0.0, metric="thumb")
    found = report(engine, settings).samples
    assert [sample.value for sample in found if sample.metric == "judge_relevance"] == [n / 100 for n in range(20)]
    assert [sample.value for sample in found if sample.metric == "thumb"] == [0.0]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        pytest.param({}, "redacted, 29 characters", id="redacted by default"),
        pytest.param({"show_texts": True}, "where \\| is \\<b\\>my\\</b\\> \\`order\\`?", id="when it is asked for"),
    ],
)
def test_worst_answers_show_texts_only_when_asked(
    engine: sa.Engine, settings: Settings, options: dict[str, Any], told: str
) -> None:
    text = "where | is <b>my</b> `order`?"
    load(engine, [event(2 * HOUR, event_id="r1", prompt_hash="h1", latency_ms=512.0)])
    insert(engine, prompt_texts, [{"prompt_hash": "h1", "text": text}])
    score(engine, HOUR, 0.1, event_id="r1", score_id="s1", feature="search")
    score(engine, HOUR, 0.2, score_id="s2")
    found = report(engine, settings, **options)
    assert found.samples[0].latency_ms == 512.0
    rows = [line for line in page(found).splitlines() if line.startswith("| judge\\_relevance | 0")]
    assert rows == [
        f"| judge\\_relevance | 0.1 | s1 | r1 | 03-05 11:00 | gpt-4o | search | {told} |",
        "| judge\\_relevance | 0.2 | s2 |  | 03-05 11:00 | gpt-4o |  | not kept |",
    ]
    assert ("order" in page(found)) is bool(options)


# The judges, the file


def test_page_says_that_no_judge_is_checked(engine: sa.Engine, settings: Settings) -> None:
    assert "No judge is checked" in page(report(engine, settings))
    assert "No part with 30 scores is below the whole." in page(report(engine, settings))
    assert "There was no score." in page(report(engine, settings))


def test_page_shows_a_judge_that_moved(engine: sa.Engine, settings: Settings) -> None:
    probes = {"metric": "probe:judge_relevance", "judge_version": "rubric-1"}
    pin = {"mean": 0.7, "sigma": 0.01, "n": 280, "accepted_at": NOW - DAY, "reason": "x", "accepted_by": "ann",
           "starts_at": MIDNIGHT - 29 * DAY, "ends_at": MIDNIGHT - DAY, "days": 28, "day_sigma": 0.0,
           "weekdays": []}  # fmt: skip
    insert(engine, quality_baselines, [{**probes, **pin}])
    score(engine, HOUR, 0.5, 0.5, model=None, **probes)
    found = report(engine, settings)
    assert summary(found).endswith("; 1 judges moved")
    row = "| probe:judge\\_relevance judge:rubric-1 | ❌ moved, probes 0.500, -28.6 % vs pinned |"
    assert row in page(found)


def test_plot_is_a_file_of_its_day(tmp_path: Path) -> None:
    path = save_plot(b"png", NOW, tmp_path / "plots" / "new")
    assert (path.name, path.read_bytes()) == ("quality-2026-03-05.png", b"png")
