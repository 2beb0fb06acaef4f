"""What a loaded model takes and gives, as its worker tells the front end. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.tensor import TensorSpec


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The tensors of one loaded model.

    Attributes:
        inputs: What a request may bring, in the runtime's order; what the card holds constant is left out.
        outputs: What the model gives, in the runtime's order.
        carried: Inputs that the gateway feeds with what the model gave before, where a request brings none.
        stacks: Whether axis 0 of every tensor is rows, of any number.
        labels: Names of classes; empty where the card has none.
    """

    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    carried: frozenset[str] = frozenset()
    stacks: bool = False
    labels: tuple[str, ...] = ()

    def to_plain(self) -> dict[str, Any]:
        """Return JSON values that ``from_plain`` reads."""
        return {
            "inputs": _plain(self.inputs),
            "outputs": _plain(self.outputs),
            "carried": sorted(self.carried),
            "stacks": self.stacks,
            "labels": self.labels,
        }

    @classmethod
    def from_plain(cls, known: Mapping[str, Any]) -> ModelShape:
        """Rebuild what ``to_plain`` made (trusted input).

        Raises:
            KeyError, TypeError, ValueError: It is something else.
        """
        return cls(
            _specs(known["inputs"]),
            _specs(known["outputs"]),
            frozenset(known["carried"]),
            bool(known["stacks"]),
            tuple(known["labels"]),
        )


def _plain(specs: Iterable[TensorSpec]) -> list[list[Any]]:
    return [[spec.name, spec.dtype, spec.shape] for spec in specs]


def _specs(plain: Sequence[Sequence[Any]]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name, dtype, tuple(shape)) for name, dtype, shape in plain)
