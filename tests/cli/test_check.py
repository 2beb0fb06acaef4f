"""``gateway check`` on real files and real models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.exit_codes import ExitCode
from gateway.cli.main import main

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "models"

WRONG = f"""\
mqtt: {{keepalive: 3}}
models:
  vad: {{path: {MODELS}/silero-vad}}
  motion: {{path: {MODELS}/motion-int8}}
pipelines:
  misfit: {{model: motion, postprocess: [voice]}}
  typo: {{model: motion, preprocess: [tensor: {{converrt: true}}]}}
  good: {{model: motion}}
  lost: {{model: vadd}}
  speech: {{model: vad, preprocess: [{{audio_windows: {{rate_hz: 8000, samples: 77}}}}]}}
"""


@pytest.fixture(name="wrong")
def _wrong(tmp_path: Path) -> Path:
    file = tmp_path / "wrong.yaml"
    file.write_text(WRONG)
    return file


def checked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = main(["check", "--json", *arguments])
    return code, json.loads(capsys.readouterr().out)


def test_the_shipped_configuration_is_right_and_its_models_run(capsys: pytest.CaptureFixture[str]) -> None:
    code, told = checked(capsys, str(ROOT / "config" / "gateway.yaml"))
    assert (code, told["ok"], told["issues"], told["warnings"]) == (0, True, [], [])
    assert {model["name"] for model in told["models"]} == {"efficientnet-lite0", "silero-vad", "motion"}
    assert all(model["digest"].startswith("sha256:") and model["latency_ms"] > 0 for model in told["models"])


def test_everything_wrong_is_found_in_one_run(wrong: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = checked(capsys, str(wrong))
    assert code == ExitCode.CONFIG
    assert [(issue["line"], issue["column"], issue["path"]) for issue in told["issues"]] == [
        (1, 8, "mqtt.keepalive"),
        (6, 41, "pipelines.misfit.postprocess[0].voice"),
        (7, 38, "pipelines.typo.preprocess[0].tensor"),
        (9, 17, "pipelines.lost.model"),
        (10, 38, "pipelines.speech.preprocess[0].audio_windows"),
    ]
    assert [model["name"] for model in told["models"]] == ["vad", "motion"]


def test_without_models_names_and_options_of_steps_are_checked_still(
    wrong: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = checked(capsys, "--no-models", str(wrong))
    assert code == ExitCode.CONFIG
    assert [issue["path"] for issue in told["issues"]] == [
        "mqtt.keepalive",
        "pipelines.typo.preprocess[0].tensor",
        "pipelines.lost.model",
    ]
    assert told["models"] == []


def test_issues_are_lines_that_an_editor_understands(wrong: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--no-models", str(wrong)]) == ExitCode.CONFIG
    out, err = capsys.readouterr()
    assert out == f"{wrong}: 3 issues\n"
    assert err.splitlines()[0] == f"{wrong}:1:8: mqtt.keepalive: unknown key; did you mean keepalive_s?"
    assert all(line.startswith(f"{wrong}:") for line in err.splitlines())


def test_a_damaged_model_is_an_issue_at_its_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "cut"
    folder.mkdir()
    for part in (MODELS / "motion-int8").iterdir():
        if part.is_file():
            data = part.read_bytes()
            (folder / part.name).write_bytes(data[: len(data) // 2] if part.suffix == ".tflite" else data)
    file = tmp_path / "gateway.yaml"
    file.write_text("models:\n  m: {path: cut}\npipelines:\n  p: {model: m}\n")
    code, told = checked(capsys, str(file))
    assert code == ExitCode.CONFIG
    (issue,) = told["issues"]
    assert (issue["path"], issue["line"], issue["column"]) == ("models.m.path", 2, 13)


def test_a_certificate_that_is_none_is_an_issue_at_its_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    file = tmp_path / "gateway.yaml"
    file.write_text("mqtt:\n  url: mqtts://broker.example\n  ca_file: ca.pem\n")
    code, told = checked(capsys, "--no-models", str(file))
    assert code == ExitCode.CONFIG
    assert [(issue["path"], issue["line"]) for issue in told["issues"]] == [("mqtt.ca_file", 3)]


def test_warnings_alone_do_not_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("inference: {max_payload_bytes: 9000000}\n")
    assert main(["check", str(file)]) == 0
    out, err = capsys.readouterr()
    assert out == f"{file}: ok\n"
    assert ": warning: inference.max_payload_bytes: " in err


def test_a_file_that_is_not_there_is_an_issue(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = checked(capsys, str(tmp_path / "absent.yaml"))
    assert code == ExitCode.CONFIG
    assert told["issues"][0]["what"].startswith("cannot be read")
