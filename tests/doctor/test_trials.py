"""Runtimes tried in processes of their own: real ones, and some that crash, hang or compute nonsense."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gateway.configuration.settings import ModelSettings, Settings
from gateway.doctor.finding import Verdict
from gateway.doctor.interpreter import numpy_findings
from gateway.doctor.readers.runtimes import read_trials, try_out
from gateway.doctor.rules.runtimes import Trial, judge_trials
from gateway.doctor.small_model import FILES, as_format, expected
from gateway.inference.engines.board import Board
from tests.doctor.sound_facts import CUDA, TRIAL
from tests.doctor.write_small_model import WRITERS

CPU = "CPUExecutionProvider"
PIP = "python -m pip"


def script(words: str) -> tuple[str, ...]:
    """Return a process that does something else than a trial."""
    return (sys.executable, "-c", f"import json, os, signal, sys, time\n{words}")


@pytest.mark.parametrize("name", FILES)
def test_the_small_model_that_is_shipped_is_the_one_that_is_written_here(name: str, tmp_path: Path) -> None:
    assert WRITERS[name](tmp_path / "made").read_bytes() == FILES[name].read_bytes()


def test_what_must_come_out_is_not_all_zeroes_and_exact_in_half_precision() -> None:
    right = expected()
    assert np.count_nonzero(right) > right.size / 4
    assert np.array_equal(right.astype(np.float16).astype(np.float32), right)
    assert as_format(right, "tflite").shape == (1, 14, 14, 8)


@pytest.mark.parametrize(("runtime", "provider"), [("litert", "xnnpack"), ("onnxruntime", CPU)])
def test_a_real_runtime_computes_what_it_must_and_is_timed(runtime: str, provider: str) -> None:
    trial = try_out(Trial(runtime, provider, True))
    assert (trial.error, trial.backend, trial.off_by) == ("", provider, 0.0)
    assert trial.version
    assert trial.latency_ms is not None
    assert trial.latency_ms > 0
    (finding,) = judge_trials([trial], PIP)
    assert finding.verdict is Verdict.OK
    assert finding.values["latency_ms"] == trial.latency_ms


def test_everything_installed_is_tried_and_what_is_asked_for_is_wanted() -> None:
    models = {"m": ModelSettings(path=".", providers=(CUDA, CPU))}
    trials = read_trials(Settings(models=models), Board())
    told = {(trial.runtime, trial.provider): trial for trial in trials}
    assert {("litert", "xnnpack"), ("onnxruntime", CPU), ("onnxruntime", CUDA)} <= set(told)
    absent = told["onnxruntime", CUDA]
    assert absent.wanted
    assert "none of the providers" in absent.error
    found = {each.values["provider"]: each.verdict for each in judge_trials(trials, PIP)}
    assert found[CUDA] is Verdict.PROBLEM
    assert found[CPU] is Verdict.OK


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("os.kill(os.getpid(), signal.SIGILL)", "the process was ended by SIGILL"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "the process was ended by SIGSEGV"),
        ("sys.stderr.write('no cudnn'); sys.exit(3)", "ended with code 3 and no answer: no cudnn"),
        ("print('not json')", "ended with code 0 and no answer"),
        ("print(json.dumps({'latency_ms': []}))", "ended with code 0 and no answer"),
        ("print(json.dumps({'error': 'no kernel image is available'}))", "no kernel image is available"),
    ],
)
def test_whatever_a_runtime_does_to_its_process_is_a_finding(words: str, error: str) -> None:
    trial = try_out(replace(TRIAL, latency_ms=None, off_by=None), script(words))
    assert trial.error == error
    (finding,) = judge_trials([trial], PIP)
    assert finding.verdict is Verdict.PROBLEM
    assert finding.mend


def test_a_runtime_that_never_ends_is_ended() -> None:
    trial = try_out(TRIAL, script("time.sleep(1000)"), limit_s=0.2)
    assert trial.error == "did not end within 0.2 s"


def test_wrong_numbers_and_numbers_that_are_none_are_not_believed() -> None:
    for off_by in (0.5, None, float("nan")):
        (finding,) = judge_trials([replace(TRIAL, off_by=off_by)], PIP)
        assert finding.verdict is Verdict.PROBLEM
        assert "computes something else" in finding.what


def test_a_provider_that_nobody_asked_for_is_only_warned_of() -> None:
    (finding,) = judge_trials([replace(TRIAL, wanted=False, latency_ms=None, error="no device")], PIP)
    assert finding.verdict is Verdict.WARNING


def test_what_runs_elsewhere_than_asked_is_warned_of() -> None:
    (finding,) = judge_trials([replace(TRIAL, runtime="litert", provider="xnnpack", backend="builtin")], PIP)
    assert finding.verdict is Verdict.WARNING
    assert "ProcSubset" in finding.mend[0]


def test_numpy_is_tried_before_anything_needs_it() -> None:
    assert list(numpy_findings()) == []
    (crash,) = numpy_findings(script("os.kill(os.getpid(), signal.SIGILL)"))
    assert (crash.check, crash.verdict) == ("packages.numpy", Verdict.PROBLEM)
    assert "SIGILL" in crash.what
    assert "OPENBLAS_CORETYPE=ARMV8" in crash.mend[0]
    (broken,) = numpy_findings(script("raise ImportError('no numpy here')"))
    assert "ImportError: no numpy here" in broken.what
    assert "pip install --force-reinstall numpy" in broken.mend[0]
