"""Suppression of overlapping boxes against a naive reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.frames.nms import NONE, Candidates, Suppression, overlaps, suppress

Box = tuple[float, float, float, float]


def naive_iou(one: Box, other: Box) -> float:
    across = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    down = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    union = sum(areas) - across * down
    return across * down / union if union > 0 else 0.0


def naive_nms(boxes: list[Box], scores: list[float], classes: list[int], iou: float) -> list[int]:
    left = sorted(range(len(boxes)), key=lambda place: (-scores[place], place))
    kept = []
    while left:
        best = left.pop(0)
        kept.append(best)
        left = [p for p in left if classes[p] != classes[best] or naive_iou(boxes[p], boxes[best]) <= iou]
    return kept


def candidates(boxes: list[Box], scores: list[float], classes: list[int]) -> Candidates:
    corners = np.array(boxes, np.float64).reshape(-1, 4)
    points = corners[:, np.newaxis, :2]
    return Candidates(corners, np.array(scores, np.float64), np.array(classes, np.intp), points)


# Whole numbers make equal boxes, equal scores and overlaps right on the threshold likely.
drawn = st.lists(
    st.tuples(
        st.builds(
            lambda x, y, w, h: (float(x), float(y), float(x + w), float(y + h)),
            *(st.integers(0, 9) for _ in range(4)),
        ),
        st.integers(1, 10).map(lambda score: score / 10),
        st.integers(0, 2),
    ),
    max_size=30,
)


@given(drawn, st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_the_naive_reference_keeps_the_same_boxes_in_the_same_order(
    found: list[tuple[Box, float, int]], iou: float
) -> None:
    boxes, scores, classes = [f[0] for f in found], [f[1] for f in found], [f[2] for f in found]
    expected = naive_nms(boxes, scores, classes, iou)
    left = suppress(candidates(boxes, scores, classes), Suppression(iou, 1000, 1000))
    assert [boxes[place] for place in expected] == [tuple(box) for box in left.boxes.tolist()]
    assert [scores[place] for place in expected] == left.scores.tolist()
    assert [classes[place] for place in expected] == left.classes.tolist()


@given(drawn)
def test_averaging_keeps_count_scores_and_classes_and_stays_within_the_group(
    found: list[tuple[Box, float, int]],
) -> None:
    every = candidates([f[0] for f in found], [f[1] for f in found], [f[2] for f in found])
    plain = suppress(every, Suppression(0.3, 1000, 1000))
    averaged = suppress(every, Suppression(0.3, 1000, 1000, weighted=True))
    assert plain.scores.tolist() == averaged.scores.tolist()
    assert plain.classes.tolist() == averaged.classes.tolist()
    for one, box in zip(plain.boxes, averaged.boxes, strict=True):
        group = every.boxes[(overlaps(one, every.boxes) > 0.3) | (every.boxes == one).all(axis=1)]
        assert (box >= group.min(axis=0) - 1e-9).all()
        assert (box <= group.max(axis=0) + 1e-9).all()


def test_averaged_boxes_and_points_weigh_by_score() -> None:
    left = suppress(
        candidates([(0, 0, 10, 10), (2, 0, 12, 10)], [0.75, 0.25], [0, 0]),
        Suppression(0.3, 10, 10, weighted=True),
    )
    assert left.boxes.tolist() == [[0.5, 0.0, 10.5, 10.0]]
    assert left.points.tolist() == [[[0.5, 0.0]]]


def test_at_most_the_best_objects_are_left() -> None:
    far = [(20.0 * place, 0.0, 20.0 * place + 5, 5.0) for place in range(6)]
    left = suppress(candidates(far, [0.1, 0.6, 0.3, 0.5, 0.2, 0.4], [0] * 6), Suppression(0.5, 4, 2))
    assert left.scores.tolist() == [0.6, 0.5]


@pytest.mark.parametrize("weighted", [False, True])
def test_of_no_boxes_none_is_left(weighted: bool) -> None:
    assert len(suppress(NONE, Suppression(0.5, 10, 10, weighted)).scores) == 0
