from __future__ import annotations

import gzip
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from ops.cost.projection import DaySpend
from ops.errors import InvalidValue, NotFound
from tasks.csv_records import cells_of
from tasks.log_file import LogFile
from tasks.read_panel import read_panel

HEAD = "series,date,value\n"


def read(content: str, folder: Path, name: str = "panel.csv") -> dict[str, list[DaySpend]]:
    path = folder / name
    path.write_bytes(gzip.compress(content.encode()) if name.endswith("gz") else content.encode())
    return read_panel(LogFile(str(path)))


@pytest.mark.parametrize("name", ["panel.csv", "panel.csv.gz"])
def test_panel_is_read_by_series_with_its_gaps(name: str, tmp_path: Path) -> None:
    content = HEAD + "a,2026-01-03,2.5\na,2026-01-01,1\nb,2026-01-01,\n"
    assert read(content, tmp_path, name) == {
        "a": [DaySpend(date(2026, 1, 1), Decimal(1)), DaySpend(date(2026, 1, 2), None),
              DaySpend(date(2026, 1, 3), Decimal("2.5"))],
        "b": [DaySpend(date(2026, 1, 1), None)],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        pytest.param("name,day\nx,y\n", "'name,day' is not a CSV with the columns series,date,value", id="columns"),
        pytest.param(HEAD + "a,never,1\n", "line 2: date: 'never' is not a day such as", id="a day"),
        pytest.param(HEAD + "a,2026-01-01,much\n", "line 2: value: 'much' is not a number from 0", id="a number"),
        pytest.param(HEAD + "a,2026-01-01,-1\n", "line 2: value: '-1' is not a number from 0", id="below 0"),
        pytest.param(HEAD + "a,2026-01-01,NaN\n", "line 2: value: 'NaN'", id="no number"),
        pytest.param(HEAD + "a,2026-01-01,1e400\n", "line 2: value: '1e400' is not a number from 0 to", id="no float"),
        pytest.param(
            HEAD + "a,9999-12-31,1\n", "line 2: date: '9999-12-31' is not of a year from 1900", id="the end of time"
        ),
        pytest.param(
            HEAD + "a" * 200_000 + ",2026-01-01,1\n", ":2: .* with cells of at most 512", id="an endless cell"
        ),
        pytest.param(HEAD + "a,2026-01-01\n", "a row with series, date and value", id="half a row"),
        pytest.param(HEAD + "a,2026-01-01,1\na,2026-01-01,1\n", ":3: date: .* once", id="a day twice"),
        pytest.param(HEAD + "a,1926-01-01,1\na,2026-01-01,1\n", "at most 20,000 days", id="a hundred years"),
    ],
)
def test_panel_says_what_is_wrong_and_where(content: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match=complaint):
        read(content, tmp_path)


def test_panel_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidValue, match="UTF-8"):
        read_panel(LogFile(str(tmp_path / "x")))


def test_panel_that_is_not_there_is_named() -> None:
    with pytest.raises(NotFound, match="nowhere"):
        read_panel(LogFile("nowhere"))


def test_cells_have_a_limit_whatever_other_readers_of_csv_allow(tmp_path: Path) -> None:
    cells_of(b"a,b")  # allows cells of 64 MB, in the whole process
    with pytest.raises(InvalidValue, match=r":2: .* with cells of at most 512"):
        read(HEAD + "a" * 200_000 + ",2026-01-01,1\n", tmp_path)
