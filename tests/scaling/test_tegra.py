"""Five Jetsons, as their files show them: the right numbers, whatever is missing, off, late or broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.scaling.tegra import TegraProbe
from gateway.scaling.tegra_reading import TegraReading, gpu_w, total_w
from tests.scaling import trees

HWMON = f"{trees.HWMON}/hwmon1"


def _read(root: Path) -> TegraReading:
    return TegraProbe(root).read()


@pytest.mark.parametrize("name", trees.JETSONS)
def test_every_jetson_tells_load_clock_heat_mode_and_model(name: str, tmp_path: Path) -> None:
    reading = _read(trees.build(tmp_path, name))
    board = trees.BOARDS[name]
    assert reading.is_tegra
    assert reading.model == board.model
    assert reading.power_mode == board.modes[max(board.modes)]
    assert reading.temperatures_c == board.zones
    assert reading.gpu is not None
    assert (reading.gpu.load, reading.gpu.clock_hz, reading.gpu.max_clock_hz) == (0.37, 921.6e6, 921.6e6)
    assert reading.gpu.governor == "nvhost_podgov"
    assert reading.brakes == ()


@pytest.mark.parametrize(
    ("name", "whole_w", "of_gpu_w"),
    [
        ("nano-jp4", 2.65, 0.2),
        ("xavier-jp5", 5.0, None),
        ("orin-jp6", 5.6448, None),
        ("orin-jp7", 4.0 + 2.0 + 2.5, 4.0),
        ("thor-jp7", 12.0 + 9.6, 12.0),
    ],
)
def test_power_is_that_of_the_input_rail_or_the_sum_of_all(
    name: str, whole_w: float, of_gpu_w: float | None, tmp_path: Path
) -> None:
    watts = _read(trees.build(tmp_path, name)).rails.watts
    assert total_w(watts) == pytest.approx(whole_w)
    assert gpu_w(watts) == (None if of_gpu_w is None else pytest.approx(of_gpu_w))
    assert "NC" not in watts
    assert not any("Sum" in rail for rail in watts)


def test_thors_whole_board_is_measured_where_it_has_a_monitor_for_it(tmp_path: Path) -> None:
    root = trees.build(tmp_path, "thor-jp7")
    trees.put(root, f"{trees.HWMON}/hwmon3/name", "ina238")
    trees.put(root, f"{trees.HWMON}/hwmon3/power1_input", 31_500_000)
    assert total_w(_read(root).rails.watts) == 31.5


@pytest.mark.parametrize(
    "place",
    [
        "devices/gpu.0",
        "devices/platform/gpu.0",
        "devices/platform/bus@0/17000000.gpu",
        "devices/platform/17000000.gpu",
    ],
)
def test_load_is_found_at_its_fixed_places_before_there_is_a_node(place: str, tmp_path: Path) -> None:
    trees.put(tmp_path, "etc/nv_tegra_release", "# R36")
    trees.put(tmp_path, f"sys/{place}/load", 1000)
    gpu = _read(tmp_path).gpu
    assert gpu is not None
    assert (gpu.load, gpu.clock_hz) == (1.0, None)


def test_a_node_that_appears_after_three_samples_is_read_from_the_fourth_on(tmp_path: Path) -> None:
    trees.put(tmp_path, "etc/nv_tegra_release", "# R36")
    probe = TegraProbe(tmp_path)
    assert [probe.read().gpu for _ in range(3)] == [None] * 3
    trees.devfreq(tmp_path, trees.BOARDS["orin-jp6"], 500)
    gpu = probe.read().gpu
    assert gpu is not None
    assert gpu.load == 0.5


def test_a_zone_that_cannot_be_read_is_absent_and_the_others_are_there(tmp_path: Path) -> None:
    root = trees.build(tmp_path, "orin-jp6")
    zone = root / trees.THERMAL / "thermal_zone0/temp"
    zone.unlink()
    zone.mkdir()  # reading a folder raises, as a zone without power does
    trees.put(root, f"{trees.THERMAL}/thermal_zone1/temp", -256_000)
    assert _read(root).temperatures_c == {"tj-thermal": 49.25}


def test_zones_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for number, milli in enumerate((30_000, 40_000)):
        trees.put(tmp_path, f"{trees.THERMAL}/thermal_zone{number}/type", "acpitz")
        trees.put(tmp_path, f"{trees.THERMAL}/thermal_zone{number}/temp", milli)
    assert _read(tmp_path).temperatures_c == {"acpitz": 30.0, "acpitz 1": 40.0}


def test_a_fan_that_turns_is_no_brake_and_a_throttle_is(tmp_path: Path) -> None:
    root = trees.build(tmp_path, "orin-jp6")
    for number, (kind, state) in enumerate(
        [("pwm-fan", 3), ("gpu-throttle-alert", 0), ("hot-surface-alert", 1), ("smbb-usbin", 500_000)]
    ):
        trees.cooling(root, number, kind, state)
    assert _read(root).brakes == ()
    for kind in ("gpu-throttle-alert", "cpu-balanced", "tegra-heavy", "cpufreq-cpu0", "devfreq-gpu-gpc-0"):
        trees.cooling(root, 1, kind, 1)
        assert _read(root).brakes == (kind,)


def test_alarms_are_named_by_their_rail_and_counted_by_their_counter(tmp_path: Path) -> None:
    root = trees.build(tmp_path, "orin-jp6")
    assert (_read(root).rails.alarms, dict(_read(root).rails.alarm_counts)) == ((), {"oc1": 3})
    trees.put(root, f"{HWMON}/curr1_crit_alarm", 1)
    trees.put(root, f"{trees.HWMON}/hwmon2/oc1_event_cnt", 4)
    assert (_read(root).rails.alarms, dict(_read(root).rails.alarm_counts)) == (("VDD_IN",), {"oc1": 4})


def test_a_rail_that_is_switched_off_is_absent(tmp_path: Path) -> None:
    root = trees.build(tmp_path, "orin-jp6")
    (root / HWMON / "curr1_input").unlink()
    assert "VDD_IN" not in _read(root).rails.watts


def test_a_pc_is_no_jetson_and_shows_its_heat_alone(tmp_path: Path) -> None:
    reading = _read(trees.build(tmp_path, "pc"))
    assert reading == TegraReading(temperatures_c={"x86_pkg_temp": 50.0})


def test_a_board_without_the_release_file_is_known_by_its_family(tmp_path: Path) -> None:
    trees.put(tmp_path, "sys/devices/soc0/family", "Tegra")
    assert _read(tmp_path).is_tegra


@pytest.mark.parametrize("garbage", [b"", b"\xff\xfe\0", b"9" * 5000, b"-1", b"nan", b"0x10", b"1e9"])
def test_garbage_in_any_file_raises_nothing(garbage: bytes, tmp_path: Path) -> None:
    root = trees.build(tmp_path, "orin-jp6")
    trees.cooling(root, 0, "gpu-throttle-alert", 0)
    for path in [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]:
        kept = path.read_bytes()
        path.write_bytes(garbage)
        reading = _read(root)
        assert reading.gpu is None or reading.gpu.load is None or 0 <= reading.gpu.load <= 1
        assert all(watts >= 0 for watts in reading.rails.watts.values())
        path.write_bytes(kept)
