"""ModelRuntime: lets a ModelMesh drive this gateway as one of its runtimes.

The mesh loads and unloads models that are known here by name; paths that it sends along are
passed over. Unlike what it expects of a container that is its alone, models that serve are not
unloaded when it starts: cameras may depend on them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final, Protocol

from gateway.errors import LoadFailed, UnknownModel
from gateway.operations.build import VERSION
from gateway.serving.access.caller import ADMIN, READ, Caller
from gateway.serving.model_view import Health, Models, Repository
from gateway.serving.rpc.calls import Method
from gateway.serving.rpc.protocol import INFERENCE, RUNTIME, message

_LOADS_AT_A_TIME: Final = 1
_LOADING_TIMEOUT_MS: Final = 300_000
# The name of the model is the first field of all of them.
_METHODS_OF_MODELS: Final = ("ModelInfer", "ModelMetadata", "ModelReady", "ModelConfig", "ModelStatistics")
_NAME_FIELD: Final = (1,)


class Memory(Protocol):
    """How much memory models take."""

    def capacity_bytes(self) -> int:
        """Return what models may take together."""
        ...

    def model_bytes(self, name: str) -> int:
        """Return what a model takes, or would as far as can be told without loading it.

        Raises:
            UnknownModel: Nothing has this name.
        """
        ...


class MeshService:
    """Answers the mesh."""

    def __init__(self, models: Models, repository: Repository, health: Health, memory: Memory) -> None:
        """Prepare.

        Args:
            models: Models as everybody may use them.
            repository: Models as administrators load them.
            health: Whether the gateway works.
            memory: What models take.
        """
        self._models = models
        self._repository = repository
        self._health = health
        self._memory = memory

    def methods(self) -> tuple[Method, ...]:
        """Return every method."""
        return (
            Method(RUNTIME, "loadModel", lambda _request: ADMIN, self._load),
            Method(RUNTIME, "unloadModel", lambda _request: ADMIN, self._unload),
            Method(RUNTIME, "predictModelSize", lambda _request: READ, self._predict),
            Method(RUNTIME, "modelSize", lambda _request: READ, self._size),
            Method(RUNTIME, "runtimeStatus", lambda _request: READ, self._status),
        )

    async def _load(self, request: Any, _caller: Caller) -> Any:
        name = request.modelId
        try:
            await self._repository.load(name, {})
            size = self._memory.model_bytes(name)
        except UnknownModel as error:
            # So a mesh knows that nothing was begun and no memory is taken.
            raise LoadFailed(f"no model {name[:80]!a} is known here: add it under models:") from error
        return message("mmesh.LoadModelResponse")(sizeInBytes=size)

    async def _unload(self, request: Any, _caller: Caller) -> Any:
        made = message("mmesh.UnloadModelResponse")()
        try:
            await self._repository.unload(request.modelId)
        except UnknownModel:
            return made  # it is not here, which is all that was wanted
        return made

    def _predict(self, request: Any, _caller: Caller) -> Any:
        size = self._memory.model_bytes(request.modelId)
        return message("mmesh.PredictModelSizeResponse")(sizeInBytes=size)

    def _size(self, request: Any, _caller: Caller) -> Any:
        self._models.view(request.modelId)  # only of what serves
        size = self._memory.model_bytes(request.modelId)
        return message("mmesh.ModelSizeResponse")(sizeInBytes=size)

    def _status(self, _request: Any, _caller: Caller) -> Any:
        kind = message("mmesh.RuntimeStatusResponse")
        made = kind(
            status=kind.READY if self._health.is_live() else kind.STARTING,
            capacityInBytes=self._memory.capacity_bytes(),
            maxLoadingConcurrency=_LOADS_AT_A_TIME,
            modelLoadingTimeoutMs=_LOADING_TIMEOUT_MS,
            defaultModelSizeInBytes=max(self._sizes(), default=0),
            runtimeVersion=VERSION,
        )
        for name in _METHODS_OF_MODELS:
            made.methodInfos[f"{INFERENCE}/{name}"].idInjectionPath.extend(_NAME_FIELD)
        return made

    def _sizes(self) -> Iterator[int]:
        for each in self._models.index():
            with contextlib.suppress(UnknownModel):  # an alias: it takes no memory of its own
                yield self._memory.model_bytes(each.name)
