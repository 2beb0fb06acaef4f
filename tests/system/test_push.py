"""An author's one command against a running gateway: its exit code tells what became of the release."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.broker import Broker
from tests.system.author import Author
from tests.system.releases import CONFIG, QUICK, release_of
from tests.system.running import MODELS, ROOT, Daemon


def gateway(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gateway", *map(str, words)]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=300)


def test_pushing_a_model_folder_ends_when_the_board_has_committed_it(tmp_path: Path, broker: Broker) -> None:
    author = Author(tmp_path)
    author.publish()
    model = tmp_path / "motion"
    shutil.copytree(MODELS / "motion-int8", model)
    settings = CONFIG + author.settings(bake=QUICK)
    common: list[str | Path] = ["--repo", author.repository_folder, "--keys", tmp_path / "keys"]
    common += ["--group", "default", "--url", broker.url, "--watch", "--timeout", "120"]
    with Daemon(tmp_path, settings, broker.url) as daemon:
        daemon.ready()
        daemon.wait_event("update_looked")
        pushed = gateway("push", model, "--model", "motion", *common)
        assert pushed.returncode == 0, pushed.stderr + pushed.stdout
        assert release_of(daemon)["active"]["release"] == 1
        bad = author.release("motion-int8", "motion", 2, ("label: walking", "label: running"))
        pushed = gateway("push", bad, *common)
        assert pushed.returncode == 1, pushed.stderr + pushed.stdout
        assert "golden" in pushed.stdout + pushed.stderr
        assert release_of(daemon)["active"]["release"] == 1
        assert daemon.stop() == 0
