"""For which GPUs a library has code: made files, real libraries without any, and any bytes at all."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnxruntime.capi import onnxruntime_pybind11_state

from gateway.errors import LoadFailed
from gateway.inference.engines import fatbin
from gateway.inference.engines.fatbin import GpuCode, gpu_code
from tests.inference.engines.elf_writer import CUBIN, OTHER, PTX, TO_LINK, container, entry, library


def code(sass: set[int], ptx: set[int] | None = None) -> GpuCode:
    return GpuCode(frozenset(sass), frozenset(ptx or ()))


def test_code_of_every_container_and_section_is_found(tmp_path: Path) -> None:
    first = container(entry(CUBIN, 87), entry(CUBIN, 110, b"x" * 40), entry(PTX, 110))
    second = container(entry(CUBIN, 89, header=80))
    to_link = container(entry(CUBIN, 72), magic=TO_LINK)
    path = library(
        tmp_path / "lib.so",
        [(".text", b"\x90" * 33), (".nv_fatbin", first + b"\0" * 24 + second), ("__nv_relfatbin", to_link)],
    )
    assert gpu_code(path) == code({72, 87, 89, 110}, {110})
    assert str(gpu_code(path)) == "sm_72, sm_87, sm_89, sm_110, PTX 110"


def test_only_sections_for_gpu_code_and_kinds_of_code_count(tmp_path: Path) -> None:
    path = library(
        tmp_path / "lib.so",
        [(".data", container(entry(CUBIN, 87))), (".nv_fatbin", container(entry(OTHER, 75)))],
    )
    assert gpu_code(path) == code(set())
    assert str(gpu_code(path)) == "no GPU code"


def test_what_merely_looks_like_a_container_is_passed_over(tmp_path: Path) -> None:
    false = container(entry(CUBIN, 75), size=1 << 40) + container(entry(CUBIN, 53), version=9)
    path = library(tmp_path / "lib.so", [(".nv_fatbin", false + container(entry(CUBIN, 87)))])
    assert gpu_code(path) == code({87})


def test_real_libraries_without_gpu_code_have_none() -> None:
    assert gpu_code(Path(onnxruntime_pybind11_state.__file__)) == code(set())
    assert gpu_code(Path(sys.executable).resolve()) == code(set())


def test_a_file_that_begins_containers_for_ever_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fatbin, "MOST_ENTRIES", 100)
    path = library(tmp_path / "lib.so", [(".nv_fatbin", b"\x50\xed\x55\xba" * 101)])
    with pytest.raises(LoadFailed, match="more than 100 pieces"):
        gpu_code(path)
    path = library(tmp_path / "lib.so", [(".nv_fatbin", container(*[entry(CUBIN, 87)] * 101))])
    with pytest.raises(LoadFailed, match="more than 100 pieces"):
        gpu_code(path)


@pytest.mark.parametrize(
    ("held", "sm", "runs"),
    [
        (code({89, 90, 120, 121}), 87, False),  # what a package index gives for aarch64: nothing for an Orin,
        (code({89, 90, 120, 121}), 110, False),  # nor for a Thor
        (code({87, 110}, {110}), 87, True),
        (code({87, 110}, {110}), 110, True),
        (code({80}), 86, True),
        (code({80}), 87, False),  # chips of boards run no code of cards
        (code({87}), 89, False),
        (code({86}), 80, False),
        (code({70}), 86, False),
        (code(set(), {70}), 87, True),
        (code(set(), {90}), 87, False),
        (code(set()), 87, False),
    ],
)
def test_which_gpus_run_it(held: GpuCode, sm: int, *, runs: bool) -> None:
    assert held.runs_on(sm) == runs


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "cannot be read"),
        (b"#!/bin/sh\n", "is no 64-bit ELF file"),
        (b"\x7fELF\x01\x01".ljust(64, b"\0"), "is no 64-bit ELF file"),
        (b"\x7fELF\x02\x01".ljust(64, b"\xff"), "leads out of it"),
    ],
)
def test_what_is_no_library_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "lib.so"
    path.write_bytes(data)
    with pytest.raises(LoadFailed, match=words):
        gpu_code(path)
    with pytest.raises(LoadFailed, match="cannot be read"):
        gpu_code(tmp_path / "absent.so")


@given(
    changes=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=12),
    cut=st.integers(0, 600),
)
def test_a_damaged_library_gives_an_answer_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], cut: int
) -> None:
    path = tmp_path_factory.mktemp("elf") / "lib.so"
    body = container(entry(CUBIN, 87), entry(PTX, 87)) + container(entry(CUBIN, 72))
    library(path, [(".nv_fatbin", body)])
    data = bytearray(path.read_bytes())
    for at, value in changes:
        data[at % len(data)] = value
    path.write_bytes(data[: len(data) - cut])
    try:
        assert isinstance(gpu_code(path), GpuCode)
    except LoadFailed:
        return


@given(st.binary(max_size=300))
def test_any_bytes_in_the_section_give_an_answer(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("elf") / "lib.so"
    library(path, [(".nv_fatbin", data + container(entry(CUBIN, 53)))])
    assert gpu_code(path).sass >= {53} or b"\x50\xed\x55\xba" in data or b"\xb1\x43\x62\x46" in data
