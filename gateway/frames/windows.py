"""Overlapping windows over a stream that comes in pieces of any length.

What does not fill a window yet stays in the stream's state, with the position
of its first item, so that windows never depend on how a stream was cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.errors import TooLarge, WrongShape
from gateway.frames.prepared import StreamState

# Where each window begins, in items since the stream began (int list in a payload's notes).
STARTS = "window.starts"

_REST = "window.rest"
_POSITION = "window.position"


@dataclass(frozen=True, slots=True)
class Windows:
    """How a stream is cut.

    Attributes:
        length: New items a window.
        hop: Items from one window's begin to the next's; at most ``length``.
        context: Items before a window that are given with it; zeros at the stream's begin.
        most: Windows that one payload may give.
        carry: True if what is left waits for the next payload; else it is refused.
    """

    length: int
    hop: int
    context: int
    most: int
    carry: bool

    def cut(self, items: NDArray[np.float32], state: StreamState) -> tuple[NDArray[np.float32], list[int]]:
        """Return the windows that are full now, and where each begins.

        Args:
            items: (n,) or (n, channels) float32, what has come.
            state: Gives what was left before and keeps what is left now; not
                changed if this raises.

        Returns:
            Windows (k, context + length[, channels]), perhaps views on
            ``items``, and k positions: the stream's items before each window,
            its context not counted.

        Raises:
            TooLarge: There are more than ``most``.
            WrongShape: Something is left and nothing may wait, or the channels changed.
        """
        width = self.context + self.length
        rest, position = self._left(items, state)
        if rest is not None:
            items = np.concatenate((rest, items))
        count = max(0, (len(items) - width) // self.hop + 1)
        if count > self.most:
            raise TooLarge(
                f"the payload holds {count} windows, at most {self.most} are taken; send shorter ones"
            )
        used = count * self.hop
        if not self.carry and (len(items) < width or (len(items) - width) % self.hop):
            raise WrongShape(
                f"the payload holds {len(items)} items, but windows are of {self.length} every {self.hop}"
            )
        starts = [position + index * self.hop for index in range(count)]
        if self.carry:
            state.arrays[_REST] = items[used:].copy()  # the payload's memory is gone when this is read
            state.facts[_POSITION] = position + used
        if count <= 1:
            return items[np.newaxis, :width][:count], starts
        views = np.lib.stride_tricks.sliding_window_view(items, width, axis=0)[:: self.hop][:count]
        return (np.moveaxis(views, -1, 1) if items.ndim == 2 else views), starts

    def _left(self, items: NDArray[np.float32], state: StreamState) -> tuple[NDArray[np.float32] | None, int]:
        """Return what waited (zeros for the first context) and the position of the first new window."""
        rest = state.arrays.get(_REST) if self.carry else None
        if rest is None:
            if not self.context:
                return None, 0
            return np.zeros((self.context, *items.shape[1:]), np.float32), 0
        if rest.shape[1:] != items.shape[1:]:
            raise WrongShape(f"the stream changed from {rest.shape[1:]} to {items.shape[1:]} channels")
        position = state.facts.get(_POSITION, 0)
        assert isinstance(position, int)
        return (rest if len(rest) else None), position
