"""A model's picture input: which of its axes is which."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.frames.steps import Site
from gateway.tensor import TensorSpec

_LAYOUTS = ("NHWC", "NCHW", "NHW")


@dataclass(frozen=True, slots=True)
class ModelPicture:
    """What a model's picture input holds.

    Attributes:
        layout: ``NHWC``, ``NCHW`` or ``NHW``.
        width: Pixels; None for any.
        height: Pixels; None for any.
        channels: 1 or 3; None for any.
    """

    layout: str
    width: int | None
    height: int | None
    channels: int | None


def picture_of(site: Site) -> ModelPicture:
    """Return what the model's one data input holds, by the card's axes or else by its shape.

    Raises:
        PipelineMisfit: The input is no picture, or its shape does not tell its axes and the card neither.
    """
    target = site.target()
    layout = _layout(target, site)
    sizes = dict(zip(layout, target.shape, strict=True))
    channels = sizes.get("C", 1)
    if sizes["N"] not in {1, None} or channels not in {1, 3, None}:
        raise site.misfit(f"{target} is no input for one picture of 1 or 3 channels ({layout})")
    return ModelPicture(layout, sizes["W"], sizes["H"], channels)


def _layout(target: TensorSpec, site: Site) -> str:
    stated = site.model.axes_of(target.name)
    if stated:
        if stated not in _LAYOUTS or len(stated) != len(target.shape):
            raise site.misfit(f"axes {stated} on the card do not fit {target}; known: {', '.join(_LAYOUTS)}")
        return stated
    if len(target.shape) == 3:
        return "NHW"
    if len(target.shape) != 4:
        raise site.misfit(f"pictures need an input of 3 or 4 axes, but the model takes {target}")
    first, last = target.shape[1] in {1, 3}, target.shape[3] in {1, 3}
    if first == last:
        raise site.misfit(
            f"cannot tell the axes of {target}: state them on the model's card, such as axes: NHWC"
        )
    return "NCHW" if first else "NHWC"
