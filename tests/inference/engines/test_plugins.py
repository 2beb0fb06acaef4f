"""A provider of another distribution, played on the processor: what it does in the process that proves it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.errors import EngineFailed, LoadFailed, OutOfMemory, WarmupFailed
from gateway.inference.engines.engine import EngineOptions
from gateway.inference.engines.plugins import OWN, plugin_for
from gateway.inference.engines.sticky import is_sticky
from gateway.inference.loaded import LoadSpec
from gateway.inference.proof import prove
from gateway.inference.proven import Proof
from tests.inference.model_folders import MODELS
from tests.inference.played import FAKE, Play, scripted

play = pytest.fixture(scripted)


def proven(*providers: str, exact: bool = True) -> Proof:
    options = EngineOptions(providers=providers or (FAKE,), exact=exact)
    spec = LoadSpec("motion", str(MODELS / "motion-int8-onnx"), options=options)
    return asyncio.run(prove(spec, timeout_s=60))


@pytest.mark.usefixtures("play")
def test_a_provider_that_an_entry_point_names_runs_the_model() -> None:
    assert proven().facts.backend == FAKE


@pytest.mark.parametrize(
    ("script", "kind", "words"),
    [
        ({"load": "sigill"}, LoadFailed, "load: the process that tried it was ended by SIGILL"),
        ({"load": "no_kernels"}, LoadFailed, "no kernel image is available"),
        ({"load": "oom"}, OutOfMemory, "Failed to allocate"),
        ({"load": "fallback"}, LoadFailed, "silently runs it on CPUExecutionProvider"),
        ({"run": "wrong"}, WarmupFailed, "golden samples"),
        ({"run": "oom"}, WarmupFailed, "Failed to allocate"),
        ({"run": "sticky", "after": 3}, EngineFailed, "an illegal memory access was encountered"),
    ],
)
def test_whatever_it_does_becomes_one_typed_error(
    play: Play, script: dict[str, Any], kind: type[EngineFailed], words: str
) -> None:
    play(**script)
    with pytest.raises(kind, match=words) as raised:
        proven()
    assert is_sticky(raised.value.message) == (script.get("run") == "sticky")


def test_a_session_on_the_processor_is_taken_only_by_who_did_not_insist(play: Play) -> None:
    play(load="fallback")
    assert proven(FAKE, "CPUExecutionProvider", exact=False).facts.backend == "CPUExecutionProvider"


def test_a_provider_that_nobody_brings_is_named(play: Play) -> None:
    play()
    with pytest.raises(LoadFailed, match="has none of the providers NoSuchExecutionProvider"):
        proven("NoSuchExecutionProvider")


def test_nobody_can_take_the_place_of_a_provider_that_is_built_in() -> None:
    assert [plugin_for(name) for name in OWN] == [None, None, None]
