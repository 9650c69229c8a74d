"""Which flow runs when: the one list that `serve.py` and `prefect.yaml` share (a test holds them equal)."""

from __future__ import annotations

# flow -> cron in UTC; None: only by hand
SCHEDULES: dict[str, str | None] = {
    "ingest-usage": "*/5 * * * *",
    "keep-watch": "* * * * *",
    "project-costs": "10 * * * *",
    "check-quality": "20 * * * *",
    "report-quality": "20 6 * * *",
    "warm-caches": "40 * * * *",
    "check-budgets": "*/5 * * * *",
    "read-vendor-status": "*/5 * * * *",
    "reconcile-costs": "15 5 * * *",
    "advise-savings": "45 6 * * 1",
    "run-evaluations": "0 4 * * *",
    "maintain-storage": "30 3 * * *",
    "evaluate-alerts": None,
    "advance-rollouts": None,
    "dispatch-alerts": None,
    "recommend-scale": None,
    "backfill-usage": None,
}
