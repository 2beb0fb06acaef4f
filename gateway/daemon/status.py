"""What the gateway is doing, as the JSON of /status, and the gauges that are read when Prometheus asks."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from gateway.daemon.alias_words import alias_words, beside_words
from gateway.daemon.board_words import board_words
from gateway.daemon.engine_news import choice_words
from gateway.daemon.intake import Intake
from gateway.daemon.model_state import ModelState, ModelStatus
from gateway.operations.build import VERSION
from gateway.operations.health import Verdict
from gateway.operations.series import Reading
from gateway.scaling.lane_memory import lane_memory
from gateway.sensors.status import StreamStatus
from gateway.updates.reported import Reported

if TYPE_CHECKING:
    from gateway.daemon.house import House


class StatusPage:
    """Reads a house whenever somebody asks."""

    def __init__(self, house: House) -> None:
        self._house = house

    def verdict(self) -> Verdict:
        """Return whether the gateway is ready now."""
        return self._house.health.judge(time.monotonic())

    def status(self) -> Mapping[str, object]:
        """Return the whole page as JSON values."""
        house, now_s = self._house, time.monotonic()
        verdict = self.verdict()
        sensors = self._sensors(now_s)
        reported = house.updates.reported()
        return {
            "gateway": {
                "id": house.id,
                "version": VERSION,
                "uptime_s": round(now_s - house.started_s, 1),
                "state": "ready" if verdict.ready else "not-ready",
                "reasons": list(verdict.reasons),
                "mqtt": dict(self.connections()),
            },
            "sensors": sensors,
            "models": [self._model(name, reported) for name in sorted(house.settings.models)],
            "aliases": [alias_words(each, house.wishes.resolver) for each in house.wishes.aliases()],
            "board": board_words(house.telemetry.latest(), now_s),
            "scaling": house.autoscaler.status(),
            "updates": self._updates(reported),
            "pipelines": [
                {"name": name, "model": pipeline.model}
                for name, pipeline in sorted(house.settings.pipelines.items())
            ],
            "drops": dict(self._drops()),
        }

    def connections(self) -> Iterator[tuple[str, bool]]:
        """Yield each broker connection and whether it stands."""
        link = self._house.link
        if link is not None:
            yield "data", link.data.connected
            yield "control", link.control.connected
        if self._house.doors.broker is not None:
            yield "requests", self._house.doors.broker.connected

    def _sensors(self, now_s: float) -> list[dict[str, object]]:
        sensing = self._house.sensing
        if sensing is None:
            return []
        return [
            {
                "id": seen.id,
                "name": seen.name,
                "kind": seen.kind,
                "dialect": seen.dialect,
                "presence": seen.presence,
                "age_s": None if seen.last_seen_s is None else round(now_s - seen.last_seen_s, 2),
                "pipelines": sorted({name for stream in seen.streams for name in stream.pipelines}),
                "admission": seen.admission,
                "reason": seen.reason,
                "streams": [
                    _stream(stream, sensing.intakes.get((seen.id, stream.name)), now_s)
                    for stream in seen.streams
                ],
            }
            for seen in sensing.snapshot()
        ]

    def _updates(self, reported: Reported | None) -> dict[str, object]:
        updates = self._house.updates
        if reported is None or updates.board is None:
            return {"enabled": False}
        board = updates.board
        return {
            "enabled": True,
            "looking": updates.enabled,
            "device": board.device,
            "group": board.settings.group,
            "assign_version": reported.assign_version,
            "trust": asdict(reported.trust),
            "disk": asdict(reported.disk),
            "store": str(updates.store.root) if updates.store else "",
            "paused": board.paused,
            "trouble": board.trouble,
        }

    def _model(self, name: str, reported: Reported | None) -> dict[str, object]:
        house = self._house
        release = reported.models.get(name) if reported else None
        scheduler = house.dataplane.serving.get(name)
        status = house.catalog.status.get(name, ModelStatus(ModelState.PROVING))
        version = scheduler.facts.version if scheduler and scheduler.facts else None
        return {
            "name": name,
            "version": version.version if version else None,
            "digest": version.digest if version else None,
            "engine": version.engine if version else None,
            "engine_choice": choice_words(house.catalog.chooser.choices.get(name)),
            "state": status.state.value,
            "reason": status.reason,
            "beside": beside_words(name, house.wishes.beside),
            "drop_in": dict(house.drop_ins.facts_of(name)) or None,
            "lanes": {
                "ready": scheduler.pool.ready if scheduler else 0,
                "wanted": scheduler.pool.wanted if scheduler else house.settings.models[name].lanes,
                "pids": scheduler.pool.pids if scheduler else [],
                "max": house.autoscaler.max_lanes().get(name),
                "cost_bytes": house.autoscaler.lane_cost_bytes().get(name),
                "share_weights": scheduler.facts.divides if scheduler and scheduler.facts else None,
            },
            "restarts": scheduler.pool.restarts if scheduler else 0,
            "queued": scheduler.queued if scheduler else 0,
            "quarantined": scheduler.quarantined if scheduler else 0,
            "release": asdict(release) if release else None,
        }

    def _drops(self) -> Counter[str]:
        total: Counter[str] = Counter()
        for (_, reason), count in self._house.metrics.frames_dropped.values():
            total[reason] += int(count)
        return total


def _stream(status: StreamStatus, intake: Intake | None, now_s: float) -> dict[str, object]:
    seen: dict[str, object] = {"name": status.name, "topic": status.topic, "media": status.media}
    if intake is None:
        unbound = {"rate_hz": 0.0, "frames": 0, "results": 0, "drops": {}}
        return {**seen, **unbound, "latency_ms": None, "last_result": None, "last_result_age_s": None}
    gap = intake.arrivals.read(now_s, 0.5)
    latency = intake.latency.read(now_s, 0.5, 0.99)
    return seen | {
        "rate_hz": round(1 / gap[0], 2) if gap else 0.0,
        "frames": intake.frames,
        "results": intake.results,
        "drops": dict(intake.drops),
        "latency_ms": _milliseconds(latency) if latency else None,
        "last_result": intake.last_result,
        "last_result_age_s": round(now_s - intake.last_result_s, 2) if intake.last_result else None,
    }


def _milliseconds(quantiles: tuple[float, ...]) -> dict[str, float]:
    return {"p50": round(quantiles[0] * 1e3, 2), "p99": round(quantiles[1] * 1e3, 2)}


def connect_gauges(house: House, page: StatusPage) -> None:
    """Let the gauges be read from whoever knows their numbers."""
    metrics, gauges = house.metrics, _Gauges(house, page)
    metrics.lanes.read_from(gauges.lanes)
    metrics.model_info.read_from(gauges.models)
    metrics.worker_memory.read_from(gauges.memory)
    metrics.canary_age.read_from(gauges.canary_ages)
    metrics.sensors.read_from(gauges.presences)
    metrics.queue_rows.read_from(gauges.queues)
    metrics.mqtt_connected.read_from(lambda: [((name,), float(on)) for name, on in page.connections()])
    metrics.release.read_from(gauges.releases)
    metrics.release_phase.read_from(gauges.phases)
    metrics.trust_expiry.read_from(gauges.expiries)
    metrics.update_child_peak.read_from(gauges.child_peak)
    metrics.store_used.read_from(lambda: gauges.disk("store_bytes"))
    metrics.store_quota.read_from(lambda: gauges.disk("quota_bytes"))
    metrics.store_free.read_from(lambda: gauges.disk("free_bytes"))
    metrics.ready.read_from(lambda: [((), float(page.verdict().ready))])


class _Gauges:
    """Reads what the house holds at the moment of asking."""

    def __init__(self, house: House, page: StatusPage) -> None:
        self._house = house
        self._page = page

    def lanes(self) -> Reading:
        for name, scheduler in self._house.dataplane.serving.items():
            yield (name, "ready"), scheduler.pool.ready
            yield (name, "wanted"), scheduler.pool.wanted

    def models(self) -> Reading:
        for name, scheduler in self._house.dataplane.serving.items():
            if scheduler.facts is not None:
                version = scheduler.facts.version
                yield (name, version.version, version.digest, version.engine), 1

    def memory(self) -> Reading:
        for name, scheduler in self._house.dataplane.serving.items():
            beside = [each for (model, _), each in self._house.dataplane.beside.items() if model == name]
            lanes = [lane for each in (scheduler, *beside) for lane in each.pool.lanes]
            # Lanes in the GPU owner share one process, which counts once.
            memory = lane_memory(lane.pid for lane in lanes)
            yield (name,), memory.pss_bytes if memory is not None else 0

    def queues(self) -> Reading:
        for name, scheduler in self._house.dataplane.serving.items():
            yield (name,), scheduler.queued_rows

    def canary_ages(self) -> Reading:
        for name, model in self._page.verdict().models.items():
            if model.age_s is not None:
                yield (name,), model.age_s

    def releases(self) -> Reading:
        reported = self._house.updates.reported()
        for name, model in reported.models.items() if reported else ():
            if model.active is not None:
                yield (name, str(model.active.release), model.active.digest), 1

    def phases(self) -> Reading:
        board = self._house.updates.board
        for name, rollout in board.rollouts.items() if board else ():
            yield (name, rollout.record.phase.value), 1

    def expiries(self) -> Reading:
        board = self._house.updates.board
        for role, unix_s in board.expires_unix_s.items() if board else ():
            yield (role,), unix_s

    def child_peak(self) -> Reading:
        board = self._house.updates.board
        if board is not None and board.child_peak_bytes:
            yield (), board.child_peak_bytes

    def disk(self, what: str) -> Reading:
        updates = self._house.updates
        if updates.board is not None:
            yield (), getattr(updates.disk, what)

    def presences(self) -> Reading:
        sensing = self._house.sensing
        counts = Counter(seen.presence for seen in sensing.snapshot()) if sensing else Counter[str]()
        for presence, count in counts.items():
            yield (presence,), count


def connect_link_gauges(house: House) -> None:
    """Let the gauges of the broker connections be read."""
    link, metrics = house.link, house.metrics
    assert link is not None
    both = {"data": link.data, "control": link.control}
    metrics.mqtt_reconnects.read_from(lambda: [((n,), max(0, c.stats.connects - 1)) for n, c in both.items()])
    metrics.mqtt_received_messages.read_from(lambda: [((n,), c.stats.messages_in) for n, c in both.items()])
    metrics.mqtt_received_bytes.read_from(lambda: [((n,), c.stats.bytes_in) for n, c in both.items()])
    metrics.outgoing_messages.read_from(lambda: [((), link.data.stats.waiting)])
