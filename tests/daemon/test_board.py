"""Boards say what they are called and what they can give, or nothing; nothing raises."""

from __future__ import annotations

from pathlib import Path

from gateway.daemon.board import available_bytes, hardware_names


def _tree(root: Path, **files: str | bytes) -> Path:
    for name, content in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def test_a_jetson_is_called_what_its_device_tree_says_with_hyphens_for_commas(tmp_path: Path) -> None:
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/device-tree/compatible").write_bytes(b"nvidia,p3450-0000\0nvidia,tegra210\0\xff/../x\0")
    names = hardware_names(tmp_path)
    assert names[1:3] == ("nvidia-p3450-0000", "nvidia-tegra210")
    assert all("/" not in name and "," not in name for name in names)


def test_a_machine_without_a_device_tree_is_called_by_its_processor_alone(tmp_path: Path) -> None:
    assert len(hardware_names(tmp_path)) == 1


def test_without_control_groups_all_that_the_machine_has_left_is_available(tmp_path: Path) -> None:
    _tree(tmp_path, proc__meminfo="MemTotal: 4000 kB\nMemAvailable:    1000 kB\n")
    assert available_bytes(tmp_path) == 1_024_000


def test_the_tightest_group_above_ours_bounds_what_is_available(tmp_path: Path) -> None:
    _tree(
        tmp_path,
        proc__meminfo="MemAvailable: 9000000 kB\n",
        proc__self__cgroup="0::/system.slice/gateway.service\n",
    )
    outer = tmp_path / "sys/fs/cgroup/system.slice"
    inner = outer / "gateway.service"
    inner.mkdir(parents=True)
    (outer / "memory.max").write_text("500000\n")
    (outer / "memory.current").write_text("400000\n")
    (outer / "memory.stat").write_text("inactive_file 50000\n")
    (inner / "memory.max").write_text("max\n")
    (inner / "memory.current").write_text("300000\n")
    assert available_bytes(tmp_path) == 150_000


def test_an_older_kernels_group_counts_as_well_and_its_missing_limit_does_not(tmp_path: Path) -> None:
    _tree(tmp_path, proc__meminfo="MemAvailable: 9000 kB\n", proc__self__cgroup="4:cpu:/\n7:memory:/gw\n")
    group = tmp_path / "sys/fs/cgroup/memory/gw"
    group.mkdir(parents=True)
    (group / "memory.limit_in_bytes").write_text(f"{2**63 - 4096}\n")
    (group / "memory.usage_in_bytes").write_text("10\n")
    assert available_bytes(tmp_path) == 9000 * 1024
    (group / "memory.limit_in_bytes").write_text("1000\n")
    assert available_bytes(tmp_path) == 990


def test_a_machine_that_tells_nothing_gives_no_number(tmp_path: Path) -> None:
    assert available_bytes(tmp_path) is None
