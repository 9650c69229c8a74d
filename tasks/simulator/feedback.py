"""Scores of answers, as users' thumbs and a judge give them: what quality checks see of a request's quality.

Before it: `generator.py` says which requests are rated. After it: the feedback source reads the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from tasks.simulator.json_lines import write_lines
from tasks.simulator.request import Request

RUBRIC = "rubric-1"
_JUDGE_SPREAD = 0.1


def write_feedback(requests: Iterable[Request], path: Path) -> int:
    """Write one score a line (`.gz` compresses) and return how many."""
    return write_lines(scores(requests), path)


def scores(requests: Iterable[Request]) -> Iterator[dict[str, object]]:
    """Yield the score of each rated request: half are thumbs (0 or 1), half a judge's relevance (0 to 1)."""
    return (_score(request) for request in requests if request.rated)


def _score(request: Request) -> dict[str, object]:
    rng = Random(request.call_id)  # noqa: S311 - a simulation keeps no secrets
    judged = rng.random() < 0.5
    # A judge runs at once; people take up to two minutes.
    delay = rng.uniform(1, 5) if judged else rng.uniform(5, 120)
    return {
        "score_id": f"score-{request.call_id}",
        "event_id": request.event_id,
        "occurred_at": datetime.fromtimestamp(request.ended + delay, UTC).isoformat(),
        "metric": "judge_relevance" if judged else "thumb",
        "value": _relevance(rng, request.quality) if judged else int(rng.random() < request.quality),
        "source": "judge" if judged else "user",
        "judge_version": RUBRIC if judged else None,
        "release": request.release,
        "model": request.model.name,
        "feature": request.feature.name,
    }


def _relevance(rng: Random, quality: float) -> float:
    return round(min(1.0, max(0.0, rng.gauss(quality, _JUDGE_SPREAD))), 4)
