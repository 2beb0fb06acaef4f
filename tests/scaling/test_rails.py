"""Power monitors at their other places: behind the I2C bus, and none at all."""

from __future__ import annotations

from pathlib import Path

from gateway.scaling.rails import read_rails
from gateway.scaling.tegra_reading import Rails, total_w
from tests.scaling import trees


def test_a_monitor_without_its_class_is_found_behind_its_bus(tmp_path: Path) -> None:
    folder = "sys/bus/i2c/devices/1-0040/hwmon/hwmon4"
    trees.put(tmp_path, f"{folder}/name", "ina3221")
    for name, value in (("in1_label", "VDD_IN"), ("in1_input", 5000), ("curr1_input", 2000)):
        trees.put(tmp_path, f"{folder}/{name}", value)
    assert read_rails(str(tmp_path)).watts == {"VDD_IN": 10.0}


def test_a_board_without_monitors_has_no_power_not_zero(tmp_path: Path) -> None:
    assert read_rails(str(tmp_path)) == Rails()
    assert total_w({}) is None


def test_other_monitors_are_left_alone(tmp_path: Path) -> None:
    trees.put(tmp_path, f"{trees.HWMON}/hwmon0/name", "nvme")
    trees.put(tmp_path, f"{trees.HWMON}/hwmon0/in1_label", "drive")
    trees.put(tmp_path, f"{trees.HWMON}/hwmon0/in1_input", 5000)
    trees.put(tmp_path, f"{trees.HWMON}/hwmon0/curr1_input", 5000)
    assert read_rails(str(tmp_path)).watts == {}
