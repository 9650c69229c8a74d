"""`watchkeeper up`: everything on this machine, until Ctrl-C."""

from __future__ import annotations

import click

from cli.output import say


@click.command("up")
def command() -> None:
    """Run Postgres, Prefect's server and the scheduled flows; Ctrl-C stops all of them.

    \b
    Example:
      watchkeeper up
    """
    from deployments.up import run

    run(say)
