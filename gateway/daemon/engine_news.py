"""What models run on, as log events: builds, failures, choices."""

from __future__ import annotations

from typing import Final

from gateway.inference.choosing import Choice
from gateway.operations.log import log

_LONG_LOAD_S: Final = 5.0
_OWNER: Final = "GPU owner"


class EngineNews:
    """Says in the log how the choice of a backend goes."""

    def __init__(self) -> None:
        self.building: set[str] = set()
        """Models for which an engine was built in this life of the process: their start takes longer."""

    def engine_building(self, model: str, engine: str, progress: str) -> None:
        """Log how far the build of an engine is."""
        self.building.add(model)
        log.event("engine_building", model=model, engine=engine, progress=progress)

    def lane_loads(self, model: str, what: str, seconds: float) -> None:
        """Log how far a load in the GPU owner is, once it takes long enough to be an engine's build."""
        if seconds >= _LONG_LOAD_S:
            self.engine_building(model, _OWNER, f"{what}, {seconds:.0f} s")

    def engine_failed(self, model: str, engine: str, reason: str) -> None:
        """Log that a candidate did not hold."""
        log.event("engine_failed", model=model, engine=engine, reason=reason)

    def engine_chosen(self, model: str, choice: Choice) -> None:
        """Log what a model runs on."""
        engine, file = choice.proof.version.engine, choice.spec.file
        log.event("engine_chosen", model=model, engine=engine, file=file, why=choice.why())


def choice_words(choice: Choice | None) -> dict[str, object] | None:
    """Return as plain values what a model was found to run on and why; None if it was not found out yet."""
    if choice is None:
        return None
    return {
        "file": choice.spec.file,
        "backend": choice.proof.facts.backend,
        "precision": choice.candidate.precision.value,
        "why": choice.candidate.why,
        "failed": [str(each) for each in choice.failed],
        "passed_over": [str(each) for each in choice.passed_over],
    }
