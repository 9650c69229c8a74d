"""`watchkeeper quality`: whether the data can be relied upon, and what quality is held to."""

from __future__ import annotations

import click

from cli.lazy_group import LazyGroup

COMMANDS = {
    "accept-baseline": "cli.quality_baseline",
    "check": "cli.quality_check",
    "docs": "cli.quality_docs",
}


@click.group("quality", cls=LazyGroup, modules=COMMANDS)
def command() -> None:
    """Check the data that everything else rests on, and accept what quality is held to.

    \b
    Example:
      watchkeeper quality check
      watchkeeper quality docs --to site --open
      watchkeeper quality accept-baseline judge_relevance --model gpt-4o --reason "shorter answers, as agreed"
    """
