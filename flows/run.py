"""Run a flow by its name, on whichever Prefect server there is."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from ops.errors import InvalidValue, Unavailable, UnknownName
from tasks import prefect_server
from tasks.resources import running_server
from tasks.settings import Settings


def quieten_prefect(settings: Settings) -> None:
    """Set the environment that Prefect reads when it is imported: no telemetry, a home of its own, few words."""
    os.environ.update(prefect_server.environment(settings))
    Path(os.environ["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)


@contextmanager
def prefect_api(settings: Settings, private: str | None = None) -> Iterator[str]:
    """Yield the API that the environment names, that `watchkeeper up` serves, or of a server for this block.

    With `private` always the last, on a database of that name: its runs are not to be mixed with others.
    """
    quieten_prefect(settings)
    given = os.environ.get("PREFECT_API_URL") or prefect_server.api_url(settings.prefect_port)
    if private is None and prefect_server.answers(given):
        yield _use(given)
        return
    if private is None and "PREFECT_API_URL" in os.environ:
        raise Unavailable("Prefect server", f"PREFECT_API_URL names {given}, which does not answer as one")
    settings.home.mkdir(parents=True, exist_ok=True)
    database = private or prefect_server.DATABASE
    with running_server(settings), prefect_server.server(settings, prefect_server.free_port(), database) as url:
        try:
            yield _use(url)
        finally:
            _drain()


def _use(url: str) -> str:
    from prefect.context import refresh_global_settings_context
    from prefect.settings import get_current_settings

    os.environ["PREFECT_API_URL"] = url
    if get_current_settings().api.url != url:  # it read the environment when it was imported, to check parameters
        refresh_global_settings_context()
    return url


def _drain() -> None:
    """Send what Prefect still holds back, while there is a server: without one it would try for a minute."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogHandler

    APILogHandler().flush()
    EventsWorker.drain_all()


def check_parameters(settings: Settings, name: str, parameters: Mapping[str, Any]) -> None:
    """Check what a flow is asked for before there is a server to run it; its module's `check` knows more than types.

    Raises:
        UnknownName: the flow has no such parameter, or knows no such name.
        InvalidValue: a value that the parameter cannot be.
    """
    quieten_prefect(settings)
    module, flow = _flow(name)
    types = {given: kind for given, kind in get_type_hints(flow.fn).items() if given not in ("as_of", "return")}
    for given, value in parameters.items():
        if given not in types:
            raise UnknownName(f"{name}'s parameter", given, types)
        try:
            TypeAdapter(types[given]).validate_python(value)
        except ValidationError as error:
            raise InvalidValue(given, value, f"right: {error.errors()[0]['msg']}") from None
    if hasattr(module, "check"):
        module.check(settings, **parameters)


def _flow(name: str) -> tuple[ModuleType, Any]:
    module = importlib.import_module(f"flows.{name.replace('-', '_')}")
    return module, getattr(module, name.replace("-", "_"))


def run_flow(name: str, as_of: datetime | None, parameters: Mapping[str, Any] | None = None) -> Any:
    """Run the flow `name` and return its final state.

    Without Prefect's heartbeat thread, which makes every short run a second longer.
    """
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    _, flow = _flow(name)
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        return flow(as_of=as_of, return_state=True, **(parameters or {}))
