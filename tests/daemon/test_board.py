"""Boards say what they are called, or nothing; nothing raises."""

from __future__ import annotations

from pathlib import Path

from gateway.daemon.board import hardware_names


def test_a_jetson_is_called_what_its_device_tree_says_with_hyphens_for_commas(tmp_path: Path) -> None:
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/device-tree/compatible").write_bytes(b"nvidia,p3450-0000\0nvidia,tegra210\0\xff/../x\0")
    names = hardware_names(tmp_path)
    assert names[1:3] == ("nvidia-p3450-0000", "nvidia-tegra210")
    assert all("/" not in name and "," not in name for name in names)


def test_a_machine_without_a_device_tree_is_called_by_its_processor_alone(tmp_path: Path) -> None:
    assert len(hardware_names(tmp_path)) == 1
