"""Makes sure that numpy can be imported before anything here does: on some boards it ends the process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Final

from gateway.doctor.finding import Finding, problem
from gateway.operations.child_end import last_words, signal_name

_LIMIT_S: Final = 60.0
_IMPORT: Final = (sys.executable, "-c", "import numpy")


def numpy_findings(command: tuple[str, ...] = _IMPORT) -> Iterator[Finding]:
    """Yield what is wrong with numpy; nothing if it can be imported.

    Everything else needs it, this doctor included: with it broken nothing more can be examined.
    """
    try:
        done = subprocess.run(command, capture_output=True, timeout=_LIMIT_S, check=False)
        code, words = done.returncode, last_words(done.stderr)
    except subprocess.TimeoutExpired:
        code, words = 1, f": not done within {_LIMIT_S:g} s"
    if code == 0:
        return
    how = f"the process was ended by {signal_name(-code)}" if code < 0 else "it failed"
    mend = [f"{sys.executable} -m pip install --force-reinstall numpy"]
    if code < 0:
        mend.insert(0, "export OPENBLAS_CORETYPE=ARMV8  # then try again; in the unit: Environment=")
    yield problem(
        "packages.numpy",
        f"numpy cannot be imported: {how}{words}",
        "the gateway cannot start, and nothing else can be examined",
        *mend,
    )
