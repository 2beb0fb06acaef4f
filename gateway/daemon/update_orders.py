"""Orders about updates from somebody at the board: what they do, and what is answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from gateway.daemon.background import in_background
from gateway.daemon.model_rollout import ModelRollout
from gateway.daemon.rollout_ports import RolloutPorts
from gateway.daemon.update_board import UpdateBoard
from gateway.daemon.update_looks import Looks
from gateway.daemon.update_topics import Order
from gateway.daemon.update_turns import Turns
from gateway.errors import GatewayError, Overloaded, UnknownModel
from gateway.operations.log import log
from gateway.updates.rollout_events import CancelAsked, RollbackAsked
from gateway.updates.state import Phase
from gateway.updates.store.pause import set_paused

Answer = dict[str, object]
_MOST_FINDINGS = 50
_MOST_WAITING = 16


class Orders:
    """Carries out orders one after the other."""

    def __init__(self, board: UpdateBoard, ports: RolloutPorts, looks: Looks, turns: Turns) -> None:
        self._board = board
        self._ports = ports
        self._looks = looks
        self._turns = turns
        self._one_at_a_time = asyncio.Lock()
        self._running: set[asyncio.Task[None]] = set()

    def take(self, order: Order, answer: Callable[[Mapping[str, object]], None]) -> None:
        """Begin an order; ``answer`` is called once with what became of it."""
        log.event("update_order", order=order.name, model=order.model)
        if len(self._running) >= _MOST_WAITING:
            busy = Overloaded(f"{len(self._running)} orders wait already")
            answer({"do": order.name, "ok": False, "error": busy.message, "code": busy.label})
            return
        task = asyncio.get_running_loop().create_task(self._carry_out(order, answer), name="update.order")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """End what runs."""
        for task in tuple(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _carry_out(self, order: Order, answer: Callable[[Mapping[str, object]], None]) -> None:
        async with self._one_at_a_time:
            try:
                said = await self.do(order)
            except GatewayError as error:
                said = {"ok": False, "error": error.message, "code": error.label}
        answer({"do": order.name, "ok": True, **said})
        self._ports.changed()

    async def do(self, order: Order) -> Answer:
        """Carry an order out; return what is worth telling.

        Raises:
            UnknownModel: It names a model that is not configured.
            GatewayError: The store does not do it.
        """
        match order.name:
            case "check-now":
                self._looks.ring("order", asked=True)
                return {}
            case "pause" | "resume":
                return await self._pause(order.name == "pause")
            case "cancel":
                return await self._cancel(order)
            case "rollback-to-previous":
                return await self._roll_back(order)
            case "gc":
                keep = self._board.settings.keep_releases
                collected = await asyncio.to_thread(self._ports.store.collect, keep, self._ports.spare())
                return {"freed_bytes": collected.freed_bytes}
            case "fsck":
                return await self._check()
            case _:
                return await self._clear(order)

    async def _pause(self, paused: bool) -> Answer:
        await asyncio.to_thread(set_paused, self._ports.store.layout, paused=paused)
        self._board.paused = paused
        await self._turns.offer_all(asked=False)
        self._turns.ring()
        return {"paused": paused}

    async def _cancel(self, order: Order) -> Answer:
        cancelled = []
        for rollout in self._named(order):
            candidate = rollout.record.candidate
            if candidate is not None and rollout.record.phase is not Phase.BAKING:
                await rollout.feed(CancelAsked("an order said so"))
                cancelled.append({"model": rollout.model, "release": candidate.number})
        return {"cancelled": cancelled}

    async def _roll_back(self, order: Order) -> Answer:
        gone = []
        for rollout in self._named(order):
            active = rollout.record.active
            await rollout.feed(RollbackAsked("an order said so", int(time.time())))
            if rollout.record.active != active:
                now = rollout.record.active
                gone.append({"model": rollout.model, "release": now.number if now else 0})
        return {"rolled_back_to": gone, "ok": bool(gone)}

    async def _check(self) -> Answer:
        # It takes minutes where there are many bytes: no thread that a stop has to wait for.
        findings = await in_background(self._ports.store.check)
        said = [
            {"path": found.path, "problem": found.problem, "remedy": found.remedy}
            for found in findings[:_MOST_FINDINGS]
        ]
        return {"findings": len(findings), "first": said}

    async def _clear(self, order: Order) -> Answer:
        cleared = []
        for rollout in self._named(order):
            await rollout.look_at_quarantine()
            for number in rollout.quarantined:
                if order.release in (0, number):
                    await asyncio.to_thread(self._ports.store.clear_quarantine, rollout.model, number)
                    cleared.append({"model": rollout.model, "release": number})
            await rollout.look_at_quarantine()
            rollout.reoffer = True
        self._turns.ring()
        return {"cleared": cleared}

    def _named(self, order: Order) -> list[ModelRollout]:
        if not order.model:
            return list(self._board.rollouts.values())
        rollout = self._board.rollouts.get(order.model)
        if rollout is None:
            raise UnknownModel(f"no model is named {order.model!r}", model=order.model)
        return [rollout]
