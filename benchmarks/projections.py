"""How long projections take, and how well they do beside run-rate and seasonal naive.

    python benchmarks/projections.py [--quick] [--panel FILE] [--json FILE]

10,000 projections, each of a month and of seven days with their intervals, of 92 days of made-up spend; the errors are
those of `watchkeeper cost backtest` on a panel of real daily series, where there is one.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from ops.cost.backtest import backtest
from ops.cost.projection import DaySpend, project_month
from ops.window import Window
from tasks.log_file import LogFile
from tasks.read_panel import read_panel

NOW = datetime(2026, 11, 15, 10, tzinfo=UTC)
MONTH = Window(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
DAYS, SERIES = 92, 50
PANEL = Path("../shared/data/daily_panel.csv.gz")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the projections")
    parser.add_argument("--panel", type=Path, default=PANEL, metavar="FILE", help="CSV: series,date,value")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    count = 1_000 if arguments.quick else 10_000
    seconds = _timed(count)
    print(f"  {count:,} projections: {seconds:.2f} s on one core, {1000 * seconds / count:.2f} ms each")
    result: dict[str, Any] = {"projections": count, "seconds": seconds}
    if arguments.panel.is_file():
        found = asdict(backtest(read_panel(LogFile(str(arguments.panel)))))
        for name in ("month_end", "seven_day"):
            print(f"  {name}: " + ", ".join(f"{key} {value:.3f}" for key, value in found[name].items()))
        result["backtest"] = found
    else:
        print(f"  no panel at {arguments.panel}: errors are not measured")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2))


def _timed(count: int) -> float:
    histories = [_history(Random(number)) for number in range(SERIES)]  # noqa: S311  no secret
    started = time.perf_counter()
    for number in range(count):
        project_month(histories[number % SERIES], Decimal(3), MONTH, NOW)
    return time.perf_counter() - started


def _history(draw: Random) -> list[DaySpend]:
    days = [NOW.date() - timedelta(days=number) for number in range(DAYS, 0, -1)]
    return [DaySpend(day, _cost(draw, 0.5 if day.weekday() > 4 else 1.0)) for day in days]


def _cost(draw: Random, share: float) -> Decimal:
    return Decimal(str(round(10 * share * draw.lognormvariate(0, 0.2), 6)))


if __name__ == "__main__":
    main()
