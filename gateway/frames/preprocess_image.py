"""Steps for pictures: which part, which size, which channels."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from gateway.configuration.option import option
from gateway.frames.geometry import Fit, Placement, place
from gateway.frames.hint import DecodeHint
from gateway.frames.model_picture import picture_of
from gateway.frames.resize import MAX_SIDE, Method, draw
from gateway.frames.sight import SIGHT, Sight
from gateway.frames.specs import ImageSpec, ValueSpec
from gateway.frames.steps import Fitted, Journey, Site
from gateway.frames.values import Image

_FITS = {"stretch": Fit.STRETCH, "crop": Fit.COVER, "letterbox": Fit.LETTERBOX}
_METHODS = tuple(method.value for method in Method)


@dataclass(frozen=True, slots=True)
class Crop:
    """One part of the picture; what lies outside it is never seen by the model."""

    takes: ClassVar[tuple[type[ValueSpec], ...]] = (ImageSpec,)

    box: tuple[float, ...] = option(
        "Left, top, right, bottom as fractions of the picture.", minimum=0, maximum=1
    )

    def bind(self, spec: ImageSpec, site: Site) -> Fitted:
        """Check the box; boxes of results are in the whole picture all the same."""
        if len(self.box) != 4 or self.box[0] >= self.box[2] or self.box[1] >= self.box[3]:
            raise site.misfit(
                f"box needs left < right and top < bottom, as four fractions, not {list(self.box)}"
            )
        left, top, right, bottom = self.box
        return Fitted(replace(spec, width=None, height=None), self._cut, kept=(right - left, bottom - top))

    def _cut(self, image: Image, journey: Journey) -> Image:
        rows, columns = image.pixels.shape[:2]
        left, right = _span(self.box[0], self.box[2], columns)
        top, bottom = _span(self.box[1], self.box[3], rows)
        across, down = image.source_width / columns, image.source_height / rows
        true_width, true_height = (right - left) * across, (bottom - top) * down
        width, height = max(1, round(true_width)), max(1, round(true_height))
        sight = sight_of(journey)
        journey.notes[SIGHT] = sight.cropped(
            left * across, top * down, true_width / width, true_height / height
        )
        return Image(image.pixels[top:bottom, left:right], width, height)


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    start = min(math.floor(low * size + 1e-9), size - 1)
    return start, max(start + 1, min(size, math.ceil(high * size - 1e-9)))


@dataclass(frozen=True, slots=True)
class Resize:
    """The picture in the model's size; by default the whole of it, stretched."""

    takes: ClassVar[tuple[type[ValueSpec], ...]] = (ImageSpec,)

    width: int = option("Width in pixels; the model's when 0.", 0, minimum=0, maximum=MAX_SIDE)
    height: int = option("Height in pixels; the model's when 0.", 0, minimum=0, maximum=MAX_SIDE)
    fit: str = option(
        "When the forms differ: stretch the picture, crop its middle, or letterbox it between bars.",
        "stretch",
        choices=tuple(_FITS),
    )
    fraction: float = option(
        "Part of each side that is kept around the middle.", 1.0, minimum=0.01, maximum=1
    )
    pad: int = option("Level of the bars of a letterbox.", 0, minimum=0, maximum=255)
    method: str = option("Filter; all but nearest are antialiased.", "bilinear", choices=_METHODS)

    def bind(self, spec: ImageSpec, site: Site) -> Fitted:
        """Take the sizes that are not given from the model."""
        width, height = self.width, self.height
        if not (width and height):
            picture = picture_of(site)
            width, height = width or picture.width or 0, height or picture.height or 0
        if not (width and height):
            raise site.misfit("needs width and height: the model takes pictures of any size")
        target, fit, method = (width, height), _FITS[self.fit], Method(self.method)

        def lay(source: tuple[int, int]) -> Placement:
            return place(source, target, fit, self.fraction)

        def stage(image: Image, journey: Journey) -> Image:
            placement = lay((image.source_width, image.source_height))
            sight = sight_of(journey)
            journey.notes[SIGHT] = sight.through(placement)
            return Image(draw(image.pixels, placement, self.pad, method), width, height)

        hint = DecodeHint(width, height, fit, self.fraction)
        return Fitted(replace(spec, width=width, height=height), stage, hint=hint)


@dataclass(frozen=True, slots=True)
class Colour:
    """The channels that the model was trained on."""

    takes: ClassVar[tuple[type[ValueSpec], ...]] = (ImageSpec,)

    order: str = option("Channels and their order.", choices=("rgb", "bgr", "grey"))

    def bind(self, spec: ImageSpec, site: Site) -> Fitted:
        """Change the order; a map that differs by channel moves with its channels."""
        if spec.channels != 1 and self.order == "grey" and spec.affine.channels > 1:
            raise site.misfit("make the picture grey before its channels are normalised differently")
        if spec.channels == 1 and self.order != "grey":
            raise site.misfit(f"the picture is grey already; {self.order} cannot be had from it")
        affine = spec.affine if self.order == spec.order else spec.affine.picked(range(spec.channels)[::-1])
        return Fitted(replace(spec, order=self.order, affine=affine))


def sight_of(journey: Journey) -> Sight:
    """Return where the pixels now shown lie in the source."""
    sight = journey.notes[SIGHT]
    assert isinstance(sight, Sight)
    return sight
