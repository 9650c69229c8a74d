"""How well documents were found: reciprocal rank and nDCG of one ranking, as trec_eval computes them.

Before it: `golden` says which documents are relevant, the endpoint in which order it found some. After it: a mean over
a set's items is MRR, and nDCG@k.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ops.errors import NotFound

MRR, NDCG = "retrieval_mrr", "retrieval_ndcg"
MOST_DOCUMENTS = 1000  # of one answer


def score_ranking(expected: Mapping[str, int], ranked: Sequence[str], k: int) -> dict[str, float]:
    """Score the first `k` documents of an answer.

    RR is 1 / the rank of the first relevant document, 0 when there is none. nDCG is DCG / the best possible DCG, where
    DCG is the sum of relevance / log2(rank + 1) (Jarvelin and Kekalainen 2002). The order is the one in which the
    documents were served: equal scores are no ties here. A document that nobody judged is not relevant; one that is
    served again (chunks of one text) counts where it came first. An answer without documents scores 0.

    Raises:
        NotFound: the library that computes them, for which this platform has no package.
    """
    try:
        from ir_measures import RR, nDCG, pytrec_eval
    except ImportError:
        raise NotFound("package", "ir-measures", "its trec_eval has to be compiled on this platform") from None
    served = list(dict.fromkeys(ranked))[:k]
    # trec_eval sorts by scores of 32 bits, equal ones by name: ranks stay what they are.
    run = {"item": {document: float(-rank) for rank, document in enumerate(served)}}
    names = {str(RR): MRR, str(nDCG @ k): NDCG}
    found = {names[str(each.measure)]: float(each.value)
             for each in pytrec_eval.iter_calc([RR, nDCG @ k], {"item": dict(expected)}, run)}  # fmt: skip
    return {MRR: 0.0, NDCG: 0.0, **found}


def versions(k: int) -> dict[str, str]:
    """Say how each metric is computed: what differs there is not compared."""
    return {MRR: f"rr@{k}", NDCG: f"ndcg@{k}"}
