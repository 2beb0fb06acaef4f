"""What versions did, for doors that tell statistics; what models take, for a mesh that places them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from gateway.daemon.alias_table import Alias
from gateway.daemon.beside import Beside
from gateway.daemon.lane_costs import LaneCost
from gateway.daemon.model_version import Version
from gateway.errors import UnknownModel
from gateway.inference.choosing import Choice
from gateway.operations.memory import read_memory
from gateway.serving.model_view import BatchStatistics, Duration, ModelStatistics


class ModelCounts:
    """Reads the counts of what serves now."""

    def __init__(self, serving: Mapping[str, Version], beside: Beside, aliases: Mapping[str, Alias]) -> None:
        """Stand over what serves.

        Args:
            serving: What names lead to, by model; a live view.
            beside: Further versions.
            aliases: Names that lead to models; a live view.
        """
        self._serving = serving
        self._beside = beside
        self._aliases = aliases

    def of(self, name: str, version: str) -> Sequence[ModelStatistics]:
        """Return what versions did: one version's, one name's, or everything's.

        A version that was asked for goes by that name, the others by the number of their release: Triton's
        tools know versions by whole numbers alone. Under an alias stands all that its models did, whatever
        name they were asked by; those whose versions go by one number are summed up.
        """
        found: dict[tuple[str, str], ModelStatistics] = {}
        for known_as, number, each in self._named(name):
            if version in ("", number, each.card_version):
                did = each.watch.counts.statistics(known_as, version or number)
                before = found.get((known_as, did.version))
                found[known_as, did.version] = did if before is None else _together(before, did)
        return [*found.values()]

    def _named(self, name: str) -> Iterator[tuple[str, str, Version]]:
        alias = self._aliases.get(name)
        if alias is None:
            yield from (found for found in self._all() if name in ("", found[0]))
            return
        for target in alias.active:
            version = self._beside.find(target.model, target.version)
            if version is not None:
                yield name, self._beside.number_of(version), version

    def _all(self) -> Iterator[tuple[str, str, Version]]:
        for model, version in sorted(self._serving.items()):
            yield model, self._beside.number_of(version), version
        for (model, number), version in sorted(self._beside.versions.items()):
            yield model, number, version


class ModelMemory:
    """How much memory models take, as far as it was measured: where they serve, else by their proofs."""

    def __init__(
        self,
        serving: Mapping[str, Version],
        cost_of: Callable[[str], LaneCost],
        known: Callable[[], Sequence[str]],
        choices: Mapping[str, Choice],
    ) -> None:
        """Stand over what serves.

        Args:
            serving: What names lead to, by model; a live view.
            cost_of: What a lane of a model was measured to take.
            known: Returns the names of all models.
            choices: What was proven last, by model; a live view.
        """
        self._choices = choices
        self._serving = serving
        self._cost_of = cost_of
        self._known = known

    def capacity_bytes(self) -> int:
        """Return what models may take together: the memory of the board, or of our control group."""
        memory = read_memory()
        return memory.total_bytes if memory is not None else 0

    def model_bytes(self, name: str) -> int:
        """Return what a model takes now; 0 where nothing was measured.

        Raises:
            UnknownModel: Nothing has this name.
        """
        if name not in self._known():
            raise UnknownModel(f"no model is named {name!r}", model=name)
        version, choice = self._serving.get(name), self._choices.get(name)
        lanes = version.scheduler.pool.wanted if version is not None else 1
        # Whoever has just loaded it asks at once, and lanes are measured when they have served a while.
        proven = max(0, choice.proof.memory_bytes) if choice is not None else 0
        return self._cost_of(name).of_lanes(lanes) or proven * lanes


def _together(one: ModelStatistics, other: ModelStatistics) -> ModelStatistics:
    """Return what two versions did, which go by one name."""
    runs = {each.rows: each.compute for each in one.batches}
    for each in other.batches:
        runs[each.rows] = _sum(runs.get(each.rows, Duration()), each.compute)
    return replace(
        one,
        last_inference_ms=max(one.last_inference_ms, other.last_inference_ms),
        inference_count=one.inference_count + other.inference_count,
        execution_count=one.execution_count + other.execution_count,
        success=_sum(one.success, other.success),
        fail=_sum(one.fail, other.fail),
        queue=_sum(one.queue, other.queue),
        compute_input=_sum(one.compute_input, other.compute_input),
        compute_infer=_sum(one.compute_infer, other.compute_infer),
        compute_output=_sum(one.compute_output, other.compute_output),
        batches=tuple(BatchStatistics(rows, compute) for rows, compute in sorted(runs.items())),
    )


def _sum(one: Duration, other: Duration) -> Duration:
    return Duration(one.count + other.count, one.ns + other.ns)
