"""Payloads made of the demo's photographs and recordings."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from tests.system.running import DATA


def jpeg(name: str = "chelsea", width: int = 640, height: int = 480) -> bytes:
    """Return a photograph as JPEG."""
    return _encoded(name, "JPEG", width, height)


def png(name: str = "chelsea") -> bytes:
    """Return a photograph as PNG."""
    return _encoded(name, "PNG", 451, 300)


def webp(name: str = "chelsea") -> bytes:
    """Return a photograph as WebP."""
    return _encoded(name, "WEBP", 451, 300)


def window(seed: int = 0, first: float | None = None) -> bytes:
    """Return a window of made-up motion, (100, 6) float32; ``first`` in place of its first number."""
    numbers = np.random.default_rng(seed).normal(size=(100, 6)).astype("<f4")
    if first is not None:
        numbers[0, 0] = first
    return numbers.tobytes()


def _encoded(name: str, form: str, width: int, height: int) -> bytes:
    picture = Image.open(DATA / f"{name}.png").convert("RGB").resize((width, height))
    out = io.BytesIO()
    picture.save(out, form, quality=92)
    return out.getvalue()
