"""Reads the BasicMotions recordings out of the aeon wheel: smart-watch motion, four activities.

Each recording is 10 s at 10 Hz on six channels: acceleration x, y, z and
rotation x, y, z, in the watch's own units.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LABELS = ("Badminton", "Running", "Standing", "Walking")
MEMBER = "aeon/datasets/data/BasicMotions/BasicMotions_{part}.ts"


@dataclass(frozen=True, slots=True)
class Recordings:
    """Windows and what was done in them.

    Attributes:
        windows: (n, 100, 6) float64.
        classes: (n,) indices into ``LABELS``.
    """

    windows: NDArray[np.float64]
    classes: NDArray[np.int64]


def read(wheel: Path, part: str) -> Recordings:
    """Read ``TRAIN`` or ``TEST``; 40 windows each.

    Raises:
        ValueError: The file in the wheel is not what this reader knows.
    """
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(MEMBER.format(part=part)).decode("utf-8")
    windows, classes = [], []
    for line in text.splitlines():
        if not line.strip() or line.startswith(("#", "@")):
            continue
        *channels, label = line.strip().split(":")
        windows.append([[float(value) for value in channel.split(",")] for channel in channels])
        classes.append(LABELS.index(label))
    recordings = Recordings(np.array(windows).transpose(0, 2, 1), np.array(classes))
    if recordings.windows.shape != (40, 100, 6):
        raise ValueError(f"{part} of BasicMotions has shape {recordings.windows.shape}, not (40, 100, 6)")
    return recordings
