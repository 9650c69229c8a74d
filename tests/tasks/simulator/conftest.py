from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from ops.window import Window
from tasks.simulator import Scenario, Traffic, generate
from tasks.simulator.request import Request

MONDAY = datetime(2025, 11, 3, tzinfo=UTC)


@pytest.fixture(scope="session")
def monday() -> Window:
    return Window(MONDAY, MONDAY + timedelta(days=1))


@pytest.fixture(scope="session")
def traffic() -> Traffic:
    return Traffic(seed=7, requests_per_hour=500)


@pytest.fixture(scope="session")
def a_day(traffic: Traffic, monday: Window) -> list[Request]:
    return list(generate(traffic, monday))


@pytest.fixture(scope="session")
def a_day_of(traffic: Traffic, monday: Window) -> Callable[..., list[Request]]:
    """The same Monday under one scenario that lasts all day; service `assistant` runs v2 for even users."""

    def run(name: str, **params: float | str) -> list[Request]:
        splits = {"assistant": lambda user_id: "v2" if int(user_id[5:]) % 2 == 0 else "v1"}
        return list(generate(traffic, monday, splits, [Scenario(name, monday, params)]))

    return run
