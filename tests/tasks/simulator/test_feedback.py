import json
from datetime import datetime, timedelta

import pytest

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
