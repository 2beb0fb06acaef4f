"""Runs a candidate on copies of live frames beside the version that serves, and compares the answers.

The copy is handed on by reference and never delays its original: a frame that
comes while the candidate's one polite lane is busy is left out, unless its
stream must be seen in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass

import numpy as np

from gateway.daemon.model_version import Version
from gateway.errors import Draining, GatewayError, Overloaded, ShadowFailed
from gateway.frames.prepared import JsonValue
from gateway.inference.dataplane import DataPlane
from gateway.inference.request import InferRequest, OnDone, Outcome, RequestState, Ticket
from gateway.operations.gentle import GENTLE
from gateway.updates.shadow import ShadowTally, ShadowVerdict

# A copy may be late: it has less of the processor. The original's own deadline is not touched.
_PATIENCE_S = 10.0
_MOST_COMPARED = 4096


@dataclass(slots=True)
class _Pair:
    """The two outcomes of one frame."""

    original: Outcome | None = None
    copy: Outcome | None = None


class ShadowRun:
    """Compares a candidate with what serves, on live frames.

    Args:
        dataplane: Where the live requests pass.
        candidate: The version to try; it must serve nobody. Ended by whoever made it.
        tally: Counts and judges.
    """

    def __init__(self, dataplane: DataPlane, candidate: Version, tally: ShadowTally) -> None:
        self._dataplane = dataplane
        self._candidate = candidate
        self._tally = tally
        self._over: asyncio.Future[ShadowVerdict] = asyncio.get_running_loop().create_future()

    async def verdict(self, timeout_s: float) -> ShadowVerdict:
        """Compare until the tally has an opinion.

        Raises:
            ShadowFailed: Too few frames came in time.

        Cancel-safe: live requests are looked at no longer.
        """
        watch = self._candidate.watch
        watch.on_lost = self._lost
        for pid in self._candidate.scheduler.pool.pids:
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, pid, GENTLE)
        self._dataplane.watch(self._candidate.name, self._look)
        try:
            await asyncio.wait({self._over}, timeout=timeout_s)
            if not self._over.done():
                raise ShadowFailed(
                    f"only {self._tally.compared} frames could be compared within {timeout_s:g} s"
                )
            return self._over.result()
        finally:
            self._dataplane.watch(self._candidate.name, None)
            watch.on_lost = None

    def _look(self, request: InferRequest, on_done: OnDone) -> OnDone:
        """Copy a request to the candidate; return who hears of the original."""
        scheduler = self._candidate.scheduler
        busy = scheduler.queued + scheduler.in_flight >= max(1, scheduler.pool.ready)
        if self._over.done() or (busy and not request.ordered):
            return on_done
        pair = _Pair()

        def original_done(ticket: Ticket, outcome: Outcome) -> None:
            on_done(ticket, outcome)
            pair.original = outcome
            self._compare(pair)

        def copy_done(_: Ticket, outcome: Outcome) -> None:
            pair.copy = outcome
            self._compare(pair)

        copy = request._replace(latest=False, deadline_s=request.deadline_s + _PATIENCE_S)
        scheduler.submit(copy, copy_done)
        return original_done

    def _compare(self, pair: _Pair) -> None:
        original, copy = pair.original, pair.copy
        if original is None or copy is None or self._over.done():
            return
        if original.state is not RequestState.DONE or _is_too_busy(copy):
            return  # nothing to compare with: a payload that both refuse, a machine that is too busy
        if copy.state is not RequestState.DONE:
            self._tally.failed(_words(copy.error))
        else:
            self._tally.compare(_said(original), _said(copy), _infer_ms(original), _infer_ms(copy))
        verdict = self._tally.verdict()
        if verdict is not None:
            self._over.set_result(verdict)

    def _lost(self, reason: str) -> None:
        if not self._over.done():
            tally = self._tally
            words = f"its workers died: {reason}"
            self._over.set_result(ShadowVerdict(False, 0.0, tally.compared, 0.0, words))


def _is_too_busy(copy: Outcome) -> bool:
    """Tell whether a copy was left out for want of time or room, which says nothing of the candidate."""
    return copy.state is RequestState.EXPIRED or isinstance(copy.error, (Overloaded, Draining))


def _said(outcome: Outcome) -> dict[str, JsonValue] | None:
    """Return what can be compared: a prediction, or what stands for tensors without one."""
    if not outcome.tensors:
        return outcome.prediction
    tensors: list[JsonValue] = []
    for each in outcome.tensors:
        values = np.frombuffer(each.data, each.dtype)
        # Evenly spread, so that a large output costs the event loop no more than a small one.
        some = values[:: max(1, len(values) // _MOST_COMPARED)].tolist()
        tensors.append({"name": each.name, "shape": list(each.shape), "data": some})
    return {"kind": "tensors", "tensors": tensors}


def _infer_ms(outcome: Outcome) -> float:
    return outcome.timings.stages_ms.get("infer", 0.0) if outcome.timings else 0.0


def _words(error: GatewayError | None) -> str:
    return error.message if error is not None else "it gave no answer"
