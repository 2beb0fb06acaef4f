"""Under a real limit the gateway grows and gives back, and the kernel never has to kill for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.memory_group import hindrance
from tests.system.soak import HIGH_MARK, soak


@pytest.mark.slow
@pytest.mark.skipif(bool(hindrance()), reason=hindrance())
def test_lanes_grow_with_demand_and_go_before_the_kernel_kills(tmp_path: Path) -> None:
    report = soak(tmp_path, seconds=0)  # one wave; scripts/soak runs as long as it is told

    assert report.oom_kills == 0
    assert report.lanes_lost == 0
    assert report.most_lanes >= 3
    assert len(report.relief_s) == report.waves == 1
    assert report.peak_ratio > HIGH_MARK
    assert report.answered > 0
