"""The output of a YOLOv8-style head to objects: centre boxes and class scores in one tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gateway.configuration.option import option
from gateway.errors import RunFailed
from gateway.frames.classify import labels_for
from gateway.frames.detections import detection, picture_size
from gateway.frames.nms import NONE, Candidates, Suppression
from gateway.frames.outputs import Output, only_output
from gateway.frames.steps import Answers, Finisher, Prediction, Site


@dataclass(frozen=True, slots=True)
class DetectYolo:
    """Objects from (1, 4 + classes, n) or transposed: centre x, y, width, height, one score a class."""

    stateful: ClassVar[bool] = False

    layout: str = option(
        "Which axis holds the boxes; auto goes by the number of labels, or takes the longer one.",
        "auto",
        choices=("auto", "boxes_last", "boxes_first"),
    )
    coordinates: str = option(
        "Unit of the boxes: the model's pixels or fractions.", "pixels", choices=("pixels", "fractions")
    )
    min_score: float = option("Least score of an object.", 0.25, minimum=0.001, maximum=1)
    iou: float = option("Overlap above which two boxes of a class are one object.", 0.7, minimum=0, maximum=1)
    max_objects: int = option("Objects in a prediction.", 100, minimum=1, maximum=1000)
    output: str = option("Output to read; needed if the model has several.", "")

    def bind(self, site: Site) -> Finisher:
        """Find out which axis holds the boxes and how many classes there are."""
        size = picture_size(site)
        output = only_output(site, self.output)
        first, width = self._boxes_first(site, output)
        labels = labels_for(site, width - 4)
        unit = np.tile(np.array(size, np.float64), 2) if self.coordinates == "fractions" else np.ones(4)
        floor = output.code_of(self.min_score)
        how = Suppression(self.iou, 1000, self.max_objects)

        def finish(answers: Answers) -> Prediction:
            codes = output.codes(answers.outputs[-1])
            codes = codes.T if first else codes  # (4 + classes, n)
            best = codes[4:].max(axis=0)
            if best.dtype.kind == "f" and not np.isfinite(best).all():
                raise RunFailed(f"output {output.spec.name} holds NaN or infinite values")
            places = np.flatnonzero(best >= floor)
            if not len(places):
                return detection(NONE, how, answers, labels)
            scores = np.clip(output.real(best[places]).astype(np.float64), 0, 1)
            told = output.real(codes[:4, places]).astype(np.float64).T * unit
            half = told[:, 2:] / 2
            corners = np.concatenate((told[:, :2] - half, told[:, :2] + half), axis=1)
            classes = codes[4:, places].argmax(axis=0)
            candidates = Candidates(corners, scores, classes, np.empty((len(places), 0, 2)))
            return detection(candidates, how, answers, labels)

        return finish

    def _boxes_first(self, site: Site, output: Output) -> tuple[bool, int]:
        """Return whether boxes are on the first axis, and the numbers a box."""
        sizes = output.sizes
        if len(sizes) != 2:
            raise site.misfit(
                f"needs an output (1, 4 + classes, boxes) or transposed, but the model gives {output.spec}"
            )
        wanted = 4 + len(site.model.labels) if site.model.labels else None
        if self.layout != "auto":
            first = self.layout == "boxes_first"
        elif wanted is not None and (sizes[0] == wanted) != (sizes[1] == wanted):
            first = sizes[1] == wanted
        elif None in sizes:
            first = sizes[0] is None
        else:
            first = (sizes[0] or 0) > (sizes[1] or 0)
        width = sizes[1] if first else sizes[0]
        if width is None or width < 5:
            raise site.misfit(
                f"needs four numbers and a score for each class a box, but the model gives {output.spec}"
            )
        return first, width
