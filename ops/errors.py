"""The one tree of errors. Each names the field, the value and the limit, and says whether trying again can help.

WatchkeeperError
├── InvalidValue          a value breaks its limit (bad row, bad setting, bad argument)
│   └── UnknownName       a name that no registry knows; lists the known ones
├── NotFound              a file, a rollout, a row that should be there is not
├── Refused               a vendor answers no: credentials, a request that it does not take
├── Incomplete            some parts failed, the others are done (retryable when one of the failures is)
└── Unavailable           a database, a vendor or Slack cannot be reached (retryable)

Expected outcomes (no data, inconclusive, over budget) are values, never exceptions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

_SHOWN = 200
_LISTED = 10


class WatchkeeperError(Exception):
    """Anything that Watchkeeper itself raises; its text is one line that a person can act on."""

    retryable = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes as it is, whatever its class was made from."""
        return _copied, (type(self), self.args, dict(self.__dict__))


def _copied(kind: type[WatchkeeperError], args: tuple[object, ...], parts: dict[str, Any]) -> WatchkeeperError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(parts)
    return error


class InvalidValue(WatchkeeperError):
    """A value breaks its limit."""

    def __init__(self, field: str, value: object, limit: str) -> None:
        self.field = field
        self.value = value
        self.limit = limit
        super().__init__(f"{field}: {_short(value)} is not {limit}")


class UnknownName(InvalidValue):
    """A name that no registry knows."""

    def __init__(self, field: str, value: object, known: Iterable[str]) -> None:
        super().__init__(field, value, f"one of {', '.join(sorted(known)) or '(none)'}")


def caught(check: Callable[..., object], *values: Any, **named: Any) -> list[InvalidValue]:
    """Return what a check raises, as a list: where everything that is wrong is told at once."""
    try:
        check(*values, **named)
    except InvalidValue as error:
        return [error]
    return []


class NotFound(WatchkeeperError):
    """Something that should be there is not."""

    def __init__(self, what: str, name: object, hint: str = "") -> None:
        super().__init__(f"{what} {_short(name)} not found{': ' + hint if hint else ''}")


class Refused(WatchkeeperError):
    """A service is there and says no; asking again as before would not help."""

    def __init__(self, service: str, reason: object) -> None:
        super().__init__(f"{service} refused: {str(reason).strip()[:300]}")


class Unavailable(WatchkeeperError):
    """A service cannot be reached now."""

    retryable = True

    def __init__(self, service: str, reason: object) -> None:
        super().__init__(f"{service} is unavailable: {str(reason).strip()[:300]}")


class Incomplete(WatchkeeperError):
    """Some of several parts failed; the others are done."""

    def __init__(self, what: str, of: int, failures: Sequence[WatchkeeperError]) -> None:
        self.failures = tuple(failures)
        self.retryable = any(failure.retryable for failure in failures)
        listed = [str(failure) for failure in failures[:_LISTED]]
        if len(failures) > _LISTED:
            listed.append(f"and {len(failures) - _LISTED:,} more")
        super().__init__(f"{what}: {len(failures):,} of {of:,} failed: {'; '.join(listed)}")


def in_words(error: BaseException) -> str:
    """Write an error in one line: of one that is not ours no more than that, for it may quote whole statements."""
    if isinstance(error, WatchkeeperError):
        return str(error)
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:500]}"


def _short(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python writes
        text = "a number without end"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
