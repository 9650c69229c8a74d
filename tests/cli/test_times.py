from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from cli.main import watchkeeper
from cli.times import checked_now
from ops.errors import InvalidValue
from tasks.settings import Settings


@pytest.mark.parametrize(
    "words",
    ["quality check", "quality docs", "run maintain-storage", "cost project", "cost budgets", "metrics show"],
)
def test_command_decides_as_of_no_time_to_come(settings: Settings, words: str) -> None:
    """What it decides would stand as the latest, and what is young today would be dropped as too old."""
    day = f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%d}"
    with pytest.raises(InvalidValue, match=rf"^--as-of: '{day}T00:00:00' is not at or before now, 2\d\d\d-.* UTC$"):
        CliRunner().invoke(watchkeeper, [*words.split(), "--as-of", day], catch_exceptions=False)


def test_time_of_a_command_is_what_is_given_else_now() -> None:
    assert checked_now(datetime(2026, 3, 5, 12)) == datetime(2026, 3, 5, 12, tzinfo=UTC)  # noqa: DTZ001  as click gives it
    before = datetime.now(UTC)
    assert before <= checked_now(None) <= datetime.now(UTC)
