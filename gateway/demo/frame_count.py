"""Counts a camera's frames: sent, answered, superseded, failed, lost. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.demo.status import Status

_SUPERSEDED: Final = "superseded"


@dataclass(frozen=True, slots=True)
class FrameCount:
    """Frames since some moment.

    Attributes:
        sent: What the camera sent.
        frames: What reached the gateway.
        results: Answers.
        superseded: Frames for which a newer one stood in, as ``latest`` delivery wants it.
        failed: Frames dropped for any other reason.
    """

    sent: int = 0
    frames: int = 0
    results: int = 0
    superseded: int = 0
    failed: int = 0

    @property
    def is_balanced(self) -> bool:
        """Whether every frame that was sent came, and what became of each is known."""
        return self.sent == self.frames and self.lost == 0

    @property
    def lost(self) -> int:
        """Frames of which nothing is known; while some are on their way these count, too."""
        return self.sent - self.results - self.superseded - self.failed

    def since(self, before: FrameCount) -> FrameCount:
        """Return what came after ``before``."""
        return FrameCount(
            self.sent - before.sent,
            self.frames - before.frames,
            self.results - before.results,
            self.superseded - before.superseded,
            self.failed - before.failed,
        )


NOTHING: Final = FrameCount()


def frame_count(status: Status, sensor: str, sent: int) -> FrameCount:
    """Return the count of a sensor's frames since the start.

    Args:
        status: The gateway's.
        sensor: The sensor's id; nothing is known of it before it appeared.
        sent: Frames that it says it sent.
    """
    found = status.sensors.get(sensor)
    streams = found.streams if found is not None else ()
    superseded = sum(stream.drops.get(_SUPERSEDED, 0) for stream in streams)
    dropped = sum(sum(stream.drops.values()) for stream in streams)
    return FrameCount(
        sent,
        sum(stream.frames for stream in streams),
        sum(stream.results for stream in streams),
        superseded,
        dropped - superseded,
    )


class Gaps:
    """Finds the longest pause between two answers.

    Attributes:
        longest_s: The longest so far.
    """

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._last_s: float | None = None

    def answered(self, at_s: float) -> None:
        """Take the moment of an answer."""
        if self._last_s is not None:
            self.longest_s = max(self.longest_s, at_s - self._last_s)
        self._last_s = at_s

    def begin(self) -> None:
        """Begin anew with the next answer: until then nothing was asked."""
        self.longest_s = 0.0
        self._last_s = None
