"""`watchkeeper cost`: what it costs and will cost, what would make it less, and whether the vendors' bills agree."""

from __future__ import annotations

import click

from cli.lazy_group import LazyGroup

COMMANDS = {
    "advise": "cli.cost_advise",
    "backtest": "cli.cost_backtest",
    "budgets": "cli.cost_budgets",
    "evaluations": "cli.cost_evaluations",
    "project": "cli.cost_project",
    "reconcile": "cli.cost_reconcile",
    "report": "cli.cost_report",
    "reprice": "cli.cost_reprice",
    "right-size": "cli.cost_right_size",
    "select-model": "cli.cost_select_model",
}


@click.group("cost", cls=LazyGroup, modules=COMMANDS)
def command() -> None:
    """Show what the system costs and will cost, what would make it cheaper, and whether the vendors' bills agree.

    \b
    Example:
      watchkeeper cost report --by team --compare-to previous
      watchkeeper cost advise
    """
