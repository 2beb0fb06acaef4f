"""``gateway infer`` on the shipped models and files."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.exit_codes import ExitCode
from gateway.cli.main import main
from tests.inference.model_folders import MODELS

EFFICIENTNET = MODELS / "efficientnet-lite0-int8"
ESPRESSO = EFFICIENTNET / "golden" / "espresso.jpg"
RUNNING = MODELS / "motion-int8" / "golden" / "running.f32"


def told(capfd: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    assert main(["infer", *map(str, arguments), "--json"]) == ExitCode.OK
    out, err = capfd.readouterr()
    assert err == ""
    document: dict[str, Any] = json.loads(out)
    return document


def test_a_picture_is_named_with_model_pipeline_and_times(capfd: pytest.CaptureFixture[str]) -> None:
    document = told(capfd, EFFICIENTNET, ESPRESSO)
    assert document["prediction"]["classes"][0]["label"] == "espresso"
    assert document["model"]["name"] == "efficientnet-lite0-int8"
    assert document["model"]["engine"].startswith("litert ")
    assert (document["pipeline"], document["rows"]) == ("card", 1)
    assert set(document["latency_ms"]) == {"decode", "preprocess", "infer", "postprocess"}


def test_people_read_lines_and_runtimes_stay_silent(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["infer", str(EFFICIENTNET), str(ESPRESSO)]) == ExitCode.OK
    out, err = capfd.readouterr()
    lines = out.splitlines()
    assert lines[0].startswith("efficientnet-lite0-int8 1.0.0, litert ")
    assert lines[1].split(maxsplit=1)[1] == "espresso"
    assert lines[-1].startswith("decode ")
    assert err == ""


def test_objects_come_with_their_places(capfd: pytest.CaptureFixture[str]) -> None:
    folder = MODELS / "blazeface-short-range"
    assert main(["infer", str(folder), str(folder / "golden" / "portrait.jpg")]) == ExitCode.OK
    assert "  face  at 0.3" in capfd.readouterr().out


def test_a_golden_sample_needs_no_declaration_and_other_files_take_one(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    declared = told(capfd, MODELS / "motion-int8", RUNNING)
    assert declared["prediction"]["classes"][0]["label"] == "running"
    elsewhere = tmp_path / "window"
    elsewhere.write_bytes(RUNNING.read_bytes())
    assert main(["infer", str(MODELS / "motion-int8"), str(elsewhere)]) == ExitCode.DATA
    capfd.readouterr()
    facts = ("--media", "application/vnd.gateway.tensor", "--dtype", "float32", "--shape", "100,6")
    assert told(capfd, MODELS / "motion-int8", elsewhere, *facts)["prediction"] == declared["prediction"]


def test_standard_input_is_a_file_too(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(ESPRESSO.read_bytes())))
    assert told(capfd, EFFICIENTNET, "-")["prediction"]["classes"][0]["label"] == "espresso"


class TestConfigured:
    """With a configuration that names models and pipelines."""

    @pytest.fixture
    def config(self, tmp_path: Path) -> Path:
        file = tmp_path / "gateway.yaml"
        file.write_text(
            f"models:\n  eff: {{path: {EFFICIENTNET}}}\n  bare: {{path: {EFFICIENTNET}}}\n"
            "pipelines:\n  one: {model: eff, postprocess: [{classify: {top_k: 1}}]}\n  two: {model: eff}\n"
        )
        return file

    @pytest.mark.parametrize(
        ("arguments", "pipeline", "classes"),
        [(("eff",), "one", 1), (("eff", "-p", "two"), "two", 5), (("bare",), "card", 5)],
    )
    def test_its_pipelines_run(
        self,
        capfd: pytest.CaptureFixture[str],
        config: Path,
        arguments: tuple[str, ...],
        pipeline: str,
        classes: int,
    ) -> None:
        name, *more = arguments
        document = told(capfd, name, ESPRESSO, "-c", config, *more)
        assert (document["pipeline"], len(document["prediction"]["classes"])) == (pipeline, classes)
        assert document["model"]["name"] == name

    @pytest.mark.parametrize(
        ("arguments", "what"),
        [(("cat",), "known: eff, bare"), (("eff", "-p", "three"), "known: one, two")],
    )
    def test_a_name_that_it_does_not_know_is_refused_with_those_that_it_does(
        self, capfd: pytest.CaptureFixture[str], config: Path, arguments: tuple[str, ...], what: str
    ) -> None:
        name, *more = arguments
        assert main(["infer", name, str(ESPRESSO), "-c", str(config), *more]) == ExitCode.DATA
        assert what in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "what"),
    [
        (("/nowhere", ESPRESSO), ExitCode.DATA, "is no folder with a card.yaml"),
        ((EFFICIENTNET, "/nowhere"), ExitCode.DATA, "/nowhere: No such file"),
        ((EFFICIENTNET, MODELS), ExitCode.DATA, "Is a directory"),
        ((EFFICIENTNET, "/dev/zero"), ExitCode.DATA, "more than 8388608 bytes"),
        ((EFFICIENTNET, EFFICIENTNET / "labels.txt"), ExitCode.DATA, "gateway: refused."),
        ((EFFICIENTNET, ESPRESSO, "-p", "door"), ExitCode.DATA, "say which with -c"),
        ((EFFICIENTNET, ESPRESSO, "--timeout", "0"), ExitCode.TOO_LATE, "gateway: deadline."),
    ],
)
def test_what_cannot_be_inferred_says_why(
    capfd: pytest.CaptureFixture[str], arguments: tuple[object, ...], code: int, what: str
) -> None:
    assert main(["infer", *map(str, arguments)]) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert what in err
