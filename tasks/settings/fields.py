"""The kinds of values that settings are made of: each refuses what it cannot be, in words for a person."""

from __future__ import annotations

import os
import re
from datetime import date
from decimal import Decimal
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
)

# With a host's name of letters that nothing has to be decoded of.
_PLAIN_ADDRESS = re.compile(r"https?://(?!.*--)([a-z0-9-]+\.)*[a-z][a-z0-9-]*(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?")


def check_days(start: date, end: date) -> None:
    """Raise ValueError unless the end is after the start."""
    if start >= end:
        raise ValueError(f"`to` {end} must be after `from` {start}")


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("not an IANA time zone such as UTC or Europe/Berlin")
    return name


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        if not parts.hostname or parts.port == 0 or not (_PLAIN_ADDRESS.fullmatch(url) or _is_asked(url)):
            raise ValueError
    except ValueError:
        raise ValueError("not an address such as https://proxy.example:4000") from None
    return url


def _is_asked(url: str) -> bool:
    """Tell whether the client takes it too: each refuses what the other takes, save where a name is a plain one."""
    import httpx  # for a fifth of a second

    try:
        return bool(httpx.URL(url).host)
    except httpx.InvalidURL:
        return False


def _from_environment(value: object) -> object:
    if isinstance(value, str) and value.startswith("env:"):
        found = os.environ.get(value[4:])
        if found is None:
            raise ValueError(f"the environment has no {value[4:]}")
        return found
    return value


def _sendable(key: SecretStr) -> SecretStr:
    if not key.get_secret_value().isascii():
        raise ValueError("not of ASCII alone, as what HTTP sends has to be")
    return key


Secret = Annotated[SecretStr, BeforeValidator(_from_environment)]  # `env:NAME` takes it from the environment
ApiKey = Annotated[Secret, AfterValidator(_sendable)]
Zone = Annotated[str, AfterValidator(_zone)]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\w.:/-]+$")]
Tenant = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\w.-]+$")]
Address = Annotated[str, Field(pattern=r"^https?://[^\s]+$"), AfterValidator(_address)]
Dollars = Annotated[Decimal, Field(ge=0, lt=1_000_000_000, decimal_places=12)]  # what the tables hold


class Group(BaseModel):
    """Settings that stand together; an unknown name among them is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
