"""The one list of schedules, and the two places that repeat it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from deployments.schedules import SCHEDULES
from deployments.serve import deployments

FILE = Path(__file__).parents[2] / "deployments" / "prefect.yaml"


def test_prefect_yaml_deploys_every_flow_on_its_schedule() -> None:
    found: dict[str, Any] = {
        entry["entrypoint"].rsplit(".", 1)[1].replace("_", "-"): (entry.get("schedules") or [{"cron": None}])[0]["cron"]
        for entry in yaml.safe_load(FILE.read_text())["deployments"]
    }
    assert found == SCHEDULES


def test_served_deployments_carry_every_flow_on_its_schedule() -> None:
    served = {d.flow_name: [s.schedule.cron for s in d.schedules or []] for d in deployments()}  # type: ignore[union-attr]
    assert served == {name: [cron] if cron else [] for name, cron in SCHEDULES.items()}


def test_served_names_are_not_a_workers_names() -> None:
    worker = {entry["name"] for entry in yaml.safe_load(FILE.read_text())["deployments"]}
    assert worker.isdisjoint({d.name for d in deployments()})
