"""Anchors of single-shot detectors."""

from __future__ import annotations

import numpy as np

from gateway.frames.anchors import AnchorScales, sized_anchors, unit_anchors


def test_blazeface_has_896_points_cell_by_cell() -> None:
    anchors = unit_anchors((128, 128), [8, 16], [2, 6])
    assert anchors.shape == (896, 4)
    assert (anchors[:, 2:] == 1).all()
    cells = [((x + 0.5) / 16, (y + 0.5) / 16) for y in range(16) for x in range(16) for _ in range(2)]
    cells += [((x + 0.5) / 8, (y + 0.5) / 8) for y in range(8) for x in range(8) for _ in range(6)]
    np.testing.assert_allclose(anchors[:, :2], np.array(cells), atol=1e-12)


def test_ssd_on_300_pixels_has_1917_anchors() -> None:
    # The grids of MobileNet SSD (19, 10, 5, 3, 2, 1), with three anchors a cell on the first.
    ratios = (1.0, 2.0, 0.5, 3.0, 1 / 3)
    anchors = sized_anchors(
        (300, 300), [16, 32, 64, 128, 256, 512], AnchorScales(0.2, 0.95, ratios, reduce_first=True)
    )
    assert len(anchors) == 19 * 19 * 3 + (10 * 10 + 5 * 5 + 3 * 3 + 2 * 2 + 1) * 6 == 1917
    last = anchors[-6:]
    np.testing.assert_allclose(last[:5, 2] / last[:5, 3], ratios)
    np.testing.assert_allclose(last[:5, 2] * last[:5, 3], 0.95**2)
    np.testing.assert_allclose(last[5], [0.5, 0.5, 0.95**0.5, 0.95**0.5])


def test_a_picture_that_is_not_square_has_cells_that_are() -> None:
    anchors = unit_anchors((64, 32), [16], [1])
    assert anchors[:, 0].tolist() == [0.125, 0.375, 0.625, 0.875] * 2
    assert anchors[:, 1].tolist() == [0.25] * 4 + [0.75] * 4
