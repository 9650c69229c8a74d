"""`watchkeeper cost report`: what was spent, by whom, on what, and why it changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import groupby, islice
from typing import TYPE_CHECKING

import click

from cli.output import as_json, print_json, print_table, say
from cli.times import DAY, checked_span
from ops.plain_text import UNKNOWN

if TYPE_CHECKING:
    from decimal import Decimal

    from ops.cost.breakdown import CauseShares
    from ops.cost.report import Part
    from ops.window import Window
    from tasks.report_costs import CostReport

_BY = ("user", "team", "feature", "model", "release", "operation", "day", "month", "vendor", "component")
_TOP, _ALL = 20, 100_000
_BAR = 20  # cells of a share of 1
_CAUSES = ("Requests#", "Tokens/request#", "USD/token#")


@click.command("report")
@click.option("--from", "start", type=DAY, help="The first day, UTC; by default the first of this month.")
@click.option("--to", "end", type=DAY, help="The day after the last one, UTC; by default tomorrow.")
@click.option("--by", type=click.Choice(_BY), default="model", show_default=True, help="What the parts are.")
@click.option("--each", type=click.Choice(["day", "month"]), help="Tell each part by UTC day or month.")
@click.option(
    "--compare-to", metavar="SPAN",
    help="`previous`, as long and right before, or 2026-10-01..2026-11-01: say why it changed.",
)  # fmt: skip
@click.option(
    "--top", type=click.IntRange(1),
    help="Rows of the table, with --each of every day or month: by default 20, of days and months all. JSON has all.",
)  # fmt: skip
@as_json
def command(
    start: datetime | None, end: datetime | None, by: str, each: str | None, compare_to: str | None, top: int | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Show what the requests cost, and what a request, a user, a team, a feature, a model or a release does.

    Requests without a price are counted, never taken for free. Components: embeddings and generation are in the log;
    the vector database and compute cost what `component_costs` says a day, or a query (a chat or completion request);
    of today, as much of a day as has passed.
    A change is split into more requests, longer ones and dearer tokens of every model, which add up to it.

    \b
    Example:
      watchkeeper cost report --from 2026-11-01 --to 2026-12-01 --by team
      watchkeeper cost report --by user --each day --json
      watchkeeper cost report --from 2026-11-23 --by feature --compare-to previous
    """
    from ops.cost.report import Dimension, Each
    from tasks.load_settings import load_settings
    from tasks.report_costs import Asked, report_costs
    from tasks.resources import open_database

    if compare_to and (each or by in ("day", "month", "component")):
        raise click.UsageError("--compare-to goes with a --by that both spans have, without --each")
    if each and by == "component":
        raise click.UsageError("--each does not go with --by component: rates are of the whole span")
    window = _window(start, end)
    asked = Asked(
        window=window, by=Dimension(by), each=Each(each) if each else None, before=_compared(compare_to, window)
    )
    settings = load_settings()
    with open_database(settings) as engine:
        report = report_costs(engine, settings, asked, datetime.now(UTC))
    if as_json:
        print_json(report.as_json())
    else:
        _show(report, top or (_ALL if by in ("day", "month") else _TOP))


def _window(start: datetime | None, end: datetime | None) -> Window:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return checked_span(start or today.replace(day=1), end or today + timedelta(days=1))


def _compared(words: str | None, window: Window) -> Window | None:
    from ops.window import Window

    if words is None:
        return None
    if words == "previous":
        return Window(window.start - window.length, window.start)
    first, dots, last = words.partition("..")
    if not dots:
        raise click.BadParameter(f"{words!r} is neither `previous` nor a span such as 2026-10-01..2026-11-01")
    return checked_span(_day(first), _day(last), ("--compare-to", "--compare-to"))


def _day(word: str) -> datetime:
    found: datetime = DAY.convert(word, None, None)
    return found


def _show(report: CostReport, top: int) -> None:
    from ops.money import usd

    whole, window = report.whole, report.asked.window
    say(
        f"{window.start:%Y-%m-%d} to before {window.end:%Y-%m-%d}: {_amount(report)} for {whole.events:,} requests"
        f" ({whole.unpriced_events:,} without a price), {usd(whole.usd_per_request)} a request"
    )
    if report.users and report.users.user_days:
        _show_users(report)
    found = report.causes
    if found is not None and report.before is not None:
        say(f"{usd(report.before.usd)} before; the change of {_signed(found.change_usd)}: {_because(found)}")
    mix = report.mix
    if mix and any(_amounts(mix)):
        say(f"of that in no row, as it only moved between {report.asked.by.value}s: {_because(mix)}")
    shown = [part for _, same in groupby(report.parts, lambda part: part.at) for part in islice(same, top)]
    if shown:
        print_table("", _columns(report), [_row(report, part) for part in shown])
    if len(report.parts) > len(shown):
        say(f"and {len(report.parts) - len(shown):,} more (--top)")
    _warn(report)


def _amount(report: CostReport) -> str:
    from ops.money import usd

    requests = usd(report.whole.known_usd)
    return f"{usd(report.total_usd)}, of that {requests}" if report.components else requests


def _show_users(report: CostReport) -> None:
    from ops.money import usd

    means = report.as_json()
    month = means["usd_per_user_month"]
    each = f"{usd(means['usd_per_user'])} a user" if month is None else f"{usd(month)} a user and month"
    say(f"{means['users']:,} known users: {usd(means['usd_per_user_day'])} a user and day, {each}")


def _warn(report: CostReport) -> None:
    from tasks.report_costs import unconfigured

    for part in report.unpriced:
        say(f"without a price: {part.spend.unpriced_events:,} requests of {part.key}", "yellow")
    for part in report.diverging:
        say(
            f"{part.key}: our cost is {_off(part.spend.divergence or 0.0)} what its sources report, over the requests"
            " that have both",
            "yellow",
        )
    if report.asked.by == "component":
        for component in unconfigured(report):
            say(f"{component}: unknown, and in no share; `component_costs` sets its rate", "yellow")


def _off(share: float) -> str:
    return f"{abs(share):.1%} {'below' if share < 0 else 'above'}"


def _columns(report: CostReport) -> tuple[str, ...]:
    asked = report.asked
    name = asked.by.value.capitalize()
    time = (asked.each.value.capitalize(),) if asked.each else ()
    change = ("Change#", *_CAUSES) if asked.before else ()
    notes = ("",) if asked.by == "component" else ()
    return (*time, name, "USD#", "Share#", "", "Requests#", "No price#", "USD/request#", "Tokens in#", "out#", *change,
            *notes)  # fmt: skip


def _row(report: CostReport, part: Part) -> tuple[str, ...]:
    from ops.money import usd

    spend, asked = part.spend, report.asked
    found = part.causes
    change = () if found is None else tuple(map(_signed, (found.change_usd, *_amounts(found))))
    share = part.share or 0.0
    return (
        *((part.at or "",) if asked.each else ()), part.key or UNKNOWN, usd(spend.known_usd),
        "" if part.share is None else f"{share:.1%}", "█" * round(share * _BAR), f"{spend.events:,}",
        f"{spend.unpriced_events:,}", "" if spend.usd_per_request is None else usd(spend.usd_per_request),
        f"{spend.input_tokens:,}", f"{spend.output_tokens:,}", *change,
        *((report.note_of(part),) if asked.by == "component" else ()),
    )  # fmt: skip


def _because(found: CauseShares) -> str:
    names = ("more or fewer requests", "tokens per request", "price per token")
    return ", ".join(f"{_signed(amount)} {name}" for name, amount in zip(names, _amounts(found), strict=True))


def _amounts(found: CauseShares) -> tuple[Decimal, ...]:
    return found.requests_usd, found.tokens_per_request_usd, found.price_per_token_usd


def _signed(amount: Decimal) -> str:
    from ops.money import usd

    return f"{'+' if amount > 0 else ''}{usd(amount)}"
