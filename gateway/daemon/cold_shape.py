"""What a model that is not loaded takes and gives, as its card says it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gateway.configuration.settings import Settings
from gateway.errors import GatewayError, NotReady
from gateway.inference.card import read_folder
from gateway.inference.model_shape import ModelShape
from gateway.model import CardTensor, ModelCard
from gateway.serving.inferring import ColdModel
from gateway.tensor import TENSOR_TYPES, TensorSpec

# Returns the folder from which a model is to serve.
FolderOf = Callable[[str], str]


class ColdShapes:
    """Reads cards of models that are loaded on demand."""

    def __init__(self, folder_of: FolderOf, settings: Callable[[], Settings]) -> None:
        """Prepare.

        Args:
            folder_of: Returns the folder from which a model is to serve.
            settings: Returns the settings as they are now.
        """
        self._folder_of = folder_of
        self._settings = settings

    def of(self, name: str) -> ColdModel:
        """Return what is known of a model: what it will say of itself once it is loaded.

        Raises:
            NotReady: The card cannot be read.
        """
        try:
            found = read_folder(self._folder_of(name))
        except GatewayError as error:
            raise NotReady(f"model {name} is not loaded, and {error.message}", model=name) from error
        max_rows = self._settings().models[name].max_batch_rows
        return ColdModel(found.card, shape_of(found.card, found.labels), max_rows)


def shape_of(card: ModelCard, labels: tuple[str, ...]) -> ModelShape:
    """Return what a card says of a model's tensors. A runtime may find that fewer axes are free."""
    inputs = _specs(tensor for tensor in card.inputs if tensor.name not in card.constants)
    outputs = _specs(card.outputs)
    carried = frozenset(state.input for state in card.state)
    free = all(spec.shape[:1] == (None,) for spec in (*inputs, *outputs))
    return ModelShape(inputs, outputs, carried, free and not carried and not card.constants, labels)


def _specs(tensors: Iterable[CardTensor]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(each.name, each.dtype, tuple(None if size < 0 else size for size in each.shape))
        for each in tensors
        if each.dtype in TENSOR_TYPES
    )
