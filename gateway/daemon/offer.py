"""What the assignment wishes for one model of this board, as the supervisor hands it about."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.updates.assignment import Wish
from gateway.updates.release import Release, ReleaseRef


@dataclass(frozen=True, slots=True)
class Offer:
    """What the assignment wishes for this model.

    Attributes:
        release: The signed manifest.
        ref: Its number and digest.
        wish: How and when.
    """

    release: Release
    ref: ReleaseRef
    wish: Wish
