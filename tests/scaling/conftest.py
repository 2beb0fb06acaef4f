"""The stand-in for NVIDIA's library, compiled once for all tests that ask it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scaling.nvml_stub import Driver, compile_stub


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_stub(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def driver(nvml_library: Path, tmp_path: Path) -> Driver:
    return Driver(nvml_library, tmp_path)
