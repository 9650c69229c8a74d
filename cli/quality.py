"""`watchkeeper quality`: whether the data can be relied upon, and what quality is held to."""

from __future__ import annotations

import importlib

import click

COMMANDS = {
    "accept-baseline": "cli.quality_baseline",
    "check": "cli.quality_check",
    "docs": "cli.quality_docs",
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


@click.group("quality", cls=Commands)
def command() -> None:
    """Check the data that everything else rests on, and accept what quality is held to.

    \b
    Example:
      watchkeeper quality check
      watchkeeper quality docs --to site --open
      watchkeeper quality accept-baseline judge_relevance --model gpt-4o --reason "shorter answers, as agreed"
    """
