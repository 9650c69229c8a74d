"""`watchkeeper config`: look at the settings."""

from __future__ import annotations

from dataclasses import asdict

import click

from cli.output import as_json, print_json, print_table, say


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
    """Check every setting, without asking anybody; every wrong one is told at once, and the exit code is 2.

    \b
    Example:
      WATCHKEEPER_CONFIG=watchkeeper.yaml watchkeeper config check
    """
    from tasks.check_settings import check_settings
    from tasks.settings import config_file

    problems, file = check_settings(), config_file()
    if as_json:
        named = str(file) if file else None
        print_json({"ok": not problems, "file": named, "problems": [asdict(problem) for problem in problems]})
    elif problems:
        rows = [(problem.place, problem.setting, problem.text) for problem in problems]
        print_table("Wrong settings", ("Where", "Setting", "What is wrong"), rows)
    else:
        say(f"the settings are fine ({file or 'no file: environment and defaults'})", "green")
    if problems:
        raise click.exceptions.Exit(2)


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
