"""`watchkeeper quality`: how good the answers are, what they are held to, and whether the data can be relied upon."""

from __future__ import annotations

import click

from cli.lazy_group import LazyGroup

COMMANDS = {
    "accept-baseline": "cli.quality_baseline",
    "baselines": "cli.quality_baselines",
    "check": "cli.quality_check",
    "docs": "cli.quality_docs",
    "history": "cli.quality_history",
    "report": "cli.quality_report",
}


@click.group("quality", cls=LazyGroup, modules=COMMANDS)
def command() -> None:
    """Show how good the answers are and what they are held to, and check the data that everything rests on.

    \b
    Example:
      watchkeeper quality report
      watchkeeper quality check
      watchkeeper quality docs --to site --open
      watchkeeper quality accept-baseline judge_relevance --model gpt-4o --reason "shorter answers, as agreed"
    """
