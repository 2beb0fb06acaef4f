"""What the log said during a test, line by line, with nothing held back. To be imported as a fixture."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from gateway.configuration.settings import LogSettings
from gateway.operations.log import log

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture(name="said")
def lines_said(capfd: pytest.CaptureFixture[str]) -> Iterator[Lines]:
    """Return what reads the lines since it was last asked."""
    log.configure(replace(LogSettings(), format="json", interval_s=0.0))
    capfd.readouterr()  # what others had held back
    yield lambda: [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    log.configure(LogSettings())
