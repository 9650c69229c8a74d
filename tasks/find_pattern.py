"""Look for a regular expression in an answer, in a process of its own: some take for ever, and hold up all threads.

Before it: `tasks/evaluate_items.py` has an answer and its item's pattern. After it: the mark `answer_regex`.
"""

from __future__ import annotations

import json
import subprocess
import sys

from ops.errors import InvalidValue

CPU_S = 2
# The kernel ends it after so many seconds of the processor, even when whoever started it was killed.
_PROGRAM = """
import json, re, resource, sys
pattern, text, seconds = json.load(sys.stdin)
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
print(int(re.search(pattern, text) is not None))
"""
_WORDS = {b"0": False, b"1": True}


class EndlessPattern(InvalidValue):
    """A pattern that takes too long for an answer; it says nothing of the answer."""

    def __init__(self, pattern: str, cpu_s: int) -> None:
        super().__init__("pattern", pattern, f"one that is found, or not, within {cpu_s} s")


def is_found(pattern: str, text: str, cpu_s: int = CPU_S) -> bool:
    """Tell whether a text holds a pattern.

    Raises:
        EndlessPattern: it takes longer than that.
    """
    asked = json.dumps([pattern, text, cpu_s]).encode()
    done = subprocess.run(  # noqa: S603  our own words
        [sys.executable, "-I", "-S", "-c", _PROGRAM], input=asked, capture_output=True, check=False
    )
    found = _WORDS.get(done.stdout.strip())
    if found is None:
        raise EndlessPattern(pattern, cpu_s)
    return found
