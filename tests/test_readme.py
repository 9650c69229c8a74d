"""The README is part of the product: its links, its settings and its commands are held to the code."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from pydantic import BaseModel

from cli.ingest_span import span
from cli.main import COMMANDS, watchkeeper
from tasks.settings import Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_to_a_file_or_a_heading(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    headings = {re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in text.splitlines()
                if line.startswith("#")}  # fmt: skip
    broken = []
    for target in re.findall(r"\]\(([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        if path and not (ROOT / path).exists():
            broken.append(target)
        if not path and anchor not in headings:
            broken.append(target)
    assert broken == []


def test_readme_links_each_step_of_one_event_from_source_to_slack() -> None:
    section = README.split("## One usage event, from source to Slack", 1)[1].split("\n## ", 1)[0]
    steps = re.findall(r"\]\(([^)]+)\)", section)
    assert steps[0] == "flows/ingest_usage.py"
    assert steps[-1] == "tasks/channels/slack.py"
    assert len(steps) >= 14


def test_readme_settings_table_names_every_setting_and_no_other() -> None:
    section = README.split("## Settings", 1)[1].split("\n## ", 1)[0]
    cells = re.findall(r"^\| (`[^|]+) \|", section, flags=re.MULTILINE)
    documented = {name for cell in cells for name in re.findall(r"`([\w.]+)`", cell)}
    assert documented == set(_settings(Settings))


def test_readme_shows_every_command() -> None:
    missing = [name for name in COMMANDS if f"watchkeeper {name}" not in README]
    assert missing == []


def test_every_watchkeeper_command_that_the_readme_shows_exists() -> None:
    for line in re.findall(r"^watchkeeper ([^\n#]+)", README, flags=re.MULTILINE):
        words = line.split()
        command: click.Command | None = watchkeeper
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            command = command.get_command(click.Context(command), words.pop(0))
        assert command is not None, line
        shown = span if line.startswith("ingest --from") else command  # the group's hidden command
        known = {option for parameter in shown.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, line


def test_readme_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)`|^make ([a-z]+)", README)) != set()
    assert {name for pair in re.findall(r"`make ([a-z]+)|^make ([a-z]+)", README, flags=re.MULTILINE)
            for name in pair if name} <= targets  # fmt: skip


def test_readme_schedule_table_equals_the_schedules() -> None:
    from deployments.schedules import SCHEDULES

    section = README.split("## What runs when", 1)[1].split("\n## ", 1)[0]
    row = r"^\| \[([\w-]+)\]\([^)]+\) \| (?:`([^`]+)`|by hand)"
    assert dict(re.findall(row, section, flags=re.MULTILINE)) == {name: cron or "" for name, cron in SCHEDULES.items()}


def _settings(model: type[BaseModel], prefix: str = "") -> list[str]:
    names = []
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            names += _settings(inner, f"{prefix}{name}.")
        else:
            names.append(f"{prefix}{name}")
    return names
