"""What a candidate is held to in its process: stages, budgets, sound numbers, and no way out."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.configuration.settings import StepSettings
from gateway.errors import GatewayBug, GatewayError, LoadFailed, OutOfMemory, ValidationFailed, WarmupFailed
from gateway.inference.card import file_digest
from gateway.inference.loaded import LoadSpec, PipelineSpec
from gateway.inference.proof import Effort, prove
from gateway.inference.proven import Proof, ProofBudgets
from tests import onnx_writer
from tests.children import children
from tests.inference import hostile
from tests.inference.bench_of_lanes import payload, request, serving
from tests.inference.made_models import beside, folder, sample, weights
from tests.inference.model_folders import edit, spec

TIMEOUT_S = 60.0


def tried(wanted: LoadSpec, **limits: Any) -> Proof | GatewayError:
    try:
        return asyncio.run(prove(wanted, **{"timeout_s": TIMEOUT_S, **limits}))
    except GatewayError as error:
        return error


def refused(wanted: LoadSpec, **limits: Any) -> GatewayError:
    error = tried(wanted, **limits)
    assert isinstance(error, GatewayError)
    return error


def sleepers() -> set[int]:
    """Return the processes that a hostile step left behind."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes() == b"sleep\x00987\x00":
                found.add(int(path.parent.name))
        except OSError:
            continue
    return found


def test_a_proof_says_what_was_mapped_what_it_cost_and_how_it_was_held() -> None:
    wanted = spec("motion-int8")
    proof = tried(wanted)
    assert isinstance(proof, Proof)
    assert proof.mapped == file_digest(Path(wanted.folder) / "motion_int8.tflite")
    assert 0 < proof.latency_ms <= proof.p99_ms
    assert 0 < proof.load_s < TIMEOUT_S
    assert proof.memory_bytes < proof.peak_rss_bytes < 1 << 30
    assert "landlock" in proof.confined
    assert "syscalls" in proof.confined


def test_weights_beside_a_model_are_named_with_their_digests(tmp_path: Path) -> None:
    at = beside(tmp_path, "w.bin")
    weights(at / "w.bin")
    proof = tried(spec(at))
    assert isinstance(proof, Proof)
    assert proof.weights == (("w.bin", file_digest(at / "w.bin")),)


def test_weights_by_a_hard_link_are_read_and_their_digest_tells_whose_they_are(tmp_path: Path) -> None:
    foreign = weights(tmp_path / "foreign.bin", 7.0)
    at = beside(tmp_path / "model", "w.bin")
    (at / "w.bin").hardlink_to(foreign)
    proof = tried(spec(at))
    assert isinstance(proof, Proof)
    assert proof.weights == (("w.bin", file_digest(foreign)),)


def test_a_model_beyond_a_budget_is_refused_with_the_numbers() -> None:
    free = ProofBudgets(load_s=60.0, p99_ms=60_000.0, memory_bytes=1 << 30)
    assert isinstance(tried(spec("motion-int8"), effort=Effort(free)), Proof)
    assert isinstance(tried(spec("motion-int8"), effort=Effort(ProofBudgets())), Proof)
    for tight, word in [
        (ProofBudgets(load_s=1e-6), "loads and warms up in"),
        (ProofBudgets(p99_ms=1e-6), "takes at p99"),
        (ProofBudgets(memory_bytes=1), "holds"),
    ]:
        error = refused(spec("motion-int8"), effort=Effort(tight))
        assert isinstance(error, ValidationFailed)
        assert error.attributes["stage"] == "budget"
        assert word in error.message
        assert "its budget is" in error.message


def test_a_model_that_gives_nan_for_a_golden_sample_is_refused(tmp_path: Path) -> None:
    make = onnx_writer.root
    sound = folder(tmp_path / "a", make, golden=[sample(tmp_path / "a", [4.0, 9.0, 1.0, 0.0], rows=1)])
    assert isinstance(tried(spec(sound)), Proof)
    at = tmp_path / "b"
    error = refused(spec(folder(at, make, golden=[sample(at, [4.0, -1.0, 1.0, 0.0], rows=1)])))
    assert isinstance(error, WarmupFailed)
    assert error.attributes["stage"] == "golden"


def test_nan_is_refused_even_where_the_card_s_steps_do_not_look(tmp_path: Path) -> None:
    ports = [{"name": name, "dtype": "float32", "shape": [1, 4]} for name in ("y", "z")]
    card: dict[str, Any] = {"outputs": ports, "postprocess": [{"tensors": {"outputs": ["y"]}}]}
    for first, sound in ((1.0, True), (-1.0, False)):
        at = tmp_path / str(sound)
        golden = [sample(at, [first, 9.0, 1.0, 0.0], rows=1)]
        wanted = spec(folder(at, onnx_writer.half_sound, golden=golden, **card))
        if sound:
            assert isinstance(tried(wanted), Proof)
            continue
        error = refused(wanted)
        assert isinstance(error, WarmupFailed)
        assert "golden/0.f32: output z holds NaN or infinity" in error.message


def test_every_end_names_its_stage(tmp_path: Path) -> None:
    garbage = folder(tmp_path / "garbage", onnx_writer.product, width=16)
    edit(garbage, ('"format": "onnx"', '"format": "tflite"'))
    cases: list[tuple[Path, tuple[str, ...], dict[str, float]]] = [
        (garbage, ("structure",), {}),
        (beside(tmp_path / "outside", "../w.bin"), ("structure",), {}),
        (folder(tmp_path / "foreign", onnx_writer.foreign), ("load",), {}),
        # ONNX Runtime 1.23, the last for Python 3.10, computes what is constant while it loads.
        (folder(tmp_path / "bomb", onnx_writer.bomb), ("warm_up", "load"), {}),
        (folder(tmp_path / "endless", onnx_writer.endless), ("warm_up",), {"timeout_s": 10.0}),
    ]
    for at, stages, limits in cases:
        error = refused(spec(at), **limits)
        assert isinstance(error, LoadFailed | WarmupFailed | OutOfMemory)
        assert error.attributes["stage"] in stages, error
        assert children() == []


def test_the_same_loop_with_an_end_is_proven(tmp_path: Path) -> None:
    at = folder(tmp_path, lambda path: onnx_writer.endless(path, 3))
    assert isinstance(tried(spec(at)), Proof)


def test_a_model_s_words_on_how_to_run_it_are_not_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = {"ort_config": '{"session_options":{"enable_profiling":1}}'}
    at = folder(tmp_path, lambda path: onnx_writer.product(path, metadata=words), width=16)
    monkeypatch.setenv("ORT_LOAD_CONFIG_FROM_MODEL", "1")
    before = sorted(at.iterdir())
    source = "import sys, {0}; {1}"
    ours = source.format(
        "gateway.inference.loaded as l, tests.inference.model_folders as m, pathlib",
        "m.load(pathlib.Path(sys.argv[1]))",
    )
    naive = source.format("onnxruntime", "onnxruntime.InferenceSession(sys.argv[1] + '/m.onnx')")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    for code, writes in ((ours, False), (naive, True)):
        asyncio.run(in_folder(at, code))
        assert (sorted(at.iterdir()) != before) == writes


async def in_folder(at: Path, code: str) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(at), cwd=at)
    assert await process.wait() == 0


@pytest.fixture
def harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that a hostile step tries to change, and the step on the path of every process started here."""
    target = tmp_path / "blob"
    target.write_text("sound")
    (tmp_path / "step").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        path = hostile.install(tmp_path / "step", target, listener.getsockname()[1])
        monkeypatch.setenv("PYTHONPATH", path)
        before = sleepers()
        yield target
    assert sleepers() == before
    assert target.read_text() == "sound"
    assert not target.with_name("blob.new").exists()


HOSTILE = PipelineSpec("motion", (StepSettings("hostile", {}), StepSettings("window", {"carry": False})))


def test_what_takes_the_process_over_can_do_no_harm_from_there(harm: Path) -> None:
    error = refused(spec("motion-int8-onnx", pipelines=(HOSTILE,)))
    assert "could: []" in error.message


def test_what_takes_a_worker_over_cannot_change_a_file(harm: Path) -> None:
    async def test() -> None:
        async with serving(pipeline=HOSTILE) as (dataplane, scheduler, _):
            (lane,) = scheduler.pool.lanes
            assert lane.facts is not None
            assert lane.facts.confined.startswith("landlock ")
            with pytest.raises(GatewayBug, match="could: ") as caught:
                await dataplane.infer(request(payload()))
            could = caught.value.message.partition("could: [")[2].split("]")[0].split()
            assert not {"write", "create", "replace", "signal"} & set(could)
            assert "run" in could  # the step ran, and is not kept from all it tries
            end(sleepers() - before)  # it holds the worker's standard error open

    before = sleepers()
    try:
        asyncio.run(test())
    finally:
        end(sleepers() - before)


def end(pids: set[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert all(ends(pid) for pid in pids)


def ends(pid: int) -> bool:
    """Wait until a process has ended; False if it does not."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], 5.0)[0])
    finally:
        os.close(fd)


def test_what_a_child_leaves_behind_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sleepers()
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nsleep 987 >/dev/null 2>&1 &\nexec {sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(wrapper))
    assert isinstance(tried(spec("motion-int8")), Proof)
    assert all(ends(pid) for pid in sleepers() - before)
