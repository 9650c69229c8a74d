"""`watchkeeper cost`: what it costs and will cost, what would make it less, and whether the vendors' bills agree."""

from __future__ import annotations

import importlib

import click

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


class Commands(click.Group):
    """One module per command, imported only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """Return the names."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the module of a command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name]).command
        return command


@click.group("cost", cls=Commands)
def command() -> None:
    """Show what the system costs and will cost, what would make it cheaper, and whether the vendors' bills agree.

    \b
    Example:
      watchkeeper cost report --by team --compare-to previous
      watchkeeper cost advise
    """
