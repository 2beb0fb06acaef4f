"""Assignments: what is written reads back, and what no board may do is refused with its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ManifestRefused
from gateway.updates.assignment import Assignment, Window, Wish
from gateway.updates.assignment_json import (
    assignment_bytes,
    parse_window,
    read_assignment,
    window_text,
)
from tests.updates.strategies import WINDOWS, assignments
from tests.updates.test_manifest import VALUES

ASSIGNMENT = Assignment(
    "yard", 3, {"door": Wish(7, canary=("cam-1",)), "face": Wish(2), "voice": Wish(1)}, (("door", "face"),)
)


def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(assignment_bytes(ASSIGNMENT))
    return found


@given(assignments())
def test_an_assignment_reads_back_as_what_it_was_written_from(assignment: Assignment) -> None:
    data = assignment_bytes(assignment)
    assert read_assignment(data) == assignment
    assert assignment_bytes(read_assignment(data)) == data


@given(assignments(), st.data())
def test_a_damaged_assignment_gives_an_assignment_or_one_error(
    assignment: Assignment, data: st.DataObject
) -> None:
    held = bytearray(assignment_bytes(assignment))
    for _ in range(data.draw(st.integers(1, 4))):
        held[data.draw(st.integers(0, len(held) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read_assignment(bytes(held))
    except ManifestRefused as error:
        assert error.message.isprintable()
        return
    assert read_assignment(assignment_bytes(found)) == found


@given(st.sampled_from(sorted(json.loads(assignment_bytes(ASSIGNMENT))["models"]["door"])), VALUES)
def test_any_value_in_any_wish_gives_an_assignment_or_one_error(key: str, value: object) -> None:
    held = document()
    held["models"]["door"][key] = value
    try:
        read_assignment(json.dumps(held).encode())
    except ManifestRefused as error:
        assert error.message.startswith("models.door")


def test_what_a_wish_does_not_say_has_its_default() -> None:
    data = b'{"schema": 1, "group": "g", "version": 1, "models": {"m": {"release": 4, "bake_s": null}}}'
    assert read_assignment(data) == Assignment("g", 1, {"m": Wish(4)})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda held: held.update(schema=2), r"^schema"),
        (lambda held: held.update(version=0), r"^version"),
        (lambda held: held.update(group="a/b"), r"^group: 'a/b' is no name"),
        (lambda held: held.update(group="#"), r"^group: '#' is no name"),
        (lambda held: held.update(site="x"), r"^document: unknown key 'site'"),
        (lambda held: held["models"].update({"../x": {"release": 1}}), r"^models: '\.\./x' is no name"),
        (lambda held: held["models"]["door"].update(percent=100.1), r"^models\.door\.percent"),
        (lambda held: held["models"]["door"].update(percent=-0.1), r"^models\.door\.percent"),
        (lambda held: held["models"]["door"].update(percent="5"), r"^models\.door\.percent"),
        (lambda held: held["models"]["door"].update(release=1.0), r"^models\.door\.release"),
        (lambda held: held["models"]["door"].update(paused=0), r"^models\.door\.paused"),
        (lambda held: held["models"]["door"].update(window="24:00-01:00"), r"^models\.door\.window: '24:00"),
        (lambda held: held["models"]["door"].update(window="1:00-2:00"), r"^models\.door\.window: '1:00"),
        (lambda held: held["models"]["door"].update(canary=["a b"]), r"^models\.door\.canary\[0\]"),
        (lambda held: held["models"]["door"].update(bake_s=-1), r"^models\.door\.bake_s"),
        (lambda held: held["models"]["door"].update(bake_s=""), r"^models\.door\.bake_s"),
        (lambda held: held["models"]["door"].update(force=True), r"^models\.door: unknown key 'force'"),
        (lambda held: held.update(sets=[["door", "nose"]]), r"^sets\[0\]: 'nose' is not among the models"),
        (lambda held: held.update(sets=[["door"]]), r"^sets\[0\]: needs a list of two"),
        (lambda held: held.update(sets=[["door", "door"]]), r"^sets\[0\]: 'door' is already in a set"),
        (
            lambda held: held.update(sets=[["door", "face"], ["face", "voice"]]),
            r"^sets\[1\]: 'face' is already in a set",
        ),
    ],
)
def test_what_no_board_may_do_is_refused_with_the_path_of_the_key(
    change: Callable[[dict[str, Any]], object], words: str
) -> None:
    held = document()
    change(held)
    with pytest.raises(ManifestRefused, match=words):
        read_assignment(json.dumps(held).encode())


@pytest.mark.parametrize("percent", [float("nan"), float("inf")])
def test_a_percentage_that_is_no_number_is_not_written(percent: float) -> None:
    with pytest.raises(ManifestRefused):
        assignment_bytes(Assignment("g", 1, {"m": Wish(1, percent=percent)}))


@given(WINDOWS)
def test_a_window_is_read_as_it_is_written(window: Window) -> None:
    assert parse_window(window_text(window), "window") == window
