"""The day's page on quality: what is gathered, what is written, what is drawn."""

from __future__ import annotations

import struct
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.text import Text

from ops.proportions import Share
from tasks.draw_quality import plot_png
from tasks.pin_baselines import pin_missing
from tasks.read_quality import QualityReport
from tasks.report_quality import report_quality
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
    return report_markdown(found, b"png")


@pytest.fixture
def slid(engine: sa.Engine, settings: Settings) -> Settings:
    """A series that was pinned four weeks ago and has been sliding by 1 % a day for eight days."""
    for day in range(40, 0, -1):
        level = 0.8 - 0.008 * max(0, 9 - day)
        score(engine, day * DAY, *[level - 0.05, level + 0.05] * 10)
    for day in (33, 12):  # a week, then four of them
        with engine.begin() as connection:
            pin_missing(connection, settings, NOW - day * DAY)
    return settings


def test_page_shows_each_series_beside_its_baseline(engine: sa.Engine, slid: Settings) -> None:
    found = report(engine, slid)
    assert summary(found) == "2 series: 0 fine, 1 below their baseline, 1 unknown"
    row = next(line for line in page(found).splitlines() if "rubric-1 |" in line)
    days = "▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▃▃▃▃▃▂"  # 3 % and more below are an eighth, 8 % are two
    assert row == (
        f"| ❌ warning | judge\\_relevance model:gpt-4o judge:rubric-1 | 0.736 | 20 | 0.800 | {days} "
        "| 2026-02-26 | Quality sliding to 0.736, 8.0 % below its baseline (limit 10 % below, reached in \\~2 d) "
        "| 560 scores on 28 d | 2026-02-21 | (automatic) | first 28 days of scores |"
    )
    assert "| ❔ unknown | thumb |  | 0 |  |  |  | Quality unknown: no scores | not yet |  |  |  |" in page(found)
    assert page(found).startswith("# Quality of tenant default, as of 2026-03-05 12:00 UTC\n")


def test_plot_has_a_panel_for_each_series_with_scores(engine: sa.Engine, slid: Settings) -> None:
    found = report(engine, slid)
    assert [entry.sample.key for entry in found.drawn] == ["judge_relevance model:gpt-4o judge:rubric-1"]
    image = plot_png(found)
    assert image.startswith(b"\x89PNG")
    assert struct.unpack(">II", image[16:24]) == (10 * 110, int((0.6 + 2.7 + 2.5) * 110))


def test_plot_shows_four_series_those_that_are_wrong_first(engine: sa.Engine, slid: Settings) -> None:
    for number in range(6):
        score(engine, HOUR, *[0.5] * (10 + number), model=f"new-{number}")
    found = report(engine, slid)
    assert [entry.sample.key.split()[1] for entry in found.drawn] == [
        "model:gpt-4o", "model:new-5", "model:new-4", "model:new-3",
    ]  # fmt: skip
    assert "3 more series are in the table only." in page(found)
    assert plot_png(found).startswith(b"\x89PNG")


def test_plot_of_requests_alone_has_their_panels(engine: sa.Engine, settings: Settings) -> None:
    load(engine, [event(HOUR), event(DAY), failed(DAY), event(DAY, cache_hit=True)])
    found = report(engine, settings)
    assert found.errors == [(MIDNIGHT - DAY, Share(1, 2)), (MIDNIGHT, Share(0, 1))]
    assert [(day.day, day.p50_ms, day.p95_ms) for day in found.latency] == [
        (MIDNIGHT - DAY, pytest.approx(100, rel=0.01), pytest.approx(100, rel=0.01)),
        (MIDNIGHT, pytest.approx(100, rel=0.01), pytest.approx(100, rel=0.01)),
    ]
    assert plot_png(found).startswith(b"\x89PNG")
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
    # of 5 parts: z at 1 - .05/5 is 2.326; 2.326 x .1017 / sqrt(30) = .043
    assert worst == (
        "| judge\\_relevance by rubric-1 | language: de | 0.500 | 0.457 to 0.543 | 30 | 0.800 | below the whole |"
    )


def test_worst_parts_of_thumbs_have_the_bounds_of_a_share(engine: sa.Engine, settings: Settings) -> None:
    score(engine, DAY, *[1.0] * 40, feature="chat", metric="thumb", judge_version=None)
    score(engine, DAY, *[0.0, 1.0] * 20, feature="search", metric="thumb", judge_version=None)
    [route] = [part for part in report(engine, settings).segments if part.dimension == "route"]
    assert (route.value, route.is_share) == ("search", True)
    of_two = 1 - 0.05 / 2
    assert (route.low, route.high) == (Share(20, 40).lower(of_two), Share(20, 40).upper(of_two))


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


# What is in the picture


def drawn(found: QualityReport, monkeypatch: pytest.MonkeyPatch) -> Figure:
    """Draw the plot and return it before it became pixels."""
    figures: list[Figure] = []
    save = Figure.savefig

    def kept(figure: Figure, *where: Any, **how: Any) -> None:
        figures.append(figure)
        save(figure, *where, **how)

    monkeypatch.setattr(Figure, "savefig", kept)
    plot_png(found)
    return figures[0]


def words(artist: Artist) -> list[str]:
    """List the texts that a picture, or a part of it, shows."""
    found = (text for text in artist.findobj(Text) if text.get_visible())
    return [text.get_text() for text in found if text.get_text()]


def test_plot_says_whose_it_is_as_of_when_and_what_it_leaves_out(
    engine: sa.Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        score(engine, HOUR, *[0.5] * 30, model=f"new-{number}")
    found = report(engine, settings)
    header = words(drawn(found, monkeypatch))[:2]
    assert header == [
        "Quality of tenant default, as of 2026-03-05 12:00 UTC",
        "4 of 6 series: those below their baseline, then those with the most scores",
    ]


def test_plot_says_how_many_that_are_below_their_baseline_it_leaves_out(
    engine: sa.Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin = {"metric": "thumb", "mean": 0.9, "sigma": 0.1, "n": 280, "accepted_at": NOW - DAY, "reason": "x",
           "accepted_by": "ann", "starts_at": MIDNIGHT - 29 * DAY, "ends_at": MIDNIGHT - DAY, "days": 28,
           "day_sigma": 0.0, "weekdays": []}  # fmt: skip
    for number in range(6):
        name = {"metric": "thumb", "model": f"m{number}", "judge_version": None}
        insert(engine, quality_baselines, [{**pin, "model": name["model"], "prompt_version": None}])
        score(engine, HOUR, *[0.5] * 30, **name)
    assert words(drawn(report(engine, settings), monkeypatch))[1] == (
        "4 of 6 series: those below their baseline, then those with the most scores; "
        "of the others 2 are below their baseline"
    )


def test_plot_tells_the_number_of_the_message_and_names_every_mark(
    engine: sa.Engine, slid: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    score(engine, HOUR, *[0.65, 0.85] * 20)
    panel = drawn(report(engine, slid), monkeypatch).axes[1]
    told = "WARNING: Quality sliding to 0.736, 8.0 % below its baseline (limit 10 % below, reached in ~2 d)"
    assert told in words(panel)
    legend = panel.get_legend()
    assert legend is not None
    assert words(legend) == [
        "usual: 9 of 10 days", "baseline 0.800", "limit 0.720: 10 % below", "pinned days", "mean of a day",
        "slide since 26 Feb: 0.736 on 04 Mar", "last 24 h: 0.745 of 60 scores",
    ]  # fmt: skip
    lines = {str(line.get_label()).split(":", 1)[0]: line for line in panel.get_lines()}
    assert lines["slide since 26 Feb"].get_ydata()[-1] == pytest.approx(0.736)
    assert lines["last 24 h"].get_ydata()[0] == pytest.approx((20 * 0.736 + 40 * 0.75) / 60)


def test_plot_tells_a_drop_by_the_mean_of_a_day_and_a_short_slide_by_its_mean(
    engine: sa.Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(30, 0, -1):
        level = 0.8 if day > 2 else 0.6
        score(engine, day * DAY, *[level - 0.1, level + 0.1] * 10)
    with engine.begin() as connection:
        pin_missing(connection, settings, NOW - 2 * DAY)
    score(engine, HOUR, *[0.5] * 30)
    panel = drawn(report(engine, settings), monkeypatch).axes[1]
    mean = (20 * 0.6 + 30 * 0.5) / 50
    off = f"{100 * (1 - mean / 0.8):.1f} % below its baseline"
    assert f"WARNING: Quality {mean:.3f} in 24 h, {off} (limit 10 % below)" in words(panel)
    assert {"mean since 03 Mar: 0.600", f"last 24 h: {mean:.3f} of 50 scores"} <= set(words(panel))


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("thumb model:" + 300 * "x" + " judge:last", id="long"),
        pytest.param("thumb model:$\\alpha$ judge:\u202e\u20ac", id="strange"),
    ],
)
def test_plot_shows_any_name_within_its_width(
    engine: sa.Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    _, model, judge = key.split()
    score(engine, HOUR, *[0.5] * 30, metric="thumb", model=model[6:], judge_version=judge[6:])
    figure = drawn(report(engine, settings), monkeypatch)
    width = figure.get_window_extent().width
    assert all(text.get_window_extent().x1 <= width for axes in figure.axes for text in axes.findobj(Text)
               if text.get_text())  # fmt: skip


def test_plot_of_nothing_says_so(engine: sa.Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    found = words(drawn(report(engine, settings), monkeypatch))
    assert {"no scores in 90 days", "no requests in 90 days", "no successful requests in 90 days"} <= set(found)


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
    row = (
        "| ❌ warning | probe:judge\\_relevance judge:rubric-1 "
        "| Judge moved, probes at 0.500, 28.6 % below their baseline (since 2026-03-05) |"
    )
    assert row in page(found)


def test_plot_is_a_file_of_its_day(tmp_path: Path) -> None:
    path = save_plot(b"png", NOW, tmp_path / "plots" / "new")
    assert (path.name, path.read_bytes()) == ("quality-2026-03-05.png", b"png")
