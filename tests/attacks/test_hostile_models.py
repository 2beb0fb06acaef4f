"""Signed releases whose models want to do harm: each is judged apart, and nobody else notices."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.updates.release import Budgets
from tests import onnx_writer, tflite_writer
from tests.attacks.house import NUMBERS, House, children_of, four_times, quarantined, reason, unmoved
from tests.broker import Broker
from tests.inference.made_models import sample
from tests.inference.model_folders import write
from tests.system.releases import Frames, release_of
from tests.system.running import Client, Daemon, subscribed, until

Hostile = Callable[[House, str], Any]


def _made(make: Callable[[Path], Path], **more: Any) -> Hostile:
    return lambda house, name: house.release(name, make, **more)


def _beside(location: str) -> Hostile:
    """Weights said to lie somewhere else: a matrix product of another width than the factory model's."""
    make = lambda path: onnx_writer.beside(path, onnx_writer.External(location))  # noqa: E731
    return lambda house, name: house.release(name, make, width=16)


def _tflite(house: House, name: str, body: Callable[[Path], object]) -> None:
    at = house.folder / f"{name}-1"
    at.mkdir()
    body(at / "m.tflite")
    port = {"dtype": "float32", "shape": [1, 4]}
    write(at, at / "m.tflite", [{"name": "x", **port}], [{"name": "y", **port}])
    house.packed(name, at)


def _golden(
    expect: dict[str, Any], values: list[float], make: Callable[[Path], Path] = four_times
) -> Hostile:
    def hostile(house: House, name: str) -> None:
        at = house.folder / f"{name}-1"
        house.release(name, make, golden=[sample(at, values, **expect)])

    return hostile


def _npz_bomb(house: House, name: str) -> None:
    at = house.folder / f"{name}-1"
    at.mkdir()
    with (
        zipfile.ZipFile(at / "raw.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("y.npy", "w") as file,
    ):
        for _ in range(300):
            file.write(bytes(1 << 20))
    assert (at / "raw.npz").stat().st_size < 1 << 20
    house.release(name, golden=[sample(at, [1.0] * 4, kind="tensors", outputs="raw.npz")])


def _renamed(house: House, name: str) -> None:
    port = ("float32", (1, 4))
    graph = onnx_writer.Graph([onnx_writer.node("Identity", ["x"], ["z"])], [("x", *port)], [("z", *port)])
    outputs = [{"name": "z", "dtype": "float32", "shape": [1, 4]}]
    house.release(name, lambda path: onnx_writer.write(path, graph), outputs=outputs)


def _forging(path: Path) -> Path:
    """Write a model whose error would be a second line of the log, if nobody escaped it."""
    kind = "Custom\n" + json.dumps({"event": "forged", "level": "info"}) + "\n"
    node = onnx_writer.node(kind, ["x"], ["y"], domain="odd.domain")
    port = ("float32", (1, 4))
    return onnx_writer.write(path, onnx_writer.Graph([node], [("x", *port)], [("y", *port)]))


@dataclass(frozen=True)
class Attack:
    """One hostile release, and the words with which it must be turned away."""

    name: str
    make: Hostile
    why: str


ATTACKS = (
    Attack("segfault", lambda h, n: _tflite(h, n, tflite_writer.deadly), r"^load: .*ended by SIGSEGV"),
    Attack(
        "eight-bytes",
        lambda h, n: _tflite(h, n, lambda path: path.write_bytes(b"\x18\0\0\0TFL3")),
        r"^structure: .*is no \.tflite file",
    ),
    Attack("memory-bomb", _made(onnx_writer.bomb), r"^warm_up: .*(memory|allocat)"),
    Attack("custom-op", _made(onnx_writer.foreign), r"^load: "),
    Attack("forger", _made(_forging), r"^load: .*Custom"),
    Attack("environ", _beside("/proc/self/environ"), r"^structure: .*only NAME or FOLDER/NAME"),
    Attack("climbing", _beside("../w.bin"), r"^structure: .*only NAME or FOLDER/NAME"),
    Attack("lying-card", _made(onnx_writer.product), r"shape is \[1, 16\], the card says \[1, 4\]"),
    Attack("other-outputs", _renamed, r"^does not fit the pipelines that run here: .*y"),
    Attack("nan-golden", _golden({"rows": 1}, [-1.0] * 4, onnx_writer.root), r"^golden: .*(NaN|finite)"),
    Attack("npz-bomb", _npz_bomb, r"raw\.npz: unpacks to \d+ bytes, more than"),
    Attack("latency", _made(four_times, facts={"budgets": Budgets(p99_ms=1e-6)}), r"^budget: .*takes at p99"),
    Attack(
        "memory",
        _made(four_times, facts={"budgets": Budgets(memory_bytes=1)}),
        r"^budget: .*holds .*budget is",
    ),
)


@pytest.mark.slow
def test_every_hostile_model_is_quarantined_with_its_reason_and_no_worker_notices(
    tmp_path: Path, broker: Broker, house: House, frames: Frames
) -> None:
    for attack in ATTACKS:
        attack.make(house, attack.name)
    house.release("honest")
    house.publish()
    with Daemon(tmp_path, house.config(), broker.url) as daemon:
        daemon.ready()
        subscribed(broker, "watch/motion")
        frames.client.subscribe("gw/test/models/event")  # what comes there is read as JSON too
        others = [attack.name for attack in ATTACKS]
        with unmoved(daemon, frames, others):
            for attack in ATTACKS:
                why = reason(daemon, attack.name, frames)
                assert re.search(attack.why, why.removeprefix("model ")), (attack.name, why)
            daemon.wait_event("release_step", step="committed", model="honest")
        for name in others:
            until(lambda: quarantined(daemon, name), name)  # noqa: B023 - waited for at once
        assert not [event for event in daemon.events if event["event"] == "forged"]
        assert "Traceback" not in json.dumps(daemon.events)
        workers = [pid for name in ("motion", "honest", *others) for pid in daemon.lanes(name)]
        assert sorted(children_of(daemon)) == sorted(workers)
        assert daemon.stop() == 0


@pytest.mark.slow
def test_an_endless_model_is_ended_in_time_and_one_that_answers_nan_is_sent_back_from_its_bake(
    tmp_path: Path, broker: Broker, house: House, frames: Frames, client: Client
) -> None:
    house.release("endless", onnx_writer.endless)
    house.limits["endless"] = {"load_timeout_s": 8}
    house.release("nan", onnx_writer.root)  # no golden sample looks at a negative number
    house.publish()
    with Daemon(tmp_path, house.config(bake={"requests": 10_000, "max_seconds": 300}), broker.url) as daemon:
        daemon.ready()
        for name in ("motion", "nan"):
            subscribed(broker, f"watch/{name}")
        with unmoved(daemon, frames, ["endless"]):
            daemon.wait_event("release_step", step="serving", model="nan")
            for value in (-1.0, -4.0, -9.0):
                client.publish("watch/nan", np.full(4, value, np.float32).tobytes(), **NUMBERS)
            fell = daemon.wait_event("release_step", step="rolled_back", model="nan")
            assert "NaN" in fell["reason"]
            why = reason(daemon, "endless", frames)
            assert re.search(r"^warm_up: .*(took longer than 8 s|SIGXCPU)", why), why
        for name in ("endless", "nan"):
            until(lambda: quarantined(daemon, name), name)  # noqa: B023 - waited for at once
        # A look that came meanwhile has found it quarantined, which is then the last that is known.
        assert release_of(daemon, "nan")["last_error"]["code"] in ("update.bake", "update.quarantined")
        assert daemon.stop() == 0
