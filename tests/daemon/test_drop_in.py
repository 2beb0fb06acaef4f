"""Drop-in models of a running gateway, from outside: files come, change and go; requests are answered."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import onnx_writer
from tests.broker import Broker
from tests.inference.made_models import beside, weights
from tests.inference.model_folders import MODELS, copy, edit
from tests.system.running import Daemon, until

pytestmark = pytest.mark.slow

ROW = [float(number) for number in range(16)]
CONFIG = "gateway: {id: test}\n"


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker() as running:
        yield running


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    folder = tmp_path / "drop"
    folder.mkdir()
    return folder


def started(tmp_path: Path, broker: Broker, config: str = CONFIG) -> Daemon:
    overrides = (f"serving.models_dir={tmp_path / 'drop'}", f"gateway.cache_dir={tmp_path / 'cache'}")
    return Daemon(tmp_path, config, broker.url, *overrides, "serving.grpc.enabled=false")


def infer(daemon: Daemon, model: str, row: list[float] | None = None) -> tuple[int, list[float]]:
    """Ask a model of 16 numbers for its four; return the status and those."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 16], "data": row or ROW}
    body = json.dumps({"inputs": [tensor]}).encode()
    url = f"http://{daemon.http}/v2/models/{model}/infer"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=30) as answer:
            return 200, json.loads(answer.read())["outputs"][0]["data"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, []


def product(seed: int) -> list[float]:
    """Return what ``onnx_writer.product`` of this seed gives for ``ROW``."""
    factors = np.random.default_rng(seed).normal(size=(16, 4)).astype(np.float32)
    return [float(each) for each in np.array(ROW, np.float32) @ factors]


def is_product(answer: list[float], seed: int) -> bool:
    return bool(answer) and np.allclose(answer, product(seed), rtol=1e-4)


def ready(daemon: Daemon) -> int:
    return daemon.page("/readyz")[0]


def write(path: Path, seed: int = 1) -> Path:
    """Write a model in one go, as ``cp`` does: into the file that is there."""
    made = onnx_writer.product(path.parent.parent / f"{path.stem}-{seed}.made", seed)
    path.write_bytes(made.read_bytes())
    return path


class Asking:
    """Somebody who asks a model without pause, from a thread of his own."""

    def __init__(self, daemon: Daemon, model: str) -> None:
        self.answers: list[tuple[int, list[float]]] = []
        self._whom = daemon, model
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Asking:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._enough.is_set():
            self.answers.append(infer(*self._whom))


def test_a_file_serves_is_replaced_without_a_gap_and_goes(tmp_path: Path, broker: Broker, drop: Path) -> None:
    with started(tmp_path, broker) as daemon:
        daemon.ready()
        assert infer(daemon, "numbers")[0] == 404
        write(drop / "numbers.onnx", 1)
        said = daemon.wait_event("drop_in_serves", model="numbers")
        assert said["missing"] == ["licence", "preprocess", "postprocess", "labels", "golden"]
        status, answer = infer(daemon, "numbers")
        assert (status, is_product(answer, 1)) == (200, True)
        view = json.loads(daemon.page("/v2/models/numbers")[1])
        assert view["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [1, 16]}]
        assert said["version"] in view["versions"]
        assert view["properties"]["missing"] == "licence, preprocess, postprocess, labels, golden"
        (listed,) = daemon.status()["models"]
        assert listed["drop_in"]["file"] == str(drop / "numbers.onnx")
        with Asking(daemon, "numbers") as asking:
            until(lambda: len(asking.answers) > 20, "answers of the first")
            write(drop / "numbers.onnx", 2)  # in place, while lanes serve the first
            until(lambda: is_product(asking.answers[-1][1], 2), "answers of the second")
        assert {status for status, _ in asking.answers} == {200}
        kinds = [is_product(answer, 2) for _, answer in asking.answers]
        assert kinds == sorted(kinds), "the first answered after the second"
        assert all(is_product(answer, 1) or is_product(answer, 2) for _, answer in asking.answers)
        assert b'gateway_requests_total{model="numbers",outcome="done"}' in daemon.page("/metrics")[1]
        (drop / "numbers.onnx").unlink()
        daemon.wait_event("drop_in_gone", model="numbers")
        assert infer(daemon, "numbers")[0] == 404
        until(lambda: not [*(tmp_path / "cache" / "drop-in").glob("*/*")], "no copy is left")
        assert not daemon.status()["models"]
        assert daemon.stop() == 0


def test_a_bad_file_harms_nobody_and_is_told_once(tmp_path: Path, broker: Broker, drop: Path) -> None:
    with started(tmp_path, broker) as daemon:
        daemon.ready()
        write(drop / "good.onnx")
        daemon.wait_event("drop_in_serves", model="good")
        (drop / "bad.onnx").write_bytes(b"rubbish" * 100)
        (drop / "bad.pt").write_bytes(b"x")
        onnx_writer.foreign(drop / "foreign.onnx")
        wrong = {"bad.onnx": "protobuf", "bad.pt": "not served", "foreign.onnx": "odd.domain"}
        for name, words in wrong.items():
            said = daemon.wait_event("drop_in_refused", file=str(drop / name))
            assert words in said["reason"]
            assert said["advice"]
        (drop / "good.onnx").write_bytes(b"damaged" * 100)
        daemon.wait_event("drop_in_refused", file=str(drop / "good.onnx"))
        status, answer = infer(daemon, "good")
        assert (status, is_product(answer, 1)) == (200, True)
        assert ready(daemon) == 200
        write(drop / "bad.onnx", 3)  # mended
        daemon.wait_event("drop_in_serves", model="bad")
        assert is_product(infer(daemon, "bad")[1], 3)
        refused = [event["file"] for event in daemon.events if event["event"] == "drop_in_refused"]
        assert len(refused) == len(set(refused)) == 4
        assert daemon.stop() == 0


def test_many_files_at_once_are_all_served_and_a_stop_amid_others_leaves_nothing(
    tmp_path: Path, broker: Broker, drop: Path
) -> None:
    with started(tmp_path, broker) as daemon:
        daemon.ready()
        for number in range(3):
            write(drop / f"m{number}.onnx", number)
        for number in range(3):
            daemon.wait_event("drop_in_serves", model=f"m{number}")
            assert is_product(infer(daemon, f"m{number}")[1], number)
        for number in range(3):
            write(drop / f"m{number}.onnx", 10 + number)
        daemon.wait_event("engine_chosen", 4)  # one is proven, others are not
        assert daemon.stop() == 0  # and its end finds every process that is left
    with started(tmp_path, broker) as daemon:
        daemon.ready()
        for number in range(3):
            daemon.wait_event("drop_in_serves", model=f"m{number}")
            assert is_product(infer(daemon, f"m{number}")[1], 10 + number)
        until(lambda: len([*(tmp_path / "cache" / "drop-in").glob("*/*")]) == 3, "copies of three alone")
        assert daemon.stop() == 0


def test_odd_names_are_served_under_lawful_ones(tmp_path: Path, broker: Broker, drop: Path) -> None:
    made = onnx_writer.product(tmp_path / "made.onnx", 9)
    with started(tmp_path, broker) as daemon:
        daemon.ready()
        for raw in (b"\xff\xfe one.onnx", b"two\n\x1b[31m.ONNX", "drei ä ✓.onnx".encode(), b"'; rm -rf.onnx"):
            shutil.copy(os.fsencode(made), os.path.join(os.fsencode(drop), raw))  # noqa: PTH118 - bytes
        for name in ("one", "two-31m", "drei-a", "rm--rf"):
            until(lambda name=name: daemon.page(f"/v2/models/{name}/ready")[0] == 200, name)  # type: ignore[misc]
            assert is_product(infer(daemon, name)[1], 9)
        assert not [event for event in daemon.events if event["event"] == "task_failed"]
        assert daemon.stop() == 0


def test_a_file_that_is_copied_slowly_is_taken_when_it_is_whole(
    tmp_path: Path, broker: Broker, drop: Path
) -> None:
    body = onnx_writer.product(tmp_path / "made.onnx", 5).read_bytes()
    with started(tmp_path, broker) as daemon:
        daemon.ready()
        with (drop / "slow.onnx").open("wb", buffering=0) as file:
            file.write(body[: len(body) // 2])
            # By the time that another one serves, the half would have been tried.
            write(drop / "quick.onnx", 6)
            daemon.wait_event("drop_in_serves", model="quick")
            file.write(body[len(body) // 2 :])
        (drop / "upload.onnx.part").write_bytes(body[:100])
        (drop / ".hidden.onnx").write_bytes(body[:100])
        daemon.wait_event("drop_in_serves", model="slow")
        (drop / "upload.onnx.part").write_bytes(body)
        (drop / "upload.onnx.part").rename(drop / "upload.onnx")
        daemon.wait_event("drop_in_serves", model="upload")
        assert is_product(infer(daemon, "slow")[1], 5)
        assert not [event for event in daemon.events if event["event"] == "drop_in_refused"]
        assert daemon.stop() == 0


def test_a_folder_with_a_card_serves_as_the_card_says(tmp_path: Path, broker: Broker, drop: Path) -> None:
    with started(tmp_path, broker) as daemon:
        daemon.ready()
        folder = copy("motion-int8-onnx", drop)
        said = daemon.wait_event("drop_in_serves", model="motion-int8-onnx")
        assert (said["version"], said["missing"]) == ("1.0.0", [])
        view = json.loads(daemon.page("/v2/models/motion-int8-onnx")[1])
        assert view["inputs"][0]["name"] == "window"
        edit(folder, ("version: 1.0.0", "version: 1.0.1"))
        assert daemon.wait_event("drop_in_serves", 2, model="motion-int8-onnx")["version"] == "1.0.1"
        edit(folder, ("licence:", "license:"))
        said = daemon.wait_event("drop_in_refused", file=str(folder))
        assert "license" in said["reason"]
        assert "card.yaml" in said["advice"]
        assert daemon.status()["models"][0]["version"] == "1.0.1"
        shutil.rmtree(folder)
        daemon.wait_event("drop_in_gone")
        assert daemon.stop() == 0


def test_weights_beside_a_file_are_taken_along(tmp_path: Path, broker: Broker, drop: Path) -> None:
    made = beside(tmp_path / "made", "w.bin")
    with started(tmp_path, broker) as daemon:
        daemon.ready()
        shutil.copy(made / "m.onnx", drop / "m.onnx")
        assert "w.bin, which is not there" in daemon.wait_event("drop_in_refused")["reason"]
        weights(drop / "w.bin", 2.0)
        daemon.wait_event("drop_in_serves", model="m")
        assert infer(daemon, "m", [1.0] * 16) == (200, [32.0] * 4)
        weights(drop / "w.bin", 3.0)
        daemon.wait_event("drop_in_serves", 2, model="m")
        assert infer(daemon, "m", [1.0] * 16) == (200, [48.0] * 4)
        assert daemon.stop() == 0


def test_a_name_of_the_configuration_wins_over_a_file(tmp_path: Path, broker: Broker, drop: Path) -> None:
    folder = tmp_path / "numbers"
    folder.mkdir()
    named = CONFIG + f"models: {{numbers: {{path: {_with_card(folder, 7)}}}}}\n"
    with started(tmp_path, broker) as daemon:
        daemon.ready()
        write(drop / "numbers.onnx", 1)
        daemon.wait_event("drop_in_serves", model="numbers")
        _reload(daemon, named, 1)
        assert is_product(infer(daemon, "numbers")[1], 7)
        assert "configuration" in daemon.wait_event("drop_in_refused")["reason"]
        write(drop / "numbers.onnx", 2)
        write(drop / "other.onnx", 3)
        daemon.wait_event("drop_in_serves", model="other")
        assert is_product(infer(daemon, "numbers")[1], 7)
        _reload(daemon, CONFIG, 2)
        daemon.wait_event("drop_in_serves", 2, model="numbers")
        assert is_product(infer(daemon, "numbers")[1], 2)
        assert is_product(infer(daemon, "other")[1], 3), "a reload keeps what was dropped"
        assert daemon.stop() == 0


def test_a_file_never_takes_the_name_of_an_alias(tmp_path: Path, broker: Broker, drop: Path) -> None:
    folder = tmp_path / "numbers"
    folder.mkdir()
    models = CONFIG + f"models: {{numbers: {{path: {_with_card(folder, 7)}}}}}\n"
    named = models + "aliases: {front: {targets: [{model: numbers}]}}\n"
    write(drop / "front.onnx", 1)
    with started(tmp_path, broker, named) as daemon:
        daemon.ready()
        assert "alias" in daemon.wait_event("drop_in_refused")["reason"]
        assert is_product(infer(daemon, "front")[1], 7)
        _reload(daemon, models, 1)
        daemon.wait_event("drop_in_serves", model="front")
        assert is_product(infer(daemon, "front")[1], 1)
        _reload(daemon, named, 2)
        daemon.wait_event("drop_in_gone", model="front")
        until(lambda: is_product(infer(daemon, "front")[1], 7))
        write(drop / "front.onnx", 2)
        write(drop / "other.onnx", 3)
        daemon.wait_event("drop_in_serves", model="other")
        assert is_product(infer(daemon, "front")[1], 7)
        assert _led(daemon, "third", [{"model": "numbers"}]) == 200
        write(drop / "third.onnx", 4)
        write(drop / "fourth.onnx", 5)
        daemon.wait_event("drop_in_serves", model="fourth")
        assert is_product(infer(daemon, "third")[1], 7)
        assert _led(daemon, "third", []) == 200
        daemon.wait_event("drop_in_serves", model="third")
        assert is_product(infer(daemon, "third")[1], 4)
        assert _led(daemon, "third", [{"model": "numbers"}]) == 409
        assert daemon.stop() == 0


def test_what_lies_there_serves_again_by_the_time_that_the_gateway_is_ready(
    tmp_path: Path, broker: Broker, drop: Path
) -> None:
    write(drop / "numbers.onnx", 4)
    (drop / "bad.onnx").write_bytes(b"rubbish")
    made: list[Any] = []
    for _ in range(2):
        with started(tmp_path, broker) as daemon:
            daemon.ready()
            assert is_product(infer(daemon, "numbers")[1], 4)
            assert ready(daemon) == 200
            (copied,) = (tmp_path / "cache" / "drop-in").glob("*/numbers-*")
            made.append(copied.stat().st_ino)
            assert daemon.stop() == 0
    assert made[0] == made[1], "it was copied again"


def test_a_folder_that_is_taken_away_stops_no_model(tmp_path: Path, broker: Broker, drop: Path) -> None:
    with started(tmp_path, broker) as daemon:
        daemon.ready()
        write(drop / "numbers.onnx", 4)
        daemon.wait_event("drop_in_serves")
        drop.rename(tmp_path / "elsewhere")
        daemon.wait_event("drop_in_trouble")
        assert is_product(infer(daemon, "numbers")[1], 4)
        (tmp_path / "elsewhere").rename(drop)
        write(drop / "more.onnx", 5)
        daemon.wait_event("drop_in_serves", model="more")
        assert is_product(infer(daemon, "numbers")[1], 4)
        assert daemon.stop() == 0


def test_a_model_that_does_not_run_on_axes_of_one_is_tried_with_others(
    tmp_path: Path, broker: Broker, drop: Path
) -> None:
    with started(tmp_path, broker) as daemon:
        daemon.ready()
        shutil.copy(MODELS / "silero-vad" / "silero_vad_16k_op15.onnx", drop / "voice.onnx")
        daemon.wait_event("drop_in_serves", model="voice")
        view = json.loads(daemon.page("/v2/models/voice")[1])
        assert view["inputs"][0] == {"name": "input", "datatype": "FP32", "shape": [-1, -1]}
        assert daemon.stop() == 0


def _with_card(folder: Path, seed: int) -> Path:
    from tests.inference.model_folders import write as with_card

    x = {"name": "x", "dtype": "float32", "shape": [1, 16]}
    y = {"name": "y", "dtype": "float32", "shape": [1, 4]}
    return with_card(folder, onnx_writer.product(folder / "m.onnx", seed), [x], [y])


def _led(daemon: Daemon, alias: str, targets: list[dict[str, str]]) -> int:
    """Lead an alias elsewhere by order; return the status."""
    url = f"http://{daemon.http}/v2/repository/aliases/{alias}"
    try:
        body = json.dumps({"targets": targets}).encode()
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def _reload(daemon: Daemon, config: str, count: int) -> None:
    daemon.config.write_text(config)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_event("config_reloaded", count)
