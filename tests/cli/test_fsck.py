"""``gateway fsck`` on stores that are sound, damaged, held by a gateway, or not there."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import pytest

from gateway.cli.exit_codes import ExitCode
from gateway.cli.main import main
from tests.updates.store.transaction import MODEL, install, open_store, ref_of, release_of, stage


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    root = tmp_path / "models"
    with contextlib.closing(open_store(root)) as store:
        install(store, 1)
    return root


def _rot(root: Path) -> None:
    path = root / "blobs" / release_of(1).files[0].blob.sha256
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(b"\0\0\0\0")
    path.chmod(0o444)


def test_a_sound_store_is_said_to_be_sound(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fsck", "--store", str(root)]) == ExitCode.OK
    assert capsys.readouterr().out == f"{root}: every byte is as it was signed\n"


def test_damage_is_listed_and_the_exit_code_tells(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _rot(root)
    assert main(["fsck", "--store", str(root)]) == ExitCode.FAILURE
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("blobs/")
    assert "to mend it: keep 1 good chunks, so that 1 are fetched again" in lines[0]
    assert "releases/door/1/weights.tflite: damage (release door 1)" in lines[1]
    assert lines[-1] == f"{root}: 2 findings, 0 mended"


def test_mending_leaves_a_store_that_the_gateway_completes(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _rot(root)
    assert main(["fsck", "--store", str(root), "--mend", "--json"]) == ExitCode.FAILURE, (
        "one chunk is missing"
    )
    told = json.loads(capsys.readouterr().out)
    assert (told["store"], told["settled"]) == (str(root), True)
    assert [each["mended"] for each in told["findings"]] == [True, False]
    with contextlib.closing(open_store(root)) as store:
        assert store.partial(release_of(1).files[0].blob).missing() == [0]
        stage(store, 1)
        store.verify(MODEL, ref_of(release_of(1)))
        assert store.check() == []
    assert main(["fsck", "--store", str(root), "--mend"]) == ExitCode.OK


def test_beside_a_running_gateway_it_reads_and_does_not_mend(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with contextlib.closing(open_store(root)):
        assert main(["fsck", "--store", str(root)]) == ExitCode.OK
        assert "at work in this store" in capsys.readouterr().err
        assert main(["fsck", "--store", str(root), "--mend", "--json"]) == ExitCode.FAILURE
        error = json.loads(capsys.readouterr().err)["error"]
        assert error["label"] == "update.busy"
        assert error["attributes"] == {"pid": os.getpid()}
        assert '{"do": "fsck"}' in error["message"]


def test_a_check_alone_leaves_no_trace(root: Path) -> None:
    (root / "LOCK").unlink()
    before = {path: path.lstat().st_mtime_ns for path in (root, *root.rglob("*"))}
    assert main(["fsck", "--store", str(root)]) == ExitCode.OK
    assert {path: path.lstat().st_mtime_ns for path in (root, *root.rglob("*"))} == before


def test_the_folder_is_the_configurations(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(f"updates: {{store_dir: {root}}}\n")
    assert main(["fsck", "-c", str(file)]) == ExitCode.OK
    file.write_text("log: {level: info}\n")
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    assert main(["fsck", "-c", str(file)]) == ExitCode.OK
    assert capsys.readouterr().out.count("every byte") == 2


def test_no_store_is_an_error_and_none_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fsck", "--store", str(tmp_path / "none")]) == ExitCode.FAILURE
    assert main(["fsck", "--store", str(tmp_path), "--mend"]) == ExitCode.FAILURE
    assert "update.store" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_root_does_not_mend_the_store_of_another_user(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It would leave files there that the gateway cannot replace."""
    for path in (root, *root.rglob("*")):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    assert main(["fsck", "--store", str(root)]) == ExitCode.OK
    assert main(["fsck", "--store", str(root), "--mend"]) == ExitCode.FAILURE
    assert "belongs to user 65534" in capsys.readouterr().err
