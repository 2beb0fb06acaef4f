"""Every example on the page about the HTTP door runs against a real model, and shows what it says."""

from __future__ import annotations

import asyncio
import dataclasses
import doctest
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.configuration.serving_settings import ServingSettings
from gateway.operations.metrics import Metrics
from gateway.serving.access.opening import gate_of
from gateway.serving.call import InferCall, InferReply
from gateway.serving.door_count import DoorCount
from gateway.serving.listener import Listener
from gateway.serving.model_view import IndexEntry, Models, ModelView
from gateway.serving.rest.app import RestApp, RestParts
from gateway.serving.rest.routes import ROUTES
from tests.serving.rest.rest_house import LevelOnly
from tests.serving.serving_models import MOTION, inferring

PAGE: Final = Path(__file__).parents[3] / "docs" / "http-api.md"
ADDRESS: Final = "127.0.0.1:8080"
BLOCKS: Final = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
_END: Final = "\x1e"


class Motion:
    """The shipped motion model under the page's name; nothing is loaded or unloaded."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def view(self, name: str, version: str = "") -> ModelView:
        return dataclasses.replace(self._models.view(_real(name), version), name=name)

    def is_ready(self, name: str = "motion", version: str = "") -> bool:
        return self._models.is_ready(_real(name), version)

    def is_live(self) -> bool:
        return True

    def index(self) -> list[IndexEntry]:
        return [dataclasses.replace(entry, name="motion") for entry in self._models.index()]

    def statistics(self, name: str = "", version: str = "") -> Any:
        return self._models.statistics(_real(name), version)

    async def infer(self, call: InferCall) -> InferReply:
        reply = await self._models.infer(call._replace(model=_real(call.model)))
        return reply._replace(model=call.model)

    async def load(self, name: str, parameters: Mapping[str, object]) -> None:
        raise AssertionError

    async def unload(self, name: str) -> None:
        raise AssertionError


def _real(name: str) -> str:
    return MOTION if name == "motion" else name


def commands(block: str) -> list[tuple[str, str]]:
    """Return the commands of a block with what each should print."""
    found = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [(each.partition("\n")[0], each.partition("\n")[2]) for each in found]


def run_block(block: str, address: str) -> list[str]:
    """Run a block in one shell; return what is not as the page says."""
    wanted = commands(block)
    script = "\n".join(f"{command}\nprintf '\\n{_END}'" for command, _ in wanted).replace(ADDRESS, address)
    done = subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True, timeout=60)
    checker = doctest.OutputChecker()
    return [
        f"{command}\nsays: {said}\nnot:  {expected}"
        for (command, expected), said in zip(wanted, done.stdout.split(_END), strict=False)
        if not checker.check_output(expected.strip(), said.strip(), doctest.ELLIPSIS)
    ]


def run_python(text: str, address: str) -> doctest.TestResults:
    """Run the examples in Python."""
    parsed = doctest.DocTestParser().get_doctest(text.replace(ADDRESS, address), {}, "http-api", None, None)
    return doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(parsed)


def examples(address: str) -> tuple[list[str], int, doctest.TestResults]:
    """Run all of the page."""
    text = PAGE.read_text(encoding="utf-8")
    blocks = BLOCKS.findall(text)
    wrong = [each for block in blocks for each in run_block(block, address)]
    python = "".join(re.findall(r"^```pycon\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    return wrong, sum(len(commands(block)) for block in blocks), run_python(python, address)


@pytest.mark.slow
def test_every_example_in_the_docs_of_the_http_door_is_true() -> None:
    async def run() -> tuple[list[str], int, doctest.TestResults]:
        settings, metrics = ServingSettings(), Metrics()
        gate = gate_of(settings, ["127.0.0.1:0"], metrics)
        count = DoorCount("http", {route.action for route in ROUTES}, metrics.door_requests)
        async with inferring(MOTION) as (models, _dataplane, _seen):
            motion = Motion(models)
            parts = RestParts(motion, motion, motion, None, gate, count, LevelOnly())
            async with Listener(RestApp(parts, settings), "127.0.0.1:0") as listener:
                return await asyncio.to_thread(examples, listener.address)

    wrong, shown, python = asyncio.run(run())
    assert not wrong, "\n".join(wrong)
    assert shown > 10
    assert (python.failed, python.attempted > 4) == (0, True)
