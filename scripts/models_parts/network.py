"""A small 1-D convolutional network in plain NumPy: forward, backward, training by Adam.

Window (100, 6) - convolution 5 wide, stride 2, 16 channels, ReLU - the same
with 32 channels - mean over time - linear to 4 classes. Everything is float64:
the last bits differ between processors, and rounding to int8 afterwards must
hide that (see ``quantised.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
TAPS, STRIDE = 5, 2


@dataclass(frozen=True, slots=True)
class Weights:
    """Parameters of the network.

    Attributes:
        conv1: (5, 6, 16), taps, channels in, channels out; with its bias (16,).
        conv2: (5, 16, 32) with its bias (32,).
        dense: (32, 4) with its bias (4,).
    """

    conv1: F64
    bias1: F64
    conv2: F64
    bias2: F64
    dense: F64
    bias3: F64

    def arrays(self) -> list[F64]:
        """The parameters in a fixed order."""
        return [self.conv1, self.bias1, self.conv2, self.bias2, self.dense, self.bias3]


def unfolded(x: F64) -> F64:
    """Return (n, steps, 5 * channels): what each output step of a convolution sees."""
    steps = (x.shape[1] - TAPS) // STRIDE + 1
    rows = [x[:, step * STRIDE : step * STRIDE + TAPS].reshape(len(x), -1) for step in range(steps)]
    return np.stack(rows, axis=1)


def folded(gradient: F64, length: int, channels: int) -> F64:
    """Return the gradient of ``unfolded``'s input, (n, length, channels)."""
    out = np.zeros((len(gradient), length, channels))
    for step in range(gradient.shape[1]):
        piece = gradient[:, step].reshape(len(gradient), TAPS, channels)
        out[:, step * STRIDE : step * STRIDE + TAPS] += piece
    return out


def convolved(x: F64, kernel: F64, bias: F64) -> F64:
    """Return a valid convolution followed by ReLU."""
    return np.maximum(unfolded(x) @ kernel.reshape(-1, kernel.shape[2]) + bias, 0.0)


def layers(weights: Weights, x: F64) -> tuple[F64, F64, F64]:
    """Return both feature maps and the logits (n, 4)."""
    first = convolved(x, weights.conv1, weights.bias1)
    second = convolved(first, weights.conv2, weights.bias2)
    return first, second, second.mean(axis=1) @ weights.dense + weights.bias3


def softmax(logits: F64) -> F64:
    """Return probabilities over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: F64 = powers / powers.sum(axis=-1, keepdims=True)
    return probabilities


def gradients(weights: Weights, x: F64, classes: NDArray[np.int64]) -> list[F64]:
    """Return the gradient of the mean cross-entropy, in the order of ``Weights.arrays``."""
    first, second, logits = layers(weights, x)
    d_logits = softmax(logits)
    d_logits[np.arange(len(x)), classes] -= 1.0
    d_logits /= len(x)
    d_second = np.repeat((d_logits @ weights.dense.T)[:, None], second.shape[1], axis=1) / second.shape[1]
    d_second *= second > 0
    d_rows = d_second @ weights.conv2.reshape(-1, second.shape[2]).T
    d_first = folded(d_rows, first.shape[1], first.shape[2]) * (first > 0)

    def kernel(rows: F64, gradient: F64, like: F64) -> F64:
        flat = rows.reshape(-1, rows.shape[2]).T @ gradient.reshape(-1, gradient.shape[2])
        return flat.reshape(like.shape)

    return [
        kernel(unfolded(x), d_first, weights.conv1),
        d_first.sum(axis=(0, 1)),
        kernel(unfolded(first), d_second, weights.conv2),
        d_second.sum(axis=(0, 1)),
        second.mean(axis=1).T @ d_logits,
        d_logits.sum(axis=0),
    ]


def trained(windows: F64, classes: NDArray[np.int64], *, seed: int = 0, steps: int = 400) -> Weights:
    """Train on standardised windows; what it returns takes the raw ones.

    Each step sees every window, shifted in time by up to a second and with a
    little noise: 40 windows would be learned by heart otherwise.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    mean, spread = windows.mean(axis=(0, 1)), windows.std(axis=(0, 1))
    x = (windows - mean) / spread
    shapes = ((TAPS, 6, 16), (16,), (TAPS, 16, 32), (32,), (32, 4), (4,))
    # He's scale for kernels (fan-in is every axis but the last), zeros for biases.
    sizes = [np.sqrt(2.0 / np.prod(shape[:-1])) if len(shape) > 1 else 0.0 for shape in shapes]
    arrays = [random.standard_normal(shape) * size for shape, size in zip(shapes, sizes, strict=True)]
    first_moment = [np.zeros(shape) for shape in shapes]
    second_moment = [np.zeros(shape) for shape in shapes]
    for step in range(1, steps + 1):
        shifts = random.integers(0, 10, len(x))
        shifted = np.stack(
            [np.roll(window, int(shift), axis=0) for window, shift in zip(x, shifts, strict=True)]
        )
        shifted += 0.05 * random.standard_normal(x.shape)
        rate = 3e-3 * (1.0 - step / (steps + 1))
        for index, gradient in enumerate(gradients(Weights(*arrays), shifted, classes)):
            first_moment[index] += 0.1 * (gradient - first_moment[index])
            second_moment[index] += 0.001 * (gradient**2 - second_moment[index])
            size = first_moment[index] / (1 - 0.9**step)
            arrays[index] = arrays[index] - rate * size / (
                np.sqrt(second_moment[index] / (1 - 0.999**step)) + 1e-8
            )
    conv1, bias1, *rest = arrays
    # No padding, so standardising the input is the same as another kernel and bias.
    raw = conv1 / spread[None, :, None]
    return Weights(raw, bias1 - np.einsum("tco,c->o", raw, mean), *rest)
