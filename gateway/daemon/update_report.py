"""Makes the report of what this board runs: what is mapped and answers, by digest, not what was wished."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.daemon.catalog import Catalog
from gateway.daemon.update_board import UpdateBoard
from gateway.inference.proof import STAGES
from gateway.operations.health import Health
from gateway.updates.release import ReleaseRef
from gateway.updates.reported import (
    FACTORY,
    Active,
    Candidate,
    Disk,
    LastError,
    Reported,
    ReportedModel,
)
from gateway.updates.state import ModelRecord


@dataclass(frozen=True, slots=True)
class Standing:
    """What the supervisor knows of one model beyond its record.

    Attributes:
        record: The record.
        serving: The release that answers, which is not always the one that the record calls active; None
            for the factory model.
        percent: How much of the candidate is here.
        failed_release: Which release it befell.
        quarantined: Releases that failed here.
    """

    record: ModelRecord
    serving: ReleaseRef | None = None
    percent: float = 0.0
    failed_release: int = 0
    quarantined: tuple[int, ...] = ()


def release_in(folder: str, record: ModelRecord, folder_of: Callable[[int], Path]) -> ReleaseRef | None:
    """Return the release that lies in a folder; None for the factory model.

    Args:
        folder: Of what serves.
        record: The model's record.
        folder_of: Returns where a release of the model lies.
    """
    known = (record.active, record.previous, record.candidate)
    return next((ref for ref in known if ref is not None and str(folder_of(ref.number)) == folder), None)


def report(
    board: UpdateBoard, disk: Disk, models: Mapping[str, Standing], catalog: Catalog, health: Health
) -> Reported:
    """Return the report of this moment."""
    verdict = health.judge(time.monotonic())
    fresh = {name for name, model in verdict.models.items() if model.fresh}
    return Reported(
        board.device,
        board.settings.group,
        int(time.time()),
        board.request_id,
        board.assignment.version if board.assignment else 0,
        board.trust,
        disk,
        {name: _model(name, standing, catalog, name in fresh) for name, standing in sorted(models.items())},
    )


def stage_of(reason: str) -> str:
    """Return the stage of a proof that a reason begins with (``release_work``); empty if it names none."""
    stage, colon, _ = reason.partition(": ")
    return stage if colon and stage in STAGES else ""


def _model(name: str, standing: Standing, catalog: Catalog, answering: bool) -> ReportedModel:
    record = standing.record
    candidate = record.candidate
    error = None
    if record.code:
        error = LastError(record.code, stage_of(record.reason), record.reason, standing.failed_release)
    return ReportedModel(
        record.phase.value,
        _active(name, standing, catalog, answering),
        None if record.previous is None else record.previous.number,
        None
        if candidate is None
        else Candidate(candidate.number, record.phase.value, standing.percent, record.attempts + 1),
        record.floor,
        error,
        standing.quarantined,
    )


def _active(name: str, standing: Standing, catalog: Catalog, answering: bool) -> Active | None:
    version = catalog.versions.get(name)
    if version is None:
        return None
    mapped = {
        str(lane.pid): lane.facts.mapped
        for lane in version.scheduler.pool.lanes
        if lane.facts is not None and lane.facts.mapped
    }
    ref = standing.serving or ReleaseRef(FACTORY, "")
    since = standing.record.since_unix_s if standing.serving == standing.record.active else 0
    facts = version.scheduler.facts
    digest = facts.version.digest if facts is not None else ""
    return Active(ref.number, ref.digest, digest, since, mapped, answering)
