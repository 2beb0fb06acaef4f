"""Numbers of the kernel's that the code holds are those of its headers, for x86-64 and for arm64."""

from __future__ import annotations

import ast
import mmap
import re
import struct
from pathlib import Path
from typing import Final

import pytest

from gateway.inference import confine, mapping, syscall_filter
from tests.rules.tree import ROOT

# arm64 uses the generic table; the headers come with the C compiler.
_GENERIC: Final = Path("/usr/include/asm-generic/unistd.h")
_X86: Final = (
    Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    Path("/usr/include/asm/unistd_64.h"),
)
_NR: Final = re.compile(r"(?m)^#define __NR(?:3264)?_(\w+)\s+(\d+)\b")


def _table(*candidates: Path) -> dict[str, int]:
    for path in candidates:
        if path.is_file():
            return {name: int(number) for name, number in _NR.findall(path.read_text(encoding="utf-8"))}
    pytest.skip(f"NOT TRIED, for the kernel's headers are not there: {candidates[0]}")


def _defined(header: str, name: str) -> int:
    path = Path("/usr/include") / header
    if not path.is_file():
        pytest.skip(f"NOT TRIED, for the kernel's headers are not there: {path}")
    found = re.search(rf"(?m)^#define\s+{name}\s+(0x[0-9a-fA-F]+|\d+)", path.read_text(encoding="utf-8"))
    assert found is not None, name
    return int(found[1], 0)


@pytest.mark.parametrize(("column", "headers"), [(0, _X86), (1, (_GENERIC,))], ids=["x86_64", "aarch64"])
def test_every_refused_call_has_its_number(column: int, headers: tuple[Path, ...]) -> None:
    table = _table(*headers)
    wanted = {name: numbers[column] for name, numbers in syscall_filter._REFUSED.items()}
    wanted["clone"] = syscall_filter._CLONE[column]
    wanted["clone3"] = syscall_filter._CLONE3
    wanted["kill"], wanted["tgkill"] = (numbers[column] for numbers in syscall_filter._TO_PROCESS)
    assert {name: table[name] for name in wanted} == wanted


def test_the_old_forks_are_x86_s_alone() -> None:
    x86, generic = _table(*_X86), _table(_GENERIC)
    assert (x86["fork"], x86["vfork"]) == syscall_filter._OLD_FORKS
    assert not {"fork", "vfork"} & set(generic)


@pytest.mark.parametrize("headers", [_X86, (_GENERIC,)], ids=["x86_64", "aarch64"])
def test_landlock_s_calls_have_their_numbers(headers: tuple[Path, ...]) -> None:
    table = _table(*headers)
    names = ("landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self")
    assert tuple(table[name] for name in names) == (
        confine._CREATE_RULESET,
        confine._ADD_RULE,
        confine._RESTRICT_SELF,
    )


def test_the_filter_knows_the_architectures_by_the_kernel_s_names() -> None:
    machines = {"x86_64": "EM_X86_64", "aarch64": "EM_AARCH64"}
    little_endian_64_bits = 0xC0000000
    for machine, name in machines.items():
        wanted = little_endian_64_bits | _defined("linux/elf-em.h", name)
        assert syscall_filter._ARCHITECTURES[machine][0] == wanted


def test_a_filter_refuses_another_architecture_s_calls_before_it_looks_at_their_number() -> None:
    for architecture, column in syscall_filter._ARCHITECTURES.values():
        program = syscall_filter._program(architecture, column, 1)
        assert program[0][3] == 4  # offsetof(struct seccomp_data, arch)
        assert program[1] == (syscall_filter._EQUAL, 1, 0, architecture)
        assert all(len(struct.pack("=HBBI", *step)) == 8 for step in program)
        for index, step in enumerate(program):
            if step[0] == syscall_filter._RETURN:
                assert step[1:3] == (0, 0)
            else:
                assert index + 1 + max(step[1:3]) < len(program)


def test_a_mapping_s_flags_are_the_same_on_arm64() -> None:
    assert _defined("asm-generic/mman.h", "MAP_LOCKED") == mapping._MAP_LOCKED
    assert _defined("asm-generic/mman-common.h", "MAP_POPULATE") == mmap.MAP_POPULATE


def test_nothing_asks_for_a_page_size_by_number() -> None:
    """arm64 kernels have pages of 4, 16 or 64 KiB: offsets and sums of pages must come from the system."""
    found: list[str] = []
    for path in sorted((ROOT / "gateway").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if not re.search(r"(?i)mmap|smaps|pagesize|statm", text):
            continue
        numbers = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
        found += [f"{path.name}:{node.lineno}" for node in numbers if node.value in (4095, 4096)]
    assert found == []
