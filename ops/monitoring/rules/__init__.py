"""The alert rules: each turns a sample of measured values into a Condition, and knows nothing of alert state.

Before it: `tasks/evaluate_alerts.py` measures the samples. After it: `ops.monitoring.alerts.step`.
To add a rule: one file with a sample and a function, and one line in RULES.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ops.errors import UnknownName
from ops.monitoring.alerts import Condition, Policy
from ops.monitoring.rules.availability import availability
from ops.monitoring.rules.cache import cache
from ops.monitoring.rules.latency import latency
from ops.monitoring.rules.quality import quality
from ops.monitoring.rules.spend import spend


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule's function and how long its breaches must last."""

    evaluate: Callable[[Any], Condition]  # each takes its own sample
    policy: Policy = Policy()

    def __call__(self, sample: object) -> Condition:
        """Evaluate a sample of the rule's own kind."""
        return self.evaluate(sample)


RULES: Mapping[str, Rule] = {
    "availability": Rule(availability),
    "cache": Rule(cache, Policy(hold=timedelta(minutes=30))),
    "latency": Rule(latency),
    "quality": Rule(quality),
    "spend": Rule(spend, Policy(hold=timedelta(hours=1))),
}


def find(name: str) -> Rule:
    """Return the rule of that name.

    Raises:
        UnknownName: listing the known ones.
    """
    try:
        return RULES[name]
    except KeyError:
        raise UnknownName("rule", name, RULES) from None
