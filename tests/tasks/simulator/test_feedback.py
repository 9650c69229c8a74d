import json
from datetime import datetime, timedelta
from statistics import stdev

import pytest
from msgspec.structs import replace

from tasks.simulator.feedback import scores, write_feedback


def test_scores_rate_a_tenth_of_the_answered_chats(a_day):
    answered = {r.event_id for r in a_day if not r.embedding and not r.failure}
    rated = [row["event_id"] for row in scores(a_day)]
    assert len(rated) / len(answered) == pytest.approx(0.1, abs=0.01)
    assert answered.issuperset(rated)


def test_scores_are_thumbs_or_a_judges(a_day):
    for row in scores(a_day):
        if row["metric"] == "thumb":
            assert (row["source"], row["judge_version"]) == ("user", None)
            assert row["value"] in (0, 1)
        else:
            assert (row["metric"], row["source"], row["judge_version"]) == ("judge_relevance", "judge", "rubric-1")
            assert 0 <= row["value"] <= 1
    assert {row["metric"] for row in scores(a_day)} == {"thumb", "judge_relevance"}


@pytest.mark.parametrize("metric", ["thumb", "judge_relevance"])
def test_scores_show_the_quality_of_the_answers(a_day_of, metric):
    def mean(requests):
        values = [row["value"] for row in scores(requests) if row["metric"] == metric]
        return sum(values) / len(values)

    # 0.75 x 0.86 = 0.645 on the canary; a few hundred thumbs know their mean to about 0.04 at two deviations.
    canary = [r for r in a_day_of("bad-canary") if r.release == "v2"]
    assert mean(a_day_of("normal")) == pytest.approx(0.86, abs=0.04)
    assert mean(canary) == pytest.approx(0.645, abs=0.06)


def test_scores_come_after_the_answer(a_day):
    ended = {r.event_id: r.ended for r in a_day}
    for row in scores(a_day):
        at = datetime.fromisoformat(row["occurred_at"])
        assert at.utcoffset() == timedelta(0)
        assert 0.99 < at.timestamp() - ended[row["event_id"]] < 120.01


def test_write_feedback_writes_a_score_a_line(tmp_path, a_day):
    written = write_feedback(a_day, tmp_path / "scores.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert rows == list(scores(a_day))
    assert written == len(rows) == len({row["score_id"] for row in rows})
    assert list(rows[0]) == [
        *("score_id", "event_id", "occurred_at", "metric", "value", "source", "judge_version"),
        *("release", "model", "feature"),
    ]


def test_scores_split_evenly_between_people_and_the_judge(a_day):
    judged = [row["source"] == "judge" for row in scores(a_day)]
    assert sum(judged) / len(judged) == pytest.approx(0.5, abs=0.06)  # about 900: two deviations are 0.03


@pytest.mark.parametrize(
    ("source", "least", "most"), [("judge", 1, 5), ("user", 5, 120)], ids=["a judge at once", "people take two minutes"]
)
def test_scores_take_their_time(a_day, source, least, most):
    ended = {r.event_id: r.ended for r in a_day}
    waits = [
        datetime.fromisoformat(row["occurred_at"]).timestamp() - ended[row["event_id"]]
        for row in scores(a_day)
        if row["source"] == source
    ]
    span = most - least
    assert least - 0.001 <= min(waits) < least + 0.05 * span
    assert most - 0.05 * span < max(waits) <= most + 0.001


@pytest.mark.parametrize(("quality", "least", "most"), [(0.0, 0, 0), (1.0, 1, 1)])
def test_scores_of_thumbs_at_the_ends_of_quality(a_day, quality, least, most):
    marked = [replace(r, quality=quality) for r in a_day]
    thumbs = {row["value"] for row in scores(marked) if row["metric"] == "thumb"}
    assert (min(thumbs), max(thumbs)) == (least, most)


def test_scores_of_a_judge_scatter_by_a_tenth_in_four_decimals(a_day):
    marks = [row["value"] for row in scores(replace(r, quality=0.5) for r in a_day) if row["source"] == "judge"]
    assert stdev(marks) == pytest.approx(0.1, abs=0.01)  # 450 marks know it to 0.1 / sqrt(2 x 450) = 0.003
    assert all(round(mark, 4) == mark for mark in marks)
    assert any(round(mark, 3) != mark for mark in marks)


def test_scores_are_of_the_release_model_and_feature_that_answered(a_day):
    asked = {r.event_id: (r.release, r.model.name, r.feature.name) for r in a_day}
    for row in scores(a_day):
        assert (row["release"], row["model"], row["feature"]) == asked[row["event_id"]]
