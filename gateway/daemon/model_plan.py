"""What a configuration says of each model, and what must change to get from one to another. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway.configuration.settings import InferenceSettings, Settings
from gateway.frames.limits import PayloadLimits
from gateway.inference.batching import BatchLimits
from gateway.inference.candidates import AUTO
from gateway.inference.engines.engine import EngineOptions
from gateway.inference.limits import PoolLimits, SchedulerLimits
from gateway.inference.loaded import LoadSpec, PipelineSpec
from gateway.operations.restart import RestartLimits


class ChangeKind(enum.Enum):
    """What a new configuration means for one model."""

    KEEP = "keep"
    RESIZE = "resize"
    REPIPE = "repipe"
    REPLACE = "replace"
    REMOVE = "remove"
    REST = "rest"


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """All that a configuration says of how one model is to serve.

    Attributes:
        spec: What its workers load.
        limits: Bounds of its queue, batches and workers.
        lanes: How many workers.
        files: Digest of what lies in its folder, so that files changed in place are noticed.
    """

    spec: LoadSpec
    limits: SchedulerLimits
    lanes: int
    files: str = ""


def changes(serving: Mapping[str, ModelPlan], wanted: Mapping[str, ModelPlan]) -> dict[str, ChangeKind]:
    """Return what must happen to each model, old or new; each costs no more than it must."""
    found: dict[str, ChangeKind] = {}
    for name, plan in wanted.items():
        now = serving.get(name)
        if now is None or _without_pipelines(now) != _without_pipelines(plan):
            found[name] = ChangeKind.REPLACE
        elif now.spec.pipelines != plan.spec.pipelines:
            found[name] = ChangeKind.REPIPE
        elif now.lanes != plan.lanes:
            found[name] = ChangeKind.RESIZE
        else:
            found[name] = ChangeKind.KEEP
    found.update(dict.fromkeys(serving.keys() - wanted.keys(), ChangeKind.REMOVE))
    return found


def _without_pipelines(plan: ModelPlan) -> tuple[LoadSpec, SchedulerLimits, str]:
    return replace(plan.spec, pipelines=()), plan.limits, plan.files


def model_plan(name: str, settings: Settings) -> ModelPlan:
    """Return all that ``settings`` say of model ``name``; its files are not looked at."""
    model, inference = settings.models[name], settings.inference
    limits = SchedulerLimits(
        BatchLimits(model.max_batch_rows, model.max_queued_rows),
        PoolLimits(model.run_timeout_s, model.load_timeout_s, _restart(inference), inference.niceness),
        inference.quarantined_payloads,
    )
    return ModelPlan(load_spec(name, settings), limits, model.lanes)


def load_spec(name: str, settings: Settings) -> LoadSpec:
    """Return what a worker of model ``name`` must load."""
    model = settings.models[name]
    limits = settings.inference
    pipelines = tuple(
        PipelineSpec(pipeline_name, pipeline.preprocess, pipeline.postprocess)
        for pipeline_name, pipeline in sorted(settings.pipelines.items())
        if pipeline.model == name
    )
    return LoadSpec(
        name=name,
        folder=model.path,
        engine=model.engine,
        options=EngineOptions(
            model.threads,
            model.providers,
            model.delegates,
            precision="" if model.precision == AUTO else model.precision,
            gpu_memory_bytes=model.gpu_memory_bytes,
            gpu_workspace_bytes=model.gpu_workspace_bytes,
        ),
        pipelines=pipelines,
        limits=PayloadLimits(limits.max_payload_bytes, limits.max_pixels, limits.max_elements),
    )


def _restart(limits: InferenceSettings) -> RestartLimits:
    return RestartLimits(
        limits.restart_min_s, limits.restart_max_s, limits.crash_limit, limits.crash_window_s
    )
