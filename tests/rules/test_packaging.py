"""What is installed is the whole package and nothing else, and it starts from anywhere."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from gateway.operations.build import VERSION
from tests.rules.tree import files
from tests.wheel import build


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel."""
    return build(tmp_path_factory.mktemp("wheel"))


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
