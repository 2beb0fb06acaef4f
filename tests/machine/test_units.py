"""The units as text and as systemd-analyze judges them: no machine is booted for this."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.rules.tree import ROOT

UNITS: Final = ROOT / "deploy" / "systemd"
SERVICES: Final = ("gateway.service", "gateway@.service")
NEWER: Final = {
    "notify-reload": 253,
    "ReloadSignal": 253,
    "RestartSteps": 254,
    "RestartMaxDelaySec": 254,
    "@system-service": 239,
    "MemoryPressureWatch": 254,
}


def settings(path: Path) -> list[str]:
    """Return the lines of a unit that are settings."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and line[0] not in "#;["]


def every_file() -> list[Path]:
    return sorted(path for path in UNITS.rglob("*") if path.suffix in {".service", ".socket", ".conf"})


def analyzed(folder: Path, *drop_ins: str) -> float:
    """Return the exposure of the service with these drop-ins, as systemd-analyze reckons it."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("NOT TRIED, for systemd-analyze is not there")
    unit = folder / "gateway.service"
    shutil.copy(UNITS / unit.name, unit)
    (folder / "gateway.service.d").mkdir()
    for name in drop_ins:
        shutil.copy(UNITS / "drop-ins" / f"{name}.conf", folder / "gateway.service.d")
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = re.search(r"Overall exposure level for gateway.service: ([\d.]+)", done.stdout)
    assert found is not None, done
    return float(found[1])


@pytest.mark.parametrize("drop_ins", [(), ("systemd-239",), ("systemd-239", "cortex-a57", "memory")], ids=str)
def test_the_service_is_hardly_exposed_on_any_systemd(tmp_path: Path, drop_ins: tuple[str, ...]) -> None:
    assert analyzed(tmp_path, *drop_ins) <= 2.0


@pytest.mark.parametrize("drop_ins", [("gpu",), ("gpu", "systemd-239"), ("gpu", "gpu-video-only")], ids=str)
def test_the_service_is_little_exposed_on_a_board_with_a_gpu(
    tmp_path: Path, drop_ins: tuple[str, ...]
) -> None:
    assert analyzed(tmp_path, *drop_ins) <= 3.0


def test_proc_is_never_hidden_from_runtimes() -> None:
    """Without /proc/cpuinfo they choose slow kernels in silence, or crash."""
    hidden = [
        path.name for path in every_file() if any(line.startswith("ProcSubset") for line in settings(path))
    ]
    assert hidden == []


def test_the_gpu_drop_in_hides_no_device_and_names_both_groups() -> None:
    lines = settings(UNITS / "drop-ins" / "gpu.conf")
    assert {"PrivateDevices=no", "DevicePolicy=auto", "ProtectClock=no"} <= set(lines)
    assert "SupplementaryGroups=video render" in lines
    assert not any(line.startswith("DeviceAllow=/") for line in lines)


def test_what_an_old_systemd_would_misread_stands_only_in_the_drop_in_for_a_newer_one() -> None:
    for path in every_file():
        version = re.fullmatch(r"systemd-(\d+)\.conf", path.name)
        known = int(version[1]) if version is not None else 237
        for line in settings(path):
            wrong = [word for word, since in NEWER.items() if word in line and since > known]
            assert wrong == [], f"{path.name}: {line}"


def test_an_instance_is_the_service_by_another_name() -> None:
    for name in ("gateway.service", "gateway-diagnostics.service"):
        one = "\n".join(settings(UNITS / name))
        many = "\n".join(settings(UNITS / name.replace(".service", "@.service")))
        plain = re.sub(r"/(gateway)/%i/", r"/\1/", many).replace("gateway/%i", "gateway")
        plain = plain.replace("@%i", "").replace(" %i\n", "\n")
        # The HTTP door of an instance is a port of its configuration unless its socket is enabled.
        one = one.replace("Wants=gateway.socket ", "Wants=").replace("Also=gateway.socket ", "Also=")
        assert plain == one


def test_each_socket_has_the_name_by_which_the_service_knows_it() -> None:
    for socket, name in (("gateway", "http"), ("gateway-control", "control")):
        for at in ("", "@"):
            lines = settings(UNITS / f"{socket}{at}.socket")
            assert f"FileDescriptorName={name}" in lines
            assert sum(line.startswith("ListenStream=") for line in lines) == 1


def test_a_socket_outlives_the_runtime_folder_of_its_service() -> None:
    for name in SERVICES:
        assert "RuntimeDirectoryPreserve=yes" in settings(UNITS / name)


def test_every_setting_of_a_drop_in_stands_in_a_section() -> None:
    for path in every_file():
        if path.parent.name == "drop-ins":
            first = next(line for line in path.read_text().splitlines() if line and not line.startswith("#"))
            assert first in {"[Unit]", "[Service]"}, path
