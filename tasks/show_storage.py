"""Show how much room the events take, how that grows, and when the disk is full.

Before it: `tasks/stores/storage.py` measures, `ops/scaling/disk.py` estimates. After it: `flows/maintain_storage.py`
makes the page an artifact, `watchkeeper db storage` prints the same rows.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ops.scaling.disk import MOST_PARTITIONS, Estimate, Sizes, estimate
from ops.window import floor_day
from tasks.settings import Settings
from tasks.stores import storage, usage

Rows = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Storage:
    """What the tables take now, and what they will."""

    sizes: Sizes
    growth: Estimate
    database_bytes: int
    floor: datetime | None  # before it events were dropped

    @property
    def warning(self) -> str | None:
        """Say what somebody should do."""
        if len(self.sizes.partitions) <= MOST_PARTITIONS:
            return None
        return f"more than {MOST_PARTITIONS} partitions make every look-up slow: set storage.keep_events_days"

    def rows(self) -> Rows:
        """Return what a person reads, as pairs of a name and a value."""
        sizes, growth = self.sizes, self.growth
        oldest = min(sizes.partitions, default=None)
        return [
            ("oldest day of events", _day(oldest, "none")),
            ("dropped before", f"{self.floor:%Y-%m-%d}" if self.floor else "nothing was dropped"),
            ("partitions", f"{len(sizes.partitions):,} of at most {MOST_PARTITIONS}"),
            ("events", _size(sum(sizes.partitions.values()))),
            ("roll-ups", _size(sizes.rollup_bytes)),
            ("whole database", _size(self.database_bytes)),
            ("bytes per event", _number(growth.bytes_per_event)),
            ("events per day, last 7 days", _number(growth.events_per_day)),
            ("growth per month", "unknown" if growth.gb_per_month is None else f"{growth.gb_per_month:,.2f} GB"),
            ("free on the disk", "unknown" if sizes.free_bytes is None else _size(sizes.free_bytes)),
            ("disk full on", f"{_day(growth.full_on, 'no day')}: {growth.outlook}"),
        ]

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        sizes = self.sizes
        return {
            "oldest_day": min(sizes.partitions, default=None), "kept_from": self.floor,
            "partitions": len(sizes.partitions), "event_bytes": sum(sizes.partitions.values()),
            "rollup_bytes": sizes.rollup_bytes, "database_bytes": self.database_bytes, "free_bytes": sizes.free_bytes,
            **asdict(self.growth), "gb_per_month": self.growth.gb_per_month, "warning": self.warning,
        }  # fmt: skip


def measure_storage(engine: sa.Engine, settings: Settings, now: datetime) -> Storage:
    """Measure the tables and the disk, and estimate their growth as of `now`."""
    today = floor_day(now)
    with engine.connect() as connection:
        first = storage.first_hour(connection)
        sizes = Sizes(
            today.date(), storage.partition_bytes(connection), storage.week_events(connection, today),
            storage.rollup_bytes(connection), (today - first).days if first else 0,
            _free_bytes(storage.local_data_directory(connection)),
        )  # fmt: skip
        growth = estimate(sizes, settings.storage.keep_events_days)
        return Storage(sizes, growth, storage.database_bytes(connection), usage.floor(connection, settings.tenant))


def storage_markdown(found: Storage, now: datetime) -> str:
    """Write the artifact."""
    head = f"# Storage, as of {now:%Y-%m-%d %H:%M} UTC\n\n"
    warning = f"⚠️ {found.warning}\n\n" if found.warning else ""
    return f"{head}{warning}| | |\n|---|---|\n" + "".join(f"| {name} | {value} |\n" for name, value in found.rows())


def _free_bytes(folder: Path | None) -> int | None:
    try:
        return shutil.disk_usage(folder).free if folder else None
    except OSError:  # not ours to see
        return None


def _size(count: int) -> str:
    for power, unit in ((1e9, "GB"), (1e6, "MB")):
        if count >= power:
            return f"{count / power:,.1f} {unit}"
    return f"{count / 1e3:,.1f} kB"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.0f}"


def _day(day: date | None, otherwise: str) -> str:
    return otherwise if day is None else f"{day:%Y-%m-%d}"
