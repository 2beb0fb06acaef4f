"""Where a configured model is on its way to serving, and why it is not there."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class ModelState(enum.Enum):
    """Where a configured model is."""

    PROVING = "proving"
    STARTING = "starting"
    SERVING = "serving"
    FAILED = "failed"
    OUT_OF_SERVICE = "out-of-service"
    COLD = "cold"
    UNLOADING = "unloading"
    UNLOADED = "unloaded"


class Rest(enum.Enum):
    """What wakes a model that is known and not to serve now."""

    REQUEST = ModelState.COLD
    ORDER = ModelState.UNLOADED


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """What is known of one configured model.

    Attributes:
        state: Where it is.
        reason: Why it does not serve; empty if it does.
    """

    state: ModelState
    reason: str = ""
