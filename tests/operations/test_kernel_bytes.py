"""Sizes as the kernel tells them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.operations.kernel_bytes import kernel_bytes


def test_a_size_is_found_by_its_whole_name(tmp_path: Path) -> None:
    file = tmp_path / "status"
    file.write_text("Name:\tx\nVmHWMark:\t 9 kB\nVmHWM:\t  12 kB\n")
    assert kernel_bytes(str(file), "VmHWM") == 12 << 10
    assert kernel_bytes(str(file), "VmRSS") == 0


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        kernel_bytes(str(tmp_path / "gone"), "VmHWM")
