"""``gateway repo`` as an author types it: a repository from nothing to boards that believe it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from gateway.cli import repo
from gateway.cli.exit_codes import ExitCode
from gateway.cli.main import main
from gateway.cli.progress import ByteProgress, ProgressLine, byte_bar
from tests.updates.publishing.releases import pack


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """Return a new repository, which the environment names."""
    folder = tmp_path / "repo"
    monkeypatch.setenv("GATEWAY_REPOSITORY", str(folder))
    monkeypatch.delenv(repo.PASSPHRASE, raising=False)
    assert main(["repo", "init", str(folder)]) == ExitCode.OK
    capsys.readouterr()
    return folder


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    """Run a command with ``--json`` and return what it printed."""
    assert main(["repo", *arguments, "--json"]) == ExitCode.OK
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_the_first_words_say_where_keys_lie_and_what_to_do_with_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["repo", "init", str(tmp_path / "r")]) == ExitCode.OK
    words = capsys.readouterr().out
    places = sorted((tmp_path / "r.keys").iterdir())
    assert len(places) == 8
    offline, online = words.split("needed to add")
    for place in places:
        kept = "root" in place.name or "targets" in place.name
        assert str(place) in (offline if kept else online)
    assert f"{tmp_path}/r/metadata/root.json" in words
    assert "updates.root_file" in words


def test_an_author_comes_from_nothing_to_a_stick(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    added = said(capsys, "add", str(pack(tmp_path, 12)))
    assert (added["model"], added["release"]) == ("door", 12)
    assigned = said(
        capsys, "assign", "hall", "door=12", "--percent", "5", "--canary", "a", "--window", "02:00-03:00"
    )
    assert assigned["version"] == 1
    assert said(capsys, "status")["unpublished"] is True
    published = said(capsys, "publish", "--to", str(tmp_path / "stick"))
    assert (published["timestamp"], published["warnings"]) == (2, [])
    assert (tmp_path / "stick" / "READY").exists()
    status = said(capsys, "status")
    assert (status["unpublished"], status["releases"]) == (False, {"door": [12]})
    assert str(folder) == status["folder"]


def test_the_table_shows_what_matters(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "add", str(pack(tmp_path, 12)))
    said(capsys, "assign", "hall", "door=12", "--percent", "5", "--pause")
    for key in folder.with_suffix(".keys").glob("targets-*"):
        key.unlink()
    assert main(["repo", "status"]) == ExitCode.OK
    words = capsys.readouterr().out
    assert "2 of 3" in words
    assert "(not here)" in words
    assert "door: 12" in words
    assert "door 12 on 5 %, paused" in words
    assert "boards do not see the newest changes yet" in words


def test_a_key_is_rotated_by_one_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rotated = said(capsys, "rotate-key", "timestamp")
    assert rotated["old"] != rotated["new"]
    assert (folder / "metadata" / "2.root.json").is_file()
    assert main(["repo", "rotate-key", "models"]) == ExitCode.OK
    assert "counts no longer" in capsys.readouterr().out


def test_options_change_what_is_assigned(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del folder
    for model in ("door", "window"):
        said(capsys, "add", str(pack(tmp_path, 1, model=model)))
    options = "--shadow 50 --shadow-agreement 0.8 --bake-s 60 --not-before 7 --seed s --set door,window"
    first = said(capsys, "assign", "hall", "door=1", "window=1", *options.split())
    wish = {
        "allow_downgrade": False,
        "bake_s": 60.0,
        "canary": [],
        "not_before": 7,
        "paused": False,
        "percent": 100.0,
        "release": 1,
        "seed": "s",
        "shadow_agreement": 0.8,
        "shadow_frames": 50,
        "window": "",
    }
    assert first["models"] == {"door": wish, "window": wish}
    assert first["sets"] == [["door", "window"]]
    paused = said(capsys, "assign", "hall", "door", "--pause", "--expect-version", "1")
    assert paused["models"] == {"door": {**wish, "paused": True}, "window": wish}
    resumed = said(capsys, "assign", "hall", "--resume", "--window", "any")
    assert resumed["models"] == {name: {**wish, "window": "00:00-00:00"} for name in ("door", "window")}
    assert said(capsys, "assign", "hall", "window=none")["sets"] == []


@pytest.mark.parametrize(
    ("arguments", "label"),
    [
        (["assign", "hall", "door=x"], "update.publish"),
        (["assign", "hall", "door=0"], "update.publish"),
        (["assign", "hall", "../door=1"], "update.manifest"),
        (["assign", "hall", "door=1"], "update.publish"),
        (["assign", "hall", "--window", "late"], "update.manifest"),
        (["assign", "hall", "--pause", "--expect-version", "4"], "update.conflict"),
        (["add", "/nowhere"], "update.publish"),
        (["rotate-key", "everything"], "update.publish"),
        (["status", "--repo", "/nowhere"], "update.publish"),
    ],
)
def test_what_cannot_be_done_is_one_error(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], label: str
) -> None:
    del folder
    assert main(["repo", *arguments, "--json"]) == ExitCode.FAILURE
    assert json.loads(capsys.readouterr().err)["error"]["label"] == label


def test_keys_may_be_encrypted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(repo.PASSPHRASE, "secret")
    at = ["--repo", str(tmp_path / "r")]
    assert main(["repo", "init", str(tmp_path / "r"), "--encrypt", "--air-gapped"]) == ExitCode.OK
    assert all(b"ENCRYPTED" in path.read_bytes() for path in (tmp_path / "r.keys").iterdir())
    assert main(["repo", "publish", *at]) == ExitCode.OK
    monkeypatch.setenv(repo.PASSPHRASE, "wrong")
    assert main(["repo", "publish", *at]) == ExitCode.FAILURE
    assert "wrong passphrase" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_how_far_it_is_and_a_log_does_not() -> None:
    for stream, is_drawn in ((Terminal(), True), (io.StringIO(), False)):
        with ProgressLine(stream) as line:
            progress = ByteProgress("copying", line)
            progress(1, 4)
            progress(2, 4)  # sooner than anybody can see
        assert (stream.getvalue().count("[#") == 1) is is_drawn
        assert stream.getvalue().endswith("\x1b[K") is is_drawn


@pytest.mark.parametrize(
    ("done", "total", "share"), [(0, 4, "  0%"), (1, 4, " 25%"), (9, 4, "100%"), (0, 0, "100%")]
)
def test_a_bar_is_as_full_as_the_work(done: int, total: int, share: str) -> None:
    assert share in byte_bar("copying", done, total)
    assert byte_bar("copying", done, total).count("#") == (30 if share == "100%" else done * 30 // 4)
