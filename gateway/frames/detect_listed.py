"""Objects from a model that suppresses overlaps itself and lists what is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gateway.configuration.option import option
from gateway.errors import RunFailed
from gateway.frames.detections import detection, picture_size
from gateway.frames.nms import Candidates
from gateway.frames.outputs import Output, named_output
from gateway.frames.steps import Answers, Finisher, Prediction, Site


@dataclass(frozen=True, slots=True)
class DetectListed:
    """Objects from four outputs: boxes (top, left, bottom, right as fractions), classes, scores, count.

    These are the outputs of TFLite's detection post-processing operator, in its
    order unless they are named.
    """

    stateful: ClassVar[bool] = False

    min_score: float = option("Least score of an object.", 0.5, minimum=0, maximum=1)
    boxes: str = option("Output (1, n, 4); the first when empty.", "")
    classes: str = option("Output (1, n); the second when empty.", "")
    scores: str = option("Output (1, n); the third when empty.", "")
    count: str = option("Output (1,); the fourth when empty.", "")
    first_class: int = option("Index that the model gives to the first label.", 0, minimum=0, maximum=1)

    def bind(self, site: Site) -> Finisher:
        """Bind to the four outputs."""
        size = np.tile(np.array(picture_size(site), np.float64), 2)
        boxes, classes, scores, count = self._outputs(site)
        labels = site.model.labels or tuple(str(index) for index in range(1000))

        def finish(answers: Answers) -> Prediction:
            row = answers.outputs[-1]
            certainty = scores.real(scores.codes(row)).astype(np.float64)
            number = float(count.real(count.codes(row)).reshape(-1)[0])
            if not 0 <= number <= len(certainty):
                raise RunFailed(f"the model lists {number:g} objects of {len(certainty)}")
            places = np.flatnonzero(certainty[: int(number)] >= self.min_score)
            told = boxes.real(boxes.codes(row)[places]).astype(np.float64)
            kinds = np.rint(classes.real(classes.codes(row)[places])).astype(np.intp) - self.first_class
            points = np.empty((len(places), 0, 2))
            found = Candidates(told[:, [1, 0, 3, 2]] * size, certainty[places], kinds, points)
            ranked = found.picked(np.argsort(-found.scores, kind="stable"))
            return detection(ranked, None, answers, labels)

        return finish

    def _outputs(self, site: Site) -> tuple[Output, Output, Output, Output]:
        specs = site.model.data_outputs()
        given = (self.boxes, self.classes, self.scores, self.count)
        if len(specs) != 4 and not all(given):
            raise site.misfit(
                f"needs the options boxes, classes, scores and count: the model has {len(specs)} outputs"
            )
        names = [name or specs[index].name for index, name in enumerate(given)]
        if len(set(names)) != 4:
            raise site.misfit("boxes, classes, scores and count must be four different outputs")
        boxes, classes, scores, count = (named_output(site, name) for name in names)
        if (
            boxes.sizes[1:] != (4,)
            or len(classes.sizes) != 1
            or len(scores.sizes) != 1
            or count.elements != 1
        ):
            told = ", ".join(str(output.spec) for output in (boxes, classes, scores, count))
            raise site.misfit(
                f"needs boxes (1, n, 4), classes (1, n), scores (1, n) and count (1,), not {told}"
            )
        return boxes, classes, scores, count
