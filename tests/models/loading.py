"""Loads shipped models as a worker would, for the tests of this folder."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

from gateway.frames.declaration import Declaration
from gateway.inference.loaded import Answer, LoadedModel, LoadSpec, Member, PipelineSpec

MODELS = Path(__file__).resolve().parents[2] / "models"
FOLDERS = sorted(path.parent.name for path in MODELS.glob("*/card.yaml"))
PIPELINE = "card"


@cache
def loaded(name: str) -> LoadedModel:
    """Return a shipped model with one pipeline: its card's own steps."""
    return LoadedModel.load(LoadSpec(name, str(MODELS / name), pipelines=(PipelineSpec(PIPELINE),)))


def answer(name: str, payload: bytes, declared: Declaration, state: bytes = b"") -> Answer:
    """Return what a shipped model says to one payload; its error is raised."""
    member = Member(PIPELINE, memoryview(payload), declared, state, float("inf"))
    (said,) = loaded(name).run_batch([member], time.monotonic)
    if said.error is not None:
        raise said.error
    return said
