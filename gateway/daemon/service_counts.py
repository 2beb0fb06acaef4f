"""What one version of a model did since it began to serve, in the protocol's terms. Pure."""

from __future__ import annotations

from typing import Final

from gateway.inference.request import Outcome, RequestState
from gateway.serving.model_view import BatchStatistics, Duration, ModelStatistics

_NS_OF_MS: Final = 1e6
_INPUT_STAGES: Final = ("decode", "preprocess")


class _Sum:
    """Adds up how often something took place, and how long it took."""

    __slots__ = ("count", "ns")

    def __init__(self) -> None:
        self.count = 0
        self.ns = 0.0

    def add(self, ms: float) -> None:
        self.count += 1
        self.ns += ms * _NS_OF_MS

    def duration(self) -> Duration:
        return Duration(self.count, int(self.ns))


class ServiceCounts:
    """Counts one version's requests and runs."""

    def __init__(self) -> None:
        self._success, self._fail, self._queue = _Sum(), _Sum(), _Sum()
        self._input, self._infer, self._output = _Sum(), _Sum(), _Sum()
        self._batches: dict[int, _Sum] = {}
        self._rows = 0
        self._last_ms = 0

    def ended(self, outcome: Outcome, rows: int, age_ms: float, unix_ms: int) -> None:
        """Count a request.

        Args:
            outcome: How it ended; one that was withdrawn counts as neither.
            rows: Rows that it brought.
            age_ms: Milliseconds since it arrived.
            unix_ms: Now, milliseconds since 1970.
        """
        self._last_ms = unix_ms
        timings = outcome.timings
        if outcome.state is RequestState.DONE and timings is not None:
            stages_ms = timings.stages_ms
            self._rows += rows
            self._success.add(timings.total_ms)
            self._queue.add(timings.queue_ms + stages_ms.get("wait", 0.0))
            self._input.add(sum(stages_ms.get(stage, 0.0) for stage in _INPUT_STAGES))
            self._infer.add(stages_ms.get("infer", 0.0))
            self._output.add(stages_ms.get("postprocess", 0.0))
        elif outcome.state in (RequestState.FAILED, RequestState.EXPIRED):
            self._fail.add(age_ms)

    def ran(self, rows: int, took_s: float) -> None:
        """Count a run of the model."""
        self._batches.setdefault(rows, _Sum()).add(took_s * 1e3)

    def statistics(self, name: str, version: str) -> ModelStatistics:
        """Return the counts so far."""
        return ModelStatistics(
            name=name,
            version=version,
            last_inference_ms=self._last_ms,
            inference_count=self._rows,
            execution_count=sum(each.count for each in self._batches.values()),
            success=self._success.duration(),
            fail=self._fail.duration(),
            queue=self._queue.duration(),
            compute_input=self._input.duration(),
            compute_infer=self._infer.duration(),
            compute_output=self._output.duration(),
            batches=tuple(
                BatchStatistics(rows, each.duration()) for rows, each in sorted(self._batches.items())
            ),
        )
