"""Makes the report of what this board runs: what is mapped and answers, by digest, not what was wished."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.daemon.catalog import Catalog
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
    Trust,
)
from gateway.updates.state import ModelRecord


@dataclass(frozen=True, slots=True)
class Standing:
    """What the supervisor knows of one model beyond its record.

    Attributes:
        record: The record.
        percent: How much of the candidate is here.
        stage: Stage of the last failure.
        failed_release: Which release it befell.
        quarantined: Releases that failed here.
    """

    record: ModelRecord
    percent: float = 0.0
    stage: str = ""
    failed_release: int = 0
    quarantined: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class BoardFacts:
    """What is the same for all models.

    Attributes:
        device: Name of the board.
        group: Its group.
        request_id: That of the last doorbell.
        assign_version: Version of the assignment that is followed.
        trust: How far the repository is followed.
        disk: Room for releases.
    """

    device: str
    group: str
    request_id: str
    assign_version: int
    trust: Trust
    disk: Disk


def report(facts: BoardFacts, models: Mapping[str, Standing], catalog: Catalog, health: Health) -> Reported:
    """Return the report of this moment."""
    verdict = health.judge(time.monotonic())
    fresh = {name for name, model in verdict.models.items() if model.fresh}
    return Reported(
        facts.device,
        facts.group,
        int(time.time()),
        facts.request_id,
        facts.assign_version,
        facts.trust,
        facts.disk,
        {name: _model(name, standing, catalog, name in fresh) for name, standing in sorted(models.items())},
    )


def _model(name: str, standing: Standing, catalog: Catalog, answering: bool) -> ReportedModel:
    record = standing.record
    candidate = record.candidate
    error = None
    if record.code:
        error = LastError(record.code, standing.stage, record.reason, standing.failed_release)
    return ReportedModel(
        record.phase.value,
        _active(name, record, catalog, answering),
        None if record.previous is None else record.previous.number,
        None
        if candidate is None
        else Candidate(candidate.number, record.phase.value, standing.percent, record.attempts + 1),
        record.floor,
        error,
        standing.quarantined,
    )


def _active(name: str, record: ModelRecord, catalog: Catalog, answering: bool) -> Active | None:
    version = catalog.versions.get(name)
    if version is None:
        return None
    mapped = {
        str(lane.pid): lane.facts.mapped
        for lane in version.scheduler.pool.lanes
        if lane.facts is not None and lane.facts.mapped
    }
    ref = record.active or ReleaseRef(FACTORY, "")
    facts = version.scheduler.facts
    digest = facts.version.digest if facts is not None else ""
    return Active(ref.number, ref.digest, digest, record.since_unix_s, mapped, answering)
