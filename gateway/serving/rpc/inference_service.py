"""The methods of GRPCInferenceService that describe and administer; inference itself is elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from gateway.configuration.serving_settings import ServingSettings
from gateway.errors import NotSupported, UnknownModel, UnknownRegion
from gateway.operations.build import VERSION
from gateway.operations.log import log as THE_LOG  # noqa: N812 - a default that callers may replace
from gateway.serving.access.caller import ADMIN, ANYBODY, INFER, READ, Caller
from gateway.serving.load_config import changed_parameters
from gateway.serving.model_config import model_config
from gateway.serving.model_view import Duration, Health, Models, ModelStatistics, Repository, TensorView
from gateway.serving.regions import Regions, RegionView
from gateway.serving.rest.setting_pages import LogLevel
from gateway.serving.rpc.calls import Method
from gateway.serving.rpc.protocol import INFERENCE, message

# What is done of the protocol's extensions, in the protocol's words.
EXTENSIONS: Final = (
    "binary_tensor_data",
    "classification",
    "logging",
    "model_configuration",
    "model_repository",
    "parameters",
    "schedule_policy",
    "sequence",
    "statistics",
)
SHARED_MEMORY: Final = "system_shared_memory"
_READY: Final = "READY"


@dataclass(frozen=True, slots=True)
class Behind:
    """What stands behind the door.

    Attributes:
        models: Models as everybody may use them.
        repository: Models as administrators load them.
        health: Whether the gateway answers.
        regions: Memory that programs of this machine share.
        log: What is logged.
    """

    models: Models
    repository: Repository
    health: Health
    regions: Regions
    log: LogLevel = THE_LOG


class InferenceService:
    """Answers; an instance for each door."""

    def __init__(
        self, settings: ServingSettings, behind: Behind, regions_for: Callable[[Caller], Regions]
    ) -> None:
        """Prepare.

        Args:
            settings: What the server calls itself, and whether memory is shared.
            behind: Who knows the answers.
            regions_for: Returns the memory that a caller shares.
        """
        self._name = settings.name
        self._extensions = (*EXTENSIONS, SHARED_MEMORY) if settings.shared_memory.system else EXTENSIONS
        self._behind = behind
        self._regions_for = regions_for

    def methods(self) -> tuple[Method, ...]:
        """Return every method of one request and one answer, but ModelInfer and the settings."""
        table: tuple[tuple[str, str, Callable[[Any, Caller], Any]], ...] = (
            ("ServerLive", ANYBODY, self._server_live),
            ("ServerReady", ANYBODY, self._server_ready),
            ("ModelReady", READ, self._model_ready),
            ("ServerMetadata", READ, self._server_metadata),
            ("ModelMetadata", READ, self._model_metadata),
            ("ModelConfig", READ, self._model_config),
            ("ModelStatistics", READ, self._model_statistics),
            ("RepositoryIndex", READ, self._index),
            ("RepositoryModelLoad", ADMIN, self._load),
            ("RepositoryModelUnload", ADMIN, self._unload),
            ("SystemSharedMemoryStatus", INFER, self._memory_status),
            ("SystemSharedMemoryRegister", INFER, self._memory_register),
            ("SystemSharedMemoryUnregister", INFER, self._memory_unregister),
            ("CudaSharedMemoryStatus", INFER, _cuda_status),
            ("CudaSharedMemoryRegister", INFER, _cuda_register),
            ("CudaSharedMemoryUnregister", INFER, _cuda_unregister),
        )
        return tuple(Method(INFERENCE, name, _needing(need), answer) for name, need, answer in table)

    def _server_live(self, _request: Any, _caller: Caller) -> Any:
        return _made("ServerLiveResponse", live=self._behind.health.is_live())

    def _server_ready(self, _request: Any, _caller: Caller) -> Any:
        return _made("ServerReadyResponse", ready=self._behind.health.is_ready())

    def _model_ready(self, request: Any, _caller: Caller) -> Any:
        try:
            ready = self._behind.models.is_ready(request.name, request.version)
        except UnknownModel:
            ready = False  # what is not there is not ready: clients poll for models that are to come
        return _made("ModelReadyResponse", ready=ready)

    def _server_metadata(self, _request: Any, _caller: Caller) -> Any:
        return _made("ServerMetadataResponse", name=self._name, version=VERSION, extensions=self._extensions)

    def _model_metadata(self, request: Any, _caller: Caller) -> Any:
        view = self._behind.models.view(request.name, request.version)
        made = _made(
            "ModelMetadataResponse",
            name=view.name,
            versions=view.versions,
            platform=view.platform,
            properties=view.properties,
        )
        _add_tensors(made.inputs, view.inputs)
        _add_tensors(made.outputs, view.outputs)
        return made

    def _model_config(self, request: Any, _caller: Caller) -> Any:
        from google.protobuf import json_format

        made = _made("ModelConfigResponse")
        document = model_config(self._behind.models.view(request.name, request.version))
        json_format.ParseDict(document, made.config)
        return made

    def _model_statistics(self, request: Any, _caller: Caller) -> Any:
        made = _made("ModelStatisticsResponse")
        for each in self._behind.models.statistics(request.name, request.version):
            _put_statistics(made.model_stats.add(), each)
        return made

    def _index(self, request: Any, _caller: Caller) -> Any:
        _refuse_repository(request)
        made = _made("RepositoryIndexResponse")
        for each in self._behind.models.index():
            if each.state == _READY or not request.ready:
                made.models.add(name=each.name, version=each.version, state=each.state, reason=each.reason)
        return made

    async def _load(self, request: Any, _caller: Caller) -> Any:
        _refuse_repository(request)
        parameters = {
            name: getattr(value, chosen)
            for name, value in request.parameters.items()
            if (chosen := value.WhichOneof("parameter_choice")) is not None
        }
        name, models = request.model_name, self._behind.models
        await self._behind.repository.load(name, changed_parameters(parameters, name, models))
        return _made("RepositoryModelLoadResponse")

    async def _unload(self, request: Any, _caller: Caller) -> Any:
        _refuse_repository(request)
        await self._behind.repository.unload(request.model_name)
        return _made("RepositoryModelUnloadResponse")

    def _memory_status(self, request: Any, caller: Caller) -> Any:
        made = _made("SystemSharedMemoryStatusResponse")
        for each in self._regions_for(caller).status(request.name):
            region = made.regions[each.name]
            region.name, region.key = each.name, each.key
            region.offset, region.byte_size = each.offset, each.byte_size
        return made

    def _memory_register(self, request: Any, caller: Caller) -> Any:
        region = RegionView(request.name, request.key, request.offset, request.byte_size)
        self._regions_for(caller).register(region)
        return _made("SystemSharedMemoryRegisterResponse")

    def _memory_unregister(self, request: Any, caller: Caller) -> Any:
        self._regions_for(caller).unregister(request.name)
        return _made("SystemSharedMemoryUnregisterResponse")


def _made(kind: str, /, **fields: Any) -> Any:
    return message(f"inference.{kind}")(**fields)


def _needing(need: str) -> Callable[[Any], str]:
    return lambda _request: need


def _refuse_repository(request: Any) -> None:
    if request.repository_name:
        raise NotSupported("there is one repository, without a name: leave repository_name empty")


def _add_tensors(to: Any, tensors: Iterable[TensorView]) -> None:
    for each in tensors:
        to.add(name=each.name, datatype=each.datatype, shape=each.shape)


def _put_statistics(to: Any, found: ModelStatistics) -> None:
    to.name, to.version = found.name, found.version
    to.last_inference = found.last_inference_ms
    to.inference_count, to.execution_count = found.inference_count, found.execution_count
    for name in ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output"):
        _put_duration(getattr(to.inference_stats, name), getattr(found, name))
    for name in ("cache_hit", "cache_miss"):  # nothing is cached here
        _put_duration(getattr(to.inference_stats, name), Duration())
    for batch in found.batches:
        runs = to.batch_stats.add(batch_size=batch.rows)
        _put_duration(runs.compute_input, batch.around)
        _put_duration(runs.compute_infer, batch.compute)
        _put_duration(runs.compute_output, batch.around)


def _put_duration(to: Any, found: Duration) -> None:
    to.count, to.ns = found.count, found.ns


def _cuda_status(request: Any, _caller: Caller) -> Any:
    if request.name:
        raise UnknownRegion(f"there is no region {request.name[:80]!a} of CUDA memory, nor any other")
    return _made("CudaSharedMemoryStatusResponse")


def _cuda_register(_request: Any, _caller: Caller) -> Any:
    raise NotSupported("CUDA memory cannot be shared with the gateway; use system shared memory")


def _cuda_unregister(_request: Any, _caller: Caller) -> Any:
    return _made("CudaSharedMemoryUnregisterResponse")
