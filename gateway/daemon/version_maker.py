"""Makes versions of models: plans them, proves them, starts their lanes; what it makes serves nobody yet."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from gateway.configuration.settings import Settings
from gateway.daemon.model_plan import ModelPlan, model_plan
from gateway.daemon.model_version import Version
from gateway.daemon.service_watch import ServiceWatch
from gateway.errors import GatewayError, UnknownModel
from gateway.inference.choosing import Choice, Chooser
from gateway.inference.loaded import LoadSpec
from gateway.inference.observer import SchedulerObserver
from gateway.inference.pool import MakeBody
from gateway.inference.proof import Effort
from gateway.inference.proof_cache import ProofCache
from gateway.inference.proven import Proof, ProofBudgets
from gateway.inference.scheduler import Scheduler


class VersionMaker:
    """Knows what keeps proofs, what proves, who counts, and what lanes live in.

    Attributes:
        chooser: Proves on which backend a model runs.
    """

    def __init__(
        self, backends: tuple[ProofCache, Chooser], observer: SchedulerObserver, make_body: MakeBody
    ) -> None:
        self._cache, self.chooser = backends
        self._observer = observer
        self._make_body = make_body

    async def plan_of(self, name: str, folder: str, settings: Settings) -> ModelPlan:
        """Return how a version in ``folder`` would serve a model as it is configured now.

        Raises:
            UnknownModel: The configuration names no such model.
        """
        if name not in settings.models:
            raise UnknownModel(f"no model is named {name!r}", model=name)
        plan = model_plan(name, settings)
        plan = replace(plan, spec=replace(plan.spec, folder=folder))
        return replace(plan, files=await asyncio.to_thread(self._files, plan.spec))

    async def plans(self, folders: Mapping[str, str], settings: Settings) -> dict[str, ModelPlan]:
        """Return the plans of models by name, with what lies in their folders now."""
        plans = await asyncio.gather(*(self.plan_of(name, path, settings) for name, path in folders.items()))
        return dict(zip(folders, plans, strict=True))

    async def choose(self, plan: ModelPlan) -> Choice:
        """Return what holds on this board, and its proof.

        Raises:
            GatewayError: As ``Chooser.choose``.
        """
        return await self.chooser.choose(plan.spec, timeout_s=plan.limits.pool.load_timeout_s)

    async def prove_release(self, plan: ModelPlan, budgets: ProofBudgets) -> Proof:
        """Try a version afresh in a throw-away process, gently.

        Raises:
            GatewayError: It does not load, fit, answer right, or stay within its budgets.

        Cancel-safe: the process is ended.
        """
        effort, limit_s = Effort(budgets, gently=True), plan.limits.pool.load_timeout_s
        return (await self.chooser.choose(plan.spec, timeout_s=limit_s, effort=effort, afresh=True)).proof

    def make(self, name: str, plan: ModelPlan, spec: LoadSpec) -> Version:
        """Return a version whose lanes are not started yet."""
        watch = ServiceWatch(self._observer)
        scheduler = Scheduler(
            spec, lanes=plan.lanes, limits=plan.limits, observer=watch, make_body=self._make_body
        )
        return Version(name, plan, scheduler, watch)

    def _files(self, spec: LoadSpec) -> str:
        """Return a digest of the model's files; empty if they cannot be read, which proving will say."""
        try:
            return self._cache.key(replace(spec, pipelines=()))
        except GatewayError:
            return ""
