"""The demo's story: what happens when on its day, and what came of it.

After it: `cli/demo_play.py` lets the flows live through it; `cli/demo_report.py` tells of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ops.window import Window
from tasks.settings import Settings
from tasks.simulator import Scenario, Traffic

SERVICE = "assistant"
TICK = timedelta(minutes=15)
OPENS, CLOSES = timedelta(hours=8), timedelta(hours=20)


@dataclass(frozen=True, slots=True)
class Story:
    """What the demo plays; the same story gives the same events, costs and decisions."""

    today: datetime
    seed: int
    history_days: int
    rate: float

    @property
    def start(self) -> datetime:
        """When the history begins."""
        return self.today - timedelta(days=self.history_days)

    @property
    def traffic(self) -> Traffic:
        """The simulated system."""
        return Traffic(seed=self.seed, requests_per_hour=self.rate, failure_share=0.002)

    @property
    def scenarios(self) -> list[Scenario]:
        """What goes wrong."""
        slide = Window(self.today - timedelta(days=10), self.today + timedelta(days=1))
        return [
            Scenario("quality-slide", slide, {"percent_a_day": 2}),
            Scenario("bad-canary", self._hours(8, 20), {"release": "v2", "failure_share": 0.25}),
            Scenario("cost-spike", self._hours(11, 14), {"feature": "summarise", "factor": 8}),
            Scenario("vendor-outage", self._hours(16, 17), {"vendor": "anthropic"}),
        ]

    def _hours(self, first: float, last: float) -> Window:
        return Window(self.today + timedelta(hours=first), self.today + timedelta(hours=last))


@dataclass(slots=True)
class Played:
    """What the report is made of."""

    settings: Settings
    story: Story
    folder: Path
    now: datetime
    projected: Any
    checks: list[Any]
    warmed: int = 0
    warm_cost_usd: Any = 0
    seconds: float = 0
    engine: sa.Engine | None = None
    facts: dict[str, Any] = field(default_factory=dict)
