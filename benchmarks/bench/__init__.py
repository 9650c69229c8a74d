"""What benchmarks share: how they are asked, where they run, and the JSON that they write."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tasks.embedded_postgres import Cluster
from tasks.resources import create_database


def asked(
    doc: str | None, *, rows: int = 1_000_000, quick: int = 50_000, can_keep: bool = False
) -> argparse.Namespace:  # fmt: skip
    """Return `rows`, `json` and, with `can_keep`, `keep` of the command line; `--quick` is so many rows."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=rows)
    parser.add_argument("--quick", action="store_true", help=f"{quick:,} rows")
    parser.add_argument("--json", type=Path, metavar="FILE")
    if can_keep:
        parser.add_argument("--keep", type=Path, metavar="FOLDER", help="make the database here, or use it again")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rows = quick
    return arguments


@contextmanager
def database() -> Iterator[sa.Engine]:
    """Yield an engine of a Postgres that is there for this benchmark alone."""
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder) / "home").use() as cluster:
        create_database(cluster.url("postgres"), "bench")
        engine = sa.create_engine(cluster.url("bench"))
        yield engine
        engine.dispose()


def save(result: dict[str, Any], file: Path | None) -> None:
    """Write what was measured where `--json` says."""
    if file:
        file.write_text(json.dumps(result, indent=2))
