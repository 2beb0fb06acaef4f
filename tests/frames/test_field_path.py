"""Field paths: keys, indices, and columns of records."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Malformed
from gateway.frames.field_path import compile_path, resolve

TREE = {
    "imu": {"x": 1.5, "gyro": [3, 4]},
    "a": [{"b": 10}, {"b": 20, "c": [[1, 2], [3, 4]]}],
    "with space": {"ä": 7},
    "none": None,
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("imu.x", 1.5),
        ("imu.gyro", [3, 4]),
        ("imu.gyro[1]", 4),
        ("a[0].b", 10),
        ("a[1].c[1][0]", 3),
        ("a.b", [10, 20]),
        ("with space.ä", 7),
    ],
)
def test_a_path_leads_to_its_field(path: str, expected: object) -> None:
    assert expected == resolve(TREE, path)


def test_a_path_may_begin_with_an_index() -> None:
    assert resolve([{"t": 1}, {"t": 2}], "[1].t") == 2


@pytest.mark.parametrize("path", ["imu.z", "a[2]", "imu[0]", "imu.x.y", "a.c", "none", "a[0].b[0]"])
def test_a_field_that_is_not_there_is_named(path: str) -> None:
    with pytest.raises(Malformed, match="no field"):
        resolve(TREE, path)


@pytest.mark.parametrize(
    "path", ["", ".", "a.", ".a", "a..b", "a[", "a[]", "a[-1]", "a[x]", "a]b", "x" * 300]
)
def test_a_path_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(Malformed, match="field path"):
        compile_path(path)


@given(st.text(alphabet="ab[]01.-", max_size=12))
def test_any_path_gives_steps_or_a_typed_error(path: str) -> None:
    try:
        steps = compile_path(path)
    except Malformed:
        return
    assert "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")
