"""Whether a stream's declared payloads can become what a pipeline takes. Pure.

Only what is declared counts: a stream that says nothing fits everything, and
its frames are judged one by one.
"""

from __future__ import annotations

from gateway.frames.declaration import Declaration

_TENSORS = frozenset({"application/vnd.gateway.tensor", "application/x-npy"})


def fits(kind: str, declared: Declaration) -> bool:
    """Return whether payloads so declared may suit a pipeline.

    Args:
        kind: What the pipeline takes: ``images``, ``sound``, ``numbers`` or ``tensors``.
        declared: What is known of the stream.
    """
    media = declared.media
    if not media:
        return not declared.dtype or _raw_fits(kind, declared)
    if media.startswith("image/"):
        return kind == "images"
    if media.startswith("audio/"):
        return kind == "sound"
    if media in _TENSORS:
        return _raw_fits(kind, declared)
    return kind in ("numbers", "tensors")


def _raw_fits(kind: str, declared: Declaration) -> bool:
    """Return whether raw elements may suit: pictures are uint8 of 2 to 4 axes, sound has a media type."""
    if kind == "images":
        axes = len(declared.shape)
        return declared.dtype in ("", "uint8", "UINT8") and axes in (0, 2, 3, 4)
    return kind != "sound"
