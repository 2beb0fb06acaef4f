"""Found objects as a prediction: boxes and keypoints back in the source picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gateway.errors import RunFailed
from gateway.frames.nms import Candidates, Suppression, suppress
from gateway.frames.prepared import JsonValue
from gateway.frames.sight import SIGHT, Sight
from gateway.frames.specs import ImageSpec
from gateway.frames.steps import Answers, Prediction, Site

# Beyond this, in pixels, areas lose their meaning and then overflow.
_FAR = 1e9


def picture_size(site: Site) -> tuple[int, int]:
    """Return width and height of the model's picture.

    Raises:
        PipelineMisfit: The pipeline takes no pictures.
    """
    spec = site.before
    if not isinstance(spec, ImageSpec) or spec.width is None or spec.height is None:
        raise site.misfit(f"finds objects in pictures, but the pipeline takes {spec}")
    return spec.width, spec.height


def detection(
    found: Candidates, how: Suppression | None, answers: Answers, labels: Sequence[str]
) -> Prediction:
    """Return the prediction that says which objects were found.

    Boxes are clipped to the picture; those that lie outside it (in the bars of
    a letterbox, say) are left out.

    Args:
        found: What the model found.
        how: How boxes become objects; None if each is one already.
        answers: What the model said, and what was noted of its picture.
        labels: One label a class.

    Raises:
        RunFailed: A box is not finite or absurdly far away, or a class has no label.
    """
    sight = answers.notes[SIGHT]
    assert isinstance(sight, Sight)
    objects: list[JsonValue] = []
    if len(found.scores):
        _check(found, labels)
        objects = _objects(found if how is None else suppress(found, how), sight, labels)
    return {"kind": "detection", "objects": objects, "image": {"width": sight.width, "height": sight.height}}


def _check(found: Candidates, labels: Sequence[str]) -> None:
    near = (np.abs(part) < _FAR for part in (found.boxes, found.points, found.scores))
    if not all(part.all() for part in near):  # NaN is not near either
        raise RunFailed("the model's boxes hold NaN, infinite or absurd values")
    if not 0 <= found.classes.min() <= found.classes.max() < len(labels):
        raise RunFailed(f"the model found a class beyond its {len(labels)} classes")


def _objects(found: Candidates, sight: Sight, labels: Sequence[str]) -> list[JsonValue]:
    size = np.array((sight.width, sight.height), np.float64)
    boxes = sight.boxes(found.boxes)
    fractions = boxes / np.tile(size, 2)
    points = sight.points(found.points) / size
    objects: list[JsonValue] = []
    for index in range(len(boxes)):
        left, top, right, bottom = boxes[index].tolist()
        if left >= right or top >= bottom:
            continue
        number = int(found.classes[index])
        objects.append(
            {
                "class": number,
                "label": labels[number],
                "score": round(float(found.scores[index]), 4),
                "box": [round(value, 5) for value in fractions[index].tolist()],
                "box_px": [round(left), round(top), round(right), round(bottom)],
                "keypoints": [[round(x, 5), round(y, 5)] for x, y in points[index].tolist()],
            }
        )
    return objects
