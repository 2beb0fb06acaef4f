"""Proving models in a throw-away process: real ones, lying ones, damaged and deadly ones."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.configuration.settings import StepSettings
from gateway.errors import (
    CardMismatch,
    EngineFailed,
    GatewayError,
    LoadFailed,
    OutOfMemory,
    PipelineMisfit,
    WarmupFailed,
)
from gateway.inference.loaded import LoadSpec, PipelineSpec
from gateway.inference.proof import _Ending, _environment, _judge, prove
from gateway.inference.proven import Proof
from tests import tflite_writer
from tests.children import children
from tests.inference.model_folders import MODELS, copy, edit, spec, write

TIMEOUT_S = 60.0


def proven(*specs: LoadSpec, **limits: Any) -> list[Proof | BaseException]:
    """Prove several models, two at a time."""

    async def run() -> list[Proof | BaseException]:
        places = asyncio.Semaphore(2)

        async def one(each: LoadSpec) -> Proof:
            async with places:
                return await prove(each, **{"timeout_s": TIMEOUT_S, **limits})

        return await asyncio.gather(*map(one, specs), return_exceptions=True)

    return asyncio.run(run())


def made(folder: Path, path: Path) -> Path:
    stated = {"dtype": "float32", "shape": [1, 4]}
    return write(folder, path, [{"name": "x", **stated}], [{"name": "y", **stated}])


def test_a_sound_model_is_proven_with_what_was_seen_of_it() -> None:
    (proof,) = proven(spec("efficientnet-lite0-int8"))
    assert isinstance(proof, Proof)
    assert proof.facts.backend == "xnnpack"
    assert (proof.inputs[0].shape, proof.inputs[0].dtype) == ((1, 224, 224, 3), "uint8")
    assert (proof.max_rows, proof.stateful) == (1, ())
    assert proof.golden == ("golden/cat.jpg", "golden/espresso.jpg")
    assert proof.latency_ms > 0
    assert 1_000_000 < proof.memory_bytes < 100_000_000
    assert Proof.from_json(proof.to_json()) == proof


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"version": 1}', '{"version": {}, "facts": {}}', "[" * 9999]
)
def test_what_is_no_proof_is_not_read_as_one(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Proof.from_json(text)


def test_a_card_that_lies_is_refused_with_what_and_where(tmp_path: Path) -> None:
    lies = [
        ("dtype: uint8, shape: [1, 224", "dtype: int8, shape: [1, 224", "dtype is uint8, the card says int8"),
        ("224, 224, 3", "192, 192, 3", r"shape is \[1, 224, 224, 3\], the card says \[1, 192, 192, 3\]"),
        ("sha256: b4f7", "sha256: 0000", "sha256 is b4f7.*, the card says 0000"),
        ("serving_default_keras_tensor:0", "pixels", "inputs.pixels: not in the file"),
    ]
    folders = []
    for number, (old, new, _) in enumerate(lies):
        folder = copy("efficientnet-lite0-int8", tmp_path / str(number))
        edit(folder, (old, new))
        folders.append(folder)
    for (_, _, what), error in zip(lies, proven(*map(spec, folders)), strict=True):
        assert isinstance(error, CardMismatch)
        assert re.search(what, error.message)
        assert "efficientnet-lite0-int8" in error.message


def test_a_golden_sample_that_fails_refuses_the_model_and_says_what_came(tmp_path: Path) -> None:
    folder = copy("efficientnet-lite0-int8", tmp_path)
    edit(folder, ("top: [espresso]", "top: [zebra]"))
    (error,) = proven(spec(folder))
    assert isinstance(error, WarmupFailed)
    assert "golden/espresso.jpg: top: expected one of zebra, got 967 espresso" in error.message


def test_a_pipeline_that_does_not_fit_is_named() -> None:
    steps = (StepSettings("resize", {"fit": "crop"}), StepSettings("grayscle", {}))
    (error,) = proven(spec("efficientnet-lite0-int8", pipelines=(PipelineSpec("door", steps, None),)))
    assert isinstance(error, PipelineMisfit)
    assert error.step == "pipelines.door.preprocess[1].grayscle"


def test_a_model_that_kills_its_process_gives_one_typed_error_with_the_signal(tmp_path: Path) -> None:
    (error,) = proven(spec(made(tmp_path, tflite_writer.deadly(tmp_path / "m.tflite"))))
    assert isinstance(error, LoadFailed)
    assert "load: the process that tried it was ended by SIGSEGV" in error.message
    assert error.attributes["stage"] == "load"
    assert children() == []


def test_a_model_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    (error,) = proven(spec("motion-int8"), timeout_s=0.01)
    assert isinstance(error, LoadFailed)
    assert "took longer than 0.01 s" in error.message
    assert children() == []


def test_a_model_that_wants_too_much_memory_is_refused(tmp_path: Path) -> None:
    elements = 1 << 28
    path = tflite_writer.vast(tmp_path / "m.tflite", elements)
    stated = {"dtype": "float32", "shape": [1, elements]}
    folder = write(tmp_path, path, [{"name": "x", **stated}], [{"name": "y", **stated}])
    (error,) = proven(spec(folder, pipelines=()), memory_bytes=512 << 20)
    assert isinstance(error, OutOfMemory | LoadFailed | WarmupFailed)
    assert children() == []


def test_a_cancelled_proof_leaves_no_process(tmp_path: Path) -> None:
    async def run() -> None:
        task = asyncio.create_task(prove(spec("silero-vad"), timeout_s=TIMEOUT_S))
        while not children():  # noqa: ASYNC110 - the kernel rings no bell
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert children() == []


def test_secrets_in_the_environment_stay_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MQTT_PASSWORD", "s3cret")
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    assert "MQTT_PASSWORD" not in _environment()
    assert _environment()["PYTHONHASHSEED"] == "0"


def damaged(name: str, to: Path, flips: int) -> Sequence[Path]:
    """Return copies of a model, cut, replaced or with bits flipped; each card knows the new digest."""
    source = MODELS / name
    card = (source / "card.yaml").read_text()
    file = re.search(r"^file: (\S+)$", card, re.MULTILINE)
    digest = re.search(r"^sha256: (\S+)$", card, re.MULTILINE)
    assert file is not None
    assert digest is not None
    whole = (source / file[1]).read_bytes()
    chance = random.Random(7)
    bodies = [whole[: len(whole) // 2], whole[:-1], b"", os.urandom(2048)]
    for _ in range(flips):
        body = bytearray(whole)
        for _ in range(8):
            body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
        bodies.append(bytes(body))
    folders = []
    for number, data in enumerate(bodies):
        folder = copy(name, to / str(number))
        (folder / file[1]).write_bytes(data)
        edit(folder, (digest[1], hashlib.sha256(data).hexdigest()))
        folders.append(folder)
    return folders


@pytest.mark.slow
@pytest.mark.parametrize(("name", "flips"), [("motion-int8", 20), ("motion-int8-onnx", 10)])
def test_any_damage_to_a_model_file_gives_a_proof_or_one_typed_error(
    tmp_path: Path, name: str, flips: int
) -> None:
    verdicts = proven(*map(spec, damaged(name, tmp_path, flips)))
    assert all(isinstance(verdict, Proof | EngineFailed | PipelineMisfit) for verdict in verdicts)
    assert all(isinstance(verdict, LoadFailed) for verdict in verdicts[:4] if verdict is not verdicts[1])
    assert sum(isinstance(verdict, GatewayError) for verdict in verdicts) > flips // 4
    assert children() == []


def test_a_verdict_that_is_torn_off_is_no_proof(tmp_path: Path) -> None:
    (proof,) = proven(spec("motion-int8"))
    assert isinstance(proof, Proof)
    line = json.dumps({"proof": json.loads(proof.to_json())}).encode()
    assert _judge(spec("motion-int8"), line, _Ending(0, b"", None)) == proof
    for cut in (0, 1, len(line) // 2, len(line) - 1):
        with pytest.raises(LoadFailed, match="ended with code 0 and no verdict"):
            _judge(spec("motion-int8"), line[:cut], _Ending(0, b"", None))
