from __future__ import annotations

import sys
from math import log2
from random import Random

import pytest

from ops.errors import NotFound
from ops.monitoring.retrieval import MRR, NDCG, score_ranking, versions

RANKINGS: dict[str, tuple[dict[str, int], list[str], int, float, float]] = {
    "the best order": ({"a": 2, "b": 1}, ["a", "b"], 10, 1.0, 1.0),
    "the other order": ({"a": 2, "b": 1}, ["b", "a"], 10, 1.0, (1 + 2 / log2(3)) / (2 + 1 / log2(3))),
    "one that nobody judged before it": ({"a": 1}, ["x", "a"], 10, 1 / 2, 1 / log2(3)),
    "one that is not relevant before it": ({"a": 1, "x": 0}, ["x", "a"], 10, 1 / 2, 1 / log2(3)),
    "nothing that is relevant": ({"a": 1}, ["x", "y"], 10, 0.0, 0.0),
    "an empty answer": ({"a": 1}, [], 10, 0.0, 0.0),
    "below the cut": ({"a": 1}, ["x", "y", "a"], 2, 0.0, 0.0),
    "more that is relevant than fits": ({"a": 1, "b": 1}, ["a"], 1, 1.0, 1.0),
    "served twice, counted where it came first": ({"a": 1, "b": 1}, ["x", "x", "a", "a", "b"], 3, 1 / 2,
                                                  (1 / log2(3) + 1 / log2(4)) / (1 + 1 / log2(3))),
}  # fmt: skip


@pytest.mark.parametrize(("expected", "ranked", "k", "rr", "ndcg"), RANKINGS.values(), ids=RANKINGS)
def test_ranking_is_scored(expected: dict[str, int], ranked: list[str], k: int, rr: float, ndcg: float) -> None:
    assert score_ranking(expected, ranked, k) == pytest.approx({MRR: rr, NDCG: ndcg}, abs=1e-12)


def random_ranking(luck: Random) -> tuple[dict[str, int], list[str], int]:
    """Make judgements, and a ranking by scores of which many are equal; some is unjudged, missing, or empty."""
    documents = [f"doc-{number}" for number in range(luck.randint(1, 30))]
    judged = {document: luck.randint(0, 3) for document in luck.sample(documents, luck.randint(1, len(documents)))}
    judged[luck.choice(documents)] = luck.randint(1, 3)
    found = luck.sample(documents, luck.choice([0, len(documents), luck.randint(0, len(documents))]))
    scores = {document: luck.randint(0, 4) / 4 for document in found}
    return judged, sorted(found, key=lambda document: -scores[document]), luck.choice([1, 3, 5, 10, 50])


def ndcg_of_sklearn(judged: dict[str, int], ranked: list[str], k: int) -> float:
    """Compute nDCG by another library, which ranks all documents: behind those served come k that are irrelevant."""
    from sklearn import config_context
    from sklearn.metrics import ndcg_score

    left = [document for document in judged if document not in ranked]
    gains = [judged.get(document, 0) for document in ranked] + [0] * (k + 1) + [judged[document] for document in left]
    order = list(range(len(gains), 0, -1))
    with config_context(assume_finite=True, skip_parameter_validation=True):  # a third of the time
        return float(ndcg_score([gains], [order], k=k, ignore_ties=True))


@pytest.mark.uncounted
def test_scores_agree_with_independent_libraries_on_a_thousand_random_rankings() -> None:
    """MRR of MS MARCO's own script, nDCG of scikit-learn; ours are of trec_eval."""
    from ir_measures import RR, msmarco

    luck = Random(20261124)  # noqa: S311
    seen = {"empty": 0, "unjudged": 0, "below 1": 0}
    for _ in range(1000):
        judged, ranked, k = random_ranking(luck)
        run = {"q": {document: -float(rank) for rank, document in enumerate(ranked)}}
        rr = next((each.value for each in msmarco.iter_calc([RR @ k], {"q": judged}, run)), 0.0)
        ours = score_ranking(judged, ranked, k)
        assert ours[MRR] == pytest.approx(rr, abs=1e-9)
        assert ours[NDCG] == pytest.approx(ndcg_of_sklearn(judged, ranked, k), abs=1e-9)
        seen["empty"] += not ranked
        seen["unjudged"] += any(document not in judged for document in ranked)
        seen["below 1"] += 0 < ours[NDCG] < 1
    assert min(seen.values()) > 100  # so that the agreement means something


def test_the_last_of_a_thousand_documents_keeps_its_rank() -> None:
    ranked = [f"doc-{number:04}" for number in range(1000)]
    assert score_ranking({"doc-0999": 1}, ranked, 1000)[MRR] == pytest.approx(1 / 1000, abs=1e-12)


def test_version_says_where_the_ranking_is_cut() -> None:
    assert versions(5) == {MRR: "rr@5", NDCG: "ndcg@5"}


def test_platform_without_the_library_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ir_measures", None)
    with pytest.raises(NotFound, match="package 'ir-measures' not found: its trec_eval has to be compiled"):
        score_ranking({"a": 1}, ["a"], 10)
