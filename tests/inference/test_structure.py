"""What a model file must be before a runtime sees it."""

from __future__ import annotations

from os import mkfifo
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import LoadFailed
from gateway.inference.engines.select import open_engine
from gateway.inference.loaded import LoadedModel
from gateway.inference.mapping import MappedFile
from gateway.inference.structure import check_structure, external_names
from tests import onnx_writer
from tests.inference.made_models import beside, folder, weights
from tests.inference.model_folders import MODELS, load


def checked(path: Path, model_format: str) -> tuple[MappedFile, ...]:
    file = MappedFile.open(path)
    try:
        return check_structure(file, model_format, path.parent)
    finally:
        file.close()


def test_shipped_models_are_of_their_format_and_have_no_other_files() -> None:
    for path in MODELS.glob("*/*.*"):
        if path.suffix in (".tflite", ".onnx"):
            assert checked(path, path.suffix[1:]) == ()


@pytest.mark.parametrize(
    "body",
    [
        b"\x18\0\0\0TFL3",
        b"\x18\0\0\0TFL3" + bytes(16),
        b"\xff\xff\xff\xffTFL3" + bytes(64),
        b"\0\0\0\0TFL3" + bytes(64),
        b"\x18\0\0\0TFL2" + bytes(64),
        b"TFL3",
        bytes(64),
    ],
)
def test_what_is_no_tflite_file_is_refused_before_any_runtime_sees_it(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "m").write_bytes(body)
    with pytest.raises(LoadFailed, match=r"is no \.tflite file"):
        checked(tmp_path / "m", "tflite")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(min_size=1, max_size=200), st.sampled_from(["tflite", "onnx"]))
def test_any_bytes_give_an_answer_or_one_error(tmp_path: Path, body: bytes, model_format: str) -> None:
    (tmp_path / "m").write_bytes(body)
    try:
        assert checked(tmp_path / "m", model_format) == ()
    except LoadFailed as error:
        assert error.message


def test_weights_beside_the_model_are_hashed_and_loaded(tmp_path: Path) -> None:
    at = beside(tmp_path, "w.bin")
    weights(at / "w.bin", 2.0)
    model = load(at)
    assert [(file.path, file.size_bytes) for file in model.weights] == [(at / "w.bin", 256)]
    row = {"x": np.ones((1, 16), np.float32)}
    assert model.run_rows([row])[0]["y"].tolist() == [[32.0] * 4]
    assert not model.source.note
    model.close()
    assert external_names(at / "m.onnx") == ("w.bin",)


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("../w.bin", "only NAME or FOLDER/NAME"),
        ("/proc/self/environ", "only NAME or FOLDER/NAME"),
        ("a/../../w.bin", "only NAME or FOLDER/NAME"),
        ("w.bin\0", "only NAME or FOLDER/NAME"),
        ("", "cannot load it|only NAME"),
        ("absent.bin", "No such file"),
        ("link.bin", "is not a plain file"),
        ("out.bin", "leads out of the folder"),
        ("linked/w.bin", "is not a plain file"),
        ("elsewhere/w.bin", "leads out of the folder"),
        ("pipe", "is not a plain file"),
        ("folder", "is not a plain file"),
        ("short.bin", "cannot load it"),
    ],
)
def test_weights_anywhere_else_are_refused(tmp_path: Path, location: str, why: str) -> None:
    at = beside(tmp_path / "model", location)
    weights(tmp_path / "w.bin")
    weights(at / "w.bin")
    weights(at / "inner" / "w.bin")
    (at / "link.bin").symlink_to("w.bin")
    (at / "out.bin").symlink_to(tmp_path / "w.bin")
    (at / "linked").symlink_to("inner")
    (at / "elsewhere").symlink_to(tmp_path)
    (at / "folder").mkdir()
    (at / "short.bin").write_bytes(b"short")
    mkfifo(at / "pipe")
    with pytest.raises(LoadFailed, match=why):
        load(at)


@pytest.mark.parametrize("where", [{"offset": "-8"}, {"offset": "9" * 18}, {"length": "9" * 18}])
def test_weights_beyond_their_file_are_refused(tmp_path: Path, where: dict[str, str]) -> None:
    at = beside(tmp_path, "w.bin", **where)
    weights(at / "w.bin")
    with pytest.raises(LoadFailed, match="cannot load it"):
        load(at)


def test_weights_replaced_while_they_are_loaded_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = beside(tmp_path, "w.bin")
    weights(at / "w.bin")

    def replacing(*arguments: object) -> object:
        engine = open_engine(*arguments)  # type: ignore[arg-type]
        weights(at / "other.bin").replace(at / "w.bin")
        return engine

    monkeypatch.setattr("gateway.inference.opening.open_engine", replacing)
    with pytest.raises(LoadFailed, match=r"w\.bin: was replaced while it was loaded"):
        load(at)


def test_a_model_replaced_after_it_was_hashed_is_not_what_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = folder(tmp_path, onnx_writer.product, width=16)
    row = {"x": np.ones((1, 16), np.float32)}
    honest = load(at).run_rows([row])[0]["y"].tolist()

    def replacing(*arguments: object) -> object:
        onnx_writer.product(at / "twin", seed=2).replace(at / "m.onnx")
        return open_engine(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("gateway.inference.opening.open_engine", replacing)
    model = load(at)
    assert model.run_rows([row])[0]["y"].tolist() == honest
    assert isinstance(model, LoadedModel)


def test_the_descriptor_s_name_is_in_no_message(tmp_path: Path) -> None:
    at = folder(tmp_path / "onnx", onnx_writer.foreign)
    with pytest.raises(LoadFailed, match=r"m\.onnx failed") as caught:
        load(at)
    assert "/proc/" not in caught.value.message
    with pytest.raises(LoadFailed) as caught:
        load(folder(tmp_path / "two", lambda path: onnx_writer.beside(path, onnx_writer.External("../x"))))
    assert "/proc/" not in caught.value.message
