"""Reading model folders: cards that lie, wander off or are damaged are refused with what and where."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import CardMismatch, ConfigError, GatewayError, LoadFailed
from gateway.inference.card import check_digest, check_tensors, file_digest, inside, read_folder
from gateway.tensor import Quantization, TensorSpec
from tests import onnx_writer
from tests.inference.model_folders import MODELS, copy, edit, write

SHIPPED = sorted(path.name for path in MODELS.iterdir() if path.is_dir())
CARD = (MODELS / "efficientnet-lite0-int8" / "card.yaml").read_bytes()


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_card_names_its_file_and_the_files_digest(name: str) -> None:
    model = read_folder(MODELS / name)
    assert model.card.name == name
    check_digest(model, file_digest(model.file))


def test_labels_are_read_in_class_order() -> None:
    labels = read_folder(MODELS / "efficientnet-lite0-int8").labels
    assert (len(labels), labels[281], labels[967]) == (1000, "tabby", "espresso")


def test_blank_lines_after_the_labels_are_no_labels(tmp_path: Path) -> None:
    folder = copy("motion-int8", tmp_path)
    (folder / "labels.txt").write_bytes(b"\xef\xbb\xbfone\r\n two \nthree\nfour\n\n  \n")
    assert read_folder(folder).labels == ("one", "two", "three", "four")


def test_a_digest_is_that_of_the_whole_file(tmp_path: Path) -> None:
    data = os.urandom(3 * (1 << 20) + 17)
    (tmp_path / "file").write_bytes(data)
    assert file_digest(tmp_path / "file") == hashlib.sha256(data).hexdigest()


def test_a_changed_file_is_not_the_cards(tmp_path: Path) -> None:
    model = read_folder(copy("motion-int8", tmp_path))
    model.file.write_bytes(model.file.read_bytes() + b"\0")
    with pytest.raises(CardMismatch, match=r"motion_int8\.tflite: sha256 is .*, the card says 8373"):
        check_digest(model, file_digest(model.file))


@pytest.mark.parametrize(
    "name",
    [
        "../elsewhere",
        "/etc/passwd",
        "a/../../elsewhere",
        "",
        ".",
        "absent",
        "link",
        "ring",
        "nul\0",
        "x" * 300,
    ],
)
def test_a_name_that_is_no_file_inside_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").write_text("secret")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "a").mkdir()
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "ring").symlink_to(folder / "ring")
    with pytest.raises(LoadFailed, match=r"card\.yaml: file: "):
        inside(folder, name, "file")


def test_a_link_that_stays_inside_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("x")
    (tmp_path / "link").symlink_to("real")
    assert inside(tmp_path, "link", "file") == (tmp_path / "real").resolve()


@pytest.mark.parametrize("key", ["file: efficientnet_lite0_int8.tflite", "labels: labels.txt"])
def test_paths_on_the_card_may_not_lead_out(tmp_path: Path, key: str) -> None:
    folder = copy("efficientnet-lite0-int8", tmp_path)
    edit(folder, (key, key.split(":", maxsplit=1)[0] + ": ../../etc/hosts"))
    with pytest.raises(LoadFailed, match="must be a path inside the folder"):
        read_folder(folder)


def test_a_folder_without_a_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadFailed, match=r"card\.yaml: card: No such file"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("data", "what"), [(b"\xff\xfe", "not UTF-8 at byte 0"), (b"x\n" * 3_000_000, "more than 4194304 bytes")]
)
def test_labels_that_are_no_text_or_endless_are_refused(tmp_path: Path, data: bytes, what: str) -> None:
    folder = copy("motion-int8", tmp_path)
    (folder / "labels.txt").write_bytes(data)
    with pytest.raises(LoadFailed, match=what):
        read_folder(folder)


def test_an_endless_card_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    folder = copy("motion-int8", tmp_path)
    (folder / "card.yaml").write_bytes(b"# " + b"x" * 2_000_000)
    with pytest.raises(LoadFailed, match="more than 1048576 bytes"):
        read_folder(folder)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("licence: Apache-2.0", "license: Apache-2.0", "licence"),
        ("format: tflite", "format: pickle", "tflite"),
        ("sha256: b4", "sha256: B4", "sha256"),
        ("dtype: uint8", "dtype: [uint8]", "inputs"),
    ],
)
def test_a_card_with_wrong_keys_or_values_is_refused_with_the_place(
    tmp_path: Path, old: str, new: str, what: str
) -> None:
    folder = copy("efficientnet-lite0-int8", tmp_path)
    edit(folder, (old, new))
    with pytest.raises(ConfigError, match=what) as caught:
        read_folder(folder)
    assert all(issue.line > 0 and issue.file.endswith("card.yaml") for issue in caught.value.issues)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("dtype: uint8, shape: [1, 224", "dtype: uint9, shape: [1, 224", "unknown dtype uint9"),
        ("shape: [1, 224", "shape: [0, 224", "impossible shape"),
        ("shape: [1, 224", "shape: [-2, 224", "impossible shape"),
        ("labels: labels.txt", "labels: labels.txt\nconstants: {sr: 1}", "no input is named sr"),
        (
            "labels: labels.txt",
            "labels: labels.txt\nstate: [{input: a, output: b}]",
            "no input is named a; .*output",
        ),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(tmp_path: Path, old: str, new: str, what: str) -> None:
    folder = copy("efficientnet-lite0-int8", tmp_path)
    edit(folder, (old, new))
    with pytest.raises(CardMismatch, match=what):
        read_folder(folder)


def test_every_difference_between_card_and_file_is_named() -> None:
    card = read_folder(MODELS / "efficientnet-lite0-int8").card
    found_in = [TensorSpec("serving_default_keras_tensor:0", "int8", (1, 192, 192, 3), Quantization(0.5, 1))]
    found_out = [TensorSpec("probabilities", "uint8", (1, 1000), Quantization(1 / 256, 0))]
    with pytest.raises(CardMismatch) as caught:
        check_tensors(card, found_in, found_out)
    for what in (
        "dtype is int8, the card says uint8",
        "shape is [1, 192, 192, 3], the card says [1, 224, 224, 3]",
        "scale is 0.5, the card says 0.0078125",
        "zero_point is 1, the card says 127",
        "outputs.StatefulPartitionedCall_1:0: not in the file, which has probabilities",
        "outputs: the file's probabilities uint8[1,1000] is not on the card",
    ):
        assert what in caught.value.message


def test_a_card_may_fix_an_axis_that_the_file_leaves_open_but_not_the_reverse() -> None:
    card = read_folder(MODELS / "efficientnet-lite0-int8-onnx").card
    pixels, logits = card.inputs[0], card.outputs[0]
    open_axes = (
        [TensorSpec(pixels.name, "float32", (None, 3, None, 224))],
        [TensorSpec(logits.name, "float32", (None, 1000))],
    )
    check_tensors(card, *open_axes)
    fixed = [TensorSpec(pixels.name, "float32", (1, 3, 224, 224))], open_axes[1]
    with pytest.raises(CardMismatch, match="shape"):
        check_tensors(card, *fixed)


@given(place=st.integers(0, len(CARD) - 1), junk=st.binary(min_size=1, max_size=8), cut=st.booleans())
def test_any_damage_to_a_card_gives_a_card_or_one_typed_error(
    tmp_path_factory: pytest.TempPathFactory, place: int, junk: bytes, cut: bool
) -> None:
    folder = tmp_path_factory.getbasetemp() / "damaged"
    if not folder.exists():
        copy("efficientnet-lite0-int8", folder.parent / "whole").rename(folder)
    (folder / "card.yaml").write_bytes(CARD[:place] + junk + (b"" if cut else CARD[place + len(junk) :]))
    try:
        assert len(read_folder(folder).labels) in (0, 1000)
    except GatewayError as error:
        assert isinstance(error, ConfigError | LoadFailed | CardMismatch)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"state": [{"input": "text", "output": "shout"}]}, "state: text is text, which is not carried"),
        ({"constants": {"more": 1}}, "constants: more is text, and a constant is a number"),
    ],
)
def test_text_is_neither_carried_nor_constant(tmp_path: Path, more: dict[str, object], words: str) -> None:
    inputs = [
        {"name": "text", "dtype": "string", "shape": [-1, 2]},
        {"name": "more", "dtype": "string", "shape": [-1, 1]},
    ]
    outputs = [{"name": "shout", "dtype": "string", "shape": [-1, 2]}]
    folder = write(tmp_path, onnx_writer.words(tmp_path / "model.onnx"), inputs, outputs, **more)
    with pytest.raises(CardMismatch, match=words):
        read_folder(folder)
