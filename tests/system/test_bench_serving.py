"""The parts of the serving bench run: real servers, a handful of requests, and nothing held to a time."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import pytest

from tests.system.running import ROOT


@pytest.fixture(name="parts")
def _parts(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "scripts" / "bench_parts"))
    return importlib.import_module


def test_the_gateway_is_measured_at_every_door(parts: Any, tmp_path: Path) -> None:
    cases, targets = parts("serving_cases"), parts("serving_targets")
    models = parts("serving_models").made(tmp_path)
    with targets.Daemon(list(models.values()), models["small"]) as daemon:
        eff = daemon.load_of(daemon.way_of(models["eff"]), "--seconds", 0.2)
        assert (eff["failed"], eff["answered"] >= 8) == (0, True)
        paced = daemon.load("--seconds", 0.5, "--rate", 20)
        assert (paced["failed"], paced["answered"]) == (0, 10)
        doors = cases.doors(daemon, models, 1, 0.2)
        assert doors["doors_failed"] == 0
        assert all(
            doors[key] > 0 for key in ("grpc_unary_per_s", "grpc_stream_per_s", "600_kb_memory_door_p50_ms")
        )
        late = cases.late(daemon, models, 0.3)
        assert late["deadlines_passed"] == 30
        assert late["decided_late_p99_ms"] >= 0
        assert late["grpc_answered_late_p99_ms"] >= late["grpc_answered_late_p50_ms"] >= 0
        assert cases.leaving(daemon, models["slow"], 8)["work_done_for_them"] == 0
        assert cases.idle_connections(daemon, 20)["idle_connections"] == 20
        flat = cases.flatness(daemon, 100)
        assert (flat["requests"], flat["requests_failed"]) == (100, 0)


def test_two_trees_are_asked_in_turns(parts: Any, tmp_path: Path) -> None:
    against, targets = parts("against_cases"), parts("serving_targets")
    served = parts("serving_models").made(tmp_path)["small"]
    with targets.Daemon([served], served) as daemon:
        mine, other = against.in_turns((daemon, daemon), served, 2, 2)
    assert len(mine.rates) == len(other.rates) == 2
    assert len(mine.took_ms) == len(other.took_ms) == 600
    seen = against.compared(mine, other, "2_at_a_time")
    assert all(value > 0 for value in seen.values())


def test_memory_is_looked_at_while_both_doors_are_asked(parts: Any) -> None:
    seen = parts("flat_cases").flat(1, requests=80, step=40)
    assert (seen["requests"], seen["failed_requests"]) == (80, 0)
    assert [key for key in seen if key.startswith("after")] == [f"after {n}" for n in (0, 40, 80)]


def test_memory_that_rises_with_requests_is_not_flat(parts: Any) -> None:
    cases = parts("flat_cases")
    for rise_kb, failed in ((0, False), (50, False), (200, True)):
        # Before the second half it may rise as it likes.
        uss = (20_000, 60_000, 60_000 + rise_kb, 60_000 + 2 * rise_kb)
        samples = [cases.Held(50_000 * at, (90_000, kb), (9_000, 8_000)) for at, kb in enumerate(uss)]
        assert cases.said(samples)["failed"] is failed


def test_others_are_asked_while_a_model_is_loaded_and_loaded_anew(parts: Any) -> None:
    seen = parts("reload_cases").reload(1, init_s=0.05, calm_s=0.5)
    assert seen["failed_requests"] == 0
    for door in ("HTTP", "gRPC"):
        for what in ("calm", "reload", "load"):
            assert "longest" in seen[f"{door}, {what}"]


@pytest.mark.parametrize(
    ("took_s", "failed"), [((0.002, 0.002), False), ((0.002, 0.003), True), ((0.045, 0.051), True)]
)
def test_what_others_notice_is_held_against_the_calm_before(
    parts: Any, took_s: tuple[float, float], failed: bool
) -> None:
    cases = parts("reload_cases")
    calm_s, load_s = took_s
    kinds = ("calm", "reload", "calm", "load")
    windows = [cases.Window(what, 10.0 * at, 10.0 * at + 9) for at, what in enumerate(kinds)]
    samples = [
        (10.0 * at + second, calm_s if what == "calm" else load_s)
        for at, what in enumerate(kinds)
        for second in range(1, 8)
    ]
    seen = cases.said(windows, {"HTTP": {"samples": samples, "failed": 0}})
    assert seen["failed"] is failed
    assert seen["HTTP, load"].endswith("of 7")


def test_a_request_belongs_to_every_time_that_it_was_under_way_in(parts: Any) -> None:
    window = parts("reload_cases").Window("load", 10.0, 12.0)
    samples = [(9.0, 0.5), (9.0, 1.5), (11.0, 0.1), (11.5, 3.0), (12.5, 0.1)]
    assert window.of(samples) == [100.0, 1500.0, 3000.0]


def test_the_bare_script_answers_what_the_runtime_says(parts: Any, tmp_path: Path) -> None:
    cases, peers = parts("serving_cases"), parts("serving_peers")
    models = parts("serving_models").made(tmp_path)
    seen: dict[str, list[float]] = {}
    assert peers.ceiling(models["small"], 0.2) > 0
    with peers.script(models["small"]) as target:
        cases.measure(seen, target, 100.0, 0.3, paced=True)
    assert seen["script_failed"] == [0]
    assert seen["script_per_s"][0] > 0
    assert {key for key in seen if "_at_" in key} == {
        f"script_p{q}_at_{share}_ms" for q in (50, 99) for share in ("30%", "70%")
    }


def test_ratios_are_taken_round_by_round(parts: Any) -> None:
    seen = {
        name: values
        for server, rates in (("gateway", [10.0, 30.0, 20.0]), ("script", [5.0, 10.0, 40.0]))
        for name, values in {
            f"{server}_per_s": rates,
            f"{server}_saturated_p99_ms": [1.0, 1.0, 1.0],
            f"{server}_alone_p50_ms": [1.0, 1.0, math.nan],
        }.items()
    }
    assert parts("serving_cases").ratios(seen)["throughput_over_script"] == 2.0


def test_the_classifier_takes_pixels_and_says_what_the_shipped_one_says(parts: Any, tmp_path: Path) -> None:
    import onnxruntime as ort

    served = parts("serving_models").made(tmp_path)["eff"]
    shipped = ort.InferenceSession(str(parts("harness").ONNX_FILE))
    pixels = (served.frame.astype("float32") - 127) / 128
    (expected,) = shipped.run(None, {"input": pixels.transpose(0, 3, 1, 2)})
    (found,) = ort.InferenceSession(str(served.file)).run(None, {served.input: served.frame})
    assert found.argmax() == expected.argmax()
    assert abs(found - expected).max() < 1e-4
