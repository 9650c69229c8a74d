from __future__ import annotations

import pickle

import pytest

from ops.errors import (
    Incomplete,
    InvalidValue,
    NotFound,
    Unavailable,
    UnknownName,
    WatchkeeperError,
    caught,
    in_words,
)

TEXTS = {
    "a value that breaks its limit names field, value and limit": (
        InvalidValue("days", -1, "above 0"),
        "days: -1 is not above 0",
    ),
    "an unknown name lists the known ones in order": (
        UnknownName("kind", "cvs", ["jsonl", "csv"]),
        "kind: 'cvs' is not one of csv, jsonl",
    ),
    "an empty registry says that it knows none": (UnknownName("kind", "csv", []), "kind: 'csv' is not one of (none)"),
    "a missing thing is named": (NotFound("file", "a.log"), "file 'a.log' not found"),
    "a hint follows a colon": (
        NotFound("file", "a.log", "see the settings"),
        "file 'a.log' not found: see the settings",
    ),
    "a service that is away gives its reason without its blank edges": (
        Unavailable("database", " connection refused\n"),
        "database is unavailable: connection refused",
    ),
    "parts that failed are listed": (
        Incomplete("source a: files", 1200, [NotFound("file", "1"), Unavailable("file 2", "cut")]),
        "source a: files: 2 of 1,200 failed: file '1' not found; file 2 is unavailable: cut",
    ),
    "at most ten of them": (
        Incomplete("files", 12, [NotFound("file", number) for number in range(12)]),
        "files: 12 of 12 failed: " + "; ".join(f"file {number} not found" for number in range(10)) + "; and 2 more",
    ),
}


@pytest.mark.parametrize(("error", "text"), TEXTS.values(), ids=TEXTS)
def test_error_reads_as_one_line(error: WatchkeeperError, text: str) -> None:
    assert str(error) == text


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        pytest.param(WatchkeeperError("x"), False, id="an error in general does not go away"),
        pytest.param(InvalidValue("a", 1, "2"), False, id="a wrong value stays wrong"),
        pytest.param(NotFound("a", 1), False, id="a missing file stays missing"),
        pytest.param(Incomplete("a", 2, [NotFound("a", 1)]), False, id="nor do parts that are all missing"),
        pytest.param(
            Incomplete("a", 2, [NotFound("a", 1), Unavailable("a", 1)]), True, id="parts of which one may come back"
        ),
        pytest.param(Unavailable("a", 1), True, id="a service comes back"),
    ],
)
def test_error_says_whether_trying_again_can_help(error: WatchkeeperError, retryable: bool) -> None:
    assert error.retryable is retryable
    assert isinstance(error, WatchkeeperError)


def test_invalid_value_keeps_its_parts() -> None:
    error = UnknownName("kind", "cvs", ["csv"])
    assert isinstance(error, InvalidValue)
    assert (error.field, error.value, error.limit) == ("kind", "cvs", "one of csv")


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        pytest.param(198, "'" + 198 * "x" + "'", id="200 characters with their quotes are shown whole"),
        pytest.param(199, "'" + 198 * "x" + "…", id="201 are cut to 200"),
        pytest.param(10_000_000, "'" + 198 * "x" + "…", id="10 MB are cut to 200"),
    ],
)
def test_value_is_cut_to_a_line(size: int, shown: str) -> None:
    assert str(InvalidValue("name", size * "x", "short")) == f"name: {shown} is not short"
    assert str(NotFound("name", size * "x")) == f"name {shown} not found"


def test_reason_of_an_outage_is_cut_to_300_characters() -> None:
    assert str(Unavailable("vendor", 1000 * "x")) == "vendor is unavailable: " + 300 * "x"


@pytest.mark.parametrize("error", [error for error, _ in TEXTS.values()], ids=TEXTS)
def test_error_travels_between_processes(error: WatchkeeperError) -> None:
    arrived = pickle.loads(pickle.dumps(error))  # noqa: S301  what we wrote ourselves
    assert type(arrived) is type(error)
    assert (str(arrived), arrived.retryable) == (str(error), error.retryable)
    assert [str(part) for part in getattr(arrived, "failures", ())] == [
        str(part) for part in getattr(error, "failures", ())
    ]
    assert getattr(arrived, "field", None) == getattr(error, "field", None)


def test_value_that_python_cannot_write_is_named_all_the_same() -> None:
    assert str(InvalidValue("tokens", 16**5000, "small")) == "tokens: a number without end is not small"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        pytest.param(NotFound("file", "a"), "file 'a' not found", id="one of ours as it is"),
        pytest.param(ValueError("a\nSELECT secret"), "ValueError: a", id="the first line of another"),
        pytest.param(ValueError(), "ValueError: ", id="one that says nothing"),
    ],
)
def test_error_in_words(error: Exception, words: str) -> None:
    assert in_words(error) == words


def test_caught_returns_the_invalid_value_that_a_check_raises() -> None:
    wrong = InvalidValue("days", -1, "above 0")

    def check(days: int, *, strict: bool) -> int:
        if strict and days < 0:
            raise wrong
        return days

    assert caught(check, -1, strict=True) == [wrong]
    assert caught(check, 1, strict=True) == []


def test_caught_lets_other_errors_pass() -> None:
    def away() -> None:
        raise Unavailable("database", "cut")

    with pytest.raises(Unavailable):
        caught(away)
