"""What flows between two steps of a pipeline, and what the model at its end takes and gives.

Specs are known when a pipeline is compiled, values when a payload comes. An
affine map (real value = scale * code + offset) is carried in the spec instead
of being computed: it is fused with the model's own quantisation at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.model import ModelCard
from gateway.tensor import TensorSpec


@dataclass(frozen=True, slots=True)
class Affine:
    """A pending map from stored codes to real values, for all channels or for each.

    Attributes:
        scale: One factor, or one a channel.
        offset: One summand, or one a channel; as many as ``scale``.
    """

    scale: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)

    @property
    def channels(self) -> int:
        """Number of channels it tells apart; 1 if it treats all alike."""
        return len(self.scale)

    def then(self, scale: Sequence[float], offset: Sequence[float]) -> Affine:
        """Return this map followed by ``scale * real + offset``; a single number stands for all channels."""
        width = max(len(self.scale), len(self.offset), len(scale), len(offset))
        old_scale, old_offset = _spread(self.scale, width), _spread(self.offset, width)
        new_scale, new_offset = _spread(scale, width), _spread(offset, width)
        return Affine(
            tuple(s * a for s, a in zip(new_scale, old_scale, strict=True)),
            tuple(s * b + o for s, b, o in zip(new_scale, old_offset, new_offset, strict=True)),
        ).simplified()

    def picked(self, channels: Sequence[int]) -> Affine:
        """Return the map for a choice of channels, in that order."""
        if self.channels == 1:
            return self
        return Affine(tuple(self.scale[c] for c in channels), tuple(self.offset[c] for c in channels))

    def simplified(self) -> Affine:
        """Return one number for all channels where every channel has the same."""
        if len(set(self.scale)) == 1 and len(set(self.offset)) == 1:
            return Affine(self.scale[:1], self.offset[:1])
        return self

    def vectors(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return scale and offset as arrays (channels,) or (1,)."""
        return np.array(self.scale, np.float64), np.array(self.offset, np.float64)


def _spread(numbers: Sequence[float], width: int) -> tuple[float, ...]:
    if len(numbers) == width:
        return tuple(numbers)
    if len(numbers) != 1:
        raise ValueError(f"{len(numbers)} numbers for {width} channels")
    return tuple(numbers) * width


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """Pictures of uint8 codes; None where a size differs from payload to payload.

    Attributes:
        width: Pixels.
        height: Pixels.
        order: Channels as the model is to see them: ``rgb``, ``bgr`` or ``grey``.
        affine: Pending map of the codes.
    """

    width: int | None = None
    height: int | None = None
    order: str = "rgb"
    affine: Affine = Affine()

    @property
    def channels(self) -> int:
        """Number of channels."""
        return 1 if self.order == "grey" else 3

    def __str__(self) -> str:
        return f"image {_size(self.width)}x{_size(self.height)} {self.order}"


@dataclass(frozen=True, slots=True)
class AudioSpec:
    """Mono sound.

    Attributes:
        rate_hz: Samples a second; None until a step fixes it.
        samples: Samples a window, context included; None before windowing.
        hop: Samples from one window to the next; 0 before windowing.
        affine: Pending map of the samples.
    """

    rate_hz: float | None = None
    samples: int | None = None
    hop: int = 0
    affine: Affine = Affine()

    def __str__(self) -> str:
        return "audio" if self.samples is None else f"windows of {self.samples} samples"


@dataclass(frozen=True, slots=True)
class NumbersSpec:
    """Readings over time.

    Attributes:
        length: Readings a window; None before windowing.
        channels: Channels; None if not fixed yet.
        affine: Pending map of the readings.
    """

    length: int | None = None
    channels: int | None = None
    affine: Affine = Affine()

    def __str__(self) -> str:
        kind = "readings" if self.length is None else f"windows of {self.length} readings"
        return f"{kind} x {_size(self.channels)} channels"


@dataclass(frozen=True, slots=True)
class TensorsSpec:
    """Tensors as sent.

    Attributes:
        fitted: True once they are known to be the model's inputs.
    """

    fitted: bool = False

    def __str__(self) -> str:
        return "tensors"


ValueSpec = ImageSpec | AudioSpec | NumbersSpec | TensorsSpec

KIND_NAMES: dict[type[ValueSpec], str] = {
    ImageSpec: "images",
    AudioSpec: "sound",
    NumbersSpec: "numbers",
    TensorsSpec: "tensors",
}


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a pipeline needs to know of the model that it is bound to.

    Attributes:
        card: The model's card.
        labels: Labels by class index; empty if there are none.
        inputs: Input specs as the runtime reports them.
        outputs: Output specs as the runtime reports them.
    """

    card: ModelCard
    labels: tuple[str, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def data_inputs(self) -> tuple[TensorSpec, ...]:
        """Return the inputs that payloads feed, not recurrent nor constant; sizes filled from the card."""
        fed = {state.input for state in self.card.state} | set(self.card.constants)
        return tuple(self._filled(spec) for spec in self.inputs if spec.name not in fed)

    def data_outputs(self) -> tuple[TensorSpec, ...]:
        """Return the outputs that hold an answer: those that are not recurrent."""
        carried = {state.output for state in self.card.state}
        return tuple(spec for spec in self.outputs if spec.name not in carried)

    def axes_of(self, name: str) -> str:
        """Return the axes that the card states for an input, such as ``NCHW``; empty if it states none."""
        return next((tensor.axes for tensor in self.card.inputs if tensor.name == name), "")

    def _filled(self, spec: TensorSpec) -> TensorSpec:
        stated = next((tensor.shape for tensor in self.card.inputs if tensor.name == spec.name), ())
        if len(stated) != len(spec.shape):
            return spec
        sizes = tuple(
            size if size is not None or card < 0 else card
            for size, card in zip(spec.shape, stated, strict=True)
        )
        return TensorSpec(spec.name, spec.dtype, sizes, spec.quantization)


def _size(size: int | None) -> str:
    return "?" if size is None else str(size)
