from __future__ import annotations

from math import sqrt

import pytest

from ops.errors import InvalidValue
from ops.monitoring.golden import golden_item
from ops.monitoring.scorers import Scorer, score_answer, similarity

ITEM = golden_item({"query": "How long?", "reference": "35  Days"})
TEXTUAL = (Scorer.EXACT, Scorer.CONTAINS)

ANSWERS: dict[str, tuple[str, tuple[float, float]]] = {
    "the reference": ("35  Days", (1, 1)),
    "other case and blanks": (" 35 days\n", (1, 1)),
    "more than the reference": ("We keep them for 35 days.", (0, 1)),
    "other words": ("Backups are kept 35 full days.", (0, 0)),
    "within a word": ("We keep them for 135 days.", (0, 1)),
    "empty": ("", (0, 0)),
}


@pytest.mark.parametrize(("answer", "marks"), ANSWERS.values(), ids=ANSWERS)
def test_answer_is_held_to_its_item(answer: str, marks: tuple[float, float]) -> None:
    metrics = ("answer_exact", "answer_contains")
    assert score_answer(TEXTUAL, ITEM, answer) == dict(zip(metrics, marks, strict=True))


def test_item_that_says_nothing_to_hold_an_answer_to_has_no_mark() -> None:
    assert score_answer(TEXTUAL, golden_item({"query": "How long?"}), "35 days") == {}


def test_scorers_that_need_a_model_or_a_process_are_not_of_texts() -> None:
    assert score_answer((Scorer.EMBEDDING, Scorer.JUDGE, Scorer.REGEX), ITEM, "35 days") == {}


@pytest.mark.parametrize(
    ("other", "cosine"),
    [((2.0, 0.0), 1.0), ((0.0, 3.0), 0.0), ((-1.0, 0.0), -1.0), ((1.0, 1.0), 1 / sqrt(2))],
    ids=["the same direction", "a right angle", "the opposite", "half way"],
)
def test_similarity_is_the_cosine(other: tuple[float, float], cosine: float) -> None:
    assert similarity((1.0, 0.0), other) == pytest.approx(cosine)


@pytest.mark.parametrize(
    ("other", "reason"),
    [((1.0,), "'2 and 1 numbers' is not two vectors of one length"), ((0.0, 0.0), "a finite length above 0"),
     ((float("inf"), 0.0), "a finite length above 0")],
    ids=["another length", "nowhere", "endless"],
)  # fmt: skip
def test_similarity_of_what_is_no_vector_is_refused(other: tuple[float, ...], reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason):
        similarity((1.0, 0.0), other)
