"""The provider of tests/plugins, for tests that let it go wrong: where it is found, and its script."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.inference.bench_of_lanes import PLUGINS, ROOT

FAKE = "FakeExecutionProvider"
Play = Callable[..., None]


def scripted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Play:
    """Let children find provider and script; return what writes the script. To be made a fixture."""
    path = tmp_path / "script.json"
    monkeypatch.setenv("PYTHONPATH", f"{PLUGINS}{os.pathsep}{ROOT}")
    monkeypatch.setenv("ORT_FAKE_PROVIDER", str(path))

    def write(**script: Any) -> None:
        path.write_text(json.dumps(script))

    write()
    return write
