"""The settings that the page of sources shows are taken as they stand there, and every kind has its section."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tasks import sources
from tasks.settings import Settings
from tasks.sources import KINDS, kind_of

README = Path(sources.__file__).with_name("README.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", README, re.S | re.M))
EXAMPLES = {
    f"{title} {number}": text
    for title, section in SECTIONS.items()
    for number, text in enumerate(re.findall(r"^```yaml\n(.*?)^```", section, re.S | re.M))
    if "litellm_settings" not in text
}


@pytest.mark.parametrize("title", EXAMPLES)
def test_example_is_right_and_has_all_that_its_kind_needs(title: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in re.findall(r"env:(\w+)", EXAMPLES[title]):
        monkeypatch.setenv(name, "postgresql://watch@db/litellm")
    settings = Settings(**yaml.safe_load(EXAMPLES[title]))
    for source in settings.sources:
        assert kind_of(source) is KINDS[source.kind]
        assert source.kind in title.partition(" ")[0].split(",") or title.startswith("files")


def test_every_kind_has_its_section() -> None:
    shown = {source["kind"] for text in EXAMPLES.values() for source in yaml.safe_load(text).get("sources", ())}
    assert shown == set(KINDS)
