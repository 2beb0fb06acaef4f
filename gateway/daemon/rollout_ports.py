"""What the rollout of one model needs of the house around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.configuration.settings import Settings
from gateway.daemon.catalog import Catalog
from gateway.inference.dataplane import DataPlane
from gateway.operations.metrics import Metrics
from gateway.updates.release import Release
from gateway.updates.store.store import Store


def _never(_model: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class RolloutPorts:
    """The house as a rollout sees it.

    Attributes:
        store: Where releases and records lie.
        catalog: What serves.
        dataplane: Where live requests pass.
        metrics: Counts.
        settings: Returns what is configured now.
        tell: Publishes a transition.
        changed: Asks for a new report.
        consider: Asks whether anything waits for this, such as a switch for its mates.
        connected: Whether the broker is there to be told.
        spare: Releases on their way that no record names yet.
        may_commit: Whether no mate of a model's set is still in its bake.
        is_unloaded: Whether an order says that a model is not to serve.
    """

    store: Store
    catalog: Catalog
    dataplane: DataPlane
    metrics: Metrics
    settings: Callable[[], Settings]
    tell: Callable[[dict[str, object]], None]
    changed: Callable[[], None]
    consider: Callable[[], None]
    connected: Callable[[], bool]
    spare: Callable[[], list[Release]]
    may_commit: Callable[[str], bool]
    is_unloaded: Callable[[str], bool] = _never
