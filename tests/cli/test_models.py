"""``gateway models`` on the shipped folders, with and without a running gateway."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from gateway.cli.exit_codes import ExitCode
from gateway.cli.main import main
from gateway.configuration.reader import read
from gateway.inference.card import read_folder
from gateway.model import ModelCard
from tests import onnx_writer, tflite_writer
from tests.cli.test_client import STATUS, with_door
from tests.inference.model_folders import MODELS, copy, edit

SHIPPED = sorted(path.parent.name for path in MODELS.glob("*/card.yaml"))
MOTION = str(MODELS / "motion-int8")


def test_folders_are_listed_from_here_without_a_configuration(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(MODELS.parent)
    assert main(["models", "--json"]) == ExitCode.OK
    listed = json.loads(capsys.readouterr().out)["models"]
    assert [each["name"] for each in listed] == SHIPPED
    assert all(each["error"] == "" and each["size_bytes"] > 1000 for each in listed)


def test_the_table_says_what_a_model_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", MOTION]) == ExitCode.OK
    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == ["MODEL", "VERSION", "FORMAT", "SIZE", "INPUTS", "STATE", "ENGINE", "SUMMARY"]
    assert line.split()[:8] == ["motion-int8", "1.0.0", "tflite", "0.01", "MB", "int8[1,100,6]", "-", "-"]


def test_models_of_a_configuration_have_its_names_and_what_the_gateway_makes_of_them(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "gateway.yaml"
    serving = {"name": "steps", "state": "serving", "engine": "litert 2.3.0 xnnpack"}

    def work(address: str) -> int:
        file.write_text(f"http: {{listen: '{address}'}}\nmodels: {{steps: {{path: {MOTION}}}}}\n")
        return main(["models", "-c", str(file)])

    assert with_door({**STATUS, "models": [serving]}, work) == ExitCode.OK
    line = capsys.readouterr().out.splitlines()[1]
    assert line.split()[0] == "steps"
    assert "serving  litert 2.3.0 xnnpack" in line


def test_a_gateway_that_was_named_must_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", MOTION, "--url", "http://127.0.0.1:1"]) == ExitCode.UNAVAILABLE


def test_a_folder_that_cannot_be_used_says_why_and_the_others_are_listed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    changed = copy("motion-int8", tmp_path)
    (changed / "motion_int8.tflite").write_bytes(b"rubbish")
    misspelt = copy("silero-vad", tmp_path)
    edit(misspelt, ("licence:", "license:"))
    assert main(["models", str(changed), str(misspelt), MOTION, "--json"]) == ExitCode.FAILURE
    errors = [each["error"] for each in json.loads(capsys.readouterr().out)["models"]]
    assert "sha256 is" in errors[0]
    assert "licence" in errors[1]
    assert errors[2] == ""


def test_no_models_is_an_answer(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["models"]) == ExitCode.OK
    assert capsys.readouterr().out == "no models\n"


@pytest.mark.parametrize("name", ["efficientnet-lite0-int8", "silero-vad"])
def test_tensors_are_printed_as_a_card_states_them(capfd: pytest.CaptureFixture[str], name: str) -> None:
    card = yaml.safe_load((MODELS / name / "card.yaml").read_text())
    assert main(["models", "--tensors", str(MODELS / name / card["file"])]) == ExitCode.OK
    out, err = capfd.readouterr()
    assert err == ""
    found = yaml.safe_load(out)
    for key in ("inputs", "outputs"):
        assert [(each["name"], each["dtype"]) for each in found[key]] == [
            (each["name"], each["dtype"]) for each in card[key]
        ]
    assert [each.get("scale") for each in found["inputs"]] == [each.get("scale") for each in card["inputs"]]


def test_tensors_of_what_is_no_model_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--tensors", str(MODELS / "README.md")]) == ExitCode.FAILURE
    assert "neither .tflite nor .onnx" in capsys.readouterr().err


def test_a_file_s_own_card_is_printed_with_what_is_missing(capfd: pytest.CaptureFixture[str]) -> None:
    file = MODELS / "motion-int8-onnx" / "motion_int8_qdq.onnx"
    assert main(["models", "describe", str(file)]) == ExitCode.OK
    out, err = capfd.readouterr()
    assert err == ""
    card = read(out, "card.yaml", ModelCard)
    wrote = read_folder(file.parent).card
    assert [each.shape for each in card.inputs] == [each.shape for each in wrote.inputs]
    assert (card.name, card.sha256, card.made) == ("motion_int8_qdq", wrote.sha256, False)
    assert [line.split()[2] for line in out.splitlines() if line.startswith("# MISSING")] == [
        "licence:",
        "preprocess:",
        "postprocess:",
        "labels:",
        "golden:",
    ]


def test_a_described_file_with_labels_becomes_a_folder_that_serves(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = onnx_writer.product(tmp_path / "m.onnx", metadata={"names": "{0: 'cat', 1: 'dog'}"})
    assert main(["models", "describe", str(file), "--into", str(tmp_path)]) == ExitCode.OK
    assert read_folder(tmp_path).labels == ("cat", "dog")
    assert main(["models", str(tmp_path)]) == ExitCode.OK
    assert main(["models", "describe", str(file), "--into", str(tmp_path)]) == ExitCode.FAILURE
    assert "File exists" in capsys.readouterr().err
    assert main(["models", "describe", str(file), "--json"]) == ExitCode.OK
    said = json.loads(capsys.readouterr().out)
    assert (said["labels"], said["missing"]) == (
        ["cat", "dog"],
        ["licence", "preprocess", "postprocess", "golden"],
    )


def test_a_file_that_ends_the_process_that_loads_it_is_described_all_the_same(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tflite_writer.deadly(tmp_path / "m.tflite")
    assert main(["models", "describe", str(file)]) == ExitCode.OK
    out = capsys.readouterr().out
    assert "no runtime here could load the file" in out
    assert read(out, "card.yaml", ModelCard).made


@pytest.mark.parametrize("files", [[], ["a.onnx", "b.onnx"], ["README.md"]])
def test_only_one_model_file_is_described(capsys: pytest.CaptureFixture[str], files: list[str]) -> None:
    assert main(["models", "describe", *files]) == ExitCode.FAILURE
    assert "onnx" in capsys.readouterr().err
