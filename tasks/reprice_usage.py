"""Price stored events anew: after a contract, a correction of the price book, a model that was unknown before.

Before it: loaders priced by what was known then. Each day is a transaction with its roll-ups: whoever is killed has
repriced whole days, and run again finds the others. Loaders may run meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

import psycopg
import sqlalchemy as sa

from ops.cost.pricing import RateCard
from ops.errors import InvalidValue
from ops.window import Window
from tasks.price_usage import CardKey, Pricer
from tasks.settings import Settings
from tasks.stores import repricing, usage
from tasks.stores.repricing import Change, Day, Seen
from tasks.verify_rollups import Progress
from tasks.write_usage import is_passing

_TRIES = 5


@dataclass(frozen=True, slots=True)
class Repriced:
    """What was looked at, and what changed, by model; in a dry run, what would."""

    dry_run: bool = False
    days: int = 0
    events: int = 0
    models: dict[str, Change] = field(default_factory=dict)

    @property
    def total(self) -> Change:
        """The change of all models."""
        return _total(self.models.values())

    def plus(self, seen: Iterable[Seen], changes: dict[str, Change]) -> Repriced:
        """Add a day."""
        models = {
            name: _total(found[name] for found in (self.models, changes) if name in found)
            for name in sorted(self.models.keys() | changes.keys())
        }
        events = self.events + sum(one.events for one in seen)
        return replace(self, days=self.days + 1, events=events, models=models)

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "dry_run": self.dry_run, "days": self.days, "events": self.events, "changed": _as_json(self.total),
            "models": {name: _as_json(change) for name, change in self.models.items()},
        }  # fmt: skip


def reprice_usage(
    engine: sa.Engine, settings: Settings, span: Window, progress: Progress, *,
    model: str | None = None, dry_run: bool = False,
) -> Repriced:  # fmt: skip
    """Reprice the whole UTC days of a span, by the settings' contracts and the price book of now.

    Raises:
        InvalidValue: retention dropped events of the span, or none of the span is of the model.
    """
    pricer = Pricer(engine, settings.overrides)
    done = Repriced(dry_run)
    days = _days(engine, settings.tenant, span)
    for number, start in enumerate(days):
        progress(number, len(days), start)
        done = done.plus(*reprice_day(engine, pricer, Day(settings.tenant, start, model), dry_run=dry_run))
    if model and not done.events:
        raise InvalidValue("--model", model, "a model that requests of these days are of")
    return done


def _days(engine: sa.Engine, tenant: str, span: Window) -> list[datetime]:
    with engine.connect() as connection:
        kept_from = usage.floor(connection, tenant)
        stored = usage.partition_midnights(connection)
    if kept_from and span.start < kept_from:
        raise InvalidValue(
            "--from", f"{span.start:%Y-%m-%d}", f"at or after {kept_from:%Y-%m-%d}: the events before it were dropped"
        )
    return [day for day in stored if day in span]


def reprice_day(
    engine: sa.Engine, pricer: Pricer, day: Day, *, dry_run: bool = False
) -> tuple[list[Seen], dict[str, Change]]:
    """Reprice one day, all or nothing; a deadlock with a loader is tried again."""
    for attempt in range(1, _TRIES + 1):
        try:
            with engine.begin() as connection:
                return _reprice(connection, pricer, day, dry_run=dry_run)
        except (sa.exc.OperationalError, psycopg.OperationalError) as error:
            if attempt == _TRIES or not is_passing(error):
                raise
    raise AssertionError("unreachable")


def _reprice(
    connection: sa.Connection, pricer: Pricer, day: Day, *, dry_run: bool
) -> tuple[list[Seen], dict[str, Change]]:
    kept_from = usage.hold_floor(connection, day.tenant)
    if kept_from is not None and day.start < kept_from:  # dropped since we began
        return [], {}
    seen, cards = _look(connection, pricer, day)
    if not any(one.changed for one in seen):
        return seen, {}
    write = repricing.preview if dry_run else repricing.reprice
    return seen, write(connection, day, cards)


def _look(connection: sa.Connection, pricer: Pricer, day: Day) -> tuple[list[Seen], list[RateCard]]:
    """Count what would change, by the cards of every model and tier of the day; its tiers are not known before."""
    date = day.start.date()
    keys: set[CardKey] = {(*names, None, date) for names in repricing.models_on(connection, day)}
    while True:
        known = pricer.cards(keys)
        cards = [card for key in keys for card in known[key]]
        seen = repricing.look(connection, day, cards)
        found: set[CardKey] = {(one.vendor, one.model, one.tier, date) for one in seen}
        if found <= keys:
            return seen, cards
        keys |= found


def _total(changes: Iterable[Change]) -> Change:
    total = Change()
    for change in changes:
        total = total.plus(change)
    return total


def _as_json(change: Change) -> dict[str, Any]:
    known = {"before_usd": change.known_before_usd, "after_usd": change.known_after_usd}
    return {**asdict(change), **known, "change_usd": change.change_usd}
