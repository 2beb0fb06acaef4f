"""Whole boards from their files: what is said of a Nano, a Xavier, Orins, a Thor and a plain machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.doctor.examination import examine_groups
from gateway.doctor.finding import Finding, Verdict
from gateway.doctor.visit_plan import Choices, VisitPlan
from tests.doctor.trees import BOARDS, LIMITS, Commands, build, commands, write

HOST_ONLY = {"clock", "store", "tls"}  # of the machine that runs the test, not of the tree


def examine(root: Path, name: str, *, file: str = "", **unit: str) -> dict[str, list[Finding]]:
    """Examine a tree without models and broker; return findings by check."""
    choices = Choices(file, models=False, offline=True, root=root, run=Commands(commands(name, **unit)))
    found: dict[str, list[Finding]] = {}
    for _, findings in examine_groups(VisitPlan(choices).groups(), frozenset()):
        for each in findings:
            found.setdefault(each.check, []).append(each)
    return found


def one(found: dict[str, list[Finding]], check: str) -> Finding:
    (finding,) = found[check]
    return finding


@pytest.mark.parametrize("name", BOARDS)
def test_every_board_is_examined_without_a_group_that_fails_or_hangs(name: str, tmp_path: Path) -> None:
    found = examine(build(tmp_path, name), name)
    assert not [check for check in found if check.endswith(".unfinished")]
    groups = {check.partition(".")[0] for check in found}
    assert groups == {"configuration", "service", "board", "packages", "gpu", "memory", "power"} | HOST_ONLY


@pytest.mark.parametrize(
    ("name", "words", "verdict"),
    [
        ("nano-jp4", "JetPack 4 (L4T R32.7.6): models run on the processor", Verdict.NOTE),
        ("xavier-jp5", "JetPack 5 (L4T R35.6.4): models run on the processor", Verdict.NOTE),
        ("orin-jp6", "JetPack 6 (L4T R36.4.3)", Verdict.OK),
        ("orin-jp7", "JetPack 7 (L4T R39.2.0)", Verdict.OK),
        ("thor-jp7", "JetPack 7 (L4T R38.2.1)", Verdict.OK),
    ],
)
def test_jetpack_is_told_and_where_its_cuda_is_out_of_reach(
    name: str, words: str, verdict: Verdict, tmp_path: Path
) -> None:
    pack = one(examine(build(tmp_path, name), name), "board.jetpack")
    assert (pack.what, pack.verdict) == (words, verdict)


@pytest.mark.parametrize(
    ("name", "capability"),
    [("nano-jp4", 53), ("xavier-jp5", 72), ("orin-jp6", 87), ("orin-jp7", 87), ("thor-jp7", 110)],
)
def test_each_board_is_known_by_its_chip(name: str, capability: int, tmp_path: Path) -> None:
    model = one(examine(build(tmp_path, name), name), "board.model")
    assert (model.verdict, model.values["capability"]) == (Verdict.OK, capability)
    assert model.what.startswith(BOARDS[name].model)


def test_a_plain_machine_is_no_jetson_and_nothing_of_jetsons_is_said_of_it(tmp_path: Path) -> None:
    found = examine(build(tmp_path, "x86"), "x86")
    assert one(found, "board.model").what.startswith("no Jetson")
    assert {"board.jetpack", "board.openblas", "gpu.groups", "power.mode", "power.clocks"}.isdisjoint(found)
    assert one(found, "gpu.devices").verdict is Verdict.OK


def test_a_nano_is_warned_of_its_cores_and_of_a_mode_that_halves_it(tmp_path: Path) -> None:
    found = examine(build(tmp_path, "nano-jp4"), "nano-jp4")
    assert "export OPENBLAS_CORETYPE=ARMV8" in one(found, "board.openblas").mend
    mode = one(found, "power.mode")
    assert (mode.values["mode"], mode.mend) == ("5W", ("sudo nvpmodel -m 0",))
    assert one(found, "board.systemd").what == "systemd 237"
    assert "gpu 77 of 922 MHz" in one(found, "power.clocks").what
    assert one(found, "memory.cgroup").what == "control groups v1, no limit"
    assert one(found, "memory.swap").mend == ("sudo systemctl enable --now nvzramconfig",)


def test_the_mode_is_read_from_its_file_where_the_command_says_nothing(tmp_path: Path) -> None:
    root = build(tmp_path, "orin-jp6")
    said = {key: text for key, text in commands("orin-jp6").items() if key[0] != "nvpmodel"}
    choices = Choices(models=False, offline=True, root=root, run=Commands(said))
    ((_, findings),) = examine_groups(VisitPlan(choices).groups(), frozenset({"power"}))
    assert next(each.values["mode"] for each in findings if each.check == "power.mode") == "15W"


def test_clocks_that_are_held_are_told_from_those_that_follow_the_load(tmp_path: Path) -> None:
    assert one(examine(build(tmp_path / "a", "orin-jp7"), "orin-jp7"), "power.clocks").verdict is Verdict.OK
    clocks = one(examine(build(tmp_path / "b", "thor-jp7"), "thor-jp7"), "power.clocks")
    assert (clocks.verdict, clocks.mend) == (Verdict.NOTE, ("sudo jetson_clocks",))


def test_the_user_of_the_unit_is_judged_and_not_who_asks(tmp_path: Path) -> None:
    root = build(tmp_path, "orin-jp6")
    outside = one(examine(root, "orin-jp6", groups=""), "gpu.groups")
    assert outside.verdict is Verdict.WARNING
    assert outside.mend == (
        "sudo usermod -aG video,render gateway",
        "sudo systemctl restart gateway.service",
    )
    assert one(examine(root, "orin-jp6", groups="video render"), "gpu.groups").verdict is Verdict.OK


def test_who_is_in_only_one_group_is_told_the_other_alone(tmp_path: Path) -> None:
    root = build(tmp_path, "orin-jp6")
    half = one(examine(root, "orin-jp6", groups="video"), "gpu.groups")
    assert half.mend[0] == "sudo usermod -aG render gateway"


def test_membership_in_the_group_file_counts_as_much_as_the_units_own(tmp_path: Path) -> None:
    root = build(tmp_path, "xavier-jp5", members="pi,gateway")
    assert one(examine(root, "xavier-jp5", groups=""), "gpu.groups").verdict is Verdict.OK


def test_a_unit_that_hides_devices_is_said_to_where_a_model_wants_the_gpu(tmp_path: Path) -> None:
    file = write(
        tmp_path / "gateway.yaml",
        "models:\n  m: {path: ., providers: [CUDAExecutionProvider]}\npipelines:\n  p: {model: m}\n",
    )
    found = examine(build(tmp_path / "tree", "orin-jp6"), "orin-jp6", file=str(file), private="yes")
    access = one(found, "gpu.access")
    assert access.verdict is Verdict.PROBLEM
    assert access.mend == ("sudo scripts/install --gpu",)


def test_limits_are_those_of_the_running_gateway_and_else_those_of_its_unit(tmp_path: Path) -> None:
    root = build(tmp_path, "orin-jp7")
    unit = examine(root, "orin-jp7", pid="0")
    assert one(unit, "memory.locking").values["limit_bytes"] == 8_388_608
    write(root / "proc/812/limits", LIMITS)
    write(root / "proc/812/cgroup", "0::/system.slice/gateway.service\n")
    group = root / "sys/fs/cgroup/system.slice/gateway.service"
    write(group / "memory.max", "2147483648\n")
    write(group / "memory.current", "1000000\n")
    running = examine(root, "orin-jp7", pid="812")
    assert one(running, "memory.locking").values["limit_bytes"] is None
    assert one(running, "memory.cgroup").values["limit_bytes"] == 2 << 30
    assert one(running, "service.descriptors").values["limit"] == 1024


def test_a_unit_that_was_restarted_over_and_over_is_told(tmp_path: Path) -> None:
    unit = one(examine(build(tmp_path, "thor-jp7"), "thor-jp7", restarts="7"), "service.unit")
    assert (unit.verdict, unit.values["restarts"]) == (Verdict.WARNING, 7)
    assert "journalctl -u gateway.service" in unit.mend[0]


def test_the_environment_of_the_unit_decides_about_openblas(tmp_path: Path) -> None:
    root = build(tmp_path, "nano-jp4")
    environment = "STATE_DIRECTORY=/var/lib/gateway OPENBLAS_CORETYPE=ARMV8"
    assert one(examine(root, "nano-jp4", environment=environment), "board.openblas").verdict is Verdict.OK
    missing = one(examine(root, "nano-jp4", environment="A=1"), "board.openblas")
    assert "/etc/systemd/system/gateway.service.d/openblas.conf" in missing.mend[1]


def test_a_board_without_a_unit_says_so_and_goes_by_who_asks(tmp_path: Path) -> None:
    unit = one(examine(build(tmp_path, "orin-jp6"), "orin-jp6"), "service.unit")
    assert (unit.verdict, unit.mend) == (Verdict.NOTE, ("sudo scripts/install",))
