"""`watchkeeper quality accept-baseline`: hold a series of scores to what it is now."""

from __future__ import annotations

import getpass
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from cli.output import as_json, complain, print_json, say
from cli.times import DAY, checked_span, checked_time

if TYPE_CHECKING:
    from tasks.pin_baselines import Accepted

DAYS = 14  # the fewest that tell the weekdays apart


@click.command("accept-baseline")
@click.argument("metric")
@click.option("--model", help="Whose answers; may be left out where only one is scored.")
@click.option("--prompt", help="The prompt's version, likewise.")
@click.option("--judge", help="The judge's version, likewise.")
@click.option("--reason", required=True, help="Why; it is kept and told.")
@click.option("--from", "since", type=DAY, help=f"The first UTC day; {DAYS} days before the end by default.")
@click.option("--to", "until", type=DAY, help="The first UTC day that is no part of it; today by default.")
@click.option("--yes", is_flag=True, help="Accept scores that still move, too.")
@as_json
def command(
    metric: str, reason: str, since: datetime | None, until: datetime | None, yes: bool, as_json: bool,
    **named: str | None,
) -> None:  # fmt: skip
    """Pin the scores of some days as what METRIC is held to from now on; what was pinned before stays on record.

    Your user name is kept with it. Scores that fall in those days, or belong to a slide that is not over, and probes
    that fall or rise, are not accepted without --yes: the exit code is then 1. The same accepted again changes nothing
    and tells nobody.

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
    from tasks.show_baselines import as_document

    now = datetime.now(UTC)
    end = checked_time("--to", until) or floor_day(now)
    window = checked_span(since or end - timedelta(days=DAYS), end)
    accepted = Acceptance(Series(metric, **named), window, reason, _user(), moving=yes)
    settings = load_settings()
    with open_database(settings) as engine:
        done = accept_baseline(engine, settings, accepted, now)
    if as_json:
        print_json({**as_document(done.baseline, done.before), "moves": done.moves, "outcome": done.outcome})
    else:
        _say(done)
    if done.outcome == "refused":
        raise click.exceptions.Exit(1)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        return f"user {os.getuid()}"


def _say(done: Accepted) -> None:
    from tasks.show_baselines import replaces

    baseline, pinned = done.baseline, done.baseline.pinned
    if done.outcome == "refused":
        complain(f"{baseline.series} still moves {done.moves}: not accepted (--yes accepts it all the same)")
        return
    held = f"{baseline.series}: held to {pinned.mean:.3f}, {pinned.n:,} scores on {pinned.days} days"
    if done.outcome == "unchanged":
        say(f"{held}; it was already, since {baseline.accepted_at:%Y-%m-%d %H:%M} UTC: nothing is changed")
        return
    say(held)
    if done.before:
        say(f"replaces {replaces(baseline, done.before)} ({done.before.accepted_by}: {done.before.reason})")
    if done.moves:
        say(f"it still moves {done.moves}", "yellow")
