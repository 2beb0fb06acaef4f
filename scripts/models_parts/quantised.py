"""Turns trained weights into int8 codes with scales: what both model files are written from.

Activations are per-tensor int8 with a zero point, convolution kernels
per-channel int8, biases int32 (scale: input times kernel), as TFLite defines.
Scales are rounded to five significant digits, so that the last bits in
which processors differ do not reach the files.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models_parts.network import Weights, layers

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Codes:
    """Scale and zero point of an int8 activation."""

    scale: float
    zero_point: int


# What a softmax gives: the range is known beforehand, and TFLite insists on it.
PROBABILITIES = Codes(1 / 256, -128)


@dataclass(frozen=True, slots=True)
class Layer:
    """One convolution or dense layer.

    Attributes:
        kernel: int8; (out, taps, in) of a convolution, (out, in) of the dense layer.
        scales: float32 scale of each output channel's kernel; one for the dense layer.
        bias: (out,) int32.
        output: Codes of what the layer gives.
    """

    kernel: NDArray[np.int8]
    scales: NDArray[np.float32]
    bias: NDArray[np.int32]
    output: Codes


@dataclass(frozen=True, slots=True)
class Quantised:
    """The whole network in codes; a softmax with ``PROBABILITIES`` follows ``dense``."""

    window: Codes
    conv1: Layer
    conv2: Layer
    dense: Layer


def rounded(value: float) -> float:
    """Round to five significant digits, then to what float32 holds."""
    return float(np.float32(f"{value:.4e}"))


def codes_for(low: float, high: float) -> Codes:
    """Spread the 256 codes over a range that includes 0."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = rounded((high - low) / 255)
    return Codes(scale, int(np.clip(round(-128 - low / scale), -128, 127)))


def layer(kernel: F64, bias: F64, given: Codes, output: Codes, *, per_channel: bool) -> Layer:
    """Quantise one layer; ``kernel`` has its output channels first."""
    axes = tuple(range(1, kernel.ndim)) if per_channel else tuple(range(kernel.ndim))
    peaks = np.atleast_1d(np.abs(kernel).max(axis=axes))
    scales = np.array([rounded(peak / 127) for peak in peaks])
    spread = scales.reshape(-1, *[1] * (kernel.ndim - 1))
    return Layer(
        np.clip(np.rint(kernel / spread), -127, 127).astype(np.int8),
        scales.astype(np.float32),
        np.rint(bias / (given.scale * scales)).astype(np.int32),
        output,
    )


def quantised(weights: Weights, windows: F64) -> Quantised:
    """Quantise, with the ranges that the training windows show."""
    first, second, logits = layers(weights, windows)
    window = codes_for(float(windows.min()), float(windows.max()))
    after1, after2 = codes_for(0.0, float(first.max())), codes_for(0.0, float(second.max()))
    return Quantised(
        window,
        layer(weights.conv1.transpose(2, 0, 1), weights.bias1, window, after1, per_channel=True),
        layer(weights.conv2.transpose(2, 0, 1), weights.bias2, after1, after2, per_channel=True),
        layer(
            weights.dense.T,
            weights.bias3,
            after2,
            codes_for(float(logits.min()), float(logits.max())),
            per_channel=False,
        ),
    )
