"""Proofs on disk: found while nothing that they rest on has changed, and never trusted when damaged."""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.configuration.settings import StepSettings
from gateway.errors import CardMismatch, LoadFailed
from gateway.inference import proof_cache
from gateway.inference.engines.board import Board
from gateway.inference.engines.engine import EngineOptions
from gateway.inference.loaded import LoadSpec, PipelineSpec
from gateway.inference.proof_cache import ProofCache, prove_once
from tests.inference.model_folders import copy, edit, spec
from tests.inference.test_proven import PROOF

CLASSIFY = (StepSettings("classify", {"top_k": 2}),)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of a small model whose files are old enough to be remembered."""
    made = copy("motion-int8", tmp_path)
    settle(made)
    return made


def settle(folder: Path) -> None:
    """Say that the files are an hour old; the change time stays the system's own."""
    hour_ago = time.time() - 3600
    for path in folder.rglob("*"):
        os.utime(path, (hour_ago, hour_ago))


def test_a_second_start_needs_no_process(tmp_path: Path, folder: Path) -> None:
    def start() -> tuple[object, bool]:
        return asyncio.run(prove_once(spec(folder), ProofCache(tmp_path / "cache"), timeout_s=60))

    first, fresh = start()
    assert fresh
    assert start() == (first, False)


def test_a_model_that_is_refused_is_not_remembered(tmp_path: Path, folder: Path) -> None:
    edit(folder, ("zero_point: -15", "zero_point: 15"))
    cache = ProofCache(tmp_path / "cache")
    with pytest.raises(CardMismatch):
        asyncio.run(prove_once(spec(folder), cache, timeout_s=60))
    assert cache.find(cache.key(spec(folder))) is None


def test_the_key_is_the_same_while_nothing_changed(tmp_path: Path, folder: Path) -> None:
    keys = {ProofCache(tmp_path / "cache").key(spec(folder)) for _ in range(3)}
    assert len(keys) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"options": EngineOptions(threads=2)},
        {"options": EngineOptions(delegates=())},
        {"pipelines": ()},
        {"pipelines": (PipelineSpec("main", None, CLASSIFY),)},
        {"name": "other"},
    ],
)
def test_another_way_to_run_it_is_another_key(
    tmp_path: Path, folder: Path, changed: dict[str, object]
) -> None:
    cache = ProofCache(tmp_path / "cache")
    assert cache.key(spec(folder, **changed)) != cache.key(spec(folder))


@pytest.mark.parametrize("name", ["card.yaml", "labels.txt", "golden/running.f32"])
def test_another_file_is_another_key(tmp_path: Path, folder: Path, name: str) -> None:
    cache = ProofCache(tmp_path / "cache")
    before = cache.key(spec(folder))
    path = folder / name
    path.write_bytes(path.read_bytes() + (b"# more\n" if name == "card.yaml" else b"\n"))
    assert cache.key(spec(folder)) != before


def test_another_runtime_is_another_key(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = ProofCache(tmp_path / "cache")
    before = cache.key(spec(folder))
    monkeypatch.setattr("gateway.inference.proof_cache.metadata.version", lambda _: "99")
    assert cache.key(spec(folder)) != before


def test_a_changed_model_file_is_not_its_card_even_if_its_old_digest_is_known(
    tmp_path: Path, folder: Path
) -> None:
    cache = ProofCache(tmp_path / "cache")
    cache.key(spec(folder))
    file = folder / "motion_int8.tflite"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    settle(folder)  # same size, same times as before
    with pytest.raises(CardMismatch, match="sha256"):
        cache.key(spec(folder))


def test_a_settled_file_is_hashed_once(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = folder / "motion_int8.tflite"
    later_ns = time.time_ns() + 10**10
    monkeypatch.setattr("gateway.inference.proof_cache.time.time_ns", lambda: later_ns)
    digest = ProofCache(tmp_path / "cache").digest(file)
    monkeypatch.setattr("gateway.inference.proof_cache.file_digest", lambda _: "read again")
    assert ProofCache(tmp_path / "cache").digest(file) == digest


def test_a_file_that_may_still_change_unseen_is_hashed_again(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = ProofCache(tmp_path / "cache")
    fresh = folder / "fresh"
    fresh.write_bytes(b"1")
    cache.digest(fresh)
    monkeypatch.setattr("gateway.inference.proof_cache.file_digest", lambda _: "read again")
    assert cache.digest(fresh) == "read again"


def test_a_file_that_is_gone_is_one_typed_error(tmp_path: Path) -> None:
    with pytest.raises(LoadFailed, match="No such file"):
        ProofCache(tmp_path).digest(tmp_path / "gone")


def test_what_was_kept_is_found_and_nothing_else(tmp_path: Path) -> None:
    cache = ProofCache(tmp_path / "cache")
    assert cache.find("a") is None
    assert cache.keep("a", PROOF)
    assert cache.find("a") == PROOF
    assert cache.find("b") is None
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["a.json"]


def test_a_folder_that_cannot_be_written_only_costs_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = ProofCache(tmp_path / "file" / "cache")
    assert not cache.keep("a", PROOF)
    assert cache.find("a") is None


def test_the_folder_is_nobody_elses(tmp_path: Path) -> None:
    ProofCache(tmp_path / "cache").keep("a", PROOF)
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700


def test_old_proofs_make_room_for_new_ones(tmp_path: Path) -> None:
    cache = ProofCache(tmp_path)
    for number in range(70):
        cache.keep(f"{number:02}", PROOF)
        os.utime(tmp_path / f"{number:02}.json", (number, number))
    cache.keep("last", PROOF)
    names = sorted(path.stem for path in tmp_path.glob("*.json"))
    assert len(names) == 64
    assert names[0] == "07"
    assert names[-1] == "last"


@given(place=st.integers(0, 4000), junk=st.binary(max_size=6), cut=st.booleans())
def test_a_damaged_proof_is_as_good_as_absent(
    tmp_path_factory: pytest.TempPathFactory, place: int, junk: bytes, cut: bool
) -> None:
    folder = tmp_path_factory.getbasetemp() / "damaged-proofs"
    cache = ProofCache(folder)
    cache.keep("a", PROOF)
    file = folder / "a.json"
    whole = file.read_bytes()
    damaged = whole[:place] + junk + (b"" if cut else whole[place + len(junk) :])
    file.write_bytes(damaged)
    assert cache.find("a") in ((None, PROOF) if json_equal(damaged, whole) else (None,))


def json_equal(one: bytes, other: bytes) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False


@pytest.mark.parametrize(
    "memo", ["", "[]", "null", "{", '{"%s": 7}', '{"%s": [1,2,3,4,5,6]}', "\xff", "[" * 9999]
)
def test_damaged_digests_are_as_good_as_absent(tmp_path: Path, folder: Path, memo: str) -> None:
    file = folder / "motion_int8.tflite"
    wanted = ProofCache(tmp_path / "none").digest(file)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "digests.json").write_text(memo.replace("%s", str(file.resolve())))
    assert ProofCache(tmp_path / "cache").digest(file) == wanted


def test_files_that_change_while_they_are_proven_are_not_remembered(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def prove(_: LoadSpec, **__: object) -> object:
        (folder / "labels.txt").write_text("a\nb\nc\nd\n")
        return replace(PROOF)

    monkeypatch.setattr("gateway.inference.proof_cache.prove", prove)
    cache = ProofCache(tmp_path / "cache")
    before = cache.key(spec(folder))
    asyncio.run(prove_once(spec(folder), cache, timeout_s=60))
    assert cache.find(before) is None
    assert cache.find(cache.key(spec(folder))) is None


def test_a_proof_on_a_gpu_is_another_one_after_an_update_of_the_board(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = ProofCache(tmp_path)
    board = Board(sm=87, l4t="36.4.3", tensorrt="10.3.0", runtime_version="1.23.0")
    keys = []
    updates: list[dict[str, str]] = [{}, {"l4t": "36.5"}, {"tensorrt": "10.7"}, {"runtime_version": "1.24"}]
    for exact in (True, False):
        options = EngineOptions(providers=("CUDAExecutionProvider",), exact=exact)
        for changed in updates:
            monkeypatch.setattr(proof_cache, "board_facts", partial(replace, board, **changed))
            keys.append(cache.key(spec("motion-int8-onnx", options=options)))
    assert len(set(keys[:4])) == 4
    assert len(set(keys[4:])) == 1
