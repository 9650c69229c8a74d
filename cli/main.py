"""The entry point: finds the command, and turns expected errors into one line and an exit code.

Exit codes: 0 done; 1 failed (a service is away, a check failed, `status` found something critical); 2 wrong usage (a
file, a setting, an argument).
"""

from __future__ import annotations

import os
import sys

try:
    import click
except ModuleNotFoundError:  # the base install is the library alone
    sys.exit('the command needs more packages: pip install "watchkeeper[ops]"')

from cli.lazy_group import LazyGroup

COMMANDS = (
    "alerts",
    "config",
    "cost",
    "db",
    "demo",
    "evaluations",
    "ingest",
    "metrics",
    "quality",
    "receive",
    "rollout",
    "rollup",
    "run",
    "simulate",
    "status",
    "up",
)


@click.group(
    cls=LazyGroup,
    modules={name: f"cli.{name}" for name in COMMANDS},
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="watchkeeper")
def watchkeeper() -> None:
    """Keep watch over a GenAI system in production: cost, quality, rollouts, caches, alerts.

    \b
    Example:
      watchkeeper demo          the whole watch, once, on simulated traffic
      watchkeeper up            the scheduled watch, until Ctrl-C
    """


def main() -> None:
    """Run the command line."""
    from cli.output import complain
    from ops.errors import WatchkeeperError

    os.environ["DO_NOT_TRACK"] = "1"  # of libraries that would tell their makers what is run
    try:
        sys.exit(watchkeeper(standalone_mode=False))  # what it returns is a command's exit code, or None
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        if isinstance(error, click.exceptions.NoArgsIsHelpError):  # a whole help text, for a group without its command
            error.show()
        else:
            complain(error.format_message())
        sys.exit(2)
    except WatchkeeperError as error:
        complain(str(error))
        sys.exit(1 if error.retryable else 2)
    except Exception as error:
        line = _outage(error)
        if line is None:
            raise
        complain(line)
        sys.exit(1)


def _outage(error: BaseException) -> str | None:
    """Return the line of an error that the database or the disk is to blame for; None for one of ours."""
    if type(error).__module__.startswith(("sqlalchemy.", "psycopg")):
        text = str(getattr(error, "orig", None) or error).strip()
        return f"the database refused: {text.splitlines()[0] if text else type(error).__name__}"
    if isinstance(error, OSError):
        return f"{error.filename or 'system'}: {error.strerror or error}"
    return None


if __name__ == "__main__":
    main()
