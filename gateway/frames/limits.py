"""Bounds on what a payload may decode to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PayloadLimits:
    """Checked against headers before anything is decoded.

    Attributes:
        max_bytes: Bytes of the payload, also after unwrapping and decompression.
        max_pixels: Pixels of an image.
        max_elements: Elements of a tensor, number list or audio clip.
        max_depth: Nesting of JSON and CBOR.
    """

    max_bytes: int = 8_388_608
    max_pixels: int = 33_177_600
    max_elements: int = 33_554_432
    max_depth: int = 32
