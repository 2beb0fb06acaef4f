"""One output of a model as a post-processing step reads it: chosen once, checked on every run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.errors import RunFailed
from gateway.frames.steps import Site, nearest
from gateway.tensor import TEXT, Array, TensorSpec, dequantize


@dataclass(frozen=True, slots=True)
class Output:
    """An output that a step has chosen.

    Attributes:
        spec: The output as the runtime reports it.
    """

    spec: TensorSpec

    @property
    def sizes(self) -> tuple[int | None, ...]:
        """Sizes of one answer, the leading axis of 1 left out; None marks an axis of any size."""
        return self.spec.shape[1:]

    @property
    def elements(self) -> int | None:
        """Elements of one answer; None if an axis is of any size."""
        count = 1
        for size in self.sizes:
            if size is None:
                return None
            count *= size
        return count

    def codes(self, row: Mapping[str, Array]) -> Array:
        """Return the raw answer (the sizes of ``sizes``) of one row; a view on the runner's array.

        Raises:
            RunFailed: The output is missing or is not what the model file promised.
        """
        array = row.get(self.spec.name)
        if array is None:
            raise RunFailed(f"the model gave no output {self.spec.name}")
        shape = self.spec.shape
        fits = array.ndim == len(shape) and all(
            wanted is None or wanted == got for wanted, got in zip(shape[1:], array.shape[1:], strict=True)
        )
        if not fits or array.shape[0] != 1 or array.dtype != self.spec.dtype:
            raise RunFailed(f"output {self.spec} came as {array.dtype}{list(array.shape)}")
        answer: Array = array[0]
        return answer

    def real(self, codes: Array) -> NDArray[np.float32]:
        """Return real values of some of this output's codes, same shape.

        Raises:
            RunFailed: There are NaN or infinite values among them.
        """
        values = dequantize(codes, self.spec.quantization)
        if codes.dtype.kind == "f" and not np.isfinite(values).all():
            raise RunFailed(f"output {self.spec.name} holds NaN or infinite values")
        return values

    def code_of(self, value: float) -> float:
        """Return the real value as a code, not rounded: comparing codes with it compares real values."""
        quantization = self.spec.quantization
        return value if quantization is None else value / quantization.scale + quantization.zero_point


def only_output(site: Site, name: str) -> Output:
    """Return the output called ``name``, or the only one if the name is empty.

    Raises:
        PipelineMisfit: There is no such output, or a choice has to be made.
    """
    outputs = site.model.data_outputs()
    if name:
        return named_output(site, name)
    if len(outputs) != 1:
        names = ", ".join(spec.name for spec in outputs) or "none"
        raise site.misfit(f"needs the option output: the model has {len(outputs)} outputs ({names})")
    return _batched(site, outputs[0])


def named_output(site: Site, name: str) -> Output:
    """Return the output called ``name``.

    Raises:
        PipelineMisfit: There is none, or it has no leading axis of rows, or is text.
    """
    outputs = site.model.data_outputs()
    for spec in outputs:
        if spec.name == name:
            return _batched(site, spec)
    raise site.misfit(f"the model has no output {name[:60]!r}{nearest(name, tuple(s.name for s in outputs))}")


def single_number(site: Site, name: str) -> Output:
    """Return an output (as in ``only_output``) that holds one number a row.

    Raises:
        PipelineMisfit: It holds another number of them.
    """
    output = only_output(site, name)
    if output.elements != 1:
        raise site.misfit(f"needs an output of one number, but the model gives {output.spec}")
    return output


def _batched(site: Site, spec: TensorSpec) -> Output:
    if spec.dtype == TEXT:
        raise site.misfit(f"reads numbers, and {spec} is text; name another output")
    if not spec.shape or spec.shape[0] not in {1, None}:
        raise site.misfit(f"needs an output with a leading axis of 1, but the model gives {spec}")
    return Output(spec)


def sigmoid(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 1 / (1 + exp(-values)), without overflow at either end; same shape, float32."""
    falling = np.exp(-np.abs(values))
    result: NDArray[np.float32] = np.where(values >= 0, 1, falling) / (1 + falling)
    return result
