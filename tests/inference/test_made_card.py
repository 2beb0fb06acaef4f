"""Cards made of files alone: what the shipped models say of themselves, and what lying files are let say."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.configuration.reader import read
from gateway.errors import CardMismatch, LoadFailed
from gateway.inference.appended_files import appended_files, unpacked
from gateway.inference.card import check_tensors, read_folder
from gateway.inference.card_text import card_text
from gateway.inference.label_text import labels_of_lines, labels_of_text
from gateway.inference.loaded import LoadedModel, LoadSpec
from gateway.inference.made_card import FORMATS, card_of_file, lawful_name
from gateway.inference.onnx_facts import onnx_facts
from gateway.inference.tflite_facts import tflite_facts
from gateway.model import CardTensor, ModelCard
from gateway.tensor import TensorSpec
from tests import onnx_writer, tflite_writer
from tests.inference.model_folders import MODELS
from tests.tflite_metadata import METADATA, with_metadata

SHIPPED = sorted(path for path in MODELS.glob("*/*") if path.suffix in FORMATS)
READERS: dict[str, Callable[[bytes, str], Any]] = {".onnx": onnx_facts, ".tflite": tflite_facts}
QUICK = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def folder_of(path: Path, at: Path, size: int = 0) -> Path:
    """Make a model folder of a file alone."""
    at.mkdir()
    copy = at / path.name
    copy.write_bytes(path.read_bytes())
    made = card_of_file(copy, size=size)
    (at / "card.yaml").write_text(card_text(made.card, made.notes))
    if made.labels:
        (at / made.card.labels).write_text("\n".join(made.labels))
    return at


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_the_card_of_a_shipped_file_states_what_its_author_stated(path: Path) -> None:
    wrote = read_folder(path.parent).card
    made = card_of_file(path)
    assert (made.card.sha256, made.card.format, made.card.file) == (wrote.sha256, wrote.format, wrote.file)
    for key in ("inputs", "outputs"):
        stated, found = getattr(wrote, key), getattr(made.card, key)
        assert [(each.name, each.dtype) for each in found] == [(each.name, each.dtype) for each in stated]
        assert [each.zero_point for each in found] == [each.zero_point for each in stated]
        assert [each.scale for each in found] == pytest.approx([each.scale for each in stated], rel=1e-6)
        for each, other in zip(found, stated, strict=True):
            sizes = zip(each.shape, other.shape, strict=True)
            assert all(size in (said, -1) for size, said in sizes), each.name
    assert made.card.version == wrote.sha256[:12]
    assert made.missing == ("licence", "preprocess", "postprocess", "labels", "golden")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_a_shipped_file_loads_and_runs_by_its_made_card_alone(path: Path, tmp_path: Path) -> None:
    size = 576 if "silero" in path.name else 0  # no axis of 1 does for it
    at = folder_of(path, tmp_path / "made", size)
    model = LoadedModel.load(LoadSpec("made", str(at)))
    given = {spec.name for spec in model.engine.outputs}
    assert model.warm_up().keys() == given
    model.close()


def test_a_model_that_reads_numbers_out_of_texts_takes_what_it_is_tried_with(tmp_path: Path) -> None:
    at = folder_of(onnx_writer.counted(tmp_path / "counted.onnx"), tmp_path / "made")
    model = LoadedModel.load(LoadSpec("made", str(at)))
    assert model.warm_up()["sum"].tolist() == [["0", "0"]]
    model.close()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_a_made_card_reads_back_as_it_was_written(path: Path) -> None:
    made = card_of_file(path)
    assert read(card_text(made.card, made.notes), "card.yaml", ModelCard) == made.card


def test_open_sizes_are_filled_in_but_for_the_batch(tmp_path: Path) -> None:
    made = card_of_file(MODELS / "silero-vad" / "silero_vad_16k_op15.onnx", size=576)
    assert made.open_sizes
    assert [each.shape for each in made.card.inputs] == [(-1, 576), (2, -1, 128), ()]
    fixed = card_of_file(MODELS / "efficientnet-lite0-int8-onnx" / "efficientnet_lite0_int8_qdq.onnx", size=9)
    assert not fixed.open_sizes
    assert fixed.card.inputs[0].shape == (-1, 3, 224, 224)


def test_sizes_that_only_the_runtime_knows_are_not_held_against_a_made_card() -> None:
    card = card_of_file(MODELS / "motion-int8-onnx" / "motion_int8_qdq.onnx").card
    inputs = [TensorSpec("window", "float32", (None, 100, 6))]
    outputs = [TensorSpec("probabilities", "float32", (7, 4))]
    check_tensors(card, inputs, outputs)
    for wrong in ((None, 4, 1), (None, 5)):
        with pytest.raises(CardMismatch, match="shape is"):
            check_tensors(card, inputs, [TensorSpec("probabilities", "float32", wrong)])
    with pytest.raises(CardMismatch, match="dtype is"):
        check_tensors(card, inputs, [TensorSpec("probabilities", "int8", (7, 4))])


def test_what_an_onnx_file_says_of_itself_is_on_the_card(tmp_path: Path) -> None:
    metadata = {
        "names": "{0: 'person', 1: 'it\\'s', 2: \"traffic light\"}",
        "license": "MIT",
        "description": "Finds  people\nin pictures.",
        "version": "8.3 beta",
        "stride": "32",
    }
    path = onnx_writer.product(tmp_path / "my model (1).onnx", metadata=metadata)
    made = card_of_file(path)
    assert made.labels == ("person", "it's", "traffic light")
    assert (made.card.name, made.card.version, made.card.licence) == ("my-model-1", "8.3-beta", "MIT")
    assert made.card.summary == "Finds people in pictures."
    assert made.card.source == "Read from the file, made by test, opset 17."
    assert made.notes == ("metadata stride: 32",)
    assert made.missing == ("preprocess", "postprocess", "golden")
    assert made.card.labels == "labels.txt"


def test_what_a_tflite_file_s_metadata_says_is_on_the_card(tmp_path: Path) -> None:
    path = tflite_writer.identity(tmp_path / "m.tflite", "uint8", 0.5, 3)
    path.write_bytes(with_metadata(path.read_bytes(), METADATA, {"labels.txt": "cat\ndog\n\n"}))
    made = card_of_file(path)
    assert made.labels == ("cat", "dog")
    assert (made.card.version, made.card.licence) == ("v1", "Apache-2.0")
    assert made.card.summary == "Tells cats from dogs."
    assert made.card.inputs == (CardTensor("x", "uint8", (1, 4), 0.5, 3),)
    assert made.notes == ("x: a picture RGB; normalised by mean 127.5, std 127.5",)
    at = folder_of(path, tmp_path / "made")
    model = LoadedModel.load(LoadSpec("made", str(at)))
    assert model.folder.labels == ("cat", "dog")
    model.close()


def test_signatures_of_a_tflite_file_are_told() -> None:
    made = card_of_file(MODELS / "efficientnet-lite0-int8" / "efficientnet_lite0_int8.tflite")
    assert "signature serving_default: from keras_tensor: serving_default_keras_tensor:0" in made.notes


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda at: (at / "m.onnx").write_bytes(b""), "is empty"),
        (lambda at: (at / "m.onnx").write_bytes(b"rubbish" * 50), "not the protobuf"),
        (lambda at: (at / "m.onnx").write_bytes(b"\x08\x08"), "holds no graph"),
        (lambda at: (at / "m.onnx").write_bytes(b"\x3a\x00"), "has no input"),
        (lambda at: (at / "m.tflite").write_bytes(b"rubbish" * 50), "lacks the mark TFL3"),
        (
            lambda at: (at / "m.tflite").write_bytes(b"\xff\xff\xff\x7fTFL3" + bytes(64)),
            "outside of the file",
        ),
        (lambda at: (at / "m.txt").write_bytes(b"x"), r"neither \.tflite nor \.onnx"),
        (lambda at: (at / "m\x07.onnx").write_bytes(b"x"), "rename it"),
        (lambda at: tflite_writer.identity(at / "m.tflite", "int8", [0.1, 0.2]), "per channel"),  # type: ignore[arg-type]
        (lambda at: tflite_writer.identity(at / "m.tflite", "resource"), "element type resource"),
    ],
)
def test_what_is_no_model_is_refused_in_words(
    tmp_path: Path, make: Callable[[Path], object], why: str
) -> None:
    make(tmp_path)
    (path,) = tmp_path.iterdir()
    with pytest.raises(LoadFailed, match=why):
        card_of_file(path)


@pytest.mark.parametrize("name", ["blazeface-short-range", "motion-int8", "motion-int8-onnx", "silero-vad"])
@QUICK
@given(data=st.data())
def test_a_file_with_a_few_wrong_bytes_gives_facts_or_one_error(name: str, data: st.DataObject) -> None:
    (path,) = (path for path in SHIPPED if path.parent.name == name)
    body = bytearray(path.read_bytes())
    # Structure is dense near both ends, where flips hurt most.
    near = st.one_of(
        st.integers(0, 2047), st.integers(len(body) - 4096, len(body) - 1), st.integers(0, len(body) - 1)
    )
    for at, byte in data.draw(st.lists(st.tuples(near, st.integers(0, 255)), min_size=1, max_size=12)):
        body[at] = byte
    if data.draw(st.booleans()):
        del body[data.draw(st.integers(1, len(body) - 1)) :]
    try:
        facts = READERS[path.suffix](bytes(body), path.name)
    except LoadFailed as error:
        assert error.message.startswith(path.name)
        return
    assert facts.inputs
    assert facts.outputs


@QUICK
@given(body=st.binary(max_size=400), suffix=st.sampled_from([*READERS]), mark=st.booleans())
@example(body=b"\x3a\x02\x5a\x00", suffix=".onnx", mark=False)
def test_any_bytes_give_facts_or_one_error(body: bytes, suffix: str, mark: bool) -> None:
    if mark and suffix == ".tflite":
        body = body[:4] + b"TFL3" + body[4:]
    with pytest.raises(LoadFailed):  # nobody guesses a whole model
        READERS[suffix](body, "m")


@pytest.mark.parametrize("path", [path for path in SHIPPED if path.stat().st_size < 500_000])
def test_every_shorter_file_is_refused_or_says_less(path: Path) -> None:
    body = path.read_bytes()
    for size in range(0, len(body), max(1, len(body) // 300)):
        try:
            facts = READERS[path.suffix](body[:size], "m")
        except LoadFailed:
            continue
        assert facts.inputs


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ('["cat", "dog"]', ("cat", "dog")),
        ('{"0": "cat", "1": "dog"}', ("cat", "dog")),
        ('{"1": "dog", "0": "cat"}', ("cat", "dog")),
        ("{0: 'cat', 1: 'dog'}", ("cat", "dog")),
        ("{0: 'cat', 1: 'dog',}", ("cat", "dog")),
        ("('cat', \"it's\")", ("cat", "it's")),
        ("['a,b', 'c}']", ("a,b", "c}")),
        ("cat\ndog\n", ("cat", "dog")),
        ('{"0": "cat", "2": "dog"}', ()),
        ("{0: 'cat', 1: 'dog'} and more", ()),
        ("{0: 'cat', 1: open('/etc/passwd')}", ()),
        ("['cat', 'dog'", ()),
        ('["cat", 3]', ()),
        ("[" * 100_000, ()),
        ("{0: '" + "\\" * 100_000, ()),
        ("cat", ()),
        ("", ()),
    ],
)
def test_labels_are_taken_where_they_leave_no_doubt(text: str, labels: tuple[str, ...]) -> None:
    assert labels_of_text(text) == labels


@given(
    st.lists(
        st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1), min_size=1, max_size=9
    )
)
def test_labels_that_python_wrote_down_are_read_back(labels: list[str]) -> None:
    assert labels_of_text(repr(dict(enumerate(labels)))) == tuple(labels)
    assert labels_of_text(json.dumps(labels)) == tuple(labels)


@given(st.text())
def test_any_text_gives_labels_or_none(text: str) -> None:
    assert all(isinstance(each, str) for each in (*labels_of_text(text), *labels_of_lines(text)))


@given(st.text(max_size=100))
def test_any_name_of_a_file_makes_a_lawful_name(text: str) -> None:
    name = lawful_name(text)
    read(json.dumps({**CARD, "name": name}), "card.yaml", ModelCard)


def test_a_packed_file_is_unpacked_within_its_bound() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("small.txt", "cat\n")
        archive.writestr("bomb.txt", bytes(50_000_000))
        archive.writestr("plain.txt", "dog\n", zipfile.ZIP_STORED)
    body = b"model" * 100 + packed.getvalue()
    small, bomb, plain = appended_files(body)
    assert unpacked(body, small, 4) == b"cat\n"
    assert unpacked(body, small, 3) is None
    assert unpacked(body, bomb, 4_000_000) is None
    assert unpacked(body, plain, 100) == b"dog\n"
    broken = body.replace(b"dog\n", b"dig\n")
    assert unpacked(broken, appended_files(broken)[2], 100) is None


@given(st.binary(max_size=300), st.binary(max_size=80))
def test_any_archive_gives_files_or_none(head: bytes, tail: bytes) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", "cat\n")
    body = bytearray(head + packed.getvalue())
    for index, byte in enumerate(tail):
        body[len(body) - 1 - index] ^= byte
    for file in appended_files(bytes(body)):
        content = unpacked(bytes(body), file, 1000)
        assert content is None or len(content) <= 1000


def test_weights_among_the_inputs_of_an_old_file_are_not_asked_for(tmp_path: Path) -> None:
    weights = np.zeros((16, 4), np.float32)
    ports = ([("x", "float32", (1, 16)), ("w", "float32", (16, 4))], [("y", "float32", (1, 4))])
    graph = onnx_writer.Graph([onnx_writer.node("MatMul", ["x", "w"], ["y"])], *ports, {"w": weights})
    at = folder_of(onnx_writer.write(tmp_path / "old.onnx", graph), tmp_path / "made")
    assert [each.name for each in read_folder(at).card.inputs] == ["x"]
    LoadedModel.load(LoadSpec("old", str(at))).close()


CARD = {
    "version": "1",
    "summary": "s",
    "source": "s",
    "licence": "MIT",
    "file": "m.onnx",
    "sha256": "0" * 64,
    "format": "onnx",
    "inputs": [],
    "outputs": [],
}
