"""What is left to us is what the machine and every group around us leave; nothing raises."""

from __future__ import annotations

from pathlib import Path

from gateway.operations.memory import available_bytes, read_memory


def _write(root: Path, **files: str) -> Path:
    for name, content in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def test_without_control_groups_all_that_the_machine_has_left_is_available(tmp_path: Path) -> None:
    _write(tmp_path, proc__meminfo="MemTotal: 4000 kB\nMemAvailable:    1000 kB\n")
    assert available_bytes(tmp_path) == 1_024_000


def test_the_tightest_group_above_ours_bounds_what_is_available(tmp_path: Path) -> None:
    _write(
        tmp_path,
        proc__meminfo="MemTotal: 9500000 kB\nMemAvailable: 9000000 kB\n",
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
    memory = read_memory(tmp_path)
    assert memory is not None
    assert (memory.total_bytes, memory.available_bytes, memory.grouped) == (500_000, 150_000, True)
    assert memory.page_cache_bytes == 50_000


def test_the_mark_above_which_a_group_is_swapped_out_is_a_limit_too(tmp_path: Path) -> None:
    _write(
        tmp_path,
        proc__meminfo="MemTotal: 9500000 kB\nMemAvailable: 9000000 kB\n",
        proc__self__cgroup="0::/gateway.service\n",
    )
    group = tmp_path / "sys/fs/cgroup/gateway.service"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("1000000\n")
    (group / "memory.high").write_text("800000\n")
    (group / "memory.current").write_text("700000\n")
    assert available_bytes(tmp_path) == 100_000
    (group / "memory.current").write_text("900000\n")
    assert available_bytes(tmp_path) == 0


def test_an_older_kernels_group_counts_as_well_and_its_missing_limit_does_not(tmp_path: Path) -> None:
    _write(
        tmp_path,
        proc__meminfo="MemTotal: 9500 kB\nMemAvailable: 9000 kB\n",
        proc__self__cgroup="4:cpu:/\n7:memory:/gw/inner\n",
    )
    inner = tmp_path / "sys/fs/cgroup/memory/gw/inner"
    inner.mkdir(parents=True)
    for folder in (inner, inner.parent):
        (folder / "memory.limit_in_bytes").write_text(f"{2**63 - 4096}\n")
        (folder / "memory.usage_in_bytes").write_text("10\n")
    assert available_bytes(tmp_path) == 9000 * 1024
    (inner / "memory.limit_in_bytes").write_text("1000\n")
    assert available_bytes(tmp_path) == 990
    (inner.parent / "memory.limit_in_bytes").write_text("500\n")
    assert available_bytes(tmp_path) == 490


def test_in_a_container_that_sees_another_path_the_limit_at_its_own_top_counts(tmp_path: Path) -> None:
    _write(
        tmp_path,
        proc__meminfo="MemTotal: 9500 kB\nMemAvailable: 9000 kB\n",
        proc__self__cgroup="7:memory:/docker/0123\n",
    )
    top = tmp_path / "sys/fs/cgroup/memory"
    top.mkdir(parents=True)
    (top / "memory.limit_in_bytes").write_text("2000\n")
    (top / "memory.usage_in_bytes").write_text("500\n")
    assert available_bytes(tmp_path) == 1500


def test_a_path_that_leads_out_of_what_we_see_reads_nothing_outside(tmp_path: Path) -> None:
    root = tmp_path / "root"
    _write(
        root,
        proc__meminfo="MemTotal: 9500 kB\nMemAvailable: 9000 kB\n",
        proc__self__cgroup="0::/../../../../outside\n",
    )
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "memory.max").write_text("1\n")
    (outside / "memory.current").write_text("1\n")
    assert available_bytes(root) == 9000 * 1024


def test_a_machine_that_tells_nothing_gives_no_number(tmp_path: Path) -> None:
    assert available_bytes(tmp_path) is None
    assert read_memory(tmp_path) is None


def test_this_machine_tells() -> None:
    memory = read_memory()
    assert memory is not None
    assert 0 < memory.available_bytes <= memory.total_bytes
