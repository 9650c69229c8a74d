"""What the demo tells at its end, for people and as JSON; read from the database that the flows wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from cli.output import coloured, escaped, print_table
from ops.money import usd
from ops.monitoring.data_quality.checks import Outcome
from ops.monitoring.slack_message import SlackMessage, as_text
from ops.window import Window
from tasks.show_projection import save_plot
from tasks.stores import alerts, costs, rollouts, warming
from tasks.stores.tables import outbox, scaling_recommendations

if TYPE_CHECKING:
    from rich.text import Text

    from cli.demo_story import Played

_BARS = "▁▂▃▄▅▆▇█"
_NEXT = (
    ("watchkeeper status", "how it stands at the end, started in the folder below"),
    ("watchkeeper up", "the scheduled watch, with Prefect's UI"),
    ("watchkeeper ingest your-litellm-log.jsonl", "your own usage"),
    ("watchkeeper simulate --out logs --live --scenario vendor-outage", "a system to play with"),
    ("watchkeeper config check", "after you wrote a watchkeeper.yaml"),
)


def gather(played: Played) -> Played:
    """Read from the database what the report shows."""
    tenant, story = played.settings.tenant, played.story
    assert played.engine is not None  # noqa: S101  play() has just opened it
    with played.engine.connect() as connection:
        events, unpriced, cost = costs.totals(connection, tenant, Window(story.start, played.now))
        sent = connection.execute(sa.select(outbox).order_by(outbox.c.created_at, outbox.c.dedup_key)).all()
        played.facts = {
            "events": events,
            "unpriced": unpriced,
            "cost_usd": cost,
            "rollouts": [
                dict(row) | {"decisions": rollouts.decisions(connection, tenant, row["rollout_id"])}
                for row in rollouts.history(connection, tenant)
            ],
            "alerts": alerts.all_alerts(connection, tenant),
            "messages": [(row.tier, row.state, row.payload) for row in sent],
            "saved_usd": warming.savings(connection, tenant, story.today),
            "scale": connection.execute(sa.select(scaling_recommendations)).all(),
            "plot": save_plot(played.projected, played.now, played.folder),
        }
    return played


def report_json(played: Played) -> dict[str, Any]:
    """Return the report as one document."""
    facts, projection = played.facts, played.projected.projection
    outcomes = Counter(check.outcome for check in played.checks)
    return {
        "events": facts["events"],
        "unpriced_events": facts["unpriced"],
        "cost_usd": facts["cost_usd"],
        "projection": {
            "month_end_usd": projection.month_end.expected,
            "low80": projection.month_end.low80,
            "high80": projection.month_end.high80,
        },
        "quality_checks": len(played.checks),
        "quality_outcomes": dict(outcomes),
        "rollouts": [_rollout_json(row) for row in facts["rollouts"]],
        "warmed": played.warmed,
        "warm_cost_usd": played.warm_cost_usd,
        "saved_usd": facts["saved_usd"],
        "alerts": [
            {"tier": a.tier, "rule": a.rule, "key": a.key, "state": a.state, "since": a.since} for a in facts["alerts"]
        ],
        "messages": len(facts["messages"]),
        "plot": str(facts["plot"]),
        "seconds": played.seconds,
    }


def _rollout_json(row: dict[str, Any]) -> dict[str, Any]:
    names = ("rollout_id", "service", "control_release", "canary_release", "state", "reason")
    decisions = [
        {name: decision[name] for name in ("decided_at", "action", "verdict", "weight", "reason")}
        for decision in row["decisions"]
    ]
    return {name: row[name] for name in names} | {"decisions": decisions}


def print_report(played: Played) -> None:
    """Print the report."""
    from rich.console import Console

    console = Console(soft_wrap=True, highlight=False)
    _print_spend(console, played)
    _print_checks(console, played)
    _print_rollouts(played)
    _print_caches(console, played)
    _print_messages(console, played)
    console.rule("[bold]What to try next", align="left")
    for line, why in _NEXT:
        console.print(f"  [cyan]{line:<66}[/] {why}")
    folder = escaped(played.folder)
    console.print(f"\n[dim]{played.seconds} s; settings, logs and the plot are in {folder}[/]")


def _print_spend(console: Any, played: Played) -> None:
    facts, projection = played.facts, played.projected.projection
    console.rule("[bold]Spend", align="left")
    console.print(
        f"  {facts['events']:,} events cost [bold]{usd(facts['cost_usd'])}[/] in {played.story.history_days + 1} days "
        f"({facts['unpriced']:,} without a price)",
    )
    daily = [float(entry.cost_usd or 0) for entry in played.projected.history] + [float(played.projected.today_usd)]
    console.print(f"  {sparkline(daily)}  a day each, today {usd(daily[-1])}")
    console.print(
        f"  this month so far {usd(projection.spent_usd)}, projected [bold]{usd(projection.month_end.expected)}[/] "
        f"(80 %: {usd(projection.month_end.low80)} to {usd(projection.month_end.high80)}); "
        f"plot: {escaped(facts['plot'])}\n",
    )


def _print_checks(console: Any, played: Played) -> None:
    console.rule("[bold]Data quality", align="left")
    outcomes = Counter(check.outcome for check in played.checks)
    console.print(f"  {len(played.checks)} checks: " + ", ".join(f"{n} {name.words}" for name, n in outcomes.items()))
    for check in played.checks:
        if check.outcome != Outcome.PASSED:
            console.print(f"  [yellow]{check.outcome.words}[/] {check.name}: {escaped(check.detail)}")
    console.print()


def _print_rollouts(played: Played) -> None:
    rows = [
        (f"{decision['decided_at']:%H:%M}", f"{row['control_release']} → {row['canary_release']}",
         _coloured(decision["action"]), f"{decision['weight']} %", decision["reason"])
        for row in played.facts["rollouts"] for decision in row["decisions"]
    ]  # fmt: skip
    print_table("Rollout decisions", ("At", "Release", "Decision", "Canary#", "Because"), rows)


def _coloured(action: str) -> Text:
    colour = {"roll_back": "red", "abort": "red", "promote": "green"}.get(action, "cyan")
    return coloured(action.replace("_", " "), colour)


def _print_caches(console: Any, played: Played) -> None:
    saved = played.facts["saved_usd"]
    console.rule("[bold]Caches and scale", align="left")
    console.print(
        f"  {played.warmed:,} embeddings warmed for {usd(played.warm_cost_usd)}; "
        f"calls they answered would have cost {usd(saved)}",
    )
    for row in played.facts["scale"]:
        desired = "unknown" if row.desired is None else row.desired
        console.print(f"  {row.service}: {desired} replicas ({row.reason})")
    console.print()


def _print_messages(console: Any, played: Played) -> None:
    colours = {"critical": "red", "warning": "yellow", "info": "blue"}
    console.rule("[bold]Messages of the simulated day, as Slack shows them at its end", align="left")
    for tier, _, payload in played.facts["messages"]:
        message = SlackMessage(payload["text"], payload.get("blocks", []), payload.get("attachments", []))
        console.print("┃ ", end="", style=colours[tier])
        console.print(as_text(message).replace("\n", "\n  "), markup=False)
    console.print()


def sparkline(values: Sequence[float]) -> str:
    """Draw values as a row of bars, from zero to the largest."""
    top = max(values, default=0) or 1
    return "".join(_BARS[min(len(_BARS) - 1, int(value / top * (len(_BARS) - 0.001)))] for value in values)
