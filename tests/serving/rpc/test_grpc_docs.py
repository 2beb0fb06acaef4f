"""Every example on the page about the gRPC door runs against a real model, and shows what it says."""

from __future__ import annotations

import asyncio
import dataclasses
import doctest
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.configuration.serving_settings import GrpcSettings, ServingSettings
from gateway.operations.metrics import Metrics
from gateway.serving.access.opening import gate_of
from gateway.serving.model_view import Models
from gateway.serving.rpc.inference_service import Behind
from gateway.serving.rpc.server import RpcServer
from gateway.serving.shared_memory.local_regions import LocalRegions
from tests.serving.serving_models import MOTION, inferring

PAGE = Path(__file__).parents[3] / "docs" / "grpc-api.md"


class Motion:
    """The shipped motion model under the page's name; nothing is loaded or unloaded."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def __getattr__(self, name: str) -> Any:
        return getattr(self._models, name)

    def view(self, name: str, version: str = "") -> Any:
        return dataclasses.replace(self._models.view(_real(name), version), name=name)

    def is_ready(self, name: str, version: str = "") -> bool:
        return self._models.is_ready(_real(name), version)

    async def infer(self, call: Any) -> Any:
        return await self._models.infer(call._replace(model=_real(call.model)))

    async def load(self, name: str, parameters: Mapping[str, object]) -> None:
        raise AssertionError

    async def unload(self, name: str) -> None:
        raise AssertionError

    def is_live(self) -> bool:
        return True


def _real(name: str) -> str:
    return MOTION if name == "motion" else name


class Up:
    def is_live(self) -> bool:
        return True

    def is_ready(self) -> bool:
        return True


@pytest.mark.slow
def test_every_example_in_the_docs_of_the_grpc_door_is_true() -> None:
    async def run() -> doctest.TestResults:
        settings = dataclasses.replace(ServingSettings(), grpc=GrpcSettings(listen="127.0.0.1:0"))
        metrics = Metrics()
        gate = gate_of(settings, [settings.grpc.listen], metrics)
        async with inferring(MOTION) as (models, _dataplane, _seen):
            motion = Motion(models)
            behind = Behind(motion, motion, Up(), LocalRegions(settings.shared_memory))
            async with RpcServer(behind, settings, gate, metrics.door_requests) as server:
                return await asyncio.to_thread(examples, server.address)

    results = asyncio.run(run())
    assert results.failed == 0
    assert results.attempted > 25


def examples(address: str) -> doctest.TestResults:
    """Run the page."""
    flags = doctest.REPORT_NDIFF | doctest.ELLIPSIS
    return doctest.testfile(str(PAGE), module_relative=False, globs={"ADDRESS": address}, optionflags=flags)
