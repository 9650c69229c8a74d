from __future__ import annotations

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from ops.monitoring.alerts import Tier
from ops.monitoring.slack_message import render_note
from tasks.notify import notify, routes_of, usable_channels
from tasks.settings import Channel, Settings, Slack
from tasks.stores.tables import outbox
from tests.hand_made import NOW, rows_of

SLACK = Channel(name="ops", kind="slack", target="C1", tiers=frozenset({"critical"}))
CONSOLE = Channel(name="screen", kind="console", tiers=frozenset({"warning", "info"}))


@pytest.mark.parametrize(
    ("channels", "token", "names"),
    [
        pytest.param((SLACK, CONSOLE), "xoxb-1", ["ops", "screen"], id="with a token every channel is usable"),
        pytest.param((SLACK, CONSOLE), "", ["screen"], id="without one Slack's are not"),
        pytest.param((SLACK,), "", ["console"], id="the console stands in where none is left"),
        pytest.param((), "xoxb-1", ["console"], id="and where none is configured"),
    ],
)
def test_channels_that_can_be_used(
    settings: Settings, channels: tuple[Channel, ...], token: str, names: list[str]
) -> None:
    given = settings.model_copy(update={"channels": channels, "slack": Slack(bot_token=SecretStr(token))})
    assert [channel.name for channel in usable_channels(given)] == names


def test_routes_keep_kind_target_and_tiers(settings: Settings) -> None:
    [route] = routes_of(
        settings.model_copy(update={"channels": (SLACK,), "slack": Slack(bot_token=SecretStr("xoxb-1"))})
    )
    assert (route.name, route.kind, route.target, route.tiers) == ("ops", "slack", "C1", {Tier.CRITICAL})


def test_notify_asks_every_channel_of_the_tier_within_the_transaction(engine: sa.Engine, settings: Settings) -> None:
    routes = routes_of(settings.model_copy(update={"channels": (CONSOLE, SLACK), "slack": Slack()}))
    message = render_note("Deployed", "v2 & all")
    with engine.connect() as connection:
        for tier, key in ((Tier.INFO, "a"), (Tier.CRITICAL, "b")):
            notify(connection, "default", routes, key=key, tier=tier, message=message, revision=3, now=NOW)
        assert rows_of(engine, outbox) == []
        connection.commit()
    [row] = rows_of(engine, outbox)
    assert (row.destination, row.dedup_key, row.tier, row.desired_rev) == ("screen", "a", "info", 3)
    assert row.payload == message.payload()
