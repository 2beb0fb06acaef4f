"""The garbage collector of a process that lives long: what start-up made is left alone, and runs are rare."""

from __future__ import annotations

import gc

# A frame's objects form no rings and are freed by counting references; the
# default of 700 looks at young objects several times a frame.
_YOUNG, _MIDDLE, _OLD = 20_000, 20, 50


def settle_collector() -> None:
    """Collect once, then leave everything that lives now out of later collections."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
