"""Calls over the one service: real workers and models, alone and in company, in order, late and withdrawn."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Coroutine
from typing import Any

import numpy as np
import pytest

from gateway.errors import DeadlineExceeded, Malformed, UnknownModel, WrongDtype, WrongShape
from gateway.inference.card import read_folder
from gateway.inference.dataplane import DataPlane
from gateway.inference.model_shape import ModelShape
from gateway.serving.call import Sequence, WantedOutput
from gateway.serving.inferring import ColdModel, Inferring
from gateway.tensor import TensorSpec
from tests.inference.model_folders import MODELS
from tests.serving.serving_models import (
    CLASSIFIER,
    MOTION,
    SPEECH,
    Found,
    Plain,
    array_of,
    call,
    inferring,
)


class Unloaded(Plain):
    """A name leads to a model that nothing has asked for yet."""

    def __init__(self) -> None:
        super().__init__(DataPlane())

    def resolve(self, name: str, version: str, key: str) -> Any:
        return Found(name, version, None)  # type: ignore[arg-type]


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 90))


def motion(seed: int, rows: int = 1) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=(rows, 100, 6)).astype(np.float32)


def test_a_view_tells_what_a_model_takes_and_gives() -> None:
    async def test() -> None:
        async with inferring(CLASSIFIER, SPEECH) as (models, _, _):
            view = models.view(CLASSIFIER)
            assert (view.platform, view.versions) == ("onnxruntime_onnx", ("1",))
            assert [each.datatype for each in view.inputs] == ["FP32"]
            assert len(view.outputs[0].labels) == view.outputs[0].shape[-1] == 1000
            speech = models.view(SPEECH)
            assert {each.name: each.optional for each in speech.inputs} == {"input": False, "state": True}
            assert models.is_ready(SPEECH)
            with pytest.raises(UnknownModel):
                models.view("absent")

    run(test())


@pytest.mark.parametrize(("stacks", "sizes"), [(True, (-1, 1)), (False, (-1,))])
def test_an_input_of_rows_alone_is_said_as_its_configuration_says_it(
    stacks: bool, sizes: tuple[int, ...]
) -> None:
    # Without the axis of 1 nothing is left of it beside the batch, and perf_analyzer gives up.
    inputs = (TensorSpec("x", "float32", (None, 3)), TensorSpec("lengths", "int64", (None,)))
    outputs = (TensorSpec("y", "float32", (None,)),)
    shape = ModelShape(inputs, outputs, frozenset(), stacks)
    cold = ColdModel(read_folder(MODELS / MOTION).card, shape, 8)
    models = Inferring(DataPlane(), Unloaded(), lambda _name, _version: (), lambda _model: cold)
    view = models.view("m")
    assert [each.shape for each in view.inputs] == [(-1, 3), sizes]
    assert [each.shape for each in view.outputs] == [(-1,)]


def test_tensors_get_what_the_runtime_gives_for_them() -> None:
    import onnxruntime

    from tests.inference.bench_of_lanes import ROOT

    frame = np.random.default_rng(3).normal(size=(1, 3, 224, 224)).astype(np.float32)
    folder = ROOT / "models" / CLASSIFIER
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(next(folder.glob("*.onnx")), options)

    async def test() -> None:
        async with inferring(CLASSIFIER) as (models, _, _):
            view = models.view(CLASSIFIER)
            name = view.inputs[0].name
            reply = await models.infer(call(CLASSIFIER, (name, frame), id="7"))
            assert (reply.model, reply.id) == (CLASSIFIER, "7")
            (expected,) = session.run(None, {name: frame})
            assert array_of(reply).shape == expected.shape
            assert np.allclose(array_of(reply), expected, atol=1e-3)

            wanted = (WantedOutput(view.outputs[0].name, classes=3),)
            words = (await models.infer(call(CLASSIFIER, (name, frame))._replace(outputs=wanted))).outputs[0]
            best = int(np.argmax(array_of(reply)))
            first = bytes(words.data[4 : 4 + int.from_bytes(words.data[:4], "little")]).decode().split(":")
            assert words.datatype == "BYTES"
            assert first[1:] == [str(best), view.outputs[0].labels[best]]

    run(test())


def test_an_answer_in_company_is_bit_equal_to_the_answer_alone() -> None:
    async def test() -> None:
        async with inferring(MOTION) as (models, _, seen):
            name = models.view(MOTION).inputs[0].name
            alone = [(await models.infer(call(MOTION, (name, motion(n))))).outputs for n in range(12)]
            seen.batches.clear()
            together = await asyncio.gather(
                *(models.infer(call(MOTION, (name, motion(n)), caller=f"c{n}")) for n in range(12))
            )
            assert max(seen.batches) > 1
            assert [reply.outputs for reply in together] == alone
            rows = np.concatenate([motion(n) for n in range(5)])
            whole = array_of(await models.infer(call(MOTION, (name, rows))))
            assert [row.tobytes() for row in whole] == [bytes(outputs[0].data) for outputs in alone[:5]]

    run(test())


def test_a_cancelled_call_never_runs_and_its_mates_do_not_notice() -> None:
    async def test() -> None:
        async with inferring(MOTION) as (models, dataplane, _):
            name = models.view(MOTION).inputs[0].name
            expected = (await models.infer(call(MOTION, (name, motion(1))))).outputs
            (lane,) = dataplane.serving[MOTION].pool.lanes
            os.kill(lane.pid, signal.SIGSTOP)  # whatever is asked now waits
            tasks = [
                asyncio.ensure_future(models.infer(call(MOTION, (name, motion(1)), caller=str(n))))
                for n in range(20)
            ]
            await asyncio.sleep(0)
            waiting = dataplane.serving[MOTION].queued
            for task in tasks[10:]:
                task.cancel()
            await asyncio.gather(*tasks[10:], return_exceptions=True)
            assert waiting - dataplane.serving[MOTION].queued == 10
            os.kill(lane.pid, signal.SIGCONT)
            replies = await asyncio.gather(*tasks[:10])
            assert all(reply.outputs == expected for reply in replies)

    run(test())


def test_a_deadline_is_answered_at_its_time_whatever_the_lane_does() -> None:
    async def test() -> None:
        async with inferring(MOTION) as (models, dataplane, _):
            name = models.view(MOTION).inputs[0].name
            (lane,) = dataplane.serving[MOTION].pool.lanes
            os.kill(lane.pid, signal.SIGSTOP)
            late = [models.infer(call(MOTION, (name, motion(1)), in_s=0.1)) for _ in range(5)]
            ended = await asyncio.gather(*late, return_exceptions=True)
            assert all(isinstance(each, DeadlineExceeded) for each in ended)
            os.kill(lane.pid, signal.SIGCONT)

    run(test())


def test_a_sequence_carries_the_models_state_and_a_lone_call_does_not() -> None:
    async def test() -> None:
        async with inferring(SPEECH) as (models, _, _):
            sound = np.random.default_rng(5).normal(scale=0.1, size=(6, 1, 576)).astype(np.float32)

            async def said(step: int, sequence: Sequence | None) -> float:
                asked = call(SPEECH, ("input", sound[step]), sequence=sequence)
                reply = await models.infer(asked._replace(outputs=(WantedOutput("output"),)))
                return float(array_of(reply)[0, 0])

            lone = [await said(step, None) for step in range(6)]
            first = [await said(step, Sequence("a", start=step == 0)) for step in range(6)]
            again = [await said(step, Sequence("a", start=step == 0)) for step in range(6)]
            assert first == again
            assert first[0] == lone[0]
            assert first[1:] != lone[1:]
            # Whoever carries the state himself gets the same.
            state = np.zeros((2, 1, 128), np.float32)
            own = []
            for step in range(6):
                reply = await models.infer(call(SPEECH, ("input", sound[step]), ("state", state)))
                own.append(float(array_of(reply)[0, 0]))
                state = array_of(reply, 1)
            assert own == first

    run(test())


@pytest.mark.parametrize(
    ("array", "error", "words"),
    [
        (np.zeros((1, 100, 5), np.float32), WrongShape, "the model takes [-1, 100, 6]"),
        (np.zeros((0, 100, 6), np.float32), WrongShape, "1 to 8"),
        (np.zeros((9, 100, 6), np.float32), WrongShape, "1 to 8"),
        (np.zeros((1, 100, 6), np.float64), WrongDtype, "FP64"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(
    array: np.ndarray[Any, Any], error: type[Exception], words: str
) -> None:
    async def test() -> None:
        async with inferring(MOTION) as (models, _, seen):
            name = models.view(MOTION).inputs[0].name
            with pytest.raises(error) as refused:
                await models.infer(call(MOTION, (name, array)))
            assert words in str(refused.value)
            with pytest.raises(Malformed, match="unexpected inference input 'y'"):
                await models.infer(call(MOTION, ("y", motion(1))))
            with pytest.raises(Malformed, match="expected 1 inputs but got 0 inputs"):
                await models.infer(call(MOTION))
            assert not seen.ended

    run(test())


def test_statistics_count_requests_rows_and_runs() -> None:
    async def test() -> None:
        async with inferring(MOTION) as (models, _, _):
            name = models.view(MOTION).inputs[0].name
            before_ms = time.time_ns() // 1_000_000
            for rows in (1, 1, 3):
                await models.infer(call(MOTION, (name, motion(1, rows))))
            (counts,) = models.statistics(MOTION)
            assert (counts.inference_count, counts.execution_count, counts.success.count) == (5, 3, 3)
            assert [(each.rows, each.compute.count) for each in counts.batches] == [(1, 2), (3, 1)]
            assert counts.success.ns >= counts.compute_infer.ns > 0
            assert counts.last_inference_ms >= before_ms
            assert counts.fail.count == 0

    run(test())
