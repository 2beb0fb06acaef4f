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
    yield lambda: parsed(capfd.readouterr().err)
    log.configure(LogSettings())


def parsed(err: str) -> list[dict[str, Any]]:
    """Return the lines of the log; what gRPC writes there from threads of its own is no JSON."""
    return [json.loads(line) for line in err.splitlines() if line.startswith("{")]
