"""What is known of JetPack releases beside what the board itself tells. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.inference.engines.board import Board

# The system's own interpreter: the one that NVIDIA's wheels are made for.
SYSTEM_PYTHON: Final[Mapping[int, tuple[int, int]]] = {4: (3, 6), 5: (3, 8), 6: (3, 10), 7: (3, 12)}
_FIRST_WITH_CUDA: Final = 6


def is_jetson(board: Board) -> bool:
    """Say whether a board has one of NVIDIA's Tegra chips."""
    return bool(board.soc)


def cuda_from_python(jetpack: int) -> bool:
    """Say whether any Python that the gateway runs on reaches the CUDA of that JetPack."""
    return jetpack >= _FIRST_WITH_CUDA
