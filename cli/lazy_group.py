"""A group of commands of which each has a module of its own, imported only when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click


class LazyGroup(click.Group):
    """Finds in `modules` where a command is; each module calls it `command`."""

    def __init__(self, *args: Any, modules: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """Return the names."""
        return sorted(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the module of a command."""
        if cmd_name not in self._modules:
            return None
        command: click.Command = importlib.import_module(self._modules[cmd_name]).command
        return check_texts(command)


class _Text(click.types.StringParamType):
    """A text that can be stored; a path may be of any bytes and has its own type."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the text; refuse what is not UTF-8 and what Postgres takes in no text."""
        text = super().convert(value, param, ctx)
        if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text):
            self.fail(f"{text[:200]!r} is not UTF-8 without NUL characters.", param, ctx)
        return text


def check_texts(command: click.Command) -> click.Command:
    """Let each text that a command or those below it take be one that can be stored, and return the command."""
    for param in command.params:
        if param.type is click.STRING:
            param.type = _Text()
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        check_texts(below)
    return command
