"""Folders around made-up models of one shape, (1, n) float32 to (1, 4) float32."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests import onnx_writer
from tests.inference.model_folders import write


def folder(at: Path, make: Callable[[Path], Path], *, width: int = 4, **more: Any) -> Path:
    """Make ``at`` with a model of ``make`` and its card."""
    at.mkdir(parents=True, exist_ok=True)
    x = {"name": "x", "dtype": "float32", "shape": [1, width]}
    y = {"name": "y", "dtype": "float32", "shape": [1, 4]}
    return write(at, make(at / "m.onnx"), [x], more.pop("outputs", [y]), **more)


def beside(at: Path, location: str, **where: str) -> Path:
    """Make a folder whose model has its weights at ``location``."""
    external = onnx_writer.External(location, **where)
    return folder(at, lambda path: onnx_writer.beside(path, external), width=16)


def weights(path: Path, value: float = 1.0) -> Path:
    """Write weights for ``beside``: all of them ``value``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(np.full((16, 4), value, np.float32).tobytes())
    return path


def sample(at: Path, values: list[float], **expect: Any) -> dict[str, Any]:
    """Write a golden sample of float32 numbers; return its line of the card."""
    name = f"golden/{len(list(at.glob('golden/*')))}.f32"
    (at / "golden").mkdir(parents=True, exist_ok=True)
    (at / name).write_bytes(np.array(values, np.float32).tobytes())
    return {
        "file": name,
        "media": "application/vnd.gateway.tensor",
        "declaration": {"dtype": "float32", "shape": [len(values)]},
        "expect": expect or {"kind": "tensors"},
    }
