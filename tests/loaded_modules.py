"""Which modules a command loads, seen from a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection, Mapping

_PROGRAM = """
import sys
from cli.main import main
try:
    main()
except SystemExit as end:
    assert not end.code
sys.exit(", ".join(name for name in {looked_for} if name in sys.modules) or None)
"""


def loaded_by(*words: str, of: Collection[str], env: Mapping[str, str] | None = None) -> str:
    """Run `watchkeeper` and return what of some modules it loaded, or how it failed; empty when neither."""
    program = [sys.executable, "-c", _PROGRAM.format(looked_for=tuple(of)), *words]
    done = subprocess.run(program, env=env, capture_output=True, text=True, check=False)
    return done.stderr or str(done.returncode or "")
