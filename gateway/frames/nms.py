"""Non-maximum suppression: of boxes that mean the same object, one is left.

Both forms go through boxes from the best score down, equal scores in the order
given, and take two boxes for one object if their class is the same and their
intersection over union is above a threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Boxes that may be objects, n of them.

    Attributes:
        boxes: (n, 4) x0, y0, x1, y1 in the model's pixels.
        scores: (n,) in 0 to 1.
        classes: (n,) class index.
        points: (n, k, 2) keypoints in the model's pixels; k may be 0.
    """

    boxes: Floats
    scores: Floats
    classes: NDArray[np.intp]
    points: Floats

    def picked(self, places: NDArray[np.intp]) -> Candidates:
        """Return those at ``places``, in that order."""
        return Candidates(self.boxes[places], self.scores[places], self.classes[places], self.points[places])


NONE = Candidates(np.empty((0, 4)), np.empty(0), np.empty(0, np.intp), np.empty((0, 0, 2)))


@dataclass(frozen=True, slots=True)
class Suppression:
    """How boxes become objects.

    Attributes:
        iou: Overlap above which two boxes are one object.
        most_boxes: Boxes looked at, the best; the rest are no objects.
        most_objects: Objects left at most.
        weighted: True to average the boxes of one object by their scores, which
            holds small objects steadier; False to keep the best box as it is.
    """

    iou: float
    most_boxes: int
    most_objects: int
    weighted: bool = False


def suppress(candidates: Candidates, how: Suppression) -> Candidates:
    """Return one candidate an object, best first."""
    order = np.argsort(-candidates.scores, kind="stable")[: how.most_boxes]
    ranked = candidates.picked(order)
    waiting = np.ones(len(order), bool)
    kept: list[int] = []
    groups: list[NDArray[np.intp]] = []
    for place in range(len(order)):
        if not waiting[place]:
            continue
        same = waiting & (ranked.classes == ranked.classes[place])
        same &= overlaps(ranked.boxes[place], ranked.boxes) > how.iou
        same[place] = True
        waiting &= ~same
        kept.append(place)
        groups.append(np.flatnonzero(same))
        if len(kept) == how.most_objects:
            break
    best = ranked.picked(np.array(kept, np.intp))
    return _averaged(best, ranked, groups) if how.weighted else best


def overlaps(box: Floats, boxes: Floats) -> Floats:
    """Return the intersection over union of one box (4,) with each of (n, 4); 0 where both are empty."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[2:], boxes[:, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=1)
    union = np.prod(box[2:] - box[:2]) + np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) - common
    result: Floats = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return result


def _averaged(best: Candidates, ranked: Candidates, groups: list[NDArray[np.intp]]) -> Candidates:
    boxes, points = best.boxes.copy(), best.points.copy()
    for index, group in enumerate(groups):
        weights = ranked.scores[group] / ranked.scores[group].sum()
        boxes[index] = weights @ ranked.boxes[group]
        points[index] = np.tensordot(weights, ranked.points[group], axes=1)
    return Candidates(boxes, best.scores, best.classes, points)
