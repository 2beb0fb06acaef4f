"""SIGHUP: a validated difference, or nothing at all."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.broker import Broker
from tests.system.pictures import jpeg, window
from tests.system.running import MODELS, ROOT, Client, Daemon, subscribed, until

CONFIG = """
gateway: {{id: test}}
models:
  classifier: {{path: {models}/efficientnet-lite0-int8, lanes: {lanes}}}
  {more_models}
pipelines:
  what: {{model: classifier, ttl_ms: 20000, postprocess: [{{classify: {{top_k: {top_k}}}}}]}}
  {more_pipelines}
sensors:
  declared:
    cam: {{streams: {{frame: {{topic: cam/frame, delivery: every}}}}, pipelines: [what]}}
    {more_sensors}
"""


def _config(
    *, lanes: int = 1, top_k: int = 3, more_models: str = "", more_pipelines: str = "", more_sensors: str = ""
) -> str:
    return CONFIG.format(
        models=MODELS,
        lanes=lanes,
        top_k=top_k,
        more_models=more_models,
        more_pipelines=more_pipelines,
        more_sensors=more_sensors,
    )


def _reload(daemon: Daemon, config: str) -> None:
    daemon.config.write_text(config)
    daemon.process.send_signal(signal.SIGHUP)


def test_a_bad_file_changes_nothing_and_says_why(tmp_path: Path, broker: Broker, client: Client) -> None:
    client.subscribe("gw/test/results/#")
    with Daemon(tmp_path, _config(), broker.url) as daemon:
        daemon.ready()
        pids = daemon.lanes("classifier")
        _reload(daemon, _config().replace("declared:", "declard:"))
        issues = daemon.wait_event("config_refused")["issues"]
        assert "declard" in issues[0]
        assert "declared" in issues[0]
        _reload(daemon, _config().replace("classify: {{", "clasify: {{").replace("{classify:", "{clasify:"))
        assert "clasify" in daemon.wait_event("config_refused", 2)["issues"][0]
        _reload(daemon, _config(more_models=f"broken: {{path: {tmp_path}}}"))
        daemon.wait_event("config_refused", 3)
        assert daemon.lanes("classifier") == pids
        subscribed(broker, "cam/frame")
        client.publish("cam/frame", jpeg())
        assert len(client.result()["prediction"]["classes"]) == 3
        assert daemon.stop() == 0


def test_a_reload_changes_what_differs_and_loses_no_frame(
    tmp_path: Path, broker: Broker, client: Client
) -> None:
    client.subscribe("gw/test/results/#")
    with Daemon(tmp_path, _config(), broker.url) as daemon:
        daemon.ready()
        subscribed(broker, "cam/frame")
        (pid,) = daemon.lanes("classifier")
        changed = _config(
            lanes=2,
            top_k=1,
            more_models=f"motion: {{path: {MODELS}/motion-int8}}",
            more_pipelines="moves: {model: motion, ttl_ms: 20000}",
            more_sensors="watch: {streams: {motion: {topic: watch/motion, dtype: float32, shape: [100, 6], "
            "media: application/vnd.gateway.tensor}}, pipelines: [moves]}",
        )
        for number in range(10):
            client.publish("cam/frame", jpeg(), id=f"before-{number}")
        _reload(daemon, changed)
        for number in range(10):
            client.publish("cam/frame", jpeg(), id=f"during-{number}")
        report = daemon.wait_event("config_reloaded")
        assert (report["added"], report["changed"], report["removed"]) == (["motion"], ["classifier"], [])
        answered = [client.result()["frame"]["id"] for _ in range(20)]
        assert sorted(answered) == sorted(
            [f"before-{n}" for n in range(10)] + [f"during-{n}" for n in range(10)]
        )
        client.publish("cam/frame", jpeg())
        assert len(client.result()["prediction"]["classes"]) == 1
        until(lambda: len(daemon.lanes("classifier")) == 2, "two lanes")
        assert pid in daemon.lanes("classifier")  # the old worker was told, not replaced
        subscribed(broker, "watch/motion")
        client.publish("watch/motion", window())
        assert client.result()["pipeline"] == "moves"
        _reload(daemon, _config())
        report = daemon.wait_event("config_reloaded", 2)
        assert report["removed"] == ["motion"]
        until(lambda: daemon.sensor("watch") is None, "the sensor is gone")
        assert daemon.stop() == 0


def test_keys_that_need_a_restart_are_named(tmp_path: Path, broker: Broker) -> None:
    with Daemon(tmp_path, _config(), broker.url) as daemon:
        daemon.ready()
        _reload(daemon, _config().replace("id: test", "id: other"))
        assert daemon.wait_event("config_reloaded")["restart_for"] == ["gateway"]
        assert daemon.status()["gateway"]["id"] == "test"
        assert daemon.stop() == 0


def test_a_pipeline_that_cannot_fit_its_model_stops_the_start_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(_config().replace("top_k: 3", "top_k: 3, activation: nonsense"))
    command = [
        sys.executable,
        "-m",
        "gateway",
        "run",
        "-c",
        str(path),
        "--set",
        f"gateway.cache_dir={tmp_path}",
    ]
    command += ["--set", "http.enabled=false"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 78
    assert "pipelines.what" in ended.stderr
    assert "activation" in ended.stderr


def test_a_damaged_model_leaves_the_others_serving(tmp_path: Path, broker: Broker, client: Client) -> None:
    folder = tmp_path / "damaged"
    folder.mkdir()
    for file in (MODELS / "motion-int8").iterdir():
        if file.is_file():
            data = file.read_bytes()
            (folder / file.name).write_bytes(data[: len(data) // 2] if file.suffix == ".tflite" else data)
    client.subscribe("gw/test/results/#")
    with Daemon(tmp_path, _config(more_models=f"motion: {{path: {folder}}}"), broker.url) as daemon:
        daemon.ready()
        subscribed(broker, "cam/frame")
        client.publish("cam/frame", jpeg())
        assert client.result()["sensor"] == "cam"
        models = {model["name"]: model for model in daemon.status()["models"]}
        assert models["motion"]["state"] == "failed"
        assert "sha256" in models["motion"]["reason"] or "digest" in models["motion"]["reason"]
        assert daemon.page("/readyz")[0] == 503
        assert daemon.stop() == 0
