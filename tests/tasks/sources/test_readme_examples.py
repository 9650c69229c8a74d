"""The settings of the README are taken as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tasks import sources
from tasks.settings import Source

README = Path(sources.__file__).with_name("README.md").read_text()
EXAMPLES = dict(re.findall(r"^## (.+?)\n.*?^```yaml\n(.*?)^```", README, re.S | re.M))


@pytest.mark.parametrize("title", EXAMPLES)
def test_example_has_all_that_its_kind_needs(title: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in re.findall(r"env:(\w+)", EXAMPLES[title]):
        monkeypatch.setenv(name, "secret")
    given = [Source(**fields) for fields in yaml.safe_load(EXAMPLES[title])["sources"]]
    assert title in {source.kind for source in given}
    assert all(sources.kind_of(source) for source in given)
