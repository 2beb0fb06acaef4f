"""A card's twins: the same model in another file, checked as strictly and named by its own digest."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import CardMismatch, LoadFailed, WarmupFailed
from gateway.inference.card import read_folder
from gateway.inference.engines.file_precision import file_precision
from gateway.inference.engines.precision import Precision
from gateway.inference.loaded import LoadSpec
from gateway.inference.proof import prove
from gateway.inference.proof_cache import ProofCache
from tests.inference.model_folders import MODELS, load, spec
from tests.inference.twins import TWIN, twin_line, twins


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_twin_is_loaded_and_named_by_its_own_digest(tmp_path: Path) -> None:
    at = twins(tmp_path / "m")
    own, twin = load(at), load(at, file=TWIN)
    assert own.version.digest == f"sha256:{digest(at / 'm.onnx')}"
    assert twin.version.digest == f"sha256:{digest(at / TWIN)}"
    assert twin.source.sha256 == digest(at / TWIN)


def test_a_twin_is_proven_with_the_golden_samples_of_the_card(tmp_path: Path) -> None:
    at = twins(tmp_path / "m")
    proof = asyncio.run(prove(spec(at, file=TWIN), timeout_s=60))
    assert (proof.mapped, proof.golden) == (digest(at / TWIN), ("golden/0.f32",))
    assert asyncio.run(prove(spec(at), timeout_s=60)).mapped == digest(at / "m.onnx")


def test_a_twin_that_is_another_model_does_not_pass(tmp_path: Path) -> None:
    at = twins(tmp_path / "m", seed_of_twin=2)
    with pytest.raises(WarmupFailed, match=r"golden/0\.f32"):
        asyncio.run(prove(spec(at, file=TWIN), timeout_s=60))


def test_what_a_twin_says_of_itself_takes_the_place_of_the_cards_words(tmp_path: Path) -> None:
    own = {"name": "y", "dtype": "float32", "shape": [1, 4]}
    at = twins(tmp_path / "m", line={"outputs": [{**own, "axes": "NC"}], "golden": []})
    card = read_folder(at, TWIN).card
    assert (card.file, card.precision, card.twins, card.outputs[0].axes) == (TWIN, "fp16", (), "NC")
    assert card.inputs == read_folder(at).card.inputs
    assert len(card.golden) == 1


@pytest.mark.parametrize(
    ("line", "kind", "words"),
    [
        ({"sha256": "0" * 64}, CardMismatch, "sha256 is"),
        ({"file": "absent.onnx"}, LoadFailed, r"twins\.file: 'absent\.onnx'"),
        ({"file": "../m.onnx"}, LoadFailed, "must be a path inside the folder"),
        ({"file": "m.onnx"}, CardMismatch, "m.onnx is listed twice"),
        ({"precision": "fp8"}, LoadFailed, "fp8"),
        (
            {"inputs": [{"name": "x", "dtype": "float16", "shape": [1, 16]}]},
            CardMismatch,
            "dtype is float32, the card says float16",
        ),
        (
            {"outputs": [{"name": "z", "dtype": "nonsense", "shape": [1, 4]}]},
            CardMismatch,
            "unknown dtype nonsense",
        ),
    ],
)
def test_a_card_that_is_wrong_about_a_twin_is_refused(
    tmp_path: Path, line: dict[str, Any], kind: type[Exception], words: str
) -> None:
    at = twins(tmp_path / "m", line=line)
    with pytest.raises(kind, match=words):
        asyncio.run(prove(spec(at, file=TWIN), timeout_s=60))


def test_a_file_that_is_no_twin_of_the_card_is_not_loaded(tmp_path: Path) -> None:
    at = twins(tmp_path / "m")
    (at / "other.onnx").write_bytes((at / TWIN).read_bytes())
    with pytest.raises(LoadFailed, match=r"no twin is named 'other\.onnx'"):
        load(at, file="other.onnx")


def test_a_changed_twin_is_noticed_where_its_model_is_looked_at_but_not_where_the_other_file_is(
    tmp_path: Path,
) -> None:
    at = twins(tmp_path / "m")
    cache = ProofCache(tmp_path / "cache")
    whole, twin = cache.key(LoadSpec("m", str(at))), cache.key(LoadSpec("m", str(at), file=TWIN))
    assert whole != twin
    (at / "golden" / "0.f32").write_bytes(b"\0" * 64)
    assert cache.key(LoadSpec("m", str(at), file=TWIN)) != twin
    changed = cache.key(LoadSpec("m", str(at)))
    (at / TWIN).write_bytes(b"another")
    assert cache.key(LoadSpec("m", str(at))) != changed


def test_a_spec_with_a_twin_crosses_to_a_worker_whole(tmp_path: Path) -> None:
    made = spec(tmp_path, file=TWIN)
    assert LoadSpec.from_json(made.to_json()) == made


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("efficientnet-lite0-int8-onnx", Precision.INT8),
        ("motion-int8-onnx", Precision.INT8),
        ("motion-int8", Precision.INT8),
        ("silero-vad", Precision.FP32),
        ("blazeface-short-range", Precision.FP32),
    ],
)
def test_the_precision_of_shipped_models_is_found_in_their_files(name: str, precision: Precision) -> None:
    model = read_folder(MODELS / name)
    assert file_precision(model.file, model.card) is precision


def test_half_precision_is_found_in_the_weights_and_what_the_card_says_goes_first(tmp_path: Path) -> None:
    at = twins(tmp_path / "m")
    card = read_folder(at).card
    assert file_precision(at / TWIN, card) is Precision.FP16
    assert file_precision(at / "m.onnx", card) is Precision.FP32
    assert file_precision(at / "m.onnx", card.of_file(TWIN)) is Precision.FP16
    (at / "m.onnx").write_bytes(b"\xff" * 99)
    with pytest.raises(LoadFailed, match="not the protobuf of an ONNX model"):
        file_precision(at / "m.onnx", card)


def test_a_line_of_a_twin_is_as_the_card_wants_it(tmp_path: Path) -> None:
    at = twins(tmp_path / "m")
    assert read_folder(at).card.twins[0].sha256 == twin_line(at)["sha256"]
