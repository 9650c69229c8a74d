"""Read the values of an OTLP request in JSON: each is of the right type, or an InvalidValue names its field.

64-bit integers come as texts or as numbers, ids in hex. Used by `tasks/sources/otel.py`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from ops.errors import InvalidValue

Attributes = dict[str, Any]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WHOLE = re.compile(r"-?[0-9]{1,20}")
_VALUES = ("stringValue", "intValue", "doubleValue", "boolValue")


def _member(owner: Any, field: str, kind: type, words: str) -> Any:
    if not isinstance(owner, dict):
        raise InvalidValue(field, owner, "inside an object")
    value = owner.get(field)
    if value is not None and not isinstance(value, kind):
        raise InvalidValue(field, value, words)
    return kind() if value is None else value


list_of = partial(_member, kind=list, words="a list")
dict_of = partial(_member, kind=dict, words="an object")


def attributes_of(owner: Any) -> Attributes:
    """Return the attributes that are one value each; lists and maps are none of ours."""
    found: Attributes = {}
    for pair in list_of(owner, "attributes"):
        value = dict_of(pair, "value")
        kind = next((kind for kind in _VALUES if kind in value), None)
        if kind is not None and isinstance(pair.get("key"), str):
            found[pair["key"]] = _whole(pair["key"], value[kind]) if kind == "intValue" else value[kind]
    return found


def hex_of(item: Any, field: str, digits: int) -> str:
    """Return an id: so many hexadecimal digits, in small letters.

    Raises:
        InvalidValue: it is none, or zero.
    """
    value = item.get(field)
    if not isinstance(value, str) or not re.fullmatch(rf"[0-9a-fA-F]{{{digits}}}", value) or not value.strip("0"):
        raise InvalidValue(field, value, f"{digits} hexadecimal digits, not all of them 0")
    return value.lower()


def nanos_of(item: dict[str, Any], field: str) -> int:
    """Return nanoseconds since 1970; 0 for unknown, as OTLP has it."""
    value = item.get(field)
    return 0 if value in (None, "") else _whole(field, value)


def time_of(field: str, nanos: int) -> datetime:
    """Return the time of nanoseconds since 1970; that of a field, should it be none."""
    if not nanos:
        raise InvalidValue(field, nanos, "a time: nanoseconds since 1970")
    try:
        return _EPOCH + timedelta(microseconds=nanos // 1000)
    except OverflowError:
        raise InvalidValue(field, nanos, "nanoseconds since 1970") from None


def count_of(attributes: Attributes, *names: str) -> int | None:
    """Return the whole number of the first name that is known."""
    return next((_whole(name, attributes[name]) for name in names if _is_known(attributes.get(name))), None)


def number_of(attributes: Attributes, *names: str) -> float | None:
    """Return the number of the first name that is known."""
    name = next((name for name in names if _is_known(attributes.get(name))), None)
    if name is None:
        return None
    value = attributes[name]
    try:
        if not isinstance(value, bool):
            return float(value)
    except (ValueError, TypeError, OverflowError):
        pass
    raise InvalidValue(name, value, "a number")


def _whole(field: str, value: Any) -> int:
    whole = value
    if (isinstance(value, str) and _WHOLE.fullmatch(value)) or (isinstance(value, float) and value.is_integer()):
        whole = int(value)
    if not isinstance(whole, int) or isinstance(whole, bool) or abs(whole) >= 2**64:
        raise InvalidValue(field, value, "a whole number of 64 bits")
    return whole


def text_of(attributes: Attributes, *names: str) -> str | None:
    """Return the text of the first name that is known."""
    values = (attributes.get(name) for name in names)
    return next((str(value) for value in values if _is_known(value)), None)


def _is_known(value: Any) -> bool:
    return value is not None and value != ""  # LiteLLM writes None as an empty text
