"""`watchkeeper receive`: take usage over HTTP as it happens."""

from __future__ import annotations

import click

from cli.output import say


@click.command("receive")
@click.option("--host", help="Where to listen; 127.0.0.1 by default: behind a proxy with TLS for anybody else.")
@click.option("--port", type=click.IntRange(0, 65_535), help="4318 by default, which is OTLP's; 0 takes a free one.")
@click.option("--insecure-no-token", "insecure", is_flag=True, help="Receive from everybody when there is no token.")
def command(host: str | None, port: int | None, insecure: bool) -> None:
    """Receive posts of LiteLLM's generic logger and of OTLP exporters, until Ctrl-C; acknowledged when stored.

    \b
    POST /litellm     LiteLLM's generic API logger: json_array, ndjson, single
    POST /v1/traces   OTLP over HTTP: JSON or protobuf
    GET  /healthz     200 while it runs: {"database": "ok"}, or "away" when the last write found none; needs no token
    gzip and deflate are fine. 408, 429 and 503: send it again; 400, 401, 413, 415: never.

    \b
    Example:
      export WATCHKEEPER_RECEIVER__TOKEN=$(openssl rand -hex 24)
      watchkeeper receive
      curl -H "Authorization: Bearer $WATCHKEEPER_RECEIVER__TOKEN" --data-binary @payload.json localhost:4318/litellm
    """
    from datetime import UTC, datetime

    from ops.errors import InvalidValue
    from tasks.load_settings import load_settings
    from tasks.receive_usage import checked_token, serve
    from tasks.resources import open_database
    from tasks.write_usage import Target

    if host == "":
        raise InvalidValue("--host", host, "an address such as 127.0.0.1")  # empty it would be every one there is
    settings = load_settings()
    given = {"host": host, "port": port}
    receiver = settings.receiver.model_copy(update={name: value for name, value in given.items() if value is not None})
    token = checked_token(receiver, insecure=insecure)
    with open_database(settings) as engine:
        target = Target.of(engine, settings)
        serve(target, receiver, token, say, lambda: datetime.now(UTC))
