"""`watchkeeper config`: look at the settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from cli.output import as_json, print_json


@click.group("config")
def command() -> None:
    """Check and show the settings.

    \b
    Example:
      watchkeeper config check
    """


@command.command()
@as_json
def check(as_json: bool) -> None:
    """Check every setting; each wrong one is a line: file, line, field, value, what would be right.

    \b
    Example:
      WATCHKEEPER_CONFIG=watchkeeper.yaml watchkeeper config check
    """
    from tasks.load_settings import SettingsError, load_settings
    from tasks.receive_usage import checked_token
    from tasks.resources import database_url
    from tasks.settings import config_file
    from tasks.sources import problems_of

    settings = load_settings()
    problems = [str(problem) for source in settings.sources for problem in problems_of(source)]
    if settings.receiver.token.get_secret_value():
        problems += _told(checked_token, settings.receiver, insecure=False)
    if settings.database_url is not None:
        problems += _told(database_url, settings)
    if problems:
        raise SettingsError(problems)
    file = config_file()
    if as_json:
        print_json({"ok": True, "file": str(file) if file else None, "sources": len(settings.sources)})
    else:
        click.secho(f"the settings are fine ({file or 'no file: environment and defaults'})", fg="green")


def _told(check: Callable[..., object], *values: Any, **named: Any) -> list[str]:
    """Return what a check raises, as a list."""
    from ops.errors import WatchkeeperError

    try:
        check(*values, **named)
    except WatchkeeperError as error:
        return [str(error)]
    return []


@command.command()
@as_json
def show(as_json: bool) -> None:
    """Show the settings in force; secrets stay hidden.

    \b
    Example:
      watchkeeper config show --json
    """
    from tasks.load_settings import load_settings

    settings = load_settings()
    if as_json:
        print_json(settings.model_dump(mode="json"))
        return
    import yaml

    click.echo(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True), nl=False)
