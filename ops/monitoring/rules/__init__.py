"""The alert rules: each turns a sample of measured values into a Condition, and knows nothing of alert state.

Before it: `tasks/evaluate_alerts.py` measures the samples. After it: `ops.monitoring.alerts.step`.
To add a rule: one file with a sample and `evaluate`, and one line in RULES.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from ops.errors import UnknownName
from ops.monitoring.alerts import Condition, Policy
from ops.monitoring.rules import (
    availability,
    cache,
    data_quality,
    judge,
    latency,
    prices,
    quality,
    reconciliation,
    silence,
    spend,
    vendor,
)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule's function and how long its breaches must last."""

    evaluate: Callable[[Any], Condition]  # each takes its own sample
    policy: Policy = field(default_factory=Policy)

    def __call__(self, sample: object) -> Condition:
        """Evaluate a sample of the rule's own kind."""
        return self.evaluate(sample)


RULES: Mapping[str, Rule] = {
    "availability": Rule(availability.evaluate),
    "cache": Rule(cache.evaluate, Policy(hold=timedelta(minutes=30))),
    "data_quality": Rule(data_quality.evaluate),
    "judge": Rule(judge.evaluate),
    # One slow minute in ten keeps it open: noise round the limit would else be told a dozen times a day.
    "latency": Rule(latency.evaluate, Policy(clear_after=10)),
    "prices": Rule(prices.evaluate),
    "quality": Rule(quality.evaluate),
    "reconciliation": Rule(reconciliation.evaluate),
    "silence": Rule(silence.evaluate),
    "spend": Rule(spend.evaluate),  # of whole hours: each is judged as often as there are minutes in the next
    "vendor": Rule(vendor.evaluate),
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
