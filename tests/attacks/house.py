"""A board with a small model for each attack: one look tries them all, and the others must not notice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.updates.manifest import manifest_bytes
from gateway.updates.packing.contents import blob_of
from gateway.updates.release import Release, ReleaseFile
from tests import onnx_writer
from tests.inference import made_models
from tests.system.author import Author
from tests.system.releases import QUICK, Frames, release_of
from tests.system.running import MODELS, Daemon, until

_STEPS = {"ttl_ms": 20000, "preprocess": ["tensor"], "postprocess": [{"tensors": {"outputs": ["y"]}}]}
Make = Callable[[Path], Path]
NUMBERS: dict[str, Any] = {
    "content_type": "application/vnd.gateway.tensor",
    "dtype": "float32",
    "shape": "4",
}


def four_times(path: Path) -> Path:
    """Write a sound model (1, 4) to four times its input."""
    return onnx_writer.endless(path, 3)


class House:
    """What the board has, and what somebody with the keys of its author publishes for it.

    Attributes:
        author: Signs whatever it is given.
        victims: Models that attacks are aimed at; all began as ``four_times``.
        limits: More keys of a victim's configuration.
    """

    def __init__(self, folder: Path, author: Author) -> None:
        self.folder = folder
        self.author = author
        self.victims: list[str] = []
        self.limits: dict[str, dict[str, float]] = {}
        self._made: list[Path] = []

    def release(self, name: str, make: Make = four_times, *, facts: Any = None, **card: Any) -> Path:
        """Make release 1 of a new victim out of a made-up model."""
        at = self.folder / f"{name}-1"
        at.mkdir(exist_ok=True)  # golden samples may lie there
        made_models.folder(at, make, **{"summary": name, **card})  # no two share a card
        return self.packed(name, at, **(facts or {}))

    def packed(self, name: str, at: Path, **facts: Any) -> Path:
        """Let a folder be release 1 of a new victim, whatever is in it."""
        if name not in self.victims:
            self.victims.append(name)
            self._made.append(at)
        names = sorted(str(path.relative_to(at)) for path in at.rglob("*") if path.is_file())
        files = tuple(ReleaseFile(each, blob_of(at / each)) for each in names if each != "manifest.json")
        model_format = "tflite" if list(at.glob("*.tflite")) else "onnx"
        release = Release(name, 1, "1", model_format, files)
        (at / "manifest.json").write_bytes(manifest_bytes(replace(release, **facts)))
        return at

    def publish(self, **wish: Any) -> None:
        """Sign everything that was made so far."""
        self.author.publish(*self._made, **wish)

    def config(self, **updates: Any) -> str:
        """Return the configuration of the board."""
        factory = self.folder / "factory"
        if not factory.exists():
            made_models.folder(factory, four_times)
        models: dict[str, dict[str, Any]] = {"motion": {"path": str(MODELS / "motion-int8")}}
        models |= {name: {"path": str(factory), **self.limits.get(name, {})} for name in self.victims}
        pipelines = {"moves": {"model": "motion", "ttl_ms": 20000}}
        pipelines |= {f"run-{name}": {"model": name, **_STEPS} for name in self.victims}
        sensors = {"watch": _sensor("watch/motion", "moves")}
        sensors |= {name: _sensor(f"watch/{name}", f"run-{name}") for name in self.victims}
        document = {
            "gateway": {"id": "test"},
            "models": models,
            "pipelines": pipelines,
            "sensors": {"declared": sensors},
        }
        sections = "".join(f"{key}: {json.dumps(value)}\n" for key, value in document.items())
        return sections + self.author.settings(**{"bake": QUICK, "mqtt_chunks": False, **updates})


def _sensor(topic: str, pipeline: str) -> dict[str, Any]:
    return {"streams": {"motion": {"topic": topic, "delivery": "every"}}, "pipelines": [pipeline]}


@contextmanager
def unmoved(daemon: Daemon, frames: Frames, models: Sequence[str] = ()) -> Iterator[None]:
    """See that the daemon and its workers live on as they are, and that frames are answered all the while.

    Args:
        daemon: The board.
        frames: For its model ``motion``.
        models: More models whose workers must be the same ones afterwards.
    """
    pids = {model: daemon.lanes(model) for model in ("motion", *models)}
    frames.send(2)
    yield
    frames.send(2)
    assert daemon.process.poll() is None
    assert {model: daemon.lanes(model) for model in pids} == pids
    assert not [event for event in daemon.events if event["event"] in ("worker_lost", "task_failed")]


def reason(daemon: Daemon, model: str, frames: Frames) -> str:
    """Feed frames until a model's release was rejected; return why."""

    def judged() -> bool:
        frames.send(1)
        return bool(_rejections(daemon, model))

    until(judged, f"a judgement on {model}")
    return str(_rejections(daemon, model)[0]["reason"])


def _rejections(daemon: Daemon, model: str) -> list[dict[str, Any]]:
    wanted = {"event": "release_step", "model": model, "step": "rejected"}
    return [event for event in daemon.events if wanted.items() <= event.items()]


def children_of(daemon: Daemon) -> list[int]:
    """Return the children of the daemon's own process."""
    found = []
    for task in Path(f"/proc/{daemon.process.pid}/task").iterdir():
        found += [int(word) for word in (task / "children").read_text().split()]
    return found


def quarantined(daemon: Daemon, model: str) -> bool:
    """Say whether release 1 of a model is in quarantine while its factory model serves."""
    found = release_of(daemon, model)
    return bool(found["quarantined"] == [1] and found["active"]["release"] == 0)
