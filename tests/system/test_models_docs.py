"""The examples on the page about models run against a gateway, and show what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.serving.rest.test_http_docs import BLOCKS, run_block
from tests.system.running import MODELS, ROOT, Daemon

pytestmark = pytest.mark.slow

CONFIG = f"""
models:
  detector: {{path: {MODELS / "motion-int8"}}}
  night: {{path: {MODELS / "motion-int8"}, load: on_demand}}
"""


def test_an_alias_is_made_kept_and_forgotten_as_the_page_says(tmp_path: Path) -> None:
    (block,) = BLOCKS.findall((ROOT / "docs" / "models.md").read_text(encoding="utf-8"))
    with Daemon(tmp_path, CONFIG, "mqtt://127.0.0.1:1") as daemon:
        daemon.ready()
        assert run_block(block, daemon.http) == []
        assert daemon.stop() == 0
