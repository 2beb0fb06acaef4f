"""The step for raw tensors: names, types and shapes checked, then straight to the model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from gateway.configuration.option import option
from gateway.errors import NotFinite, TooLarge, WrongDtype, WrongShape
from gateway.frames.specs import TensorsSpec, ValueSpec
from gateway.frames.steps import Fitted, Site
from gateway.frames.values import Tensors
from gateway.tensor import Array, TensorSpec, quantize


@dataclass(frozen=True, slots=True)
class TensorInput:
    """Tensors as the sensor sends them; several rows may come at once on axis 0."""

    takes: ClassVar[tuple[type[ValueSpec], ...]] = (TensorsSpec,)

    convert: bool = option(
        "Cast floats to floats, and quantise them where the model wants codes; if false, types are equal.",
        True,
    )
    most: int = option("Rows that one payload may hold.", 64, minimum=1, maximum=4096)

    def bind(self, spec: TensorsSpec, site: Site) -> Fitted:
        """Bind to all data inputs of the model."""
        inputs = site.model.data_inputs()
        if not inputs:
            raise site.misfit("the model has no input that a payload could feed")
        for target in inputs:
            if not target.shape or target.shape[0] not in {1, None}:
                raise site.misfit(f"needs inputs with a leading axis of 1, but the model takes {target}")
        return Fitted(replace(spec, fitted=True), lambda tensors, _journey: self._rows(tensors, inputs))

    def _rows(self, tensors: Tensors, inputs: tuple[TensorSpec, ...]) -> list[dict[str, Array]]:
        arrays = dict(tensors.arrays)
        if len(inputs) == 1 and len(arrays) == 1 and "" in arrays:
            arrays = {inputs[0].name: arrays[""]}
        if arrays.keys() != {target.name for target in inputs}:
            got = ", ".join(repr(name[:40]) for name in list(arrays)[:8]) or "none"
            raise WrongShape(
                f"the model takes the tensors {', '.join(t.name for t in inputs)}; the payload holds {got}"
            )
        fed = {target.name: self._fed(arrays[target.name], target) for target in inputs}
        counts = {len(array) for array in fed.values()}
        if len(counts) != 1:
            raise WrongShape(f"the tensors hold different numbers of rows: {sorted(counts)}")
        (count,) = counts
        if count > self.most:
            raise TooLarge(f"the payload holds {count} rows, at most {self.most} are taken")
        return [{name: array[index : index + 1] for name, array in fed.items()} for index in range(count)]

    def _fed(self, array: Array, target: TensorSpec) -> Array:
        if _fits(array.shape, target.shape[1:]):
            array = array[np.newaxis]
        elif not _fits(array.shape[1:], target.shape[1:]) or not array.ndim:
            raise WrongShape(f"the model takes {target}, the payload holds {array.dtype}{list(array.shape)}")
        if not array.size:
            raise WrongShape(f"the tensor for {target.name} is empty")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise NotFinite(f"the tensor for {target.name} holds NaN or infinite values")
        if array.dtype != target.dtype:
            array = self._converted(array, target)
        return np.ascontiguousarray(array)

    def _converted(self, array: Array, target: TensorSpec) -> Array:
        wanted = np.dtype(target.dtype)
        if self.convert and array.dtype.kind == "f":
            if wanted.kind == "f":
                with np.errstate(over="ignore"):
                    cast = array.astype(wanted)
                if not np.isfinite(cast).all():
                    raise NotFinite(f"the tensor for {target.name} holds values beyond {wanted}")
                return cast
            if target.quantization is not None:
                return quantize(array.astype(np.float64), target.quantization, wanted)
        raise WrongDtype(f"the model takes {target}, the payload holds {array.dtype}")


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        want is None or size == want for size, want in zip(shape, wanted, strict=True)
    )
