"""`watchkeeper quality accept-baseline`: hold a series of scores to what it is now."""

from __future__ import annotations

import getpass
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from cli.output import as_json, print_json, say
from cli.times import DAY, checked_span, checked_time

if TYPE_CHECKING:
    from tasks.stores.baselines import Baseline

DAYS = 14  # the fewest that tell the weekdays apart


@click.command("accept-baseline")
@click.argument("metric")
@click.option("--model", help="Whose answers; may be left out where only one is scored.")
@click.option("--prompt", help="The prompt's version, likewise.")
@click.option("--judge", help="The judge's version, likewise.")
@click.option("--reason", required=True, help="Why; it is kept and told.")
@click.option("--from", "since", type=DAY, help=f"The first UTC day; {DAYS} days before the end by default.")
@click.option("--to", "until", type=DAY, help="The first UTC day that is no part of it; today by default.")
@as_json
def command(
    metric: str, model: str | None, prompt: str | None, judge: str | None, reason: str, since: datetime | None,
    until: datetime | None, as_json: bool,
) -> None:  # fmt: skip
    """Pin the scores of some days as what METRIC is held to from now on; what was pinned before stays on record.

    Your user name is kept with it.

    \b
    Example:
      watchkeeper quality accept-baseline judge_relevance --model gpt-4o --reason "shorter answers, as agreed"
      watchkeeper quality accept-baseline probe:judge_relevance --judge rubric-2 --from 2026-11-01 --reason "new rubric"
    """
    from ops.monitoring.baselines import Series
    from ops.window import floor_day
    from tasks.load_settings import load_settings
    from tasks.pin_baselines import Acceptance, accept_baseline
    from tasks.resources import open_database

    now = datetime.now(UTC)
    end = checked_time("--to", until) or floor_day(now)
    window = checked_span(since or end - timedelta(days=DAYS), end)
    accepted = Acceptance(Series(metric, model, prompt, judge), window, reason, _user())
    settings = load_settings()
    with open_database(settings) as engine:
        baseline = accept_baseline(engine, settings, accepted, now)
    if as_json:
        print_json(_document(baseline))
    else:
        pinned = baseline.pinned
        say(f"{baseline.series}: held to {pinned.mean:.3f}, {pinned.n:,} scores on {pinned.days} days")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        return f"user {os.getuid()}"


def _document(baseline: Baseline) -> dict[str, Any]:
    from dataclasses import asdict

    window = {"from": baseline.window.start, "to": baseline.window.end}
    accepted = {"accepted_at": baseline.accepted_at, "accepted_by": baseline.accepted_by, "reason": baseline.reason}
    return {**asdict(baseline.series), **asdict(baseline.pinned), **window, **accepted}
