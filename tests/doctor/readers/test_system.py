"""What readers make of files and commands: limits, swap, groups, trip points, a store, a real clock."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.configuration.settings import ModelSettings, Settings, UpdateSettings
from gateway.doctor.finding import Verdict
from gateway.doctor.readers.clock import read_clock
from gateway.doctor.readers.memory import group_limit, group_version, swaps
from gateway.doctor.readers.models import model_bytes
from gateway.doctor.readers.packages import read_cuda_library, read_packages
from gateway.doctor.readers.persistence import keeps_retained
from gateway.doctor.readers.power import held_back, zones
from gateway.doctor.readers.service import read_service, service_facts
from gateway.doctor.readers.store import read_store
from gateway.doctor.readers.text import run_command
from gateway.doctor.rules.packages import CudaLibrary
from gateway.doctor.rules.service import judge_service
from gateway.doctor.rules.store import judge_store
from gateway.inference.engines.board import Board
from tests.doctor.trees import Commands, build, commands, write
from tests.inference.engines.elf_writer import CUBIN, container, entry, library


def test_a_command_that_is_absent_fails_or_prints_is_told_apart() -> None:
    assert run_command(("echo", "yes")) == "yes\n"
    assert run_command(("false",)) is None
    assert run_command(("no-such-command-anywhere",)) is None


def test_the_clock_of_this_machine_is_read_without_any_right() -> None:
    facts = read_clock()
    assert facts.now_s > 1_700_000_000
    assert facts.synchronised in {True, False, None}


@pytest.mark.parametrize("shown", ["infinity", "18446744073709551615"])
def test_a_limit_that_is_none_is_none_in_the_words_of_old_and_new_systemd(shown: str, tmp_path: Path) -> None:
    said = {("systemctl", "show"): f"LoadState=loaded\nUser=gateway\nLimitMEMLOCK={shown}\nLimitNOFILE=99\n"}
    service = read_service(build(tmp_path, "orin-jp6"), Commands(said), "gateway.service")
    assert (service.lock_bytes, service.open_files, service.who.uid) == (None, 99, 998)


def test_a_user_that_is_made_at_the_start_has_no_number_yet(tmp_path: Path) -> None:
    said = {("systemctl", "show"): "LoadState=loaded\nDynamicUser=yes\nSupplementaryGroups=video\n"}
    who = read_service(build(tmp_path, "orin-jp6"), Commands(said), "gateway.service").who
    assert who.groups == {"video", "gateway"} - ({"gateway"} if who.uid is None else set())


def test_systemd_is_not_asked_where_it_does_not_run(tmp_path: Path) -> None:
    asked = Commands(commands("orin-jp6"))
    service = read_service(tmp_path, asked, "gateway.service")
    assert asked.asked == []
    assert (service.installed, service.who.uid) == (False, os.geteuid())


@pytest.mark.parametrize("state", ["error", "bad-setting", "masked"])
def test_a_unit_that_cannot_be_loaded_is_a_problem(state: str, tmp_path: Path) -> None:
    said = {("systemctl", "show"): f"LoadState={state}\nActiveState=inactive\n"}
    root = build(tmp_path, "orin-jp6")
    service = read_service(root, Commands(said), "gateway.service")
    unit = next(iter(judge_service(service_facts(root, service, 0))))
    assert unit.verdict is Verdict.PROBLEM
    assert ("unmask" in unit.mend[0]) is (state == "masked")


def test_swap_is_read_and_zram_is_known(tmp_path: Path) -> None:
    write(
        tmp_path / "proc/swaps",
        "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
        "/dev/zram0                              partition\t1986240\t\t512\t\t5\n"
        "/mnt/swap                               file\t\t4194300\t\t0\t\t-2\n",
    )
    zram, file = swaps(tmp_path)
    assert (zram.size_bytes, zram.used_bytes, zram.compressed) == (1_986_240 * 1024, 512 * 1024, True)
    assert (file.name, file.compressed) == ("/mnt/swap", False)


def test_the_least_limit_of_all_groups_around_counts(tmp_path: Path) -> None:
    write(tmp_path / "proc/7/cgroup", "0::/system.slice/gateway.service\n")
    base = tmp_path / "sys/fs/cgroup"
    write(base / "cgroup.controllers", "cpu memory\n")
    for place, limit in (("system.slice/gateway.service", "max"), ("system.slice", "1073741824")):
        write(base / place / "memory.max", f"{limit}\n")
        write(base / place / "memory.current", "4096\n")
    assert (group_version(tmp_path), group_limit(tmp_path, 7)) == ("v2", 1 << 30)


def test_zones_without_power_are_left_out_and_trip_points_that_hold_back_are_found(tmp_path: Path) -> None:
    hot = build(tmp_path, "orin-jp6") / "sys/class/thermal"
    write(hot / "thermal_zone1/type", "cv0-thermal")
    write(hot / "thermal_zone1/temp", "")  # its block is off: reading fails
    write(hot / "thermal_zone2/type", "soc0-thermal")
    write(hot / "thermal_zone2/temp", "47000")
    write(hot / "thermal_zone2/trip_point_0_type", "active")
    write(hot / "thermal_zone2/trip_point_0_temp", "40000")
    write(hot / "thermal_zone2/trip_point_1_type", "passive")
    write(hot / "thermal_zone2/trip_point_1_temp", "-273150")
    assert [(zone.name, zone.now_c, zone.limit_c) for zone in zones(tmp_path)] == [
        ("tj-thermal", 48.5, 99.0),
        ("soc0-thermal", 47.0, None),
    ]


def test_what_holds_a_board_back_is_told_from_a_fan_that_turns(tmp_path: Path) -> None:
    assert held_back(tmp_path, ()) is None
    assert held_back(tmp_path, ("thermal",)) == ("thermal",)
    cooler = tmp_path / "sys/class/thermal/cooling_device"
    write(Path(f"{cooler}0/type"), "pwm-fan")
    write(Path(f"{cooler}0/cur_state"), "3")
    assert held_back(tmp_path, ()) is None
    write(Path(f"{cooler}1/type"), "devfreq-17000000.gpu")
    slowed = write(Path(f"{cooler}1/cur_state"), "0")
    alarm = write(tmp_path / "sys/class/hwmon/hwmon1/curr1_crit_alarm", "0")
    assert held_back(tmp_path, ()) == ()
    slowed.write_text("2")
    assert held_back(tmp_path, ()) == ("thermal",)
    alarm.write_text("1")
    assert held_back(tmp_path, ()) == ("over-current", "thermal")


def test_a_broker_configuration_that_includes_its_own_folder_ends(tmp_path: Path) -> None:
    folder = tmp_path / "etc/mosquitto"
    write(folder / "mosquitto.conf", "include_dir /etc/mosquitto/\npersistence true\n")
    write(folder / "other.conf", "include_dir /etc/mosquitto/\n")
    assert keeps_retained(tmp_path, 1883) is True


def test_what_the_store_holds_is_counted_once_although_releases_link_to_it(tmp_path: Path) -> None:
    blob = write(tmp_path / "store/blobs/a", "x" * 5000)
    link = tmp_path / "store/releases/door/1/model"
    link.parent.mkdir(parents=True)
    os.link(blob, link)
    settings = Settings(
        updates=replace(UpdateSettings(), store_dir=str(tmp_path / "store"), repository="http://r")
    )
    facts = read_store(settings, read_service(tmp_path, Commands({}), "gateway.service"))
    assert facts.used_bytes == 5000
    assert facts.free_bytes > 0
    assert [each.verdict for each in judge_store(facts)] == [Verdict.OK] * 3


def test_a_store_that_is_not_there_yet_is_judged_by_the_folder_above(tmp_path: Path) -> None:
    settings = Settings(updates=replace(UpdateSettings(), store_dir=str(tmp_path / "a/b/c")))
    facts = read_store(settings, read_service(tmp_path, Commands({}), "gateway.service"))
    assert (facts.nearest.path, facts.used_bytes, facts.updates) == (str(tmp_path), 0, False)


def test_models_are_measured_by_their_files(tmp_path: Path) -> None:
    write(tmp_path / "a/model.tflite", "x" * 700)
    write(tmp_path / "a/golden.jpg", "x" * 9000)
    models = {"a": ModelSettings(path=str(tmp_path / "a")), "b": ModelSettings(path=str(tmp_path / "none"))}
    assert model_bytes(Settings(models=models)) == 700


def test_the_cuda_library_of_an_onnxruntime_is_read_for_the_gpus_that_it_has_code_for(tmp_path: Path) -> None:
    assert read_cuda_library(None, 87) is None
    assert read_cuda_library(tmp_path, 87) is None
    place = write(tmp_path / "capi/libonnxruntime_providers_cuda.so", "cut short")
    cut = read_cuda_library(tmp_path, 87)
    assert cut is not None
    assert "no 64-bit ELF file" in cut.trouble
    servers = container(*(entry(CUBIN, sm) for sm in (89, 90, 120, 121)))
    library(place, [(".nv_fatbin", servers)])
    assert read_cuda_library(tmp_path, 87) == CudaLibrary("sm_89, sm_90, sm_120, sm_121", fits=False)
    assert read_cuda_library(tmp_path, 120) == CudaLibrary("sm_89, sm_90, sm_120, sm_121", fits=True)
    assert read_cuda_library(tmp_path, None) == CudaLibrary("sm_89, sm_90, sm_120, sm_121", fits=None)


def test_the_packages_of_this_interpreter_are_found_and_its_pip_is_named() -> None:
    facts = read_packages(Settings(), Board())
    assert {"onnxruntime", "ai-edge-litert", "numpy"} <= set(facts.versions)
    assert facts.pip.endswith(f"{sys.executable} -m pip")
    assert facts.unmet == ()
