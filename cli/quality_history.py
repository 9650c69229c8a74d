"""`watchkeeper quality history`: how the data checks came out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from cli.output import as_json, coloured, print_json, print_table, say
from cli.quality_check import COLOURS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.text import Text

    from ops.monitoring.data_quality.history import Past

_CHECKS = ("Outcome", "Since", "Severity", "Suite", "Check", "Runs#", "Came out", "Changes#")
_SPANS = ("Suite", "Check", "Outcome", "From", "To", "Runs#", "Observed", "What")


@click.command("history")
@click.argument("check", required=False)
@click.option("--days", type=click.IntRange(1, 366), default=7, show_default=True, help="Look back so many days.")
@as_json
def command(check: str | None, days: int, as_json: bool) -> None:
    """Show how the data checks came out in the last days, what does not pass first.

    Of a CHECK (its name, `suite/name`, or a suite) it shows every change of outcome: from its first to its last run,
    with what that one observed.

    \b
    Example:
      watchkeeper quality history
      watchkeeper quality history "events/an event is stored once" --days 30
      watchkeeper quality history traffic --json
    """
    from ops.window import Window
    from tasks.load_settings import load_settings
    from tasks.resources import open_database
    from tasks.stores import quality_checks

    settings = load_settings()
    window = Window.before(datetime.now(UTC), timedelta(days=days))
    with open_database(settings) as engine, engine.connect() as connection:
        past = quality_checks.history(connection, settings.tenant, window)
    found = _meant(past, check) if check else past
    if as_json:
        print_json({"from": window.start, "to": window.end, "checks": [_document(each) for each in found]})
    elif not found:
        say(f"no data check ran in {days} days")
    elif check:
        print_table("", _SPANS, _span_rows(found))
    else:
        print_table("", _CHECKS, map(_row, sorted(found, key=lambda each: each.present.outcome == "passed")))


def _meant(past: Sequence[Past], check: str) -> list[Past]:
    from ops.errors import UnknownName

    found = [each for each in past if each.is_named(check)]
    if not found:
        raise UnknownName("check", check, (f"{each.suite}/{each.name}" for each in past))
    return found


def _row(past: Past) -> tuple[object, ...]:
    counts = ", ".join(f"{n:,} {_words(outcome)}" for outcome, n in past.outcomes.most_common())
    present = past.present
    return (
        _outcome(present.outcome), f"{present.since:%Y-%m-%d %H:%M}", present.last.severity, past.suite, past.name,
        f"{past.outcomes.total():,}", counts, f"{len(past.spans) - 1:,}",
    )  # fmt: skip


def _span_rows(found: Sequence[Past]) -> Iterator[tuple[object, ...]]:
    for past in found:
        for span in reversed(past.spans):
            yield (
                past.suite, past.name, _outcome(span.outcome), f"{span.since:%Y-%m-%d %H:%M}",
                f"{span.until:%Y-%m-%d %H:%M}", f"{span.runs:,}", span.last.observed, span.last.detail,
            )  # fmt: skip


def _outcome(outcome: str) -> Text:
    return coloured(_words(outcome), COLOURS.get(outcome, "dim"))


def _words(outcome: str) -> str:
    return outcome.replace("_", " ")


def _document(past: Past) -> dict[str, Any]:
    spans = [
        {"outcome": span.outcome, "from": span.since, "to": span.until, "runs": span.runs,
         "observed": span.last.observed, "detail": span.last.detail}
        for span in past.spans
    ]  # fmt: skip
    return {
        "suite": past.suite, "check": past.name, "severity": past.present.last.severity,
        "outcome": past.present.outcome, "outcomes": dict(past.outcomes), "spans": spans,
    }  # fmt: skip
