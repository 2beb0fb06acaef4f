"""The pages of one model: what it takes and gives, whether it answers, its configuration, what it did."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.serving.model_config import model_config
from gateway.serving.model_view import Duration, Models, ModelStatistics, TensorView
from gateway.serving.rest.exchange import Ask, Reply, json_reply

Document = dict[str, object]


class ModelPages:
    """Handles what only looks at models."""

    def __init__(self, models: Models) -> None:
        self._models = models

    async def metadata(self, ask: Ask) -> Reply:
        """Say what a model takes and gives.

        Raises:
            GatewayError: As ``Models.view``.
        """
        view = self._models.view(ask.model, ask.version)
        return json_reply(
            {
                "name": view.name,
                "versions": list(view.versions),
                "platform": view.platform,
                "inputs": [_tensor(tensor) for tensor in view.inputs],
                "outputs": [_tensor(tensor) for tensor in view.outputs],
                "properties": dict(view.properties),
            }
        )

    async def ready(self, ask: Ask) -> Reply:
        """Say whether a model answers.

        Raises:
            UnknownModel: Nothing has this name or version.
        """
        is_ready = self._models.is_ready(ask.model, ask.version)
        return json_reply({"name": ask.model, "ready": is_ready}, 200 if is_ready else 503)

    async def config(self, ask: Ask) -> Reply:
        """Give a model's configuration.

        Raises:
            GatewayError: As ``Models.view``.
        """
        return json_reply(model_config(self._models.view(ask.model, ask.version)))

    async def statistics(self, ask: Ask) -> Reply:
        """Say what the versions of a model did, or one version.

        Raises:
            UnknownModel: Nothing has this name or version.
        """
        return json_reply(statistics_document(self._models.statistics(ask.model, ask.version)))

    async def all_statistics(self, _ask: Ask) -> Reply:
        """Say what every model did."""
        return json_reply(statistics_document(self._models.statistics()))


def statistics_document(found: Sequence[ModelStatistics]) -> Document:
    """Return statistics in the protocol's words."""
    return {"model_stats": [_statistics(each) for each in found]}


def _tensor(tensor: TensorView) -> Document:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}


def _statistics(each: ModelStatistics) -> Document:
    none = Duration()
    durations = {
        "success": each.success,
        "fail": each.fail,
        "queue": each.queue,
        "compute_input": each.compute_input,
        "compute_infer": each.compute_infer,
        "compute_output": each.compute_output,
        # Nothing is cached here.
        "cache_hit": none,
        "cache_miss": none,
    }
    return {
        "name": each.name,
        "version": each.version,
        "last_inference": each.last_inference_ms,
        "inference_count": each.inference_count,
        "execution_count": each.execution_count,
        "inference_stats": {name: _duration(value) for name, value in durations.items()},
        "batch_stats": [
            {
                "batch_size": batch.rows,
                "compute_input": _duration(batch.around),
                "compute_infer": _duration(batch.compute),
                "compute_output": _duration(batch.around),
            }
            for batch in each.batches
        ],
    }


def _duration(duration: Duration) -> Document:
    return {"count": duration.count, "ns": duration.ns}
