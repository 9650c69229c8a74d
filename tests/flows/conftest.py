"""One Prefect server for the session, on the session's Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks import prefect_server
from tasks.settings import Settings


@pytest.fixture(scope="session")
def prefect_api(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real server, which flows of the test process report to."""
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_LOGGING_TO_API_ENABLED,
        temporary_settings,
    )

    home: Path = tmp_path_factory.mktemp("prefect")
    settings = Settings(home=home, database_url=server_url)  # type: ignore[arg-type]  pydantic makes it a secret
    with (
        prefect_server.server(settings, prefect_server.free_port()) as url,
        temporary_settings(
            {PREFECT_API_URL: url, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None, PREFECT_LOGGING_TO_API_ENABLED: False}
        ),
    ):
        yield url
