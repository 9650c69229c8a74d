"""`watchkeeper simulate`: logs of a GenAI system that does not exist."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.output import as_json, print_json, progress_bar, say
from cli.times import TIME, checked_time

if TYPE_CHECKING:
    from ops.window import Window
    from tasks.simulator import Scenario


@click.command("simulate")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="The folder of the logs.")
@click.option(
    "--days", type=click.FloatRange(0.01, 400), help="How much time to make [default: 1, or none with --live]."
)
@click.option("--start", type=TIME, help="Begin here, UTC [default: so that it ends now].")
@click.option("--rate", type=click.FloatRange(0.1, 1e6), default=300, show_default=True, help="Requests an hour.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--scenario", "names", multiple=True, help="What goes wrong; repeat for several. See below.")
@click.option("--live", is_flag=True, help="Go on in real time, a file a minute, until Ctrl-C.")
@as_json
def command(
    out: Path, days: float | None, start: datetime | None, rate: float, seed: int, names: tuple[str, ...], live: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Write LiteLLM logs and scores of simulated traffic; it obeys the traffic splits in the database.

    Scenarios: normal, cost-spike, quality-slide, bad-canary, vendor-outage, cache-collapse. Each lasts the whole time.

    \b
    Example:
      watchkeeper simulate --out logs --days 30
      watchkeeper simulate --out logs --live --scenario vendor-outage
    """
    from tasks.simulator import Traffic

    past = (0 if live else 1) if days is None else days
    window = _window(start, past)
    traffic = Traffic(seed=seed, requests_per_hour=rate)
    with _splits() as splits:
        scenarios = _scenarios(names, window, live)
        count, files = _history(traffic, window, out, scenarios, splits(), quiet=as_json) if past else (0, [])
        if as_json:
            print_json({"requests": count, "files": files, "from": window.start, "to": window.end})
        else:
            say(f"{count:,} requests in {out}")
        if live:
            _live(traffic, out, scenarios, splits)


def _window(start: datetime | None, days: float) -> Window:
    from ops.errors import InvalidValue
    from ops.window import Window

    try:
        length = timedelta(days=days)
        begin = checked_time("--start", start) or datetime.now(UTC).replace(microsecond=0) - length
        return Window(begin, begin + length)
    except (ValueError, OverflowError):  # click's range lets NaN through
        raise InvalidValue("--days", days, "a time that the calendar holds") from None


def _scenarios(names: tuple[str, ...], window: Any, live: bool) -> list[Scenario]:
    from ops.window import Window
    from tasks.simulator import Scenario

    span = Window(window.start, window.end + timedelta(days=365)) if live else window
    return [Scenario(name, span) for name in names]


def _history(
    traffic: Any, window: Any, out: Path, scenarios: list[Any], splits: Any, *, quiet: bool
) -> tuple[int, list[str]]:
    from ops.window import Window
    from tasks.simulate_traffic import simulate

    days = [max(day, window.start) for day in window.days()]
    edges = [*days, window.end]
    count, files = 0, []
    with progress_bar("simulating", total=len(days), quiet=quiet) as show:
        for done, (start, end) in enumerate(pairwise(edges), 1):
            written = simulate(traffic, Window(start, end), out, scenarios=scenarios, splits=splits)
            count += written.requests
            files += [str(written.usage), str(written.scores)]
            show(done, f"{start:%Y-%m-%d}: {count:,} requests")
    return count, files


def _live(traffic: Any, out: Path, scenarios: list[Any], splits: Any) -> None:
    import time

    from ops.window import Window
    from tasks.simulate_traffic import simulate

    reached = datetime.now(UTC)
    while True:
        time.sleep(60)
        window = Window(reached, datetime.now(UTC))
        written = simulate(traffic, window, out, scenarios=scenarios, splits=splits())
        say(f"{window.end:%H:%M:%S} {written.requests:,} requests: {written.usage}")
        reached = window.end


@contextmanager
def _splits() -> Iterator[Any]:
    from tasks.load_settings import load_settings
    from tasks.resources import open_database
    from tasks.simulate_traffic import splits_of

    settings = load_settings()
    with open_database(settings) as engine:
        yield lambda: splits_of(engine, settings.tenant)
