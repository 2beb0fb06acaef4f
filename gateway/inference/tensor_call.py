"""Requests that bring tensors as they are, without a pipeline: how they lie in the payload. Pure.

Such a request names ``TENSORS`` as its pipeline. Its payload is its inputs' elements,
row by row and little-endian, and what is declared of it is a ``TensorLayout``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.frames.prepared import Prepared
from gateway.inference.texts import texts_in
from gateway.tensor import TEXT, Array

# No pipeline can have this name.
TENSORS: Final = "@tensors"


@dataclass(frozen=True, slots=True)
class PlacedTensor:
    """One input inside a payload.

    Attributes:
        name: The runtime's own name of it.
        dtype: NumPy's name of its type, or ``TEXT``.
        shape: Sizes.
        offset: Where in the payload it begins, in bytes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class TensorLayout:
    """How a payload is read.

    Attributes:
        tensors: The inputs.
        outputs: Names of the outputs that are wanted, in this order; empty for all.
        rows: Rows along axis 0 that the model takes one by one; 0 where shapes are taken as they are.
    """

    tensors: tuple[PlacedTensor, ...]
    outputs: tuple[str, ...] = ()
    rows: int = 0

    def to_json(self) -> str:
        """Return JSON that ``from_json`` reads."""
        tensors = [[each.name, each.dtype, each.shape, each.offset] for each in self.tensors]
        return json.dumps([tensors, self.outputs, self.rows], separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> TensorLayout:
        """Rebuild what ``to_json`` made (trusted input)."""
        tensors, outputs, rows = json.loads(text)
        placed = (PlacedTensor(name, dtype, tuple(shape), offset) for name, dtype, shape, offset in tensors)
        return cls(tuple(placed), tuple(outputs), rows)

    def prepare(self, payload: memoryview) -> Prepared:
        """Return the rows of a payload, as views on it; texts are copied.

        Raises:
            Malformed: A text is no UTF-8.
            ValueError: The payload is shorter than the layout says.
        """
        whole = {each.name: _view(payload, each) for each in self.tensors}
        if self.rows < 2:
            return Prepared([whole])
        return Prepared(
            [{name: array[row : row + 1] for name, array in whole.items()} for row in range(self.rows)]
        )

    def gather(self, outputs: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
        """Return the wanted outputs of all rows, each as one array that lies row by row.

        Raises:
            KeyError: The model gives no such output.
        """
        first = outputs[0]
        names = self.outputs or tuple(first)
        if len(outputs) == 1:
            # Not ascontiguousarray: that gives a number without axes one.
            return {name: np.asarray(first[name], order="C") for name in names}
        return {name: np.concatenate([each[name] for each in outputs]) for name in names}


def _view(payload: memoryview, tensor: PlacedTensor) -> Array:
    if tensor.dtype == TEXT:
        return texts_in(payload[tensor.offset :], tensor.shape, f"input {tensor.name}")
    count = 1
    for size in tensor.shape:
        count *= size
    if not count:
        return np.empty(tensor.shape, tensor.dtype)
    return np.frombuffer(payload, tensor.dtype, count, tensor.offset).reshape(tensor.shape)
