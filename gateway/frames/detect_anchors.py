"""Raw boxes and scores of a single-shot detector (BlazeFace, SSD) to objects."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gateway.configuration.option import option
from gateway.frames.anchors import AnchorScales, sized_anchors, unit_anchors
from gateway.frames.detections import detection, picture_size
from gateway.frames.nms import NONE, Candidates, Suppression
from gateway.frames.outputs import Output, named_output, sigmoid
from gateway.frames.steps import Answers, Finisher, Prediction, Site

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DetectAnchors:
    """Objects from boxes told relative to anchors, one score a class each; raw scores go through a sigmoid.

    Without ``aspect_ratios`` anchors are points, as in BlazeFace: boxes are told
    in pixels of ``scale``. With them anchors have SSD's sizes.
    """

    stateful: ClassVar[bool] = False

    strides: tuple[int, ...] = option(
        "Pixels from one anchor cell to the next, one a grid.", minimum=1, maximum=4096
    )
    per_cell: tuple[int, ...] = option(
        "Anchors a cell, one a grid; not with aspect_ratios.", (), minimum=1, maximum=64
    )
    aspect_ratios: tuple[float, ...] = option(
        "Width over height of the anchors of a cell.", (), minimum=0.01, maximum=100
    )
    min_scale: float = option("Anchor size on the first grid, as a fraction.", 0.2, minimum=0.001, maximum=1)
    max_scale: float = option("Anchor size on the last grid, as a fraction.", 0.95, minimum=0.001, maximum=1)
    reduce_first: bool = option("The first grid has three anchors a cell.", False)
    scale: tuple[float, ...] = option(
        "Divisors of raw x, y, width, height; the picture's width for points, 10, 10, 5, 5 when empty.",
        (),
        minimum=0.001,
    )
    box_order: str = option("Order of a raw box.", "xywh", choices=("xywh", "yxhw"))
    keypoints: int = option("Keypoints after each raw box.", 0, minimum=0, maximum=256)
    background: bool = option("Class 0 is the background.", False)
    min_score: float = option("Least score of an object.", 0.5, minimum=0.001, maximum=0.999)
    iou: float = option("Overlap above which two boxes are one object.", 0.3, minimum=0, maximum=1)
    nms: str = option(
        "Keep the best box of an object, or average them by score.", "plain", choices=("plain", "weighted")
    )
    max_objects: int = option("Objects in a prediction.", 100, minimum=1, maximum=1000)
    boxes: str = option("Output with the raw boxes; found by its shape when empty.", "")
    scores: str = option("Output with the raw scores; found by its shape when empty.", "")

    def bind(self, site: Site) -> Finisher:
        """Lay out the anchors; there must be one a raw box."""
        size = picture_size(site)
        anchors = self._anchors(site, size)
        boxes, scores = self._outputs(site, len(anchors))
        classes = (scores.sizes[1] or 0) - self.background
        labels = site.model.labels or tuple(str(index) for index in range(classes))
        if len(labels) != classes:
            raise site.misfit(f"the model tells {classes} classes apart, but there are {len(labels)} labels")
        scale = self._scale(site, size)
        floor = scores.code_of(math.log(self.min_score / (1 - self.min_score)))
        how = Suppression(self.iou, 4 * self.max_objects, self.max_objects, self.nms == "weighted")

        def finish(answers: Answers) -> Prediction:
            row = answers.outputs[-1]
            codes = scores.codes(row)[:, int(self.background) :]
            best = codes[:, 0] if classes == 1 else codes.max(axis=1)
            scores.real(best.max())  # one NaN anywhere is the greatest
            places = np.flatnonzero(best >= floor)
            if not len(places):
                return detection(NONE, how, answers, labels)
            certainty = sigmoid(scores.real(best[places])).astype(np.float64)
            raw = boxes.real(boxes.codes(row)[places]).astype(np.float64)
            found = self._decoded(raw, anchors[places], scale, size)
            candidates = Candidates(found[0], certainty, codes[places].argmax(axis=1), found[1])
            return detection(candidates, how, answers, labels)

        return finish

    def _anchors(self, site: Site, size: tuple[int, int]) -> Floats:
        if self.aspect_ratios:
            if self.per_cell:
                raise site.misfit("give per_cell or aspect_ratios, not both")
            scales = AnchorScales(self.min_scale, self.max_scale, self.aspect_ratios, self.reduce_first)
            return sized_anchors(size, self.strides, scales)
        if len(self.per_cell) != len(self.strides):
            raise site.misfit(
                f"per_cell needs {len(self.strides)} numbers, one a stride, not {len(self.per_cell)}"
            )
        return unit_anchors(size, self.strides, self.per_cell)

    def _outputs(self, site: Site, anchors: int) -> tuple[Output, Output]:
        width = 4 + 2 * self.keypoints
        specs = site.model.data_outputs()
        boxes, scores = self.boxes, self.scores
        if not boxes or not scores:
            if len(specs) != 2:
                raise site.misfit(f"needs the options boxes and scores: the model has {len(specs)} outputs")
            wide = [spec.name for spec in specs if spec.shape[-1:] == (width,)]
            boxes = boxes or (wide[0] if len(wide) == 1 else "")
            scores = scores or next((spec.name for spec in specs if boxes and spec.name != boxes), "")
            if not boxes or not scores:
                raise site.misfit(
                    f"cannot tell which output holds {width} numbers a box; give boxes and scores"
                )
        found = named_output(site, boxes), named_output(site, scores)
        if found[0].sizes != (anchors, width):
            raise site.misfit(
                f"the options make {anchors} anchors of {width} numbers, the model gives {found[0].spec}"
            )
        if (
            len(found[1].sizes) != 2
            or found[1].sizes[0] != anchors
            or (found[1].sizes[1] or 0) <= self.background
        ):
            raise site.misfit(
                f"the options make {anchors} anchors, the model gives the scores {found[1].spec}"
            )
        return found

    def _scale(self, site: Site, size: tuple[int, int]) -> Floats:
        given = self.scale or ((10.0, 10.0, 5.0, 5.0) if self.aspect_ratios else (float(size[0]),))
        if len(given) not in {1, 4}:
            raise site.misfit(f"scale needs one number or four (x, y, width, height), not {len(given)}")
        return np.array(given * 4 if len(given) == 1 else given, np.float64)

    def _decoded(
        self, raw: Floats, anchors: Floats, scale: Floats, size: tuple[int, int]
    ) -> tuple[Floats, Floats]:
        """Return boxes (n, 4) as corners and keypoints (n, k, 2), both in the model's pixels."""
        order = [0, 1, 2, 3] if self.box_order == "xywh" else [1, 0, 3, 2]
        pixels = np.array(size, np.float64)
        told = raw[:, :4][:, order] / scale
        centres = told[:, :2] * anchors[:, 2:] + anchors[:, :2]
        with np.errstate(over="ignore"):  # what overflows is refused as not finite
            sides = (np.exp(told[:, 2:]) if self.aspect_ratios else told[:, 2:]) * anchors[:, 2:]
        corners = np.concatenate((centres - sides / 2, centres + sides / 2), axis=1) * np.tile(pixels, 2)
        points = raw[:, 4:].reshape(len(raw), self.keypoints, 2)[:, :, order[:2]] / scale[:2]
        points = points * anchors[:, np.newaxis, 2:] + anchors[:, np.newaxis, :2]
        return corners, points * pixels
