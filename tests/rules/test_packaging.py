"""What is installed is the whole package and nothing else, and it starts from anywhere."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from gateway.operations.build import VERSION
from tests.rules.tree import ROOT, files


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of what git knows, so that nothing is left in the tree."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for path in files():
        if path.parts[0] == "gateway" or len(path.parts) == 1:
            target = source / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / path).read_bytes())
    options = ["--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(out), str(source)]
    subprocess.run(command, check=True, capture_output=True, cwd=out)
    (built,) = out.iterdir()
    return built


def test_the_wheel_holds_every_file_of_the_package_and_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    package = {str(path) for path in files() if path.parts[0] == "gateway"}
    inside = {name for name in names if ".dist-info/" not in name}
    assert inside == package
    assert any(name.endswith("LICENSE") for name in names - inside)


def test_the_wheel_is_named_for_this_version_and_runs_on_any_machine(wheel: Path) -> None:
    assert wheel.name == f"jetson_gateway-{VERSION}-py3-none-any.whl"


def test_the_installed_command_says_its_version(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    said = subprocess.run(
        [sys.executable, "-m", "gateway", "version"],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
    )
    assert VERSION in said.stdout
