"""Wish and truth at the running daemon: cold models, aliases over releases, orders, reloads."""

from __future__ import annotations

import json
import signal
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from tests.broker import Broker
from tests.system.author import Author
from tests.system.pictures import window
from tests.system.releases import CONFIG, QUICK, TENSOR, Frames, release_of
from tests.system.running import MODELS, Client, Daemon, subscribed

_INPUT = {"name": "window", "datatype": "INT8", "shape": [1, 100, 6], "data": [0] * 600}
_COLD = f"""
gateway: {{id: test}}
models:
  motion: {{path: {MODELS}/motion-int8}}
  other: {{path: {MODELS}/motion-int8, load: on_demand}}
pipelines:
  moves: {{model: motion, ttl_ms: 20000}}
  others: {{model: other, ttl_ms: 20000}}
sensors:
  declared:
    watch: {{streams: {{motion: {{topic: watch/motion, delivery: every}}}}, pipelines: [others]}}
"""


def ask(daemon: Daemon, path: str, body: object = None, *, post: bool = True) -> tuple[int, Any]:
    """Return status and JSON of a page of the inference protocol."""
    data = json.dumps(body if body is not None else {}).encode() if post else None
    request = urllib.request.Request(f"http://{daemon.http}{path}", data)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - this machine's own door
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def infer(daemon: Daemon, name: str, version: str = "") -> tuple[int, Any]:
    """Ask a model or alias for one inference."""
    place = f"/v2/models/{name}/versions/{version}/infer" if version else f"/v2/models/{name}/infer"
    return ask(daemon, place, {"inputs": [_INPUT]})


def index(daemon: Daemon) -> dict[tuple[str, str], tuple[str, str]]:
    """Return the repository's index."""
    _, entries = ask(daemon, "/v2/repository/index")
    return {(e["name"], e.get("version", "")): (e.get("state", ""), e.get("reason", "")) for e in entries}


class Asking:
    """Asks names in turn from a thread of its own, until it is told to end; keeps what was not answered."""

    def __init__(self, daemon: Daemon, *names: str) -> None:
        self.answers: Counter[str] = Counter()
        self.wrong: list[Any] = []
        self._daemon, self._names = daemon, names
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Asking:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.05):  # the processors are needed for proofs as well
            for name in self._names:
                status, said = infer(self._daemon, name)
                if status == 200:
                    self.answers[f"{name} {said['model_version']}"] += 1
                else:
                    self.wrong.append((name, status, said))


def until(daemon: Daemon, name: str, version: str) -> None:
    """Wait until a model or alias answers with this version."""
    end_s = time.monotonic() + 60
    while infer(daemon, name)[1].get("model_version") != version:
        assert time.monotonic() < end_s, index(daemon)
        time.sleep(0.05)


def test_the_gateway_is_ready_with_a_cold_model_which_its_first_call_loads(
    tmp_path: Path, broker: Broker
) -> None:
    with Daemon(tmp_path, _COLD, broker.url) as daemon:
        daemon.ready()
        assert daemon.page("/readyz")[0] == 200
        assert index(daemon)["other", ""] == ("UNAVAILABLE", "not loaded; its first request loads it")
        cold = next(m for m in daemon.status()["models"] if m["name"] == "other")
        assert (cold["state"], cold["lanes"]["pids"]) == ("cold", [])
        status, said = infer(daemon, "other")
        assert (status, said["model_version"]) == (200, "1.0.0")
        assert index(daemon)["other", "1.0.0"] == ("READY", "")
        loaded = daemon.wait_event("model_loaded", model="other")
        assert loaded["because"] == "request"
        assert ask(daemon, "/v2/repository/models/other/unload") == (200, {})
        daemon.wait_event("model_unloaded", model="other", because="order")
        assert infer(daemon, "other")[0] == 200
        pages = daemon.page("/metrics")[1].decode()
        assert 'gateway_model_loads_total{model="other",outcome="loaded"} 2' in pages
        assert 'gateway_model_loads_total{model="other",outcome="unloaded"} 1' in pages
        assert daemon.stop() == 0


def test_the_first_frame_of_a_sensor_loads_a_cold_model_and_is_answered(
    tmp_path: Path, broker: Broker, client: Client
) -> None:
    with Daemon(tmp_path, _COLD, broker.url) as daemon:
        daemon.ready()
        client.subscribe("gw/test/results/#")
        subscribed(broker, "watch/motion")
        for number in range(3):
            client.publish("watch/motion", window(seed=number), id=f"f{number}", **TENSOR)
        found = [client.result(lambda said: "prediction" in said)["frame"]["id"] for _ in range(3)]
        assert found == ["f0", "f1", "f2"]
        assert daemon.drops() == {}
        assert daemon.stop() == 0


def test_an_unloaded_model_keeps_the_gateway_ready_and_comes_back_by_order(
    tmp_path: Path, broker: Broker
) -> None:
    with Daemon(tmp_path, _COLD, broker.url) as daemon:
        daemon.ready()
        assert ask(daemon, "/v2/repository/models/motion/unload") == (200, {})
        assert index(daemon)["motion", ""] == ("UNAVAILABLE", "unloaded by order; load it to use it")
        assert infer(daemon, "motion")[0] == 503
        assert daemon.page("/readyz")[0] == 200
        two = {"parameters": {"config": json.dumps({"instance_group": [{"count": 2}]})}}
        assert ask(daemon, "/v2/repository/models/motion/load", two) == (200, {})
        assert daemon.page("/readyz")[0] == 200
        assert infer(daemon, "motion")[0] == 200
        assert next(m for m in daemon.status()["models"] if m["name"] == "motion")["lanes"]["wanted"] == 2
        assert ask(daemon, "/v2/repository/models/nobody/load")[0] == 404
        file = {"parameters": {"file:1/model.onnx": "AAAA"}}
        status, said = ask(daemon, "/v2/repository/models/motion/load", file)
        assert status in (400, 501)
        assert "models_dir" in said["error"]
        assert daemon.stop() == 0


def test_an_alias_over_two_releases_holds_through_an_update_a_reload_and_a_collection(
    tmp_path: Path, broker: Broker, client: Client, author: Author, frames: Frames
) -> None:
    author.publish(author.release("motion-int8", "motion", 1))
    settings = CONFIG + author.settings(bake=QUICK)
    aliases = "\naliases:\n  door: {targets: [{model: motion, version: '1', weight: 100}]}\n"
    with Daemon(tmp_path, settings, broker.url) as daemon:
        daemon.ready()
        daemon.wait_event("release_step", step="committed")
        daemon.config.write_text(settings + aliases)
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_event("alias_moved", alias="door")
        until(daemon, "door", "1")
        with Asking(daemon, "door", "motion") as asking:
            for number in (2, 3):
                author.push(client, author.release("motion-int8", "motion", number))
                daemon.wait_event("release_step", step="committed", release=number)
                until(daemon, "motion", f"{number}.0.0")
            assert index(daemon)["motion", "1"] == ("READY", "")
            kept = {path.name for path in (author.folder / "store/releases/motion").iterdir()}
            assert "1" in kept  # neither active nor previous: the alias keeps it
            both = aliases.replace("}]", "}, {model: motion, version: '3', weight: 900}]")
            daemon.config.write_text(settings + both)
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_event("alias_moved", alias="door", count=2)
            said = daemon.status()["aliases"]
            assert [t["version"] for t in said[0]["targets"]] == ["1", "3"]
            assert [t["reason"] for t in said[0]["targets"]] == ["", ""]
            lead = next(m for m in daemon.status()["models"] if m["name"] == "motion")
            assert [each["version"] for each in lead["beside"]] == ["1.0.0"]
            assert infer(daemon, "motion", "1")[1]["model_version"] == "1"
            assert infer(daemon, "door", "3")[0] == 200
        assert asking.wrong == []
        assert {"door 1", "motion 1.0.0", "motion 2.0.0", "motion 3.0.0"} <= asking.answers.keys()
        assert release_of(daemon)["active"]["release"] == 3
        daemon.config.write_text(settings)
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_event("version_beside", release="1", serves=False)
        assert infer(daemon, "door")[0] == 404
        assert daemon.stop() == 0


def test_an_unloaded_model_is_not_switched_to_another_release_until_it_is_loaded(
    tmp_path: Path, broker: Broker, client: Client, author: Author, frames: Frames
) -> None:
    author.publish(author.release("motion-int8", "motion", 1))
    settings = CONFIG + author.settings(bake=QUICK)
    with Daemon(tmp_path, settings, broker.url) as daemon:
        daemon.ready()
        daemon.wait_event("release_step", step="committed")
        assert ask(daemon, "/v2/repository/models/motion/unload") == (200, {})
        author.push(client, author.release("motion-int8", "motion", 2))
        daemon.wait_event("release_step", step="proven", release=2)
        assert index(daemon)["motion", ""][0] == "UNAVAILABLE"
        assert ask(daemon, "/v2/repository/models/motion/load") == (200, {})
        daemon.wait_event("release_step", step="committed", release=2)
        until(daemon, "motion", "2.0.0")
        assert release_of(daemon)["quarantined"] == []
        assert daemon.stop() == 0
