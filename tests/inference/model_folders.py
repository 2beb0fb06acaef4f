"""Model folders for tests: the shipped ones, and copies with one thing changed."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path
from typing import Any

from gateway.frames.declaration import Declaration
from gateway.inference.loaded import Answer, LoadedModel, LoadSpec, Member, PipelineSpec

MODELS = Path(__file__).parents[2] / "models"
NEVER = float("inf")


def copy(name: str, to: Path, **replaced: str) -> Path:
    """Copy a shipped folder; each ``old=new`` pair of words is replaced once in the card."""
    folder = to / name
    shutil.copytree(MODELS / name, folder)
    edit(folder, *replaced.items())
    return folder


def edit(folder: Path, *replaced: tuple[str, str]) -> None:
    """Replace words in a card; each must be there."""
    card = folder / "card.yaml"
    text = card.read_text()
    for old, new in replaced:
        assert old in text
        text = text.replace(old, new, 1)
    card.write_text(text)


def write(folder: Path, model_file: Path, inputs: list[Any], outputs: list[Any], **more: Any) -> Path:
    """Write a card for a model file that lies in ``folder``; JSON is YAML."""
    card = {
        "name": "made",
        "version": "1",
        "summary": "made for a test",
        "source": "this test",
        "licence": "Apache-2.0",
        "file": model_file.name,
        "sha256": hashlib.sha256(model_file.read_bytes()).hexdigest(),
        "format": model_file.suffix[1:],
        "inputs": inputs,
        "outputs": outputs,
        "preprocess": ["tensor"],
        "postprocess": ["tensors"],
        **more,
    }
    (folder / "card.yaml").write_text(json.dumps(card))
    return folder


def spec(folder: Path | str, **changed: Any) -> LoadSpec:
    """Return what loads a folder with the card's own steps as pipeline ``main``."""
    where = MODELS / folder if isinstance(folder, str) else folder
    return LoadSpec(
        **{"name": where.name, "folder": str(where), "pipelines": (PipelineSpec("main"),), **changed}
    )


def load(folder: Path | str, **changed: Any) -> LoadedModel:
    """Load a folder as ``spec`` says."""
    return LoadedModel.load(spec(folder, **changed))


def member(payload: bytes, state: bytes = b"", deadline_s: float = NEVER, **declared: Any) -> Member:
    """Return one request to pipeline ``main``."""
    return Member("main", memoryview(payload), Declaration(**declared), state, deadline_s)


def answer(model: LoadedModel, *members: Member) -> list[Answer]:
    """Run one batch by the real clock."""
    return model.run_batch(members, time.monotonic)
