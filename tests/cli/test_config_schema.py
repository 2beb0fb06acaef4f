"""``gateway config``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.cli.main import main

ROOT = Path(__file__).parents[2]


def test_the_schema_is_printed_as_it_is_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "schema"]) == 0
    out = capsys.readouterr().out
    assert out == (ROOT / "docs" / "schemas" / "gateway.schema.json").read_text(encoding="utf-8")
    assert json.loads(out)["$schema"].endswith("2020-12/schema")


def test_the_default_file_is_printed_as_it_is_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "default"]) == 0
    assert capsys.readouterr().out == (ROOT / "config" / "gateway.yaml").read_text(encoding="utf-8")
