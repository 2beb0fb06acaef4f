"""The small model that runtimes are tried with: where it lies, what goes in, and what must come out. Pure.

It is one convolution with a ReLU, because that is what a graphics processor's
libraries are needed for; its numbers are so few and so round that half precision
computes them exactly. ``data/`` holds it in both formats.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from gateway.tensor import Array

FILES: Final = {name: Path(__file__).parent / "data" / f"small.{name}" for name in ("onnx", "tflite")}
SIZE: Final = 16
INPUTS: Final = 4
OUTPUTS: Final = 8
KERNEL: Final = 3


def weights() -> Array:
    """Return the convolution's weights: float32, (OUTPUTS, INPUTS, KERNEL, KERNEL)."""
    count = OUTPUTS * INPUTS * KERNEL * KERNEL
    flat = (np.arange(count) * 7 % 11 - 5).astype(np.float32) / 8
    return flat.reshape(OUTPUTS, INPUTS, KERNEL, KERNEL)


def given() -> Array:
    """Return what goes in: float32, (1, INPUTS, SIZE, SIZE)."""
    flat = (np.arange(INPUTS * SIZE * SIZE) * 5 % 13 - 6).astype(np.float32) / 4
    return flat.reshape(1, INPUTS, SIZE, SIZE)


def expected() -> Array:
    """Return what must come out: float32, (1, OUTPUTS, SIZE - 2, SIZE - 2)."""
    image, kernel = given()[0], weights()
    side = SIZE - KERNEL + 1
    total: np.ndarray[Any, Any] = np.zeros((OUTPUTS, side, side), np.float32)
    for row in range(KERNEL):
        for column in range(KERNEL):
            part = image[:, row : row + side, column : column + side]
            total += np.einsum("oi,ihw->ohw", kernel[:, :, row, column], part)
    rectified: Array = np.maximum(total, 0)[None]
    return rectified


def as_format(array: Array, name: str) -> Array:
    """Return pictures as a format wants them: channels first for ONNX, last for TFLite."""
    return array if name == "onnx" else np.ascontiguousarray(array.transpose(0, 2, 3, 1))
