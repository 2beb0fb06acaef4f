"""Tells what happens to the releases of one model: to the log, the metrics, the audit log and the broker."""

from __future__ import annotations

import asyncio
import time

from gateway.daemon.rollout_ports import RolloutPorts
from gateway.errors import GatewayError
from gateway.operations.log import log
from gateway.updates.release import ReleaseRef
from gateway.updates.rollout_step import Step
from gateway.updates.state import ModelRecord

FAILURES = frozenset({"rejected", "hindered", "given_up", "rolled_back", "fell_back", "nothing_good"})


class RolloutNews:
    """The news of one model."""

    def __init__(self, model: str, ports: RolloutPorts) -> None:
        self._model = model
        self._ports = ports
        self._step_s = time.monotonic()

    def refused(self, ref: ReleaseRef | None, record: ModelRecord, code: str, reason: str) -> None:
        """Tell that something is not done."""
        number = ref.number if ref else 0
        self._ports.metrics.release_failures.add(1, self._model, code)
        log.event("release_refused", model=self._model, release=number, code=code, reason=reason)
        self._ports.tell(self._words("refused", number, record) | {"code": code, "reason": reason})

    async def went(self, step: Step, about: ReleaseRef | None, label: str) -> None:
        """Tell of a step.

        Never raises for what the disk does.

        Args:
            step: What was done.
            about: The release that it was done to.
            label: What people call that release; empty if that is not known.
        """
        record, took_s = step.record, time.monotonic() - self._step_s
        self._step_s = time.monotonic()
        number = about.number if about else 0
        said = {"step": step.note, "phase": record.phase.value, "code": record.code, "reason": record.reason}
        if record.code and step.note in FAILURES:
            self._ports.metrics.release_failures.add(1, self._model, record.code)
        self._ports.metrics.release_steps.add(1, self._model, step.note)
        log.event(
            "release_step", model=self._model, release=number, label=label, took_s=round(took_s, 3), **said
        )
        self._ports.tell(self._words(step.note, number, record) | said | {"label": label})
        try:
            await asyncio.to_thread(
                self._ports.store.audit, step.note, model=self._model, release=number, **_filled(said)
            )
        except GatewayError as error:
            log.event("store_failed", what="audit log", error=error)

    def _words(self, step: str, number: int, record: ModelRecord) -> dict[str, object]:
        return {
            "at": round(time.time(), 3),
            "model": self._model,
            "release": number,
            "step": step,
            "active": record.active.number if record.active else 0,
        }


def _filled(said: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in said.items() if value and key != "step"}
