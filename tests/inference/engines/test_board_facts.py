"""What is read of boards, of boards that are none, and of files that say nonsense."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inference.engines.board import Board
from gateway.inference.engines.board_facts import board_facts
from gateway.inference.engines.plugins import CPU, CUDA, TENSORRT
from tests.inference.engines import boards


@pytest.mark.parametrize(
    ("facts", "told", "has_dot_products"),
    [
        (boards.NANO, ("tegra210", 53, "32.7.6", 4), False),
        (boards.TX2, ("tegra186", 62, "32.7.3", 4), False),
        (boards.XAVIER, ("tegra194", 72, "35.6.4", 5), False),
        (boards.ORIN, ("tegra234", 87, "36.4.3", 6), True),
        (boards.ORIN_JP7, ("tegra234", 87, "39.2.0", 7), True),
        (boards.THOR, ("tegra264", 110, "38.2.1", 7), True),
    ],
)
def test_each_board_is_known_by_its_own_files(
    tmp_path: Path,
    facts: tuple[str, str, str],
    told: tuple[str, int, str, int],
    has_dot_products: bool,
) -> None:
    found = board_facts(boards.board(tmp_path, facts, mode="0002"), runtime=None)
    assert (found.soc, found.sm, found.l4t, found.jetpack) == told
    assert found.model == "NVIDIA Jetson Developer Kit"
    assert ("asimddp" in found.processor.features) == has_dot_products
    assert found.memory_bytes == 7_990_140 * 1024
    assert found.power_mode == "0002"


def test_what_nvml_tells_goes_before_what_the_chip_is_known_for(tmp_path: Path) -> None:
    root = boards.board(tmp_path, boards.ORIN)
    assert board_facts(root, capability=(8, 9)).sm == 89
    assert board_facts(root).sm_from == "every tegra234 has it"


def test_a_chip_that_nobody_knows_is_named_as_such(tmp_path: Path) -> None:
    root = boards.board(tmp_path, ("nvidia,board\0nvidia,tegra999\0", "R99 (release), REVISION: 0.1", ""))
    found = board_facts(root)
    assert (found.sm, found.sm_from, found.jetpack, found.l4t) == (
        None,
        "nothing is known of tegra999",
        0,
        "99.0.1",
    )


def test_providers_and_version_are_those_of_the_runtime_that_lies_there(tmp_path: Path) -> None:
    runtime = boards.runtime(tmp_path / "onnxruntime", "1.23.0", "cuda", "tensorrt", "shared")
    found = board_facts(boards.board(tmp_path, boards.ORIN, tensorrt="10.3.0"), runtime=runtime)
    assert found.providers == (TENSORRT, CUDA, CPU)
    assert (found.runtime_version, found.tensorrt) == ("1.23.0", "10.3.0")


def test_the_runtime_installed_here_is_found_without_being_imported() -> None:
    program = """
import sys
from gateway.inference.engines.board_facts import board_facts
board = board_facts()
print(board.runtime_version, "CPUExecutionProvider" in board.providers, "onnxruntime" in sys.modules)
import onnxruntime
print(onnxruntime.__version__, "CPUExecutionProvider" in onnxruntime.get_available_providers(), False)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=60)
    seen, told = done.stdout.splitlines()
    assert seen == told


def test_a_machine_with_none_of_these_files_is_a_plain_one(tmp_path: Path) -> None:
    found = board_facts(tmp_path, runtime=tmp_path)
    assert (found.soc, found.sm, found.l4t, found.power_mode, found.tensorrt, found.memory_bytes) == (
        "",
        None,
        "",
        "",
        "",
        0,
    )
    assert found.providers == (CPU,)


@given(
    texts=st.lists(st.binary(max_size=300), min_size=6, max_size=6),
    library=st.from_regex(r"libnvinfer\.so\.[0-9.a]{0,20}", fullmatch=True),
)
def test_files_of_any_bytes_give_a_board(
    tmp_path_factory: pytest.TempPathFactory, texts: list[bytes], library: str
) -> None:
    root = tmp_path_factory.mktemp("board")
    names = (
        "proc/device-tree/compatible",
        "proc/device-tree/model",
        "etc/nv_tegra_release",
        "proc/cpuinfo",
        "proc/meminfo",
        "var/lib/nvpmodel/status",
    )
    for name, text in zip(names, texts, strict=True):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    (root / "usr/lib64").mkdir(parents=True)
    (root / "usr/lib64" / library).touch()
    assert isinstance(board_facts(root, runtime=root), Board)
