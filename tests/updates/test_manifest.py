"""Manifests: what is written reads back, and what no board may do is refused with its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import ManifestRefused
from gateway.updates.manifest import manifest_bytes, read_manifest
from gateway.updates.release import (
    CHUNK_BYTES,
    MOST_FILE_BYTES,
    MOST_FILES,
    MOST_MANIFEST_BYTES,
    Blob,
    Budgets,
    Delta,
    Release,
    ReleaseFile,
)
from tests.updates.strategies import digest, releases

ONE = Blob(digest("one"), 10, (digest("one"),))
TWO = Blob(digest("two"), CHUNK_BYTES + 1, (digest("a"), digest("b")))
RELEASE = Release(
    "door",
    7,
    "2.1.0",
    "onnx",
    (ReleaseFile("card.yaml", ONE), ReleaseFile("golden/a.npy", TWO)),
    deltas=(Delta(digest("old"), TWO.sha256, "zstd-patch-from", ONE),),
)


def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(manifest_bytes(RELEASE))
    return found


def refused(change: Callable[[dict[str, Any]], object], words: str) -> None:
    held = document()
    change(held)
    with pytest.raises(ManifestRefused, match=words):
        read_manifest(json.dumps(held).encode())


@given(releases())
def test_a_manifest_reads_back_as_the_release_that_it_was_written_from(release: Release) -> None:
    data = manifest_bytes(release)
    assert read_manifest(data) == release
    assert manifest_bytes(read_manifest(data)) == data


@given(releases(), st.data())
def test_a_damaged_manifest_gives_a_release_or_one_error(release: Release, data: st.DataObject) -> None:
    held = bytearray(manifest_bytes(release))
    for _ in range(data.draw(st.integers(1, 4))):
        held[data.draw(st.integers(0, len(held) - 1))] = data.draw(st.integers(0, 255))
    try:
        release = read_manifest(bytes(held))
    except ManifestRefused as error:
        assert error.message.isprintable()
        return
    assert read_manifest(manifest_bytes(release)) == release


# Any JSON in the place of any value.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(json.loads(manifest_bytes(RELEASE)))), VALUES)
@example("files", [])
@example("files", [{"path": "card.yaml", "sha256": digest(""), "size": 0, "chunks": [None]}])
@example("budgets", None)
def test_any_value_in_any_place_gives_a_release_or_one_error(key: str, value: object) -> None:
    held = document()
    held[key] = value
    try:
        read_manifest(json.dumps(held).encode())
    except ManifestRefused as error:
        assert error.message.isprintable()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda held: held.update(schema=2), r"^schema: needs a whole number from 1 to 1"),
        (lambda held: held.update(more=1), r"^document: unknown key 'more'"),
        (lambda held: held.pop("model"), r"^model: missing"),
        (lambda held: held.update(model="../etc"), r"^model: '\.\./etc' is no name"),
        (lambda held: held.update(model="nul"), r"^model: 'nul' is reserved"),
        (lambda held: held.update(release=0), r"^release: needs"),
        (lambda held: held.update(release=2**53 + 1), r"^release: needs"),
        (lambda held: held.update(release=True), r"^release: needs"),
        (lambda held: held.update(format="pickle"), r"^format: 'pickle' is none of"),
        (lambda held: held.update(label="1.0\nERROR all is lost"), r"^label: needs one printable line"),
        (lambda held: held.update(label="x" * 65), r"^label: needs one printable line"),
        (lambda held: held.update(notes="\u202egnp"), r"^notes: needs one printable line"),
        (lambda held: held.update(min_gateway="1.2"), r"^min_gateway: '1\.2' is no version"),
        (lambda held: held.update(min_release=8), r"^min_release: needs a whole number from 0 to 7"),
        (lambda held: held.update(hardware=["a b"]), r"^hardware\[0\]: 'a b' is no name"),
        (lambda held: held.update(issued=-1), r"^issued: needs"),
        (lambda held: held["budgets"].update(p99_ms=-1), r"^budgets\.p99_ms: needs a number"),
        (lambda held: held["budgets"].update(gpu=1), r"^budgets: unknown key 'gpu'"),
        (lambda held: held.update(files=[]), r"^files: card\.yaml is missing"),
        (lambda held: held["files"][0].update(path="Card.yaml"), r"^files: card\.yaml is missing"),
        (lambda held: held["files"][1].update(path="a/b/c"), r"^files\[1\]\.path: 'a/b/c' is no file"),
        (lambda held: held["files"][1].update(path="../a"), r"^files\[1\]\.path: '\.\.' is no name"),
        (lambda held: held["files"][1].update(path="/a"), r"^files\[1\]\.path: '' is no name"),
        (lambda held: held["files"][1].update(path=".hidden"), r"^files\[1\]\.path: '\.hidden' is no name"),
        (lambda held: held["files"][1].update(path="a\x00b"), r"^files\[1\]\.path: 'a\\x00b' is no name"),
        (
            lambda held: held["files"][1].update(path="\u0430.bin"),
            r"^files\[1\]\.path: '\\u0430\.bin' is no name",
        ),
        (lambda held: held["files"][1].update(path="x" * 300), r"^files\[1\]\.path: 'x{80}' is no name"),
        (lambda held: held["files"][1].update(path="CARD.yaml"), r"are one name on some systems"),
        (lambda held: held["files"][1].update(path="card.yaml"), r"are one name on some systems"),
        (lambda held: held["files"][1].update(path="card.yaml/x"), r"is both a file and a folder"),
        (lambda held: held["files"][1].update(path="manifest.json"), r"the name is reserved"),
        (lambda held: held["files"][1].update(path="Deltas/x"), r"the name is reserved"),
        (lambda held: held["files"][1].update(sha256="AB" * 32), r"^files\[1\]\.sha256: .* is no SHA-256"),
        (lambda held: held["files"][1].update(size=-1), r"^files\[1\]\.size: needs"),
        (lambda held: held["files"][1].update(size=2**63), r"^files\[1\]\.size: needs"),
        (lambda held: held["files"][1].update(size=MOST_FILE_BYTES + 1), r"^files\[1\]\.size: needs"),
        (lambda held: held["files"][1].update(size=CHUNK_BYTES), r"have 1 chunks of 1048576, not 2"),
        (lambda held: held["files"][1]["chunks"].pop(), r"have 2 chunks of 1048576, not 1"),
        (lambda held: held["files"][0].update(size=0), r"have 0 chunks"),
        (lambda held: held["files"][0].update(chunks=[digest("x")]), r"^files\[0\]\.chunks: the only chunk"),
        (lambda held: held["files"][0].update(size=0, chunks=[]), r"^files\[0\]\.chunks: the only chunk"),
        (lambda held: held["files"][1].update(mode=0o777), r"^files\[1\]: unknown key 'mode'"),
        (lambda held: held["deltas"][0].update(to=digest("x")), r"^deltas\[0\]\.to: no file"),
        (lambda held: held["deltas"][0].update({"from": TWO.sha256}), r"^deltas\[0\]\.from: a patch from"),
        (lambda held: held["deltas"][0].update(algorithm="bsdiff"), r"^deltas\[0\]\.algorithm: 'bsdiff'"),
        (lambda held: held["deltas"].append(held["deltas"][0]), r"^deltas\[1\]: the same patch"),
        (
            lambda held: held["deltas"][0]["patch"].update(size=11),
            r"^deltas\[0\]\.patch: its digest stands twice",
        ),
    ],
)
def test_what_no_board_may_do_is_refused_with_the_path_of_the_key(
    change: Callable[[dict[str, Any]], object], words: str
) -> None:
    refused(change, words)


def test_names_that_differ_in_case_alone_are_refused_in_folders_too() -> None:
    more = (ReleaseFile("Golden/b.npy", ONE),)
    with pytest.raises(ManifestRefused, match="'Golden' and 'golden' are one name"):
        manifest_bytes(replace(RELEASE, files=RELEASE.files + more))


def test_one_digest_cannot_stand_for_two_sizes() -> None:
    other = Blob(TWO.sha256, TWO.size_bytes - 1, (TWO.sha256,))
    with pytest.raises(ManifestRefused, match="its digest stands twice"):
        manifest_bytes(replace(RELEASE, files=(*RELEASE.files, ReleaseFile("other", other))))


def test_more_files_or_bytes_than_a_manifest_may_have_are_refused_when_it_is_written() -> None:
    many = tuple(ReleaseFile(f"f{index}", ONE) for index in range(MOST_FILES))
    with pytest.raises(ManifestRefused, match=r"^files: needs a list of at most 256, not 257 entries"):
        manifest_bytes(replace(RELEASE, files=(RELEASE.files[0], *many), deltas=()))
    chunks = tuple(digest(str(index)) for index in range(4000))
    large = ReleaseFile("large", Blob(digest("large"), 4000 * CHUNK_BYTES, chunks))
    with pytest.raises(ManifestRefused, match=f"at most {MOST_MANIFEST_BYTES} are read"):
        manifest_bytes(replace(RELEASE, files=(*RELEASE.files, large)))


@pytest.mark.parametrize("budgets", [Budgets(p99_ms=float("nan")), Budgets(load_s=float("inf"))])
def test_a_budget_that_is_no_number_is_not_written(budgets: Budgets) -> None:
    with pytest.raises(ManifestRefused, match=r"^budgets"):
        manifest_bytes(replace(RELEASE, budgets=budgets))
