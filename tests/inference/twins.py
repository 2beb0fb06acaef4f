"""A folder with a float model and its twin in half precision: real files that answer nearly alike."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from tests import onnx_writer
from tests.inference.made_models import folder, sample

TWIN = "half.onnx"
WORDS = [float(number) / 16 for number in range(16)]


def answer(seed: int = 1) -> list[float]:
    """Return what the float model says to ``WORDS``."""
    weights = np.random.default_rng(seed).normal(size=(16, 4)).astype(np.float32)
    return [float(value) for value in np.array(WORDS, np.float32) @ weights]


def twin_line(at: Path, **more: Any) -> dict[str, Any]:
    """Return the card's line of the twin that lies in a folder."""
    digest = hashlib.sha256((at / TWIN).read_bytes()).hexdigest()
    return {"file": TWIN, "sha256": digest, "format": "onnx", "precision": "fp16", **more}


def twins(at: Path, *, seed_of_twin: int = 1, **more: Any) -> Path:
    """Make a folder; with another seed its twin is another model, which the golden sample notices."""
    at.mkdir(parents=True, exist_ok=True)
    onnx_writer.halved(at / TWIN, seed_of_twin)
    expected = {f"tensors.0.data.{index}": value for index, value in enumerate(answer())}
    golden = [{**sample(at, WORDS), "expect": {"values": expected, "tolerance": 0.02}}]
    return folder(
        at,
        onnx_writer.product,
        width=16,
        golden=golden,
        twins=[twin_line(at, **more.pop("line", {}))],
        **more,
    )
