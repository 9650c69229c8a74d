"""Plain text for a terminal: what is safe to print, and aligned columns for the runnable examples."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

UNKNOWN = "(unknown)"  # what a request does not name: its feature, team, user, release
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#~&])")
_NOT_ASCII = re.compile(r"[^\n -~]")


def printable(text: str) -> str:
    """Drop what is not printable: an escape sequence in somebody's text must not steer the reader's terminal."""
    return "".join(char for char in text if char.isprintable() or char == "\n")


def printable_json(document: str) -> str:
    """Write what is not printable in a JSON document as escapes: it says the same, and steers no terminal."""
    return _NOT_ASCII.sub(lambda found: found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1], document)


def markdown_cell(text: str) -> str:
    """Write a text as one cell of a Markdown table, whatever is in it: a page must not run anybody's HTML."""
    safe = "".join(char if char.isprintable() else " " for char in text)
    return _MARKDOWN.sub(r"\\\1", safe)


def plain_table(rows: Sequence[tuple[str, ...]], *, numbers: bool = True) -> str:
    """Align rows of equal length, two spaces in; `numbers` puts every column but the first to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [
            cell.rjust(width) if numbers else cell.ljust(width) for cell, width in zip(rest, widths[1:], strict=True)
        ]
        lines.append("  " + "  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)
