from __future__ import annotations

import pytest

from ops.cost.scopes import TOTAL, Scope, ScopeKind
from ops.errors import InvalidValue


def test_scope_is_written_as_people_do() -> None:
    assert [str(TOTAL), str(Scope(ScopeKind.TEAM, "search"))] == ["total", "team:search"]


@pytest.mark.parametrize(("kind", "key"), [(ScopeKind.TOTAL, "x"), (ScopeKind.USER, "")])
def test_scope_has_a_key_unless_it_is_the_total(kind: ScopeKind, key: str) -> None:
    with pytest.raises(InvalidValue, match="scope: "):
        Scope(kind, key)
