"""A GenAI system that does not exist: seeded traffic, its scores and its vendor, so that every flow can be tried.

`generate` yields requests, `litellm_log` and `feedback` write them as files that the sources read, `vendor_api`
answers embeddings on loopback.
"""

from tasks.simulator.generator import generate
from tasks.simulator.scenarios import SCENARIOS, Scenario
from tasks.simulator.traffic import Traffic

__all__ = ["SCENARIOS", "Scenario", "Traffic", "generate"]
