"""What a load did, for a person: of files and of spans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.output import say

if TYPE_CHECKING:
    from tasks.write_usage import Loaded


def report_load(total: Loaded) -> None:
    """Say what was read and kept, which models have no price, and what was rejected first."""
    others = {"corrected": total.corrected, "skipped": total.skipped}
    more = "".join(f", {count:,} {name}" for name, count in others.items() if count)
    say(
        f"{total.read:,} read, {total.inserted:,} inserted, {total.duplicates:,} duplicates, "
        f"{total.rejected:,} rejected{more} in {total.seconds:.1f} s"
    )
    if total.unknown_models:
        models = ", ".join(total.unknown_models).replace("\n", " ")
        say(f"no price is known for {models}: their cost is unknown", "yellow")
    if total.first_reject:
        say(f"rejected, the first in {total.first_reject}", "yellow")
        say("all are kept: watchkeeper ingest rejects list", "yellow")
