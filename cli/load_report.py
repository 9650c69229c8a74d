"""What a load did, for a person: of files and of spans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.output import say

if TYPE_CHECKING:
    from tasks.unused_fields import Unused
    from tasks.write_usage import Loaded


def report_load(total: Loaded) -> None:
    """Say what was read and kept, which models have no price, which fields are in vain, and what was rejected first."""
    others = {"corrected": total.corrected, "skipped": total.skipped}
    more = "".join(f", {count:,} {name}" for name, count in others.items() if count)
    say(
        f"{total.read:,} read, {total.inserted:,} inserted, {total.duplicates:,} duplicates, "
        f"{total.rejected:,} rejected{more} in {total.seconds:.1f} s"
    )
    if total.unknown_models:
        models = ", ".join(total.unknown_models).replace("\n", " ")
        say(f"no price is known for {models}: their cost is unknown", "yellow")
    for unused in total.unused_fields:
        say(_in_words(unused), "yellow" if any(unused.fields.values()) else None)
    if total.first_reject:
        say(f"rejected, the first in {total.first_reject}", "yellow")
        say("all are kept: watchkeeper ingest rejects list", "yellow")


def _in_words(unused: Unused) -> str:
    names = [f"{name!r} (is it {field}? map it)" if field else repr(name) for name, field in unused.fields.items()]
    more = f" and {unused.more:,} more" if unused.more else ""
    return f"{unused.file!r}: not used: {', '.join(names)}{more}"
