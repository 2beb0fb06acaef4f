"""The demo's command, whole: a broker, the gateway and three sensors as a new user starts them."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.broker import Broker
from tests.system.running import Client

LIMIT_S = 180.0
UPDATE_LIMIT_S = 600.0
SENSORS = ("demo-camera", "demo-microphone", "demo-watch")
MODELS = {"efficientnet-lite0", "silero-vad", "motion"}


def command(*arguments: str) -> list[str]:
    """Return the demo's command line."""
    return [sys.executable, "-m", "gateway.demo", *arguments]


@pytest.fixture
def surroundings(tmp_path: Path) -> dict[str, str]:
    """Return an environment whose caches and temporary files can be looked at."""
    return {**os.environ, "CACHE_DIRECTORY": str(tmp_path / "cache"), "TMPDIR": str(tmp_path)}


def left_over(folder: Path) -> list[str]:
    """Return the command lines of all processes that were started in these surroundings."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"TMPDIR={folder}\0".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text(encoding="utf-8"))
    return found


@pytest.mark.slow
def test_every_sensor_has_results_and_nothing_is_left(surroundings: dict[str, str], tmp_path: Path) -> None:
    ran = subprocess.run(
        command("--seconds", "6", "--json"),
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    (line,) = ran.stdout.splitlines()
    told: dict[str, Any] = json.loads(line)
    assert told["ok"] is True
    assert told["broker"] == "embedded"
    assert set(told["sensors"]) == set(SENSORS)
    assert set(told["models"]) == MODELS
    for model in told["models"].values():
        assert model["state"] == "serving"
        assert model["digest"].startswith("sha256:")
        assert model["version"]
        assert model["engine"]
    for name, sensor in told["sensors"].items():
        assert sensor["presence"] == "online", name
        assert 0 < sensor["results"] <= sensor["frames"] <= sensor["published"], name
        (stream,) = sensor["streams"].values()
        assert 0 < stream["latency_ms"]["p50"] <= stream["latency_ms"]["p99"], name
        assert stream["last_result"], name
    assert left_over(tmp_path) == []
    assert list(tmp_path.glob("gateway-demo-*")) == []


@pytest.mark.slow
def test_a_good_release_is_taken_three_bad_ones_are_not_and_no_frame_is_lost(
    surroundings: dict[str, str], tmp_path: Path
) -> None:
    # On a busy machine four releases take longer than a test may that hangs; this one has its own limit.
    faulthandler.cancel_dump_traceback_later()
    ran = subprocess.run(
        command("--update", "--json"),
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=UPDATE_LIMIT_S,
        check=False,
    )
    assert ran.stdout, ran.stderr
    told: dict[str, Any] = json.loads(ran.stdout)
    assert [act for act in told["updates"] if not act["ok"]] == []
    assert (ran.returncode, told["ok"]) == (0, True)
    good, mixed_up, deadly, slow = told["updates"]
    assert [act["outcome"] for act in told["updates"]] == ["committed", "refused", "refused", "rolled back"]
    steps = {act["release"]: [seen["step"] for seen in act["steps"]] for act in told["updates"]}
    assert steps[1][-3:] == ["switching", "serving", "committed"]
    for bad in (2, 3):
        assert steps[bad][:3] == ["accepted", "fetched", "validating"]
        assert steps[bad][-2:] == ["rejected", "quarantined"]
    assert steps[4][-3:] == ["serving", "rolled_back", "quarantined"]
    assert mixed_up["reason"].startswith("golden: ")
    assert "SIGSEGV" in deadly["reason"]
    assert "ms at p" in slow["reason"]
    assert [act["serves"] for act in told["updates"]] == ["1.1.0"] * 4
    # What was refused in validation never came near the workers that serve.
    assert good["workers"] == mixed_up["workers"] == deadly["workers"] != slow["workers"]
    for act in told["updates"]:
        frames = act["frames"]
        assert frames["sent"] == frames["results"] + frames["superseded"] > 0
        assert (frames["failed"], frames["lost"]) == (0, 0)
        assert act["longest_gap_ms"] > 0
    assert told["models"]["efficientnet-lite0"]["version"] == "1.1.0"
    assert left_over(tmp_path) == []
    assert list(tmp_path.glob("gateway-demo-*")) == []


@pytest.mark.slow
def test_updates_that_are_cut_short_are_told_as_unfinished(
    surroundings: dict[str, str], tmp_path: Path
) -> None:
    with Broker() as broker:
        ran = subprocess.run(
            command("--update", "--json", "--seconds", "1", "--broker", broker.url),
            env=surroundings,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert ran.stdout, ran.stderr
        told: dict[str, Any] = json.loads(ran.stdout)
        assert (ran.returncode, told["ok"]) == (1, False)
        assert {act["outcome"] for act in told["updates"]} == {"unfinished"}
        with Client(broker.port) as client:
            client.subscribe("gw/demo/models/#")
            client.publish("gw/demo/models/end", b"end")
            first = next(client.messages())
        assert (first.topic, first.retain) == ("gw/demo/models/end", False)
    assert left_over(tmp_path) == []


@pytest.mark.slow
def test_with_a_broker_of_ones_own_the_same_is_seen_and_no_sensor_stays_announced(
    surroundings: dict[str, str], tmp_path: Path
) -> None:
    with Broker() as broker:
        ran = subprocess.run(
            command("--seconds", "4", "--json", "--broker", broker.url),
            env=surroundings,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        told: dict[str, Any] = json.loads(ran.stdout)
        assert told["ok"] is True
        assert told["broker"] == broker.url
        assert set(told["sensors"]) == set(SENSORS)
        assert all(sensor["results"] > 0 for sensor in told["sensors"].values())
        with Client(broker.port) as client:
            client.subscribe("gw/announce/#")
            client.publish("gw/announce/end", b"end")
            first = next(client.messages())
        assert (first.topic, first.retain) == ("gw/announce/end", False)
    assert left_over(tmp_path) == []


@pytest.mark.slow
def test_ctrl_c_ends_everything_and_gives_the_table(surroundings: dict[str, str], tmp_path: Path) -> None:
    with subprocess.Popen(
        command(), env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        try:
            while not (line := demo.stdout.readline()).startswith("SENSOR"):
                assert line, demo.stderr.read()
            demo.send_signal(signal.SIGINT)
            demo.communicate(timeout=LIMIT_S)
        finally:
            demo.kill()
    assert demo.returncode in {0, 1}
    assert left_over(tmp_path) == []
    assert list(tmp_path.glob("gateway-demo-*")) == []


def test_a_gateway_that_will_not_start_is_told_with_its_last_words(
    surroundings: dict[str, str], tmp_path: Path
) -> None:
    config = tmp_path / "broken.yaml"
    config.write_text("mqtt: {no_such_key: 1}\n", encoding="utf-8")
    ran = subprocess.run(
        command("--seconds", "1", "--json", "--broker", "mqtt://127.0.0.1:1", "--config", str(config)),
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert "gateway ended with code 78" in ran.stderr
    assert "no_such_key" in ran.stderr
