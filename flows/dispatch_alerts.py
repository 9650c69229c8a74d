"""Send what the outbox holds, by hand; `keep-watch` does it every minute. Reads and writes the outbox."""

from __future__ import annotations

from datetime import datetime

from prefect import flow

from flows.watch import Watch, watch
from tasks.channels import open_channels
from tasks.dispatch_outbox import DispatchReport, dispatch_outbox
from tasks.notify import routes_of
from tasks.resources import open_slack


@flow(name="dispatch-alerts", validate_parameters=False)
def dispatch_alerts(as_of: datetime | None = None) -> DispatchReport:
    """Send the messages that are due."""
    with watch(as_of) as w:
        return dispatch(w)


def dispatch(w: Watch) -> DispatchReport:
    """Open the channels and send."""
    with open_slack(w.settings) as slack:
        channels = open_channels(routes_of(w.settings), slack)
        return dispatch_outbox(w.engine, w.settings.tenant, channels, w.clock)
