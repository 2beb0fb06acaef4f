"""docs/releases.md is true: its commands are understood, its documents are read."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.main import COMMANDS
from gateway.cli.release import add_pack_arguments
from gateway.updates.assignment_json import assignment_bytes, read_assignment
from gateway.updates.manifest import manifest_bytes
from gateway.updates.packing import budget, patches
from gateway.updates.reported import read_reported, reported_bytes
from tests.updates.test_manifest import RELEASE

TEXT = (Path(__file__).parents[2] / "docs" / "releases.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
LINES = [
    line
    for kind, block in BLOCKS
    if not kind
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("gateway ")
]
MANIFEST, ASSIGNMENT, REPORTED = [block for kind, block in BLOCKS if kind == "json"]


@pytest.mark.parametrize("line", LINES)
def test_every_command_is_understood(line: str) -> None:
    _, name, *arguments = shlex.split(line)
    parser = argparse.ArgumentParser()
    import_module(COMMANDS[name][0]).add_arguments(parser)
    parser.parse_args(arguments)


def test_there_are_commands() -> None:
    assert {shlex.split(line)[1] for line in LINES} == {"release", "repo", "push", "rollout"}


def test_every_option_of_packing_is_in_the_table() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    add_pack_arguments(parser)
    options = {option for action in parser._actions for option in action.option_strings}
    assert [option for option in options if f"`{option}" not in TEXT and f", `{option}" not in TEXT] == []


def keys(value: Any) -> Any:
    """Return the shape of a document: its keys, and the shape of the first of each list."""
    if isinstance(value, dict):
        return {key: keys(each) for key, each in value.items()}
    return [keys(value[0])] if isinstance(value, list) and value else None


def test_the_manifest_has_all_keys_and_no_other() -> None:
    assert keys(json.loads(MANIFEST)) == keys(json.loads(manifest_bytes(RELEASE)))


def test_the_assignment_and_the_report_are_read_and_written_alike() -> None:
    assert json.loads(assignment_bytes(read_assignment(ASSIGNMENT.encode()))) == json.loads(ASSIGNMENT)
    assert json.loads(reported_bytes(read_reported(REPORTED.encode()))) == json.loads(REPORTED)


def test_the_numbers_are_those_of_the_program() -> None:
    assert (budget.LOAD_FACTOR, budget.LOAD_SPARE_S) == (8, 2)
    assert (budget.P99_FACTOR, budget.P99_SPARE_MS) == (8, 5)
    assert (budget.MEMORY_FACTOR, budget.MEMORY_SPARE_BYTES) == (1.5, 16 << 20)
    assert f"saves at least {patches.LEAST_SAVING:.0%}".replace("%", " %") in TEXT
