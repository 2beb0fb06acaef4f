"""Model releases at the running daemon: offered, proven, switched to without a lost frame, and undone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.broker import Broker
from tests.system.author import Author
from tests.system.pictures import window
from tests.system.running import MODELS, Client, Daemon, subscribed, until

TENSOR = {"content_type": "application/vnd.gateway.tensor", "dtype": "float32", "shape": "100,6"}
CONFIG = f"""
gateway: {{id: test}}
models:
  motion: {{path: {MODELS}/motion-int8}}
pipelines:
  moves: {{model: motion, ttl_ms: 20000}}
sensors:
  declared:
    watch: {{streams: {{motion: {{topic: watch/motion, delivery: every}}}}, pipelines: [moves]}}
"""


@pytest.fixture
def author(tmp_path: Path) -> Author:
    return Author(tmp_path)


class Frames:
    """Sends frames and counts the results, one for one."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.sent = 0
        self.versions: list[str] = []

    def send(self, count: int) -> None:
        """Send frames and wait for the result of each."""
        for _ in range(count):
            self.sent += 1
            self.client.publish("watch/motion", window(), id=f"f{self.sent}", **TENSOR)  # type: ignore[arg-type]
            result = self.client.result(lambda found: "prediction" in found)
            assert result["frame"]["id"] == f"f{self.sent}"
            self.versions.append(result["model"]["version"])


@pytest.fixture
def frames(client: Client) -> Iterator[Frames]:
    client.subscribe("gw/test/results/#")
    yield Frames(client)


def release_of(daemon: Daemon, model: str = "motion") -> dict[str, Any]:
    found: dict[str, Any] = next(m for m in daemon.status()["models"] if m["name"] == model)["release"]
    return found


def steps(daemon: Daemon, model: str = "motion") -> list[str]:
    return [e["step"] for e in daemon.events if e["event"] == "release_step" and e["model"] == model]


def test_a_release_is_fetched_proven_switched_to_and_committed(
    tmp_path: Path, broker: Broker, client: Client, author: Author, frames: Frames
) -> None:
    author.publish(author.release("motion-int8", "motion", 1))
    with Daemon(tmp_path, CONFIG + author.settings(), broker.url) as daemon:
        daemon.ready()
        subscribed(broker, "watch/motion")
        daemon.wait_event("release_step", step="serving")
        frames.send(10)
        daemon.wait_event("release_step", step="committed")
        frames.send(1)
        assert frames.versions[-1] == "1.0.0"
        found = release_of(daemon)
        assert (found["phase"], found["active"]["release"], found["floor"]) == ("idle", 1, 1)
        digests = set(found["active"]["mapped"].values())
        assert digests == {found["active"]["files_digest"].removeprefix("sha256:")}
        assert steps(daemon) == [
            *("booted", "accepted", "fetched", "validating", "proven", "switching", "serving", "committed"),
        ]
        assert daemon.stop() == 0
    assert json.loads((author.folder / "store/state/motion.json").read_text())
