"""State that a stream carries from frame to frame, kept here so that it outlives a worker. Pure."""

from __future__ import annotations

from collections import OrderedDict

_MOST = 16_384


class CarriedStates:
    """Opaque state bytes by (pipeline, stream); the least recently used goes first."""

    def __init__(self, capacity: int = _MOST) -> None:
        self._capacity = capacity
        self._states: OrderedDict[tuple[str, str], tuple[bytes, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._states)

    def take(self, pipeline: str, stream: str, arrived_s: float, reset_gap_s: float) -> bytes:
        """Return the state for a frame that arrived at ``arrived_s``; empty after a gap."""
        held = self._states.get((pipeline, stream))
        if held is None or arrived_s - held[1] > reset_gap_s:
            return b""
        return held[0]

    def put(self, pipeline: str, stream: str, arrived_s: float, state: bytes) -> None:
        """Keep what the frame that arrived at ``arrived_s`` left behind."""
        if not state:
            self._states.pop((pipeline, stream), None)
            return
        self._states[pipeline, stream] = (state, arrived_s)
        self._states.move_to_end((pipeline, stream))
        if len(self._states) > self._capacity:
            self._states.popitem(last=False)

    def clear(self) -> None:
        """Forget everything: the model changed."""
        self._states.clear()
