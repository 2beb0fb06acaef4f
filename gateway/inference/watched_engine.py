"""An engine that tells at once when its GPU is lost: one thread's sticky error is every thread's end."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway.errors import EngineFailed
from gateway.inference.engines.engine import BatchAxis, Engine, EngineFacts
from gateway.inference.engines.sticky import is_sticky
from gateway.tensor import Array, TensorSpec


class WatchedEngine:
    """One lane's view of an ``Engine`` that several may share; closing it is nobody's business here."""

    def __init__(self, engine: Engine, fell: Callable[[EngineFailed], None]) -> None:
        """Watch ``engine``.

        Args:
            engine: What runs.
            fell: Called with a sticky error, in the thread that met it; need not return.
        """
        self._engine = engine
        self._fell = fell

    @property
    def facts(self) -> EngineFacts:
        """What really runs."""
        return self._engine.facts

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Input specs."""
        return self._engine.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Output specs."""
        return self._engine.outputs

    @property
    def batch_axis(self) -> BatchAxis:
        """What is known of axis 0."""
        return self._engine.batch_axis

    @property
    def maps_file(self) -> bool:
        """Whether the runtime reads the model file after loading."""
        return self._engine.maps_file

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run once.

        Raises:
            RunFailed: The runtime refused or failed.
            OutOfMemory: The runtime could not allocate.
        """
        try:
            return self._engine.run(inputs)
        except EngineFailed as error:
            if is_sticky(error.message):
                self._fell(error)
            raise

    def close(self) -> None:
        """Leave the engine to those who still run it."""
