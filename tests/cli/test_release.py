"""``gateway release pack``: what is printed and how it ends."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from gateway.cli.main import main
from gateway.cli.progress import ProgressLine, progress_bar
from gateway.updates.manifest import read_manifest
from tests.inference.model_folders import MODELS, copy


def test_packing_says_what_the_samples_notice_and_what_is_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "made"
    arguments = ["release", "pack", str(MODELS / "motion-int8"), "--out", str(out), "--number", "12"]
    assert main([*arguments, "--label", "spring", "--mutations", "5", "--hardware", "aarch64"]) == 0
    told = capsys.readouterr()
    assert f"motion-int8 12 (spring): {out}" in told.out
    assert "golden samples notice " in told.out
    assert "mistaken cards: 4 of 4" in told.out
    assert "load " in told.out
    assert told.err == ""  # no terminal, no bar
    release = read_manifest((out / "manifest.json").read_bytes())
    assert (release.number, release.label, release.hardware) == (12, "spring", ("aarch64",))


def test_blind_samples_end_with_1_and_their_label_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy("motion-int8", tmp_path)
    text = (folder / "card.yaml").read_text()
    (folder / "card.yaml").write_text(text[: text.index("golden:")])
    assert main(["release", "pack", str(folder), "--json"]) == 1
    assert json.loads(capsys.readouterr().err)["error"]["label"] == "update.blind_samples"
    assert main(["release", "pack", str(folder), "--json", "--allow-blind", "--budgets", "none"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["samples"] is None
    assert document["budgets"] == {"load_s": 0.0, "p99_ms": 0.0, "memory_bytes": 0}
    assert (tmp_path / "motion-int8-1" / "manifest.json").is_file()


class Terminal(io.StringIO):
    """Looks like one."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_progress_is_one_line_that_is_taken_away() -> None:
    terminal, plain = Terminal(), io.StringIO()
    for stream in (terminal, plain):
        with ProgressLine(stream) as line:
            line.show("hashing", 1, 4)
            line.show("hashing", 1, 4)
            line.show("proving", 0, 0)
    assert plain.getvalue() == ""
    assert terminal.getvalue() == (
        "\r\x1b[Khashing [######..................] 1/4\r\x1b[Kproving ...\r\x1b[K"
    )


@pytest.mark.parametrize(("done", "total", "full"), [(0, 10, 0), (10, 10, 24), (11, 10, 24)])
def test_a_bar_never_leaves_its_frame(done: int, total: int, full: int) -> None:
    assert progress_bar(done, total).count("#") == full
