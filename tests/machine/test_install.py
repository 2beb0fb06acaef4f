"""The installer before it changes anything: its words, what it would do, and on which board."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import pytest

from tests.rules.tree import ROOT

INSTALL: Final = ROOT / "scripts" / "install"
UNITS: Final = ROOT / "deploy" / "systemd"

# By name: files of the board's root that tell it apart.
BOARDS: Final = {
    "nano": {
        "proc/device-tree/compatible": "nvidia,p3450-0000\0nvidia,jetson-nano\0nvidia,tegra210\0",
        "proc/cpuinfo": "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd07\n",
    },
    "orin": {
        "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3\n",
        "proc/cpuinfo": "processor\t: 0\nCPU part\t: 0xd42\n",
    },
    "other": {
        "proc/device-tree/compatible": "raspberrypi,5-model-b\0",
        "proc/cpuinfo": "CPU part\t: 0xd0b\n",
    },
}


def installer(*words: str, board: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the installer and return what it said."""
    if shutil.which("systemctl") is None:
        pytest.skip("NOT TRIED, for there is no systemctl")
    environment = {**os.environ, "GATEWAY_BOARD_ROOT": str(board or "")}
    command = [str(INSTALL), *words]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=60)


def interpreter() -> str:
    """Return a Python outside of anybody's home; skips where there is none that will do."""
    for name in (sys.base_prefix + "/bin/python3", "/usr/bin/python3", "/usr/local/bin/python3"):
        outside = not Path(name).resolve().is_relative_to("/root") and "/home/" not in name
        fits = "import ensurepip, ssl, venv, sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))"
        if not outside or not Path(name).exists():
            continue
        if subprocess.run([name, "-c", fits], check=False, capture_output=True).returncode == 0:
            return name
    pytest.skip("NOT TRIED, for there is no Python 3.10 to 3.13 outside of homes")


def dry_run(*words: str, board: Path | None = None) -> str:
    done = installer("--dry-run", "--python", interpreter(), *words, board=board)
    assert done.returncode == 0, done.stderr
    return done.stdout


def board_root(folder: Path, name: str) -> Path:
    for place, text in BOARDS[name].items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text)
    return folder


def test_a_dry_run_names_every_file_and_changes_none() -> None:
    watched = [
        Path(p) for p in ("/opt", "/etc", "/etc/systemd/system", "/usr/local/lib", "/usr/local/bin", "/run")
    ]
    before = {path: sorted(path.iterdir()) for path in watched}
    said = dry_run("--mosquitto") if Path("/etc/mosquitto/conf.d").is_dir() else dry_run()
    assert {path: sorted(path.iterdir()) for path in watched} == before
    for unit in UNITS.iterdir():
        if unit.suffix in {".service", ".socket"}:
            assert f"/usr/local/lib/systemd/system/{unit.name}" in said
    for line in said.splitlines():
        assert line.startswith(("install: ", "would run: ", "would write: ")), line


@pytest.mark.parametrize(
    ("board", "wanted"),
    [("nano", {"gpu", "cortex-a57"}), ("orin", {"gpu"}), ("other", set())],
    ids=["nano", "orin", "other"],
)
def test_the_drop_ins_are_those_of_the_board(tmp_path: Path, board: str, wanted: set[str]) -> None:
    said = dry_run(board=board_root(tmp_path, board))
    of_boards = {"gpu", "cortex-a57"}
    assert {name for name in of_boards if f"gateway.service.d/{name}.conf" in said} == wanted
    assert {name for name in of_boards if f"gateway@.service.d/{name}.conf" in said} == wanted


def test_what_is_said_of_the_gpu_wins_over_what_the_board_says(tmp_path: Path) -> None:
    orin = board_root(tmp_path / "orin", "orin")
    assert "/gpu.conf" not in dry_run("--no-gpu", board=orin)
    assert "/gpu.conf" in dry_run("--gpu", board=board_root(tmp_path / "other", "other"))


@pytest.mark.parametrize(
    "words",
    [
        ["--frobnicate"],
        ["--python"],
        ["--wheels", "/nowhere"],
        ["--keep-data"],
        ["--port", "80"],
        ["--instance", "Upper"],
        ["--instance", "../etc"],
        ["--instance", "credentials"],
        ["--instance", "a", "--port", "70000"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_ends_with_2_and_a_word_on_what_is_wrong(words: list[str]) -> None:
    done = installer("--dry-run", *words)
    assert done.returncode == 2
    assert done.stderr.startswith("install: ")
    assert done.stdout == ""


def test_help_says_every_option_and_exit_code() -> None:
    done = installer("--help")
    assert done.returncode == 0
    options = (
        "--wheels --dry-run --instance --rollback --uninstall --keep-data --python --extras --gpu --no-gpu"
    )
    for option in [*options.split(), "--mosquitto", "--no-start", "--port", "Exit codes:"]:
        assert option in done.stdout


def test_an_interpreter_that_the_service_would_not_see_or_that_is_too_old_is_refused(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\necho 3 6 /usr\n")
    old.chmod(0o755)
    for python, words in ((str(old), "is Python 3.6"), (str(tmp_path / "none"), "it is not there")):
        done = installer("--dry-run", "--python", python)
        assert done.returncode == 3
        assert words in done.stderr


def test_wheels_without_the_gateways_are_refused_with_the_command_that_makes_them(tmp_path: Path) -> None:
    done = installer("--dry-run", "--python", interpreter(), "--wheels", str(tmp_path))
    assert done.returncode == 3
    assert "pip wheel" in done.stderr


def test_only_root_installs() -> None:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("NOT TRIED, for only root can become somebody else")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        shutil.copytree(ROOT / "scripts" / "install_parts", Path(folder) / "install_parts")
        shutil.copy(INSTALL, folder)
        somebody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        command = [*somebody, f"{folder}/install"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd="/")
    assert done.returncode == 3
    assert "only root can install a service" in done.stderr


def test_the_scripts_are_clean_to_shellcheck() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("NOT TRIED, for shellcheck is not there")
    scripts = [str(INSTALL), str(UNITS / "collect-diagnostics"), str(ROOT / "scripts" / "packages")]
    done = subprocess.run(
        ["shellcheck", "-x", "-P", str(ROOT / "scripts"), *scripts],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
