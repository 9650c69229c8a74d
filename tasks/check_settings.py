"""Say of every wrong setting at once what is wrong, as far as that shows without asking anybody.

Before it: `watchkeeper config check`. It adds to what `tasks/load_settings.py` finds (names, types, limits) what only
those know who work with a setting: a source's kind, the receiver, the database.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ops.errors import InvalidValue, WatchkeeperError, caught
from tasks.load_settings import Problem, SettingsError, load_settings, place_of
from tasks.receive_usage import checked_token
from tasks.resources import with_driver
from tasks.settings import DATABASE_URL, Receiver, Settings, Source
from tasks.sources import problems_of


class _Given(BaseSettings):
    """What must be looked at although other settings are wrong; itself unchecked."""

    model_config = SettingsConfigDict(**{**Settings.model_config, "extra": "ignore"})

    sources: tuple[Any, ...] = ()
    receiver: dict[str, Any] = {}
    database_url: Annotated[
        SecretStr | None, Field(validation_alias=AliasChoices(DATABASE_URL, "DATABASE_URL", "database_url"))
    ] = None

    @classmethod
    def settings_customise_sources(cls, *places: Any, **named: Any) -> Any:
        """Read them where the settings are read."""
        return Settings.settings_customise_sources(*places, **named)


def check_settings() -> list[Problem]:
    """Return all that is wrong with the settings."""
    found: list[Problem] = []
    try:
        load_settings()
    except SettingsError as error:
        found = error.problems
    except WatchkeeperError as error:
        found = [Problem(str(error))]
    if not all(problem.setting for problem in found):
        return found  # there is no reading on
    try:
        given = _Given()
    except ValidationError:  # told already
        return found
    sources = [problem for index, raw in enumerate(given.sources) for problem in _of_source(index, raw)]
    return [*found, *sources, *_of_receiver(given.receiver), *_of_database(given.database_url)]


def _of_source(index: int, raw: Any) -> list[Problem]:
    wrong = _wrong_by_itself(raw)
    if "kind" in wrong or not isinstance(raw, dict):
        return []
    kept = {name: value for name, value in raw.items() if str(name) not in wrong}
    source = Source.model_validate({"name": str(index), **kept})
    found = [(error, error.field.removeprefix(f"sources.{source.name}.").split(".")) for error in problems_of(source)]
    return [_problem(error, ["sources", index, *path]) for error, path in found if path[0] not in wrong]


def _wrong_by_itself(raw: Any) -> set[str]:
    """Return the settings of a source whose value, whatever the others are, is told as wrong already."""
    try:
        Source.model_validate(raw)
    except ValidationError as error:
        return {str(part) for problem in error.errors() for part in problem["loc"][:1]}
    return set()


def _of_receiver(raw: dict[str, Any]) -> list[Problem]:
    try:
        receiver = Receiver(token=raw.get("token", ""))
    except ValidationError:  # told already
        return []
    if not receiver.token.get_secret_value():
        return []
    return [_problem(error, ["receiver", "token"]) for error in caught(checked_token, receiver, insecure=False)]


def _of_database(url: SecretStr | None) -> list[Problem]:
    if url is None:
        return []
    return [_problem(error, ["database_url"]) for error in caught(with_driver, url.get_secret_value())]


def _problem(error: InvalidValue, path: list[Any]) -> Problem:
    text = str(error).removeprefix(f"{error.field}: ")
    return Problem(text, error.field, place_of(path))
