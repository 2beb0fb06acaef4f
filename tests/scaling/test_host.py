"""The machine tells of memory, pressure, swapping, kills and work; what it does not tell is unknown."""

from __future__ import annotations

from pathlib import Path

from gateway.scaling.host import HostProbe
from tests.scaling import trees

GROUP = "sys/fs/cgroup/gw"


def test_the_first_reading_tells_no_growth_and_the_second_does(tmp_path: Path) -> None:
    probe = HostProbe(trees.build(tmp_path, "pc"))
    first = probe.read()
    assert (first.processors_busy, first.pressure.swapped_pages, first.pressure.oom_kills) == (
        None,
        None,
        None,
    )
    trees.put(tmp_path, "proc/stat", "cpu  130 0 120 850 0 0 0 0 0 0")
    trees.put(tmp_path, "proc/vmstat", "pswpin 15\npswpout 27\noom_kill 2")
    second = probe.read()
    assert second.processors_busy == 0.5
    assert (second.pressure.swapped_pages, second.pressure.oom_kills) == (12, 2)


def test_a_kernel_without_psi_tells_by_its_counts_and_says_so(tmp_path: Path) -> None:
    probe = HostProbe(trees.build(tmp_path, "nano-jp4"))
    probe.read()
    pressure = probe.read().pressure
    assert (pressure.source, pressure.some, pressure.full) == ("vmstat", None, None)
    assert (pressure.swapped_pages, pressure.oom_kills) == (0, None)


def test_pressure_is_the_worst_of_the_machine_and_our_own_group(tmp_path: Path) -> None:
    root = trees.build(tmp_path, "pc")
    trees.put(root, "proc/self/cgroup", "0::/gw")
    trees.pressure(root, 4, 1)
    assert HostProbe(root).read().pressure.full == 0.01
    trees.pressure(root, 30, 20, f"{GROUP}/memory.pressure")
    pressure = HostProbe(root).read().pressure
    assert (pressure.source, pressure.some, pressure.full) == ("psi", 0.3, 0.2)


def test_a_neighbour_that_is_killed_in_its_own_group_is_not_our_emergency(tmp_path: Path) -> None:
    root = trees.build(tmp_path, "pc")
    trees.put(root, "proc/self/cgroup", "0::/gw")
    trees.put(root, f"{GROUP}/memory.events", "low 0\noom 0\noom_kill 1")
    probe = HostProbe(root)
    probe.read()
    trees.put(root, "proc/vmstat", "pswpin 10\npswpout 20\noom_kill 9")
    assert probe.read().pressure.oom_kills == 0
    trees.put(root, f"{GROUP}/memory.events", "low 0\noom 1\noom_kill 2")
    assert probe.read().pressure.oom_kills == 1


def test_moving_to_another_group_is_no_kill(tmp_path: Path) -> None:
    root = trees.build(tmp_path, "pc")
    for name, kills in (("gw", 1), ("other", 50)):
        trees.put(root, f"sys/fs/cgroup/{name}/memory.events", f"oom_kill {kills}")
    trees.put(root, "proc/self/cgroup", "0::/gw")
    probe = HostProbe(root)
    probe.read()
    trees.put(root, "proc/self/cgroup", "0::/other")
    assert probe.read().pressure.oom_kills is None


def test_zram_that_fills_up_adds_nothing_to_what_is_available(tmp_path: Path) -> None:
    root = trees.build(tmp_path, "nano-jp4")
    empty = HostProbe(root).read().memory
    trees.meminfo(root, 4_059_712, 4_059_712 * 6 // 10, zram_used_kib=1_000_000)
    full = HostProbe(root).read().memory
    assert empty is not None
    assert full is not None
    assert (full.available_bytes, full.total_bytes) == (empty.available_bytes, empty.total_bytes)
    assert full.swap_used_bytes == 1_000_000 * 1024
    assert full.gpu_used_bytes == 640512 * 1024


def test_a_machine_that_tells_nothing_is_unknown_not_zero(tmp_path: Path) -> None:
    reading = HostProbe(tmp_path).read()
    assert reading.memory is None
    assert reading.pressure.source == "none"
    assert reading.pressure.swapped_pages is None


def test_this_very_machine_tells() -> None:
    probe = HostProbe()
    probe.read()
    reading = probe.read()
    assert reading.memory is not None
    assert reading.pressure.source in ("psi", "vmstat")
    assert reading.pressure.swapped_pages is not None
