"""Read the settings, and say of each wrong one where it stands and what would be right.

Before it: the environment, `.env`, a YAML file. After it: one `Settings`, which everything is passed.
"""

from __future__ import annotations

import os
import reprlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from dotenv import dotenv_values
from pydantic import BaseModel, ValidationError
from pydantic_settings import SettingsError as UnreadableVariable

from ops.errors import InvalidValue, NotFound, WatchkeeperError
from tasks.settings import DATABASE_URL, PREFIX, Settings, config_file

_NOT_SETTINGS = frozenset({"config", "no_userns"})  # read where they are needed, before there are settings


def load_settings(**overrides: Any) -> Settings:
    """Read and check every setting.

    Raises:
        NotFound: the named YAML file is not there.
        SettingsError: one line for each wrong setting: file, line, field, value, and what would be right.
    """
    file = config_file()
    if file is not None:
        if not file.is_file():
            raise NotFound("settings file", str(file), "WATCHKEEPER_CONFIG names it")
        _check_syntax(file)
    given = _variables()
    problems = _unknown(given)
    try:
        settings = Settings(**overrides)
    except UnreadableVariable as error:
        raise SettingsError([*problems, Problem(f"{error}, which must be JSON", place="environment or .env")]) from None
    except ValidationError as error:
        problems += [_explain(problem, file, given) for problem in error.errors()]
    if problems:
        raise SettingsError(problems)
    return settings


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a setting, and where it stands; without a setting all of them are unreadable."""

    text: str
    setting: str = ""
    place: str = ""  # file and line, when it comes from there

    def __str__(self) -> str:
        """Write it as one line."""
        return ": ".join(part for part in (self.place, self.setting, self.text) if part)


class SettingsError(WatchkeeperError):
    """Some settings are wrong."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


def _check_syntax(file: Path) -> None:
    try:
        tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, OSError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark else ""
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        raise SettingsError([Problem(f"not readable as YAML: {problem}", place=f"{file}{where}")]) from None
    if tree is not None and not isinstance(tree, dict):
        raise InvalidValue(str(file), type(tree).__name__, "a YAML mapping such as `sources: […]`")
    for name in tree or ():
        if not isinstance(name, str):
            raise InvalidValue(str(file), name, "the name of a setting")


def _variables() -> frozenset[str]:
    """Return the names that the environment or `.env` sets, upper case and without the prefix."""
    try:
        names = {name.upper() for name in (*dotenv_values(".env"), *os.environ)}
    except UnicodeDecodeError as error:
        raise SettingsError([Problem(f"not readable: {error}", place=".env")]) from None
    ours = {name for name in names if name.startswith(PREFIX) or name == "DATABASE_URL"}
    return frozenset(name.removeprefix(PREFIX) for name in ours)


def _unknown(given: frozenset[str]) -> list[Problem]:
    known = {*Settings.model_fields, *_NOT_SETTINGS}
    strange = sorted(name for name in given if name.split("__", 1)[0].lower() not in known)
    return [Problem(_unknown_setting([]), f"{PREFIX}{name}") for name in strange]


def _explain(problem: Any, file: Path | None, given: frozenset[str]) -> Problem:
    path = ["database_url" if part == DATABASE_URL else part for part in problem["loc"] if part != "[key]"]
    field = ".".join(map(str, path))
    line = _line(path, file, given)
    return Problem(_told(problem, path, field), field if line else _variable(path), f"{file}:{line}" if line else "")


def _told(problem: Any, path: list[Any], field: str) -> str:
    wanted = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        return _unknown_setting(path[:-1])
    if problem["type"] == "missing":
        return "missing, but required"
    return f"{_shown(problem, field)} is wrong: {wanted[0].lower()}{wanted[1:]}"


def place_of(path: list[Any]) -> str:
    """Return file and line of a setting; nothing when the environment sets it, or nobody."""
    file = config_file()
    line = _line(path, file, _variables())
    return f"{file}:{line}" if line else ""


def _line(path: list[Any], file: Path | None, given: frozenset[str]) -> int | None:
    from_variable = any("__".join(map(str, path[:end])).upper() in given for end in range(1, len(path) + 1))
    return _line_of(path, file) if file and not from_variable else None


def _unknown_setting(path: list[Any]) -> str:
    return f"unknown setting; known here: {', '.join(_known(path))}"


def _variable(path: list[Any]) -> str:
    name = "__".join(map(str, path)).upper()
    return name if name == "DATABASE_URL" else f"{PREFIX}{name}"


def _shown(problem: Any, field: str) -> str:
    given = problem["input"]
    value = repr(given) if isinstance(given, str) else reprlib.repr(given)  # YAML's aliases make trees without end
    secret = any(word in field.lower() for word in ("token", "key", "database_url"))
    misplaced = problem["type"] == "model_type" or "@" in value  # a token in place of its group; a URL with a password
    return "(hidden)" if secret or misplaced else value[:80]


def _known(path: list[Any]) -> list[str]:
    model: Any = Settings
    for part in path:
        if isinstance(part, str) and part in getattr(model, "model_fields", {}):
            model = _inner_model(model.model_fields[part].annotation)
    return sorted(field.alias or name for name, field in getattr(model, "model_fields", {}).items())


def _inner_model(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_inner_model(part) for part in getattr(annotation, "__args__", ()))
    return next((model for model in inner if model is not None), None)


def _line_of(path: list[Any], file: Path) -> int | None:
    """Return the 1-based line of the deepest part of `path` that the file has; None when it has not even the first."""
    node = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    line = None
    for part in path:
        child = _child(node, part)
        if child is None:
            break
        key, node = child
        line = key.start_mark.line + 1
    return line


def _child(node: Any, part: Any) -> tuple[Any, Any] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None
