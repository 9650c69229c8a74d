"""How long `watchkeeper status` takes, from the shell's point of view, on a database with many events.

    python benchmarks/status.py [--quick] [--rows N] [--keep FOLDER] [--json FILE]

Events of the last 30 days are made in SQL and rolled up by the code that repairs roll-ups, in 600 series an hour and by
20,000 users; scores, rejects, alerts, messages, projections and data checks are there too, and a budget of each scope.
The command is a process of its own; Postgres runs, started anew after the database was built: the first run finds
nothing in its buffers. That one, and the median and the worst of seven more; beside them the processor time of the
command alone, which other work on the machine does not lengthen much. `--keep` leaves the database for later runs of
the same day.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from bench import asked, save

from ops.window import floor_day
from tasks.embedded_postgres import Cluster
from tasks.rebuild_rollups import rebuild_day
from tasks.resources import create_database
from tasks.stores import schema, usage

TENANT = "default"
DAYS, ROUNDS = 30, 7
LIMIT_S = 2
CONFIG = """
sources: [{name: gateway, kind: litellm, path: "*.jsonl"}, {name: trace, kind: litellm, path: "*.jsonl"}]
budgets:
  - {monthly_usd: 500}
  - {scope: team, key: "*", monthly_usd: 50}
  - {scope: feature, key: "*", daily_usd: 50}
  - {scope: model, key: "*", monthly_usd: 500}
  - {scope: user, key: "*", monthly_usd: 5}
"""
EVENTS = """
INSERT INTO watchkeeper.usage_events (
    tenant_id, event_id, occurred_at, source, vendor, model, operation, status, error_type, user_id, team_id, feature,
    service, release, input_tokens, cached_tokens, output_tokens, latency_ms, ttft_ms, cost_usd)
SELECT :tenant, 'chatcmpl-' || md5(:day || n::text), CAST(:start AS timestamptz) + n * interval '1 day' / :rows,
       'gateway', (ARRAY['openai', 'openai', 'anthropic'])[n % 3 + 1],
       (ARRAY['gpt-4o', 'gpt-4o-mini', 'claude-sonnet-4-5'])[n % 3 + 1], 'chat',
       CASE WHEN n % 97 = 0 THEN 'failure' ELSE 'success' END, CASE WHEN n % 97 = 0 THEN 'timeout' END,
       'u' || n * 7919 % 20000, 't' || n / 3 % 20, 'f' || n / 60 % 5, 'assistant', 'v' || n / 300 % 2,
       20 + n * 104729 % 7980, n % 20, 5 + n * 1299709 % 895, 100 + n % 3000, 50 + n % 300, 0.0001 * (n % 20)
  FROM generate_series(0::bigint, :rows - 1) AS n
"""
OTHERS = (
    """
INSERT INTO watchkeeper.scores (tenant_id, score_id, occurred_at, metric, value, source)
SELECT :tenant, n::text, now() - n * interval '20 seconds', (ARRAY['judge_relevance', 'thumb'])[n % 2 + 1],
       n % 10 / 10., 'gateway' FROM generate_series(1, 100000) AS n
""",
    """
INSERT INTO watchkeeper.usage_rejects (tenant_id, source, reject_id, kind, place, position, reason, raw, cut)
SELECT :tenant, 'gateway', md5(n::text), 'litellm', 'log', n, 'no time', repeat('x', 500), false
  FROM generate_series(1, 50000) AS n
""",
    """
INSERT INTO watchkeeper.alerts (tenant_id, alert_id, rule, key, tier, state, since, revision, body)
SELECT :tenant, n::text, 'spend', 'team:t' || n, (ARRAY['critical', 'warning', 'info'])[n % 3 + 1],
       CASE WHEN n < 20 THEN 'firing' ELSE 'resolved' END, now() - n * interval '10 minutes', 1,
       '{"value": 2, "limit": 1, "evidence": {}, "breaches": 2, "clears": 0, "summary": ["Spend", "$2.00", "$1.00"]}'
  FROM generate_series(1, 5000) AS n
""",
    """
INSERT INTO watchkeeper.outbox (tenant_id, dedup_key, destination, tier, payload, desired_rev, sent_rev, state,
    not_before, created_at)
SELECT :tenant, n::text, 'ops', 'warning', '{}', 1, (n >= 20)::int, CASE WHEN n < 20 THEN 'waiting' ELSE 'sent' END,
       now(), now() - n * interval '1 minute' FROM generate_series(1, 10000) AS n
""",
    """
INSERT INTO watchkeeper.quality_checks (tenant_id, suite, as_of, name, severity, outcome)
SELECT :tenant, 'events', now() - run * interval '1 hour', 'check ' || n, 'warning', 'passed'
  FROM generate_series(0, 720) AS run, generate_series(1, 30) AS n
""",
    """
INSERT INTO watchkeeper.cost_projections (tenant_id, month, as_of, scope, key, spent_usd, month_end_usd, low80_usd,
    high80_usd, low95_usd, high95_usd, method, history_days, low_history, unpriced_events)
SELECT :tenant, date_trunc('month', now(), 'UTC')::date, now() - run * interval '1 hour',
       CASE WHEN n = 0 THEN 'total' ELSE 'team' END, CASE WHEN n = 0 THEN '' ELSE 't' || n END, 1, 3, 2, 4, 1, 5,
       'wpr-cp', 84, false, 0
  FROM generate_series(0, 500) AS run, generate_series(0, 20) AS n
""",
    """
INSERT INTO watchkeeper.watermarks (tenant_id, step, reached_at)
SELECT :tenant, step, now() FROM unnest(ARRAY['keep-watch', 'ingest-usage', 'evaluate_alerts']) AS step
""",
)


def main() -> None:
    """Measure and print."""
    arguments = asked(__doc__, rows=10_000_000, quick=300_000, can_keep=True)
    with _folder(arguments.keep, arguments.rows) as place:
        if not (place / "built.json").exists():
            (place / "watchkeeper.yaml").write_text(CONFIG)
            with _running(place) as engine:
                built = _build(engine, arguments.rows)
            (place / "built.json").write_text(json.dumps(built))
        with _running(place):
            result = json.loads((place / "built.json").read_text()) | _measure(place)
    print(
        f"  status: first {result['first_s']:.2f} s, median {result['median_s']:.2f} s, worst {result['worst_s']:.2f} s"
        f" (limit {LIMIT_S} s); {result['processor_s']:.2f} s of a processor for the command alone"
    )
    save(result, arguments.json)


@contextmanager
def _folder(keep: Path | None, rows: int) -> Iterator[Path]:
    """Yield where the database is; what is kept is of one day, since its last hour is that of now."""
    if keep is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
        return
    place = keep.absolute() / f"{datetime.now(UTC):%Y%m%d}-{rows}"
    place.mkdir(parents=True, exist_ok=True)
    yield place


@contextmanager
def _running(place: Path) -> Iterator[sa.Engine]:
    with Cluster(place / "home", durable=False).use() as cluster:
        create_database(cluster.url("postgres"), "watchkeeper")
        engine = sa.create_engine(cluster.url("watchkeeper"), connect_args={"options": "-c timezone=UTC"})
        schema.upgrade(engine)  # what is kept may be of another version
        yield engine
        engine.dispose()


def _build(engine: sa.Engine, rows: int) -> dict[str, Any]:
    today, started = floor_day(datetime.now(UTC)), time.perf_counter()
    days = [today - timedelta(days=number) for number in range(DAYS)]
    usage.ensure_partitions(engine, [day.date() for day in days])
    for day in days:
        with engine.begin() as connection:
            values = {"tenant": TENANT, "day": f"{day:%Y%m%d}", "start": day, "rows": rows // DAYS}
            connection.execute(_sql(EVENTS), values)
        rebuild_day(engine, TENANT, day)
    with engine.begin() as connection:
        for statement in OTHERS:
            connection.execute(_sql(statement), {"tenant": TENANT})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM ANALYZE"))
        hours = connection.execute(sa.text("SELECT count(*) FROM watchkeeper.usage_hourly")).scalar_one()
    built_s = time.perf_counter() - started
    print(f"{rows:,} events of {DAYS} days, {hours:,} hourly roll-ups, built in {built_s:.0f} s", flush=True)
    return {"rows": rows, "hourly_rows": hours, "built_s": built_s}


def _sql(statement: str) -> sa.TextClause:
    return sa.text(statement.replace("::", r"\:\:"))


def _measure(place: Path) -> dict[str, Any]:
    before = _processor_s()
    first, *later = [_timed(place) for _ in range(1 + ROUNDS)]
    each = (_processor_s() - before) / (1 + ROUNDS)
    return {"first_s": first, "median_s": statistics.median(later), "worst_s": max(later), "processor_s": each}


def _processor_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _timed(place: Path) -> float:
    # a Python of users keeps the modules that it compiled
    left_out = ("DATABASE_URL", "WATCHKEEPER_DATABASE_URL", "PYTHONDONTWRITEBYTECODE")
    known = {name: value for name, value in os.environ.items() if name not in left_out}
    command = [sys.executable, "-m", "cli.main", "status", "--json"]
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=place, env=known | {"WATCHKEEPER_HOME": str(place / "home")}, capture_output=True, check=False
    )
    taken = time.perf_counter() - started
    _check(json.loads(done.stdout))
    return taken


def _check(document: dict[str, Any]) -> None:
    """Refuse a time that was short because something was not read."""
    sections = {section["section"]: section for section in document["sections"]}
    if any(section["level"] == "unreadable" for section in sections.values()):
        raise AssertionError(f"unreadable: {document}")
    if not sections["spend"]["rows"][1]["facts"]["events"]:
        raise AssertionError("the month has no requests")


if __name__ == "__main__":
    main()
