"""What a sum of cost is of: everything, or one team, feature, model or user."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ops.errors import InvalidValue


class ScopeKind(StrEnum):
    """By what cost is told apart."""

    TOTAL = "total"
    TEAM = "team"
    FEATURE = "feature"
    MODEL = "model"
    USER = "user"


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """One of them; a model's key is `vendor/model`, that of the total is empty."""

    kind: ScopeKind
    key: str = ""

    def __post_init__(self) -> None:
        if (self.kind is ScopeKind.TOTAL) != (self.key == ""):
            raise InvalidValue("scope", f"{self.kind}:{self.key}", "total alone, or a kind and its key: team:search")

    def __str__(self) -> str:
        """Write it as people do: `total`, `team:search`."""
        return f"{self.kind}:{self.key}" if self.key else self.kind.value


TOTAL = Scope(ScopeKind.TOTAL)
