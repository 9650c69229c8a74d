"""`watchkeeper config`: look at the settings."""

from __future__ import annotations

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
    from tasks.load_settings import load_settings
    from tasks.settings import config_file
    from tasks.sources import kind_of
    from tasks.sources.mapped import check_mapping

    settings = load_settings()
    for source in settings.sources:
        kind_of(source)
        check_mapping(source, None)
    file = config_file()
    if as_json:
        print_json({"ok": True, "file": str(file) if file else None, "sources": len(settings.sources)})
    else:
        click.secho(f"the settings are fine ({file or 'no file: environment and defaults'})", fg="green")


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
