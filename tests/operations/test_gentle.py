"""A program that is started gently is polite before it does anything."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gateway.operations import gentle
from gateway.operations.gentle import gently

_SAY = "import os; print(os.nice(0), os.getpid())"


@pytest.mark.parametrize("own_session", [False, True])
def test_the_program_runs_with_the_nice_value_in_the_process_that_was_started(own_session: bool) -> None:
    command = gently([sys.executable, "-c", _SAY], 19, own_session=own_session)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=own_session
    ) as process:
        said, complaint = process.communicate()
    assert (said.split(), complaint) == (["19", str(process.pid)], "")


def test_arguments_arrive_as_they_are() -> None:
    command = gently(["printf", "%s|", "a b", "$HOME", '"', "*"], 5, own_session=False)
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert said == 'a b|$HOME|"|*|'


def test_without_a_shell_the_program_is_started_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gentle, "_SHELL", "/nowhere/sh")
    assert gently(["true"], 19, own_session=True) == ["true"]


def test_a_program_that_is_not_there_is_named_by_the_system_and_not_by_a_shell() -> None:
    with pytest.raises(FileNotFoundError):
        subprocess.run(gently(["/nowhere/program"], 19, own_session=True), check=True)
