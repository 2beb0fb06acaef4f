"""Processors are those that we are bound to, and no more than the control group's quota pays for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.operations.processors import processor_count

BOUND = len(os.sched_getaffinity(0))


def _v2(root: Path, words: str) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text("0::/system.slice/gateway.service\n")
    group = root / "sys/fs/cgroup/system.slice/gateway.service"
    group.mkdir(parents=True)
    (group / "cpu.max").write_text(words)
    return root


def test_without_a_control_group_it_is_what_we_are_bound_to(tmp_path: Path) -> None:
    assert processor_count(tmp_path) == BOUND


@pytest.mark.parametrize(
    ("words", "expected"),
    [("max 100000\n", BOUND), ("50000 100000\n", 1), ("100000 100000\n", 1), ("99999900 1\n", BOUND)],
)
def test_a_quota_of_version_2_bounds_it(tmp_path: Path, words: str, expected: int) -> None:
    assert processor_count(_v2(tmp_path, words)) == expected


@pytest.mark.parametrize("words", ["", "max", "1", "x y", "-1 100000", "100000 0", "1 2 3"])
def test_a_quota_that_cannot_be_read_is_none(tmp_path: Path, words: str) -> None:
    assert processor_count(_v2(tmp_path, words)) == BOUND


@pytest.mark.parametrize(("quota", "expected"), [("-1", BOUND), ("100000", 1), ("1", 1)])
def test_a_quota_of_version_1_bounds_it(tmp_path: Path, quota: str, expected: int) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("4:cpu,cpuacct:/g\n3:memory:/g\n")
    group = tmp_path / "sys/fs/cgroup/cpu/g"
    group.mkdir(parents=True)
    (group / "cpu.cfs_quota_us").write_text(quota)
    (group / "cpu.cfs_period_us").write_text("100000")
    assert processor_count(tmp_path) == expected
