from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tasks import sources
from tasks.settings import Source
from tasks.sources import kind_of

SECTIONS = re.findall(
    r"^## (\S+)\n(.*?)(?=^## |\Z)", (Path(sources.__path__[0]) / "README.md").read_text(), re.S | re.M
)
OURS = {"litellm", "litellm_rows", "litellm_api", "litellm_table", "postgres"}


@pytest.mark.parametrize(("kind", "text"), [found for found in SECTIONS if found[0] in OURS])
def test_example_of_a_kind_is_all_that_it_needs(kind: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in re.findall(r"env:(\w+)", text):
        monkeypatch.setenv(name, "postgresql://watch@db/litellm")
    [example] = re.findall(r"```yaml\n(.*?)```", text, re.S)
    [given] = yaml.safe_load(example)["sources"]
    assert given["kind"] == kind
    assert kind_of(Source(**given)) is sources.KINDS[kind]


def test_every_kind_has_its_section() -> None:
    assert {kind for kind, _ in SECTIONS} >= OURS
